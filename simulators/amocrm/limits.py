"""The request limit: so many in any second per address; who ignores the refusals is shut out for a while."""

from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "too_many", "blocked"]


@dataclass(frozen=True)
class Limits:
    """Of an ordinary account.

    per_second: of one address. account_per_second: of all addresses together. strikes: refusals within
    `strike_seconds` after which the address is blocked for `block_seconds`; a request during the block renews it.
    """

    per_second: int = 7
    account_per_second: int = 50
    strikes: int = 30
    strike_seconds: float = 60.0
    block_seconds: float = 600.0


class Gate:
    """Lets requests in or not. What is refused does not count against the second, but it is remembered."""

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self.limits = limits
        self.refused = 0
        self._clock = clock
        self._recent: defaultdict[str, deque[float]] = defaultdict(deque)
        self._all: deque[float] = deque()
        self._strikes: defaultdict[str, deque[float]] = defaultdict(deque)
        self._blocked_until: dict[str, float] = {}

    def enter(self, address: str) -> Verdict:
        now = self._clock()
        if now < self._blocked_until.get(address, 0.0):
            self._blocked_until[address] = now + self.limits.block_seconds
            return "blocked"
        mine, everyone = self._recent[address], self._all
        for window in (mine, everyone):
            while window and window[0] <= now - 1.0:
                window.popleft()
        if len(mine) < self.limits.per_second and len(everyone) < self.limits.account_per_second:
            mine.append(now)
            everyone.append(now)
            return "ok"
        self.refused += 1
        strikes = self._strikes[address]
        strikes.append(now)
        while strikes[0] <= now - self.limits.strike_seconds:
            strikes.popleft()
        if len(strikes) >= self.limits.strikes:
            self._blocked_until[address] = now + self.limits.block_seconds
            strikes.clear()
            return "blocked"
        return "too_many"
