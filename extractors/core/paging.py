"""Reading a set by offset: page sizes that suit the server, several pages at once, and proof of completeness."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from clients.errors import TimedOut, TooLarge
from extractors.core.errors import ReadError, RepeatedPage

log = logging.getLogger(__name__)

FIRST_PAGE = 20
GROWTH = 8
MAX_PAGE = 10_000
SHRINK = 4


@dataclass(frozen=True)
class RawPage:
    """Bytes of the records [skip, skip + top) in the source's order; the last page may hold fewer."""

    skip: int
    top: int
    body: bytes


class Pager:
    """Pages of one read, in order, while the next ones are on their way.

    At most `prefetch` requests run at any moment, and at most as many pages again wait to be consumed, so that the
    server is kept busy while a page is digested here. The page size starts at `first_page`, grows towards
    `target_bytes` and is divided by four when the server cannot build a page or takes too long.
    After each page the consumer must call `settle` with the number of records in it: a page that is shorter than
    asked ends the read, unless more was claimed: then what is missing of it is asked for again.
    """

    def __init__(
        self,
        fetch: Callable[[int, int], bytes],
        claimed: int | None,
        *,
        target_bytes: int,
        prefetch: int,
        first_page: int | None = None,
        max_page: int | None = None,
        under_way: Callable[[], int] | None = None,
        sized: bool = False,
    ) -> None:
        """under_way: how many requests to run at the moment, where that is not always `prefetch`; at most twice it.

        sized: pages of the size `first_page` are known to suit, so that several may be asked for at once.
        """
        self._fetch = fetch
        self._claimed = claimed
        self._target_bytes = target_bytes
        self._prefetch = prefetch
        self._under_way = under_way or (lambda: prefetch)
        self._size = FIRST_PAGE if first_page is None else first_page
        self._ceiling = MAX_PAGE if max_page is None else max_page
        self._sized = sized
        self._grown = False
        self._next = 0
        self._ended = False
        self._settled: int | None = None
        self._pending: deque[_Slot] = deque()
        self._running = 0
        self._over = False
        self._turn = threading.Condition()

    def __iter__(self) -> Iterator[RawPage]:
        pool = ThreadPoolExecutor(3 * self._prefetch, thread_name_prefix="page")
        try:
            while True:
                self._ask_ahead(pool)
                if not self._pending:
                    return
                slot = self._pending.popleft()
                try:
                    body = slot.answer().result()
                except (TooLarge, TimedOut) as error:
                    self._shrink(slot, error)
                    continue
                self._settled = None
                yield RawPage(slot.skip, slot.top, body)
                self._after(slot, len(body))
        finally:
            with self._turn:
                self._over = True
                self._turn.notify_all()
            pool.shutdown(wait=False, cancel_futures=True)

    @property
    def page_size(self) -> int | None:
        """The size that pages have come to have, for another read of the same records; None before one has come."""
        return self._size if self._sized else None

    def settle(self, records: int) -> None:
        """Tell how many records the page held that was yielded last."""
        self._settled = records

    def _ask_ahead(self, pool: ThreadPoolExecutor) -> None:
        # One page at a time until a page of this size has come, and when the end is unknown. Few while pages still
        # grow: the later ones are better asked for in the right size.
        several = self._sized and self._claimed is not None
        limit = self._under_way() + (self._prefetch if self._grown else 0) if several else 1
        while not self._ended and len(self._pending) < limit:
            beyond = self._claimed is not None and self._next >= self._claimed
            if beyond and self._pending:
                break
            self._pending.append(_Slot(self._next, self._size))
            self._next += self._size
        running = sum(slot.future is not None for slot in self._pending)
        for position, slot in enumerate(self._pending):
            if slot.future is None and (position == 0 or running < limit):
                slot.future = pool.submit(self._fetch_in_turn, slot.skip, slot.top)
                running += 1

    def _fetch_in_turn(self, skip: int, top: int) -> bytes:
        with self._turn:
            while self._running >= self._under_way() and not self._over:
                self._turn.wait()
            if self._over:
                raise ReadError("the read has ended")
            self._running += 1
        try:
            return self._fetch(skip, top)
        finally:
            with self._turn:
                self._running -= 1
                self._turn.notify()

    def _shrink(self, slot: "_Slot", error: Exception) -> None:
        if slot.top == 1:
            raise error
        part = max(1, min(slot.top // SHRINK, self._ceiling))
        log.warning("a page of %s records failed, asking for %s at a time: %s", slot.top, part, error)
        self._ceiling = part
        self._size = min(self._size, part)
        self._sized = False
        end = slot.skip + slot.top
        for start in reversed(range(slot.skip, end, part)):
            self._pending.appendleft(_Slot(start, min(part, end - start)))

    def _after(self, slot: "_Slot", size: int) -> None:
        records = self._settled
        if records is None:
            raise RuntimeError("a page was not settled before the next one was asked for")
        if records > slot.top:
            raise ReadError(
                f"the source sent {records} records where {slot.top} were asked for: it does not honour the limit"
            )
        if records:
            wished = fitting(self._target_bytes, records, size)
            self._grown = self._size * GROWTH >= min(wished, self._ceiling)
            self._size = max(1, min(wished, self._size * GROWTH, self._ceiling))
            self._sized = True
        if records == slot.top:
            return
        reached = slot.skip + records
        if records and self._claimed is not None and reached < self._claimed:
            # Some servers cap a page below what was asked for: ask for the rest of it.
            log.warning("got %s of %s records at offset %s, asking for the rest", records, slot.top, slot.skip)
            self._size = min(self._size, max(records, FIRST_PAGE))
            self._pending.appendleft(_Slot(reached, slot.top - records))
            return
        self._ended = True
        if self._claimed is not None and reached >= self._claimed:
            return
        for waiting in self._pending:
            waiting.cancel()
        self._pending.clear()


def fitting(target_bytes: int, records: int, size: int) -> int:
    """How many records make a page of `target_bytes`, when some of them took `size` bytes."""
    return max(1, target_bytes * records // max(size, 1))


@dataclass
class _Slot:
    """A range of the set and, once it was asked for, its answer."""

    skip: int
    top: int
    future: Future[bytes] | None = None

    def answer(self) -> Future[bytes]:
        if self.future is None:
            raise RuntimeError("the page was never asked for")
        return self.future

    def cancel(self) -> None:
        if self.future is not None:
            self.future.cancel()


@dataclass
class Pass:
    """What one pass over a set saw; decides whether it was complete."""

    claimed: int | None
    keys: set[str] = field(default_factory=set)
    seen: int = 0
    repeated: int = 0
    without_key: int = 0

    def note(self, page: RawPage, keys: Sequence[str], records: int) -> bool:
        """Count a page; returns whether all its keys are new in this pass. Raises RepeatedPage."""
        before = len(self.keys)
        self.keys.update(keys)
        fresh = len(self.keys) - before
        self.seen += records
        self.repeated += len(keys) - fresh
        self.without_key += records - len(keys)
        if fresh == 0 and len(keys) > 1 and records == page.top:
            raise RepeatedPage(
                f"the page at offset {page.skip} repeats earlier records: the source does not honour the offset"
            )
        return fresh == len(keys)

    @property
    def distinct(self) -> int:
        return len(self.keys) + self.without_key

    def is_clean(self, claimed_after: int | None) -> bool:
        """Nothing repeated, nothing missing, nothing changed meanwhile."""
        return self.repeated == 0 and self.claimed == claimed_after and self.claimed in (None, self.distinct)

    def is_covering(self, claimed_after: int | None) -> bool:
        """Records were only added meanwhile, and as many distinct ones came as there were at the start."""
        return (
            self.claimed is not None
            and claimed_after is not None
            and self.claimed <= claimed_after
            and self.distinct >= self.claimed
        )
