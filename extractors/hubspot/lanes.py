"""Several requests at once: an answer takes longer than the limits would let the next request wait.

Lanes are threads that take pieces of one job and hand their results to one consumer. A piece may be split while it is
worked on, so that no lane stands idle while another has much left.
"""

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

Result = TypeVar("Result")
Told = TypeVar("Told", covariant=True)
Piece = TypeVar("Piece")
# Results wait here when the consumer is slower than HubSpot.
_WAITING = 2


class Job(Protocol[Piece, Told]):
    """Work in pieces. `take` is called by several threads; None: there is nothing left to share."""

    def take(self) -> Piece | None: ...
    def work(self, piece: Piece) -> Iterator[Told]: ...


class _Stopped(Exception):
    """The consumer has had enough."""


class _Pipe(Generic[Result]):
    """Results and the first error of several threads, in the order in which they come."""

    def __init__(self) -> None:
        self._queue: queue.Queue[Result | BaseException | None] = queue.Queue(_WAITING)
        self._stopped = threading.Event()

    def put(self, item: Result | BaseException | None) -> None:
        while not self._stopped.is_set():
            try:
                self._queue.put(item, timeout=0.1)
            except queue.Full:
                continue
            return
        raise _Stopped

    def stop(self) -> None:
        self._stopped.set()

    def results(self, lanes: int) -> Iterator[Result]:
        while lanes:
            item = self._queue.get()
            if item is None:
                lanes -= 1
            elif isinstance(item, BaseException):
                raise item
            else:
                yield item


def in_lanes(job: Job[Piece, Result], lanes: int) -> Iterator[Result]:
    """All results of a job, in no order. The first error of any lane ends it and is raised here."""
    pipe: _Pipe[Result] = _Pipe()

    def lane() -> None:
        try:
            while (piece := job.take()) is not None:
                for result in job.work(piece):
                    pipe.put(result)
            pipe.put(None)
        except _Stopped:
            return
        except BaseException as error:  # whatever it is belongs to the consumer
            try:
                pipe.put(error)
            except _Stopped:
                return

    threads = [threading.Thread(target=lane, name=f"hubspot-{number}", daemon=True) for number in range(lanes)]
    for thread in threads:
        thread.start()
    try:
        yield from pipe.results(lanes)
    finally:
        pipe.stop()
        for thread in threads:
            thread.join()


class Span:
    """Record ids from `low` up to and without `high` (None: no end) that one lane reads."""

    def __init__(self, low: int, high: int | None) -> None:
        self.low = low
        self.high = high


class Spans(Generic[Result]):
    """Ids of one kind of object, cut in halves as lanes become free. `read(span, spans)` claims what it has read."""

    def __init__(
        self, low: int, last: int, narrow: int, read: Callable[[Span, "Spans[Result]"], Iterator[Result]]
    ) -> None:
        """`last`: the highest id known; a span of fewer than `narrow` ids is not cut any more."""
        self._last = last
        self._narrow = max(2, narrow)
        self._read = read
        self._lock = threading.Lock()
        self._fresh: Span | None = Span(low, None)
        self._open: list[Span] = []

    def take(self) -> Span | None:
        with self._lock:
            if self._fresh is not None:
                taken, self._fresh = self._fresh, None
            else:
                widest = max(self._open, key=self._width, default=None)
                if widest is None or self._width(widest) < self._narrow:
                    return None
                middle = widest.low + self._width(widest) // 2
                taken = Span(middle, widest.high)
                widest.high = middle
            self._open.append(taken)
            return taken

    def work(self, piece: Span) -> Iterator[Result]:
        try:
            yield from self._read(piece, self)
        finally:
            with self._lock:
                self._open.remove(piece)

    def claim(self, span: Span, following: int) -> int | None:
        """Ids before `following` are read: nobody else gets them. Returns where the span ends by now."""
        with self._lock:
            span.low = following
            return span.high

    def _width(self, span: Span) -> int:
        return (self._last + 1 if span.high is None else span.high) - span.low


class Windows(Generic[Piece, Result]):
    """Windows of time; `read(window, add)` may add halves of a window instead of reading it."""

    def __init__(self, first: Piece, read: Callable[[Piece, Callable[[Piece], None]], Iterator[Result]]) -> None:
        self._read = read
        self._waiting = [first]
        self._running = 0
        self._changed = threading.Condition()

    def take(self) -> Piece | None:
        with self._changed:
            while not self._waiting and self._running:
                self._changed.wait(0.1)
            if not self._waiting:
                return None
            self._running += 1
            return self._waiting.pop()

    def work(self, piece: Piece) -> Iterator[Result]:
        try:
            yield from self._read(piece, self._add)
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    def _add(self, piece: Piece) -> None:
        with self._changed:
            self._waiting.append(piece)
            self._changed.notify_all()
