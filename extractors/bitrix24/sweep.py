"""Reading a whole list, or a window of it, as fast as the portal's limits allow: 2,500 rows to a request.

The ids that fit are found by a probe (first and last page). What lies between is cut into as many ranges as requests
may run at a time; when one is through, what is left of another is cut again. Within a request 50 pages follow each
other: each begins after the last id of the page before it. So nothing is counted, gaps between ids cost nothing,
nothing is skipped when rows come and go while we read, and a page that is not what it should be (an ignored filter, a
lost answer) is noticed.
"""

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from math import ceil
from typing import Any, Generic, TypeVar

import msgspec

from clients.bitrix24 import BATCH_LIMIT, Answer, Bitrix24Client, reference
from clients.errors import Retriable, TimedOut, TooLarge
from extractors.bitrix24.listings import Listing
from extractors.core.errors import ReadError

log = logging.getLogger(__name__)

PAGE = 50
ATTEMPTS = 5
# A request that works for a minute is broken off; half of it leaves room for a busy hour.
REQUEST_SECONDS = 25.0
_ROWS_OF_REQUEST = BATCH_LIMIT * PAGE
Done = TypeVar("Done")


class Row(msgspec.Struct, frozen=True):
    """What the reader itself needs to know of a row; `raw` are the bytes as the portal sent them."""

    raw: msgspec.Raw
    number: int


class _Known(msgspec.Struct):
    id: int | str | None = None
    ID: int | str | None = None


_known = msgspec.json.Decoder(_Known)
_list = msgspec.json.Decoder(list[msgspec.Raw])
_map = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(frozen=True)
class _Range:
    """Ids above `after` and below `before`, about `rows` of them."""

    after: int
    before: int
    rows: float


@dataclass(frozen=True)
class _Read:
    """What a request brought of a range, and what is left of it."""

    rows: list[Row]
    rest: _Range | None


class _Crew(Generic[Done]):
    """Workers that read ranges side by side; what they bring waits, a little of it, until somebody takes it."""

    def __init__(
        self,
        read: Callable[[_Range], "_Read"],
        finish: Callable[[Sequence[Row]], Iterable[Done]],
        parts: Sequence[_Range],
        parallel: int,
    ) -> None:
        self._read = read
        self._finish = finish
        self._parallel = parallel
        self._waiting = deque(parts)
        self._busy = 0
        self._stopped = False
        self._change = threading.Condition()
        self._brought: queue.Queue[tuple[Done | None, BaseException | None]] = queue.Queue(parallel)

    def results(self) -> Iterator[Done]:
        """What the workers bring, until all is read. Raises the first error of a worker."""
        workers = [threading.Thread(target=self._work, name=f"bitrix24-{n}") for n in range(self._parallel)]
        for worker in workers:
            worker.start()
        try:
            at_work = len(workers)
            while at_work:
                done, error = self._brought.get()
                if error is not None:
                    raise error
                if done is None:
                    at_work -= 1
                else:
                    yield done
        finally:
            with self._change:
                self._stopped = True
                self._change.notify_all()
            while any(worker.is_alive() for worker in workers):
                with suppress(queue.Empty):  # one that waits for room may go
                    self._brought.get(timeout=0.02)

    def _work(self) -> None:
        error: BaseException | None = None
        try:
            while (part := self._take()) is not None:
                read = self._read(part)
                self._give_back(read.rest)
                for done in self._finish(read.rows):
                    self._brought.put((done, None))
                del read  # the next answer needs the room
        except BaseException as problem:
            error = problem
        self._brought.put((None, error))

    def _take(self) -> _Range | None:
        with self._change:
            while not self._waiting and self._busy and not self._stopped:
                self._change.wait()
            if self._stopped or not self._waiting:
                return None
            self._busy += 1
            return self._waiting.popleft()

    def _give_back(self, rest: _Range | None) -> None:
        """What is left of a range; cut for those who have nothing to do."""
        with self._change:
            self._busy -= 1
            if rest is not None:
                idle = self._parallel - self._busy - len(self._waiting)
                self._waiting.extendleft(reversed(_cut(rest, max(1, idle))))
            self._change.notify_all()


class Sweep:
    """Reads one list of one portal."""

    def __init__(self, client: Bitrix24Client, listing: Listing, *, parallel: int) -> None:
        self._client = client
        self._listing = listing
        self._parallel = parallel
        self._most_pages = BATCH_LIMIT
        self.began: datetime | None = None  # the portal's clock at the first probe

    def pages(
        self, condition: Mapping[str, Any], finish: Callable[[Sequence[Row]], Iterable[Done]], *, only_ids: bool = False
    ) -> Iterator[Done]:
        """All rows that fit `condition`, in no particular order, up to 2,500 at a time, made into what `finish` gives.

        `finish` runs in a thread of the reader, as far as somebody takes what it gives. Raises ReadError when the
        portal does not honour the question, and what the client raises.
        """
        listing = _ids_of(self._listing) if only_ids else self._listing
        first, last = self._probe(listing, condition)
        yield from finish(first)
        if not first or len(first) < PAGE:
            return
        seen = first[-1].number
        tail = [row for row in last if row.number > seen]
        if tail:
            yield from finish(tail)
        end = min((row.number for row in tail), default=seen + 1)
        yield from self._between(listing, condition, finish, first, last, end)

    def by_ids(self, keys: Sequence[str]) -> dict[str, Row]:
        """These rows as they are now, by their ids; those that are gone are not there."""
        found: dict[str, Row] = {}
        numbers = list(dict.fromkeys(keys))
        commands = [
            (self._listing.method, self._listing.arguments({f"@{self._listing.id_filter}": numbers[at : at + PAGE]}))
            for at in range(0, len(numbers), PAGE)
        ]
        for answer in ask(self._client, commands):
            for row in self._rows(self._listing, answer):
                if str(row.number) not in numbers:
                    raise ReadError(f"{self._listing.method} does not honour a list of ids")
                found[str(row.number)] = row
        return found

    # --- inside ---

    def _probe(self, listing: Listing, condition: Mapping[str, Any]) -> tuple[list[Row], list[Row]]:
        commands = [(listing.method, listing.arguments(condition, descending=down)) for down in (False, True)]
        low, high = ask(self._client, commands)
        self.began = self.began or low.began
        first, last = self._rows(listing, low), self._rows(listing, high)
        for rows, down in ((first, False), (last, True)):
            numbers = [row.number for row in rows]
            if numbers != sorted(set(numbers), reverse=down) or len(numbers) > PAGE:
                raise ReadError(f"{listing.method} does not honour the order by id")
        return first, last

    def _between(
        self,
        listing: Listing,
        condition: Mapping[str, Any],
        finish: Callable[[Sequence[Row]], Iterable[Done]],
        first: list[Row],
        last: list[Row],
        end: int,
    ) -> Iterator[Done]:
        """What lies between the first page and `end`, several requests at a time."""
        if end - first[-1].number <= 1:
            return
        whole = _Range(first[-1].number, end, (end - first[-1].number - 1) * _density(first, last))

        def read(part: _Range) -> _Read:
            return self._read(listing, condition, part)

        yield from _Crew(read, finish, _cut(whole, self._parallel), self._parallel).results()

    def _read(self, listing: Listing, condition: Mapping[str, Any], part: _Range) -> _Read:
        """One request's worth of a range. Bad answers are asked for again, from the last good row on."""
        for attempt in range(1, ATTEMPTS + 1):
            pages = min(self._most_pages, BATCH_LIMIT, int(part.rows / PAGE) + 2)
            started = time.monotonic()
            try:
                answers = self._client.batch(_chain(listing, condition, part, pages), repeatable=True)
            except (TooLarge, TimedOut) as error:
                if pages == 1 or attempt == ATTEMPTS:
                    raise
                self._most_pages = max(1, pages // 2)
                log.warning("%s: %s pages were too much for one request: %s", listing.method, pages, error)
                continue
            read, problem = self._follow(listing, part, list(answers.values()))
            self._slow_down(pages, time.monotonic() - started)
            if problem is None or read.rows:
                return read
            if not isinstance(problem, Retriable) or attempt == ATTEMPTS:
                raise problem
            log.warning("%s: asked for again: %s", listing.method, problem)
        raise AssertionError("unreachable")

    def _follow(self, listing: Listing, part: _Range, answers: list[Any]) -> tuple[_Read, Exception | None]:
        """The pages of a chain up to the first that is short or bad; those after it began nowhere."""
        rows: list[Row] = []
        last = part.after
        for answer in answers:
            if not isinstance(answer, Answer):
                return _Read(rows, _rest(part, last, len(rows))), answer
            page = self._rows(listing, answer)
            numbers = [row.number for row in page]
            if numbers != sorted(set(numbers)) or (numbers and not last < numbers[0] <= numbers[-1] < part.before):
                raise ReadError(f"{listing.method} does not honour the range of ids that was asked for")
            rows += page
            if len(page) < PAGE:
                return _Read(rows, None), None
            last = numbers[-1]
        return _Read(rows, _rest(part, last, len(rows))), None

    def _slow_down(self, pages: int, seconds: float) -> None:
        if pages > 1 and seconds > REQUEST_SECONDS:
            self._most_pages = max(1, int(pages * REQUEST_SECONDS / seconds))

    def _rows(self, listing: Listing, answer: Answer) -> list[Row]:
        try:
            if not listing.rows:
                found = _list.decode(answer.raw)
            elif memoryview(answer.raw)[0] == ord("["):  # an empty map, as PHP writes it
                found = []
            else:
                inner = _map.decode(answer.raw).get(listing.rows)
                if inner is None:
                    raise ReadError(f"{listing.method} answered without '{listing.rows}'")
                # A list with gaps in its keys comes as a map.
                found = list(_map.decode(inner).values()) if memoryview(inner)[0] == ord("{") else _list.decode(inner)
            return [Row(raw, _number(raw)) for raw in found]
        except (msgspec.DecodeError, TypeError, ValueError):
            raise ReadError(f"{listing.method} answered with something else than rows") from None


def ask(client: Bitrix24Client, commands: Sequence[tuple[str, Mapping[str, Any]]]) -> list[Answer]:
    """Answers to all commands, in their order; commands that were lost or blocked are sent again.

    Raises the first error that repeating does not heal.
    """
    answers: dict[int, Answer] = {}
    for attempt in range(1, ATTEMPTS + 1):
        missing = {str(place): commands[place] for place in range(len(commands)) if place not in answers}
        if not missing:
            break
        for place, answer in client.batch(missing, repeatable=True).items():
            if isinstance(answer, Answer):
                answers[int(place)] = answer
            elif not isinstance(answer, Retriable) or attempt == ATTEMPTS:
                raise answer
    return [answers[place] for place in range(len(commands))]


def _chain(
    listing: Listing, condition: Mapping[str, Any], part: _Range, pages: int
) -> dict[str, tuple[str, Mapping[str, Any]]]:
    """Pages that follow each other: each begins where the one before it ended.

    A page after a short one has nothing to begin with and would begin at the start of the list: the second condition
    keeps it within the range, and the reader does not look at it.
    """
    commands: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for place in range(pages):
        path = (listing.rows, PAGE - 1, listing.id_name) if listing.rows else (PAGE - 1, listing.id_name)
        after: Any = part.after if place == 0 else reference(place - 1, *path)
        bounds = {
            f">{listing.id_filter}": after,
            f">={listing.id_filter}": part.after + 1,
            f"<{listing.id_filter}": part.before,
        }
        commands[str(place)] = (listing.method, listing.arguments({**condition, **bounds}))
    return commands


def _density(first: Sequence[Row], last: Sequence[Row]) -> float:
    """Rows per id, by the first and the last page."""
    spans = [abs(rows[-1].number - rows[0].number) + 1 for rows in (first, last) if rows]
    return min(1.0, (len(first) + len(last)) / max(1, sum(spans)))


def _cut(part: _Range, most: int) -> list[_Range]:
    """Up to `most` ranges, each of a whole number of requests: none but the last request of all is half empty."""
    ids = part.before - part.after - 1
    requests = max(1, ceil(part.rows / _ROWS_OF_REQUEST))
    number = max(1, min(most, ids, requests))
    ends = [requests * place // number for place in range(number + 1)]
    cuts = [part.after + ids * end // requests for end in ends]
    shares = [(high - low) / requests for low, high in pairwise(ends)]
    return [_Range(low, high + 1, part.rows * share) for (low, high), share in zip(pairwise(cuts), shares, strict=True)]


def _rest(part: _Range, last: int, rows: int) -> _Range | None:
    if last + 1 >= part.before:
        return None
    if last == part.after:
        return part
    density = max(rows, 1) / (last - part.after)
    return _Range(last, part.before, (part.before - last - 1) * density)


def _ids_of(listing: Listing) -> Listing:
    """The same list with nothing but ids."""
    params = {name: value for name, value in listing.params.items() if name != "params"}
    return replace(listing, params={**params, "select": [listing.id_filter]})


def _number(raw: msgspec.Raw) -> int:
    known = _known.decode(raw)
    number = known.id if known.id is not None else known.ID
    if number is None:
        raise ReadError("a row has no id")
    return int(number)
