"""Limits that count: requests in a rolling window, searches in a second, requests of a day."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Of a private app on a Professional account; every number can be lowered for a test."""

    requests: int = 190
    seconds: float = 10.0
    per_day: int = 650_000
    searches_per_second: int = 5


class RollingWindow:
    """At most `count` requests in any `seconds`; what is refused is not counted."""

    def __init__(self, count: int, seconds: float, clock: Callable[[], float]) -> None:
        self._count = count
        self._seconds = seconds
        self._clock = clock
        self._seen: deque[float] = deque()

    def admit(self) -> bool:
        now = self._clock()
        while self._seen and now - self._seen[0] >= self._seconds:
            self._seen.popleft()
        if len(self._seen) >= self._count:
            return False
        self._seen.append(now)
        return True

    @property
    def left(self) -> int:
        return max(0, self._count - len(self._seen))
