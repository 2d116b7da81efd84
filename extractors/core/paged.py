"""A read of a source by offset: passes over its pages until one was complete, then what vanished.

Pages commit as they come; the cursor moves only after the last one and only when the read was complete. A read of very
many documents goes slice by slice of time, so that memory does not grow with their number. A comparison of the whole
history asks for ids and versions only.
"""

import json
import logging
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from extractors.core.codec import Codec, Decoded
from extractors.core.errors import ReadError, ShortRead
from extractors.core.feed import page as page_of
from extractors.core.kinds import ComparableReader, GuestReader, PageCodec, Reader, Window
from extractors.core.outcome import LoadOutcome, add, note_failure, outcome
from extractors.core.paging import Pass
from extractors.core.spec import Entity
from warehouse import clock
from warehouse.coverage import RunCounters, cursor_position, finish_run, start_run
from warehouse.db import Connection as Database
from warehouse.landing import TOMBSTONES_KEY, Landing, Page, compress
from warehouse.reconcile import KeyComparison, key_comparison, newest_document
from warehouse.settings import Settings

log = logging.getLogger(__name__)

MAX_PASSES = 3
SLICE_RECORDS = 100_000
# Fewer documents of the overlap are simply read again; of more, ids and versions are looked at first.
OVERLAP_RECORDS = 500
SHORTEST_SLICE = timedelta(days=1)
# News of a page that is read again are few: those of several pages are written together.
GATHERED_RECORDS = 200
GATHERED_BYTES = 4_000_000
TURN_SECONDS = 0.0005


@dataclass
class Gathering:
    """What was new on pages of which most had landed before, not written yet."""

    originals: list[bytes] = field(default_factory=list)
    decoded: Decoded = field(default_factory=Decoded)
    keys: set[str] = field(default_factory=set)
    size: int = 0

    def add(self, originals: Sequence[bytes], decoded: Decoded) -> None:
        self.originals += originals
        self.decoded.records += decoded.records
        self.decoded.rejected += decoded.rejected
        self.keys.update(decoded.keys)
        self.size += sum(map(len, originals))

    @property
    def is_full(self) -> bool:
        return len(self.originals) >= GATHERED_RECORDS or self.size >= GATHERED_BYTES


class PagedLoad:
    """One run of one entity, under its lock."""

    def __init__(
        self,
        conn: Database,
        instance: str,
        spec: Entity,
        codec: PageCodec,
        reader: Reader,
        settings: Settings,
    ) -> None:
        self._conn = conn
        self._instance = instance
        self._spec = spec
        self._reader = reader
        self._settings = settings
        self._codec = codec
        self._landing = Landing(conn, spec.table(), instance, codec.layout)
        self._counters = RunCounters()
        self._load_id = 0
        self._seen_before = 0
        self._claimed_before = 0
        self._gathering = Gathering()

    def run(self, mode: str, window: tuple[datetime, datetime] | None, triggered_by: str) -> LoadOutcome:
        started = clock.now()
        span: Window = window or (None, None)
        position: datetime | None = None
        if mode == "cursor" and not self._spec.is_whole:
            position = cursor_position(self._conn, self._instance, self._spec.name)
            if position is not None:
                span = (position - timedelta(days=self._settings.onec_overlap_days), None)
        shown = "full" if mode == "cursor" and self._spec.is_whole else mode
        self._load_id = start_run(
            self._conn,
            instance=self._instance,
            entity=self._spec.name,
            mode=shown,
            window=span,
            started_at=started,
            triggered_by=triggered_by,
        )
        try:
            there = self._reader.is_published()
            if there and mode == "reconcile":
                self._compare((None, None))
                if isinstance(self._reader, ComparableReader) and not self._reader.shows_changes():
                    self._read((None, None), sweep=True)
            elif there:
                # Of movements only a sweep tells that a document is not posted any more.
                sweep = shown != "cursor" or self._spec.read == "movements"
                self._read(self._without_overlap(span, position), sweep=sweep)
            if isinstance(self._reader, GuestReader):
                self._reader.rest()
            self._landing.refresh_statistics(self._counters.rows_inserted + self._counters.rows_changed)
            cursor, covered = (self._cursor(started), started) if mode == "cursor" else (None, None)
            finish_run(
                self._conn,
                self._load_id,
                self._counters,
                finished_at=clock.now(),
                cursor=cursor,
                covered_until=covered,
                published=there,
            )
        except Exception as error:
            note_failure(self._conn, self._load_id, self._counters, error)
            raise
        return outcome(
            self._load_id, self._instance, self._spec.name, shown, span, covered, self._counters, published=there
        )

    def _cursor(self, started: datetime) -> datetime | None:
        """The newest document's date, but never beyond now: documents may be dated in the future."""
        if self._spec.read == "movements":
            return started
        if self._spec.read != "window":
            return None
        # Not of the pages: what is the same as landed may not have been decoded.
        newest = newest_document(self._conn, self._spec.table(), self._instance)
        return None if newest is None else min(newest, started)

    def _without_overlap(self, span: Window, position: datetime | None) -> Window:
        """Look at the ids and versions of the documents before the cursor; returns what is to be read whole."""
        reader = self._reader
        if position is None or self._spec.read != "window" or not isinstance(reader, ComparableReader):
            return span
        older: Window = (span[0], position)
        if (reader.count(older) or 0) < OVERLAP_RECORDS:
            return span
        differing = self._compare(older)
        self._counters.rows_unchanged += self._counters.rows_seen - differing
        self._seen_before, self._claimed_before = self._counters.rows_seen, self._counters.rows_claimed or 0
        return position, span[1]

    def _read(self, span: Window, *, sweep: bool) -> None:
        """Read a span, slice by slice when it holds very many records."""
        claimed = self._count_at_first(span)
        slices = self._slices(span, claimed)
        if len(slices) == 1:
            self._read_slice(span, claimed, sweep=sweep, at_last=not sweep)
            return
        for part in slices:
            self._read_slice(part, self._reader.count(part), sweep=sweep)
            self._seen_before, self._claimed_before = self._counters.rows_seen, self._counters.rows_claimed or 0
        # What was dated anew during the read may have moved into a slice that was done.
        self._compare((None, None))

    def _count_at_first(self, span: Window) -> int | None:
        """What the source claims to have; before a first load it also shows a few records, to know their size."""
        reader = self._reader
        if not isinstance(reader, GuestReader) or not self._landing.is_empty():
            return reader.count(span)
        # Only their size is used: records that were seen before the count was known would prove nothing.
        with ThreadPoolExecutor(1, "size") as pool:
            sizing = pool.submit(reader.size_up, span)
            claimed = reader.count(span)
            sizing.result()
        return claimed

    def _slices(self, span: Window, claimed: int | None) -> list[Window]:
        many = self._spec.read == "window" and claimed is not None and claimed > SLICE_RECORDS
        edges = self._reader.edges(span) if many else None
        if edges is None:
            return [span]
        borders = self._borders(*edges)
        log.info("%s %s: %s records, read in %s slices", self._instance, self._spec.name, claimed, len(borders) + 1)
        return list(zip([span[0], *borders], [*borders, span[1]], strict=True))

    def _borders(self, begin: datetime, end: datetime) -> list[datetime]:
        """Moments between which there are at most SLICE_RECORDS records, as far as days allow."""
        claimed = self._reader.count((begin, end)) or 0
        middle = (begin + (end - begin) / 2).replace(hour=0, minute=0, second=0, microsecond=0)
        if claimed <= SLICE_RECORDS or end - begin <= SHORTEST_SLICE or not begin < middle < end:
            return []
        return [*self._borders(begin, middle), middle, *self._borders(middle, end)]

    def _read_slice(self, span: Window, claimed: int | None, *, sweep: bool, at_last: bool = False) -> None:
        """Read until a pass was complete, land everything on the way, then look for what vanished.

        claimed: what the source has by its own word. at_last: nothing is read after it.
        """
        all_new = self._landing.is_empty()
        for attempt in range(1, MAX_PASSES + 1):
            this = Pass(claimed if attempt == 1 else self._reader.count(span))
            self._claim(this.claimed)
            claimed_after = self._pass(this, span, all_new=all_new, at_last=at_last)
            all_new = False
            if this.is_clean(claimed_after):
                break
            message = (
                f"{self._instance} {self._spec.name}: pass {attempt} saw {this.distinct} records "
                f"({this.repeated} repeated), the source claims {this.claimed} before and {claimed_after} after"
            )
            log.warning(message)
            if attempt == MAX_PASSES:
                if not this.is_covering(claimed_after):
                    raise ShortRead(message + "; the read is not complete")
                self._claim(claimed_after)
        if sweep:
            self._look_up(sorted(self._landing.present(*span) - this.keys))

    def _claim(self, claimed: int | None) -> None:
        self._counters.rows_claimed = None if claimed is None else self._claimed_before + claimed

    def _pass(self, this: Pass, span: Window, *, all_new: bool, at_last: bool) -> int | None:
        """One pass over the pages. While one is written, the next one is decoded and those behind it are fetched.

        Returns what the source claims to have after the last one.
        """
        reader = self._reader
        if at_last and isinstance(reader, GuestReader):
            pager = reader.pages_at_last(span, this.claimed)
        else:
            pager = reader.pages(span, this.claimed)
        self._counters.rows_seen = self._seen_before
        self._gathering = Gathering()
        with ThreadPoolExecutor(1, "archive") as packer, _short_turns():
            try:
                for raw in pager:
                    packed = packer.submit(compress, raw.body) if all_new else None
                    news, known = (None, []) if all_new else self._news(raw.body)
                    body = raw.body if news is None else page_of(news)
                    decoded = self._codec.decode(body)
                    count = decoded.count + len(known)
                    pager.settle(count)
                    fresh = this.note(raw, [*decoded.keys, *known], count)
                    self._counters.rows_seen = self._seen_before + this.distinct
                    self._counters.rows_unchanged += len(known)
                    if news is not None:
                        self._gathering.add(news, decoded)
                        if self._gathering.is_full:
                            self._write_gathered()
                    elif decoded.count:
                        self._write_gathered()  # before a later page may bring a record anew
                        page = self._page(body, decoded, all_new=all_new and fresh)
                        if packed is not None:
                            page.compressed = packed.result
                        self._begin(page)
                self._write_gathered()
                claimed_after = self._count_after(this, span, at_last=at_last)
                add(self._counters, self._landing.finish())
            except BaseException:
                self._landing.abandon()
                raise
        return claimed_after

    def _begin(self, page: Page) -> None:
        add(self._counters, self._landing.finish())
        self._landing.begin(page, load_id=self._load_id, loaded_at=clock.now())

    def _write_gathered(self) -> None:
        gathered, self._gathering = self._gathering, Gathering()
        if gathered.decoded.count:
            self._begin(self._page(page_of(gathered.originals), gathered.decoded))

    def _count_after(self, this: Pass, span: Window, *, at_last: bool) -> int | None:
        reader = self._reader
        if at_last and isinstance(reader, GuestReader) and this.is_clean(this.claimed):
            return reader.count_at_last(span)
        return reader.count(span)

    def _news(self, body: bytes) -> tuple[list[bytes] | None, list[str]]:
        """The records of a page that have not landed byte for byte, and the keys of those that have.

        Most of what is read again is the same: it is not worth decoding, and not worth archiving once more. None when
        nothing of the page can be left out.
        """
        if not isinstance(self._codec, Codec):
            return None, []
        sighted = self._codec.sight(body)
        add(self._counters, self._landing.finish())  # its connection is needed now
        landed = self._landing.originals([one.key for one in sighted if one.key])
        known: list[str] = []
        news = []
        for one in sighted:
            # What waits to be written has not landed: a record that came back to its old state is news again.
            same = landed.get(one.key or "") == one.original_hash.decode() and one.key not in self._gathering.keys
            if same and one.key:
                known.append(one.key)
            else:
                news.append(bytes(one.original))
        return (news, known) if known else (None, [])

    def _page(self, body: bytes, decoded: Decoded, *, all_new: bool = False) -> Page:
        self._counters.pages += 1
        self._counters.raw_bytes += len(body)
        return Page(self._counters.pages, body, decoded.records, decoded.rejected, all_new=all_new)

    def _compare(self, window: Window) -> int:
        """Ids and versions of the source against ours: read what differs, mark what vanished as deleted.

        Returns how many of the source's records were not as we have them.
        """
        reader = self._reader
        if not isinstance(reader, ComparableReader):
            raise ReadError(f"{self._instance} {self._spec.name}: this source cannot list ids alone")
        reader.comparison_begins()
        with key_comparison(self._conn, self._spec.table(), self._instance) as keys:
            self._list_keys(reader, keys, window)
            landed = keys.landed(*window)
            if landed and not self._counters.rows_claimed:
                # Far more often lost rights than an emptied base: never throw everything away on one empty answer.
                raise ReadError(
                    f"{self._instance} {self._spec.name}: the source shows no record at all where {landed} are known; "
                    "check the rights of its user"
                )
            differing, vanished = keys.differing(), keys.vanished(*window)
        if differing or vanished:
            log.info(
                "%s %s: %s records differ from the source, %s are not there any more",
                self._instance,
                self._spec.name,
                len(differing),
                len(vanished),
            )
        self._look_up(differing)
        self._look_up(vanished)
        reader.comparison_ended([*differing, *vanished])
        return len(differing)

    def _list_keys(self, reader: ComparableReader, keys: KeyComparison, window: Window) -> None:
        """Fill `keys` with the ids that the source has in a window; listed again while the list was not complete."""
        for attempt in range(1, MAX_PASSES + 1):
            keys.clear()
            claimed = reader.count(window)
            pager = reader.key_pages(window, claimed)
            listed = 0
            for raw in pager:
                found = reader.keys(raw.body)
                pager.settle(len(found))
                listed += len(found)
                keys.add(found)
            distinct, after = keys.distinct(), reader.count(window)
            self._counters.rows_claimed, self._counters.rows_seen = after if after is not None else distinct, distinct
            if claimed == after and claimed in (None, distinct) and listed == distinct:
                return
            message = (
                f"{self._instance} {self._spec.name}: list {attempt} of the ids held {distinct} of them in {listed} "
                f"rows, the source claims {claimed} before and {after} after"
            )
            log.warning(message)
            if attempt == MAX_PASSES and not (
                claimed is not None and after is not None and distinct >= claimed <= after
            ):
                raise ShortRead(message + "; the list is not complete")

    def _look_up(self, ids: Sequence[str]) -> None:
        """Records that we know of and the read did not bring: land each as it is now, or mark it as deleted."""
        if not ids:
            return
        for asked, body in self._reader.lookup(ids):
            decoded = self._codec.decode(body)
            there = set(decoded.keys)
            if decoded.count:
                page = self._page(body, decoded)
                add(self._counters, self._landing.land(page, load_id=self._load_id, loaded_at=clock.now()))
            if any(rejected.record_id is None for rejected in decoded.rejected):
                # Which of them it was cannot be told: none of them may be taken for deleted.
                continue
            gone = [record_id for record_id in asked if record_id not in there]
            if gone:
                self._tombstone(gone)

    def _tombstone(self, gone: list[str]) -> None:
        self._counters.pages += 1
        add(
            self._counters,
            self._landing.tombstone(
                gone,
                load_id=self._load_id,
                page_no=self._counters.pages,
                at=clock.now(),
                body=json.dumps({TOMBSTONES_KEY: gone}).encode(),
            ),
        )


@contextmanager
def _short_turns() -> Iterator[None]:
    """Let a waiting thread have the interpreter sooner than usual.

    The thread that writes and those that fetch need it for microseconds at a time, a dozen times a page: each time they
    would wait for 5 ms of decoding, and the database and the source would wait with them.
    """
    usual = sys.getswitchinterval()
    sys.setswitchinterval(min(usual, TURN_SECONDS))
    try:
        yield
    finally:
        sys.setswitchinterval(usual)
