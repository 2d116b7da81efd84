"""Reading a set by offset: page sizes that suit the server, several pages at once, and proof of completeness."""

import logging
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

    At most `prefetch` requests run or wait to be consumed at any moment. The page size starts at `first_page`,
    grows towards `target_bytes` and is divided by four when the server cannot build a page or takes too long.
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
        first_page: int = FIRST_PAGE,
        max_page: int = MAX_PAGE,
    ) -> None:
        self._fetch = fetch
        self._claimed = claimed
        self._target_bytes = target_bytes
        self._prefetch = prefetch
        self._size = first_page
        self._ceiling = max_page
        self._sized = False
        self._next = 0
        self._ended = False
        self._settled: int | None = None
        self._pending: deque[tuple[int, int, Future[bytes]]] = deque()

    def __iter__(self) -> Iterator[RawPage]:
        pool = ThreadPoolExecutor(self._prefetch, thread_name_prefix="page")
        try:
            while True:
                self._ask_ahead(pool)
                if not self._pending:
                    return
                skip, top, future = self._pending.popleft()
                try:
                    body = future.result()
                except (TooLarge, TimedOut) as error:
                    self._shrink(pool, skip, top, error)
                    continue
                self._settled = None
                yield RawPage(skip, top, body)
                self._after(pool, skip, top, len(body))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def is_ready(self) -> bool:
        """Whether the next page has already come."""
        return bool(self._pending) and self._pending[0][2].done()

    def settle(self, records: int) -> None:
        """Tell how many records the page held that was yielded last."""
        self._settled = records

    def _ask_ahead(self, pool: ThreadPoolExecutor) -> None:
        # Until the first page has told how big a record is, and when the end is unknown, one page at a time.
        limit = self._prefetch if self._sized and self._claimed is not None else 1
        while not self._ended and len(self._pending) < limit:
            beyond = self._claimed is not None and self._next >= self._claimed
            if beyond and self._pending:
                return
            self._submit(pool, self._next, self._size)
            self._next += self._size

    def _submit(self, pool: ThreadPoolExecutor, skip: int, top: int) -> None:
        self._pending.append((skip, top, pool.submit(self._fetch, skip, top)))

    def _shrink(self, pool: ThreadPoolExecutor, skip: int, top: int, error: Exception) -> None:
        if top == 1:
            raise error
        part = max(1, top // SHRINK)
        log.warning("a page of %s records failed, asking for %s at a time: %s", top, part, error)
        self._ceiling = min(self._ceiling, part)
        self._size = min(self._size, part)
        self._sized = True
        parts = [(start, min(part, skip + top - start)) for start in range(skip, skip + top, part)]
        self._pending.extendleft(
            (start, length, pool.submit(self._fetch, start, length)) for start, length in reversed(parts)
        )

    def _after(self, pool: ThreadPoolExecutor, skip: int, top: int, size: int) -> None:
        records = self._settled
        if records is None:
            raise RuntimeError("a page was not settled before the next one was asked for")
        if records > top:
            raise ReadError(
                f"the source sent {records} records where {top} were asked for: it does not honour the limit"
            )
        if records:
            wished = max(1, self._target_bytes * records // max(size, 1))
            self._size = max(1, min(wished, self._size * GROWTH, self._ceiling))
            self._sized = True
        if records == top:
            return
        reached = skip + records
        if records and self._claimed is not None and reached < self._claimed:
            # Some servers cap a page below what was asked for: ask for the rest of it.
            log.warning("got %s of %s records at offset %s, asking for the rest", records, top, skip)
            self._size = min(self._size, max(records, FIRST_PAGE))
            self._pending.appendleft((reached, top - records, pool.submit(self._fetch, reached, top - records)))
            return
        self._ended = True
        if self._claimed is not None and reached >= self._claimed:
            return
        for _, _, future in self._pending:
            future.cancel()
        self._pending.clear()


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
