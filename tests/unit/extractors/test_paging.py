"""Paging by offset over a fake set: nothing lost, nothing twice, never more requests at once than allowed."""

import threading
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from clients.errors import Retriable, TimedOut, TooLarge
from extractors.core.errors import ReadError, RepeatedPage
from extractors.core.paging import GROWTH, Pager, Pass


class FakeSet:
    """`size` records of ten bytes; serves at most `cap` per page; cannot build pages over `limit`."""

    def __init__(self, size: int, *, cap: int = 1 << 30, limit: int = 1 << 30) -> None:
        self.size = size
        self.cap = cap
        self.limit = limit
        self.asked: list[tuple[int, int]] = []
        self.running = 0
        self.most_running = 0
        self._guard = threading.Lock()

    def fetch(self, skip: int, top: int) -> bytes:
        with self._guard:
            self.asked.append((skip, top))
            self.running += 1
            self.most_running = max(self.most_running, self.running)
        try:
            time.sleep(0.0002)
            if top > self.limit:
                raise TooLarge("device is full")
            last = min(self.size, skip + min(top, self.cap))
            return b"".join(b"%09d " % number for number in range(skip, last))
        finally:
            with self._guard:
                self.running -= 1


def read(source: FakeSet, claimed: int | None, **options: int) -> list[int]:
    pager = Pager(source.fetch, claimed, **({"target_bytes": 500, "prefetch": 4, "first_page": 5} | options))
    seen: list[int] = []
    for page in pager:
        numbers = [int(number) for number in page.body.split()]
        pager.settle(len(numbers))
        seen += numbers
    return seen


PAGE = 5


@given(
    size=st.integers(0, 400),
    first=st.integers(1, 60),
    target=st.integers(1, 3000),
    prefetch=st.integers(1, 6),
    cap=st.integers(1, 80),
    limit=st.integers(1, 100),
    counts=st.booleans(),
)
@example(size=0, first=PAGE, target=50, prefetch=4, cap=99, limit=99, counts=True)
@example(size=1, first=PAGE, target=50, prefetch=4, cap=99, limit=99, counts=True)
@example(size=PAGE - 1, first=PAGE, target=50, prefetch=4, cap=99, limit=99, counts=True)
@example(size=PAGE, first=PAGE, target=50, prefetch=4, cap=99, limit=99, counts=True)
@example(size=PAGE + 1, first=PAGE, target=50, prefetch=4, cap=99, limit=99, counts=True)
@example(size=3 * PAGE + 1, first=PAGE, target=50, prefetch=4, cap=99, limit=99, counts=True)
@settings(max_examples=80, deadline=None)
def test_every_record_exactly_once_in_order(
    size: int, first: int, target: int, prefetch: int, cap: int, limit: int, counts: bool
) -> None:
    # A server that both caps its pages and does not count cannot be told from one that has ended.
    source = FakeSet(size, cap=cap if counts else 1 << 30, limit=limit)
    claimed = size if counts else None
    seen = read(source, claimed, first_page=first, target_bytes=target, prefetch=prefetch)
    assert seen == list(range(size))
    assert source.most_running <= prefetch


def test_pages_grow_towards_the_target_and_no_further() -> None:
    source = FakeSet(5000)
    read(source, 5000, target_bytes=2000, first_page=5)
    sizes = [top for _, top in source.asked]
    assert sizes[0] == 5
    assert sizes[1] == 5 * GROWTH
    assert max(sizes) == 200  # 2000 bytes of ten-byte records


def test_too_large_pages_are_divided_by_four_and_never_asked_for_again() -> None:
    source = FakeSet(2000, limit=50)
    assert read(source, 2000, target_bytes=10_000) == list(range(2000))
    refused = [top for _, top in source.asked if top > 50]
    # Four pages were on their way when the first was refused; after that one at a time probes the smaller size.
    assert len(refused) <= 4 + 3
    last_refusal = max(place for place, (_, top) in enumerate(source.asked) if top > 50)
    assert len(source.asked) - last_refusal > 2000 // 50


def test_a_page_of_one_record_that_fails_is_an_error() -> None:
    with pytest.raises(TooLarge):
        read(FakeSet(3, limit=0), 3)


def test_slow_pages_are_asked_for_in_smaller_parts() -> None:
    source = FakeSet(100)
    fetch = source.fetch

    def slow(skip: int, top: int) -> bytes:
        if top > 10:
            raise TimedOut("no complete answer")
        return fetch(skip, top)

    source.fetch = slow  # type: ignore[method-assign]
    assert read(source, 100, target_bytes=10_000) == list(range(100))


def test_other_errors_end_the_read() -> None:
    def broken(skip: int, top: int) -> bytes:
        raise Retriable("no connection")

    source = FakeSet(100)
    source.fetch = broken  # type: ignore[method-assign]
    with pytest.raises(Retriable):
        read(source, 100)


def test_a_server_that_ignores_the_limit_is_an_error() -> None:
    source = FakeSet(100)
    fetch = source.fetch
    source.fetch = lambda skip, top: fetch(skip, top + 1)  # type: ignore[method-assign]
    with pytest.raises(ReadError, match="does not honour the limit"):
        read(source, 100)


def test_a_server_that_ends_early_ends_the_read_short() -> None:
    source = FakeSet(40)
    assert read(source, 100) == list(range(40))


def test_a_server_that_ignores_the_offset_is_found_out() -> None:
    source = FakeSet(100)
    fetch = source.fetch
    source.fetch = lambda skip, top: fetch(0, top)  # type: ignore[method-assign]
    pager = Pager(source.fetch, 100, target_bytes=50, prefetch=2, first_page=5)
    seen = Pass(100)
    with pytest.raises(RepeatedPage):  # noqa: PT012
        for page in pager:
            keys = [number.decode() for number in page.body.split()]
            pager.settle(len(keys))
            seen.note(page, keys, len(keys))


def test_passes_are_clean_only_when_nothing_changed() -> None:
    complete = Pass(2, keys={"a", "b"}, seen=2)
    assert complete.is_clean(2)
    assert not complete.is_clean(3)
    assert complete.is_covering(3)
    assert not complete.is_covering(1)
    assert not Pass(2, keys={"a"}, seen=2, repeated=1).is_clean(2)
    assert not Pass(3, keys={"a", "b"}, seen=2).is_covering(3)
    assert Pass(2, keys={"a"}, seen=2, without_key=1).is_clean(2)
    assert Pass(None, keys={"a"}, seen=1).is_clean(None)
