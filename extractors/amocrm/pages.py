"""Pages of amoCRM's lists, walked so that records which change meanwhile are not lost.

amoCRM pages by number. A record that is modified or deleted while pages go by shifts all that follow, and the one at
the border is never shown. So pages are not counted here: each request asks for the first page of what was modified
since the last record seen, which later changes can only move ahead of us. Lists that cannot be ordered by modification
time are cut into spans of time that fit into one page each. A second in which more was modified than a page holds is
read until two passes agree.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import Full, Queue
from typing import Any

import msgspec

from clients.amocrm import PAGE_LIMIT, AmocrmClient
from clients.errors import TooLarge
from extractors.core.errors import BrokenPage, ReadError

log = logging.getLogger(__name__)

LEAST_LIMIT = 25
# An empty answer is believed when it comes again: an index that has not caught up shows nothing at all for a moment.
EMPTY_TWICE = 2
MAX_PASSES = 6
# What is left of a span is split between lanes while it promises at least so many pages.
LEAST_PAGES = 6
AMOCRM_BEGAN = 1_230_768_000  # nothing is older than 2009


class Stamp(msgspec.Struct):
    """What a walk needs to know of a record."""

    id: int | str = ""
    uid: str = ""
    updated_at: int | None = None
    created_at: int | None = None
    is_deleted: bool | None = None


_stamp = msgspec.json.Decoder(Stamp)


@dataclass(frozen=True)
class Found:
    """Records of one page as they were sent, with their stamps."""

    records: list[msgspec.Raw]
    stamps: list[Stamp]
    has_next: bool


def records_in(body: bytes, name: str) -> tuple[list[msgspec.Raw], bool]:
    """The records under `_embedded.<name>`, byte by byte, and whether another page follows."""
    try:
        embedded = _parts(body, "_embedded")
        links = _parts(body, "_links")
        raw = embedded.get(name)
        return (msgspec.json.decode(raw, type=list[msgspec.Raw]) if raw is not None else []), "next" in links
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeError) as problem:
        raise BrokenPage(f"the page of {name} is not amoCRM's JSON: {problem}") from None


def _parts(body: bytes | msgspec.Raw, name: str) -> dict[str, msgspec.Raw]:
    whole = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    part = whole.get(name)
    # PHP: an empty map arrives as [].
    if part is None or bytes(part).lstrip()[:1] == b"[":
        return {}
    return msgspec.json.decode(part, type=dict[str, msgspec.Raw])


def read_stamps(records: Sequence[msgspec.Raw]) -> list[Stamp]:
    try:
        return [_stamp.decode(record) for record in records]
    except (msgspec.DecodeError, msgspec.ValidationError) as problem:
        raise BrokenPage(f"a record without id or modification time: {problem}") from None


@dataclass(frozen=True)
class Listing:
    """One list of the API: `path` below /api/v4/, the name of its records in the envelope, what every request adds."""

    path: str
    name: str
    params: Mapping[str, Any]
    by_modification: bool = True
    limit: int = PAGE_LIMIT


class Walker:
    """Reads one listing through one client. Moments are epoch seconds; both ends of a span belong to it."""

    def __init__(self, client: AmocrmClient, listing: Listing) -> None:
        self._client = client
        self._listing = listing
        self._limit = listing.limit

    def page(self, conditions: Mapping[str, Any], order: str | None, number: int = 1) -> Found | None:
        """One page; None when there is nothing. A portal that cannot build it in time is asked for less."""
        while True:
            params = {
                **self._listing.params,
                **({"filter": conditions} if conditions else {}),
                **({"order": {order: "asc"}} if order else {}),
                "limit": self._limit,
                "page": number,
            }
            try:
                body = self._client.get(self._listing.path, params)
            except TooLarge:
                if self._limit <= LEAST_LIMIT or number > 1:
                    raise
                self._limit = max(LEAST_LIMIT, self._limit // 2)
                log.warning("%s: pages of %s from now on", self._listing.path, self._limit)
                continue
            if body is None:
                return None
            records, has_next = records_in(body, self._listing.name)
            return Found(records, read_stamps(records), has_next)

    def numbered(self, conditions: Mapping[str, Any], order: str | None = None) -> Iterator[Found]:
        """Page after page by number: for lists whose earlier pages cannot change, and for those read twice."""
        number = 1
        while (found := self.page(conditions, order, number)) is not None:
            yield found
            if not found.has_next:
                return
            number += 1

    def modified(
        self, span: "Span", split: Callable[["Span", int, int], None] | None = None
    ) -> Iterator[list[msgspec.Raw]]:
        """Everything modified inside the span. `split` may shorten it between two requests."""
        if self._listing.by_modification:
            yield from self._along(span, split)
        else:
            yield from self._in_spans(span)

    def _along(self, span: "Span", split: Callable[["Span", int, int], None] | None) -> Iterator[list[msgspec.Raw]]:
        first, known, empty = span.first, set[tuple[int | str, int | None]](), 0
        more_must_follow = False
        while span.last is None or first is None or first <= span.last:
            last = span.last
            found = self.page(_between(first, last), "updated_at")
            if found is None or not found.records:
                empty += 1
                if empty < EMPTY_TWICE:
                    continue
                if more_must_follow:
                    raise ReadError(f"{self._listing.path}: pages end although the portal said that more follow")
                return
            empty = 0
            moments = [stamp.updated_at for stamp in found.stamps]
            if None in moments or moments != sorted(moments, key=lambda moment: moment or 0):
                log.warning("%s cannot be ordered by modification time; reading it in spans", self._listing.path)
                yield from self._in_spans(Span(first, span.last, span.now))
                return
            keys = [(stamp.id, stamp.updated_at) for stamp in found.stamps]
            yield [record for record, key in zip(found.records, keys, strict=True) if key not in known]
            if not found.has_next:
                return
            newest = moments[-1]
            assert newest is not None  # noqa: S101
            if newest == first:
                yield from self._crowded(newest)
                first, known, more_must_follow = newest + 1, set(), False
                continue
            first, known, more_must_follow = newest, {key for key in keys if key[1] == newest}, True
            if split is not None:
                split(span, newest, newest - (moments[0] or newest))
                more_must_follow = span.last == last

    def _in_spans(self, span: "Span") -> Iterator[list[msgspec.Raw]]:
        """Spans of time that fit into one page each; the last one is open, so that later changes are met there."""
        first = span.first if span.first is not None else 0
        end = span.last if span.last is not None else span.now
        width = max(1, end - first + 1) if first >= AMOCRM_BEGAN else AMOCRM_BEGAN - first
        while first <= end:
            last = min(end, first + width - 1)
            found = self._believed(_between(first, last))
            if found is not None and found.has_next:
                if last > first:
                    width = max(1, (last - first + 1) // 2)
                    continue
                yield from self._crowded(first)
                first += 1
                continue
            count = len(found.records) if found is not None else 0
            if found is not None:
                yield found.records
            first = last + 1
            width = max(1, int(width * min(4.0, 0.8 * self._limit / max(count, 1))))
        if span.last is None:
            yield from self._open_end(first)

    def _open_end(self, first: int) -> Iterator[list[msgspec.Raw]]:
        found = self._believed(_between(first, None))
        if found is None:
            return
        yield found.records
        if found.has_next:
            newest = max(stamp.updated_at or 0 for stamp in found.stamps)
            yield from self._in_spans(Span(first, None, now=max(newest, first)))

    def _believed(self, conditions: Mapping[str, Any]) -> Found | None:
        for _ in range(EMPTY_TWICE):
            found = self.page(conditions, "id")
            if found is not None:
                return found
        return None

    def _crowded(self, second: int) -> Iterator[list[msgspec.Raw]]:
        """More was modified in one second than a page holds: passes until one brings nothing new."""
        seen: set[int | str] = set()
        for attempt in range(MAX_PASSES):
            new = 0
            for found in self.numbered(_between(second, second), "id"):
                fresh = [
                    record for record, stamp in zip(found.records, found.stamps, strict=True) if stamp.id not in seen
                ]
                seen.update(stamp.id for stamp in found.stamps)
                new += len(fresh)
                if fresh:
                    yield fresh
            if attempt and not new:
                return
        raise ReadError(f"{self._listing.path}: the records of one second keep changing while they are read")


@dataclass
class Span:
    """From `first` to `last`, both included; open where None. now: where a span that is open ahead ends for now."""

    first: int | None
    last: int | None
    now: int = 0


def _between(first: int | None, last: int | None) -> dict[str, Any]:
    span = {name: moment for name, moment in (("from", first), ("to", last)) if moment is not None}
    return {"updated_at": span} if span else {}


class Lanes:
    """Several requests under way at once: the answer of one takes longer than the limit wants them apart.

    A span is read by one lane; while other lanes are idle, what is left of it is split in two.
    """

    def __init__(self, walkers: Sequence[Walker]) -> None:
        self._walkers = walkers
        self._waiting: deque[Span] = deque()
        self._open = 0
        self._lock = threading.Condition()
        self._stopped = threading.Event()
        self._out: Queue[list[msgspec.Raw] | BaseException | None] = Queue(maxsize=2 * len(walkers))

    def read(self, span: Span) -> Iterator[list[msgspec.Raw]]:
        """Everything modified inside a span that is closed at both ends, in no order."""
        self._waiting.append(span)
        self._open = 1
        with ThreadPoolExecutor(len(self._walkers), "amocrm") as pool:
            for walker in self._walkers:
                pool.submit(self._work, walker)
            try:
                while (part := self._out.get()) is not None:
                    if isinstance(part, BaseException):
                        raise part
                    yield part
            finally:
                self._stopped.set()
                with self._lock:
                    self._lock.notify_all()

    def _work(self, walker: Walker) -> None:
        try:
            while (span := self._next()) is not None:
                for records in walker.modified(span, self._split):
                    if not self._put(records):
                        return
                self._done()
        except BaseException as error:
            self._put(error)

    def _next(self) -> Span | None:
        with self._lock:
            while not self._waiting and self._open and not self._stopped.is_set():
                self._lock.wait()
            return self._waiting.popleft() if self._waiting and not self._stopped.is_set() else None

    def _split(self, span: Span, reached: int, page_seconds: int) -> None:
        """Give half of what is left to an idle lane. page_seconds: the time that the last page took up."""
        with self._lock:
            idle = len(self._walkers) > self._open
            if not idle or span.last is None or span.last - reached < max(2, LEAST_PAGES * page_seconds):
                return
            middle = (reached + span.last) // 2
            self._waiting.append(Span(middle + 1, span.last))
            self._open += 1
            span.last = middle
            self._lock.notify()

    def _done(self) -> None:
        with self._lock:
            self._open -= 1
            finished = not self._open
            self._lock.notify_all()
        if finished:
            self._put(None)

    def _put(self, part: list[msgspec.Raw] | BaseException | None) -> bool:
        while not self._stopped.is_set():
            try:
                self._out.put(part, timeout=0.2)
            except Full:
                continue
            return True
        return False
