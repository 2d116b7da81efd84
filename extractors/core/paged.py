"""A read of a source by offset: passes over its pages until one was complete, then what vanished.

Pages commit as they come; the cursor moves only after the last one and only when the read was complete.
"""

import json
import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from clients.errors import Fatal
from extractors.core.codec import Decoded, wrap_single
from extractors.core.errors import ShortRead
from extractors.core.kinds import PageCodec, Reader, Window
from extractors.core.outcome import LoadOutcome, add, note_failure, outcome
from extractors.core.paging import Pass
from extractors.core.spec import Entity
from warehouse import clock
from warehouse.coverage import RunCounters, cursor_position, finish_run, start_run
from warehouse.db import Connection as Database
from warehouse.landing import TOMBSTONES_KEY, Landing, Page, compress
from warehouse.settings import Settings

log = logging.getLogger(__name__)

MAX_PASSES = 3
MAX_LOOKUPS = 500
NO_RIGHTS = "20"


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
        self._newest: bytes | None = None

    def run(self, mode: str, window: tuple[datetime, datetime] | None, triggered_by: str) -> LoadOutcome:
        started = clock.now()
        span: Window = window or (None, None)
        if mode == "cursor" and self._spec.read == "window":
            position = cursor_position(self._conn, self._instance, self._spec.name)
            if position is not None:
                span = (position - timedelta(days=self._settings.onec_overlap_days), None)
        shown = "full" if mode == "cursor" and self._spec.read == "full" else mode
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
            if there:
                self._read(span, sweep=shown != "cursor")
            self._landing.refresh_statistics(self._counters.rows_inserted + self._counters.rows_changed)
            cursor, covered = (self._cursor(started), started) if mode == "cursor" else (None, None)
            finish_run(
                self._conn,
                self._load_id,
                self._counters,
                finished_at=clock.now(),
                cursor=cursor,
                covered_until=covered,
            )
        except Exception as error:
            note_failure(self._conn, self._load_id, self._counters, error)
            raise
        return outcome(
            self._load_id, self._instance, self._spec.name, shown, span, covered, self._counters, published=there
        )

    def _cursor(self, started: datetime) -> datetime | None:
        """The newest document's date, but never beyond now: documents may be dated in the future."""
        if self._spec.read != "window" or self._newest is None:
            return None
        return min(datetime.fromisoformat(self._newest.decode()), started)

    def _read(self, span: Window, *, sweep: bool) -> None:
        """Read until a pass was complete, land everything on the way, then look for what vanished."""
        all_new = self._landing.is_empty()
        for attempt in range(1, MAX_PASSES + 1):
            this = Pass(self._reader.count(span))
            self._counters.rows_claimed = this.claimed
            self._pass(this, span, all_new=all_new)
            all_new = False
            claimed_after = self._reader.count(span)
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
                self._counters.rows_claimed = claimed_after
        if sweep:
            self._sweep(this.keys, span)

    def _pass(self, this: Pass, span: Window, *, all_new: bool) -> None:
        """One pass over the pages. While the server digests a page, the next one is decoded, if it is there."""
        pager = self._reader.pages(span, this.claimed)
        self._counters.rows_seen = 0
        with ThreadPoolExecutor(1, "archive") as packer:
            try:
                for raw in pager:
                    packed = packer.submit(compress, raw.body) if all_new else None
                    decoded = self._codec.decode(raw.body)
                    pager.settle(decoded.count)
                    fresh = this.note(raw, decoded.keys, decoded.count)
                    self._counters.rows_seen = this.distinct
                    if decoded.count == 0:
                        continue
                    page = self._page(raw.body, decoded, all_new=all_new and fresh)
                    if packed is not None:
                        page.compressed = packed.result
                    add(self._counters, self._landing.finish())
                    self._landing.begin(page, load_id=self._load_id, loaded_at=clock.now())
                    if not pager.is_ready():
                        add(self._counters, self._landing.finish())
                add(self._counters, self._landing.finish())
            except BaseException as error:
                self._landing.abandon(error)
                raise

    def _page(self, body: bytes, decoded: Decoded, *, all_new: bool = False) -> Page:
        self._counters.pages += 1
        self._counters.raw_bytes += len(body)
        dates = [record.dated_at for record in decoded.records if record.dated_at is not None]
        if dates:
            self._newest = max(*dates, self._newest) if self._newest else max(dates)
        return Page(self._counters.pages, body, decoded.records, decoded.rejected, all_new=all_new)

    def _sweep(self, seen: set[str], span: Window) -> None:
        """Records that we hold and the read did not bring: ask for each one; mark as deleted what is gone."""
        vanished = sorted(self._landing.present(*span) - seen)
        gone: list[str] = []
        for record_id in vanished[:MAX_LOOKUPS]:
            try:
                body = self._reader.record(record_id)
            except Fatal as error:
                if error.code != NO_RIGHTS:
                    raise
                # Hidden from us by rights now: that is no proof of deletion.
                log.warning("%s %s: %s may not be read any more", self._instance, self._spec.name, record_id)
                continue
            if body is None:
                gone.append(record_id)
                continue
            # It is still there, outside the window or out of sight before: land it as it is now.
            body = wrap_single(body)
            decoded = self._codec.decode(body)
            page = self._page(body, decoded)
            add(self._counters, self._landing.land(page, load_id=self._load_id, loaded_at=clock.now()))
        if len(vanished) > MAX_LOOKUPS:
            log.warning(
                "%s %s: %s records vanished, %s were looked up; the rest stay until the same is read again",
                self._instance,
                self._spec.name,
                len(vanished),
                MAX_LOOKUPS,
            )
        if gone:
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
