"""The two limits of the REST interface: a leaky bucket for requests, ten one-minute baskets for working time."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

BASKETS = 10
BASKET_SECONDS = 60.0


@dataclass(frozen=True)
class Limits:
    """Of an ordinary tariff.

    operating_cost adds pretended working seconds to a call of a method; with `workers` they are really spent, by so
    many requests at a time, and a request that works for more than `request_seconds` is broken off.
    """

    drain_per_second: float = 2.0
    burst: float = 50.0
    operating_seconds: float = 480.0
    operating_cost: tuple[tuple[str, float], ...] = ()
    workers: int = 0
    request_seconds: float = 60.0


class LeakyBucket:
    """Counts requests per portal and source address; what is blocked is not counted."""

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock
        self._levels: dict[str, tuple[float, float]] = {}

    def admit(self, source: str) -> bool:
        now = self._clock()
        level, seen = self._levels.get(source, (0.0, now))
        level = max(0.0, level - (now - seen) * self._limits.drain_per_second)
        admitted = level < self._limits.burst
        self._levels[source] = (level + 1.0 if admitted else level, now)
        return admitted


class OperatingTime:
    """Working seconds of each method in the last ten minutes, in one-minute baskets."""

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock
        self._cost = dict(limits.operating_cost)
        self._baskets: dict[str, list[tuple[float, float]]] = defaultdict(list)  # (started, seconds)

    def blocked(self, method: str) -> bool:
        return self.spent(method) > self._limits.operating_seconds

    def spent(self, method: str) -> float:
        now = self._clock()
        kept = [(start, s) for start, s in self._baskets[method] if now - start < BASKETS * BASKET_SECONDS]
        self._baskets[method] = kept
        return sum(seconds for _, seconds in kept)

    def add(self, method: str, seconds: float) -> None:
        now = self._clock()
        seconds += self._cost.get(method, 0.0)
        baskets = self._baskets[method]
        if baskets and now - baskets[-1][0] < BASKET_SECONDS:
            started, sum_so_far = baskets[-1]
            baskets[-1] = (started, sum_so_far + seconds)
        else:
            baskets.append((now, seconds))

    def cost(self, method: str) -> float:
        """Pretended working seconds of one call."""
        return self._cost.get(method, 0.0)

    def resets_in(self, method: str) -> float:
        """Seconds until the oldest basket leaves the sum."""
        baskets = self._baskets[method]
        return max(0.0, baskets[0][0] + BASKETS * BASKET_SECONDS - self._clock()) if baskets else 0.0
