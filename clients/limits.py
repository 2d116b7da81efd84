"""Staying inside what the other side allows: rules, the protocol that keeps them, and the keeper of one process.

A client names what its request counts against (`Limit`: a key and its rules) and calls `wait_for` before each request.
`warehouse.limits.SharedLimits` keeps the same protocol for all processes and machines that share a warehouse; it is
handed in by whoever knows the warehouse, the clients never import it.
"""

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from clients.errors import Retriable

DAY_SECONDS = 86_400.0
_LATE_SECONDS = 1.0
_LATE_SHARE = 0.1


@dataclass(frozen=True)
class Leaky:
    """A bucket that holds `burst` requests and loses `per_second` of them a second (Bitrix24)."""

    per_second: float
    burst: float

    @property
    def late(self) -> float:
        """Seconds by which a request may reach the other side after its permit, without breaking the rule."""
        return _LATE_SECONDS

    @property
    def held(self) -> float:
        """What we put into the bucket at most: room is left for requests that come late and all at once."""
        return max(1.0, self.burst - self.per_second * self.late)

    def spec(self) -> Mapping[str, float | str]:
        return {"per_second": self.per_second, "burst": self.held}


@dataclass(frozen=True)
class Window:
    """At most `count` requests in any span of `seconds` (amoCRM: 7 in 1; HubSpot: 100 and more in 10).

    slack: seconds of the span that are left to requests that come late; None: a tenth of it.
    """

    count: int
    seconds: float
    slack: float | None = None

    @property
    def late(self) -> float:
        return min(_LATE_SECONDS, self.seconds * _LATE_SHARE) if self.slack is None else self.slack

    def spec(self) -> Mapping[str, float | str]:
        # Requests that come late crowd into the span after: a longer span leaves room for them.
        return {"count": self.count, "seconds": self.seconds + self.late}


@dataclass(frozen=True)
class Daily:
    """At most `count` requests a calendar day of `zone` (HubSpot's daily budget)."""

    count: int
    zone: str = "UTC"

    @property
    def late(self) -> float:
        return _LATE_SECONDS

    def spec(self) -> Mapping[str, float | str]:
        return {"per_day": self.count, "zone": self.zone}


@dataclass(frozen=True)
class Limit:
    """What a request counts against: `key` names the counter at the other side, e.g. 'bitrix24:portal.example' or
    'hubspot:123:search'; at most one rule of each kind. Without rules it can only be paused. Keys hold no secrets.
    """

    key: str
    rules: tuple[Leaky | Window | Daily, ...] = ()

    def __post_init__(self) -> None:
        if len({type(rule) for rule in self.rules}) != len(self.rules):
            raise ValueError(f"two rules of one kind for {self.key}: give the second one a key of its own")

    @property
    def late(self) -> float:
        """Seconds after which an unused permit is worthless."""
        return min((rule.late for rule in self.rules), default=_LATE_SECONDS) / 2

    def spec(self) -> dict[str, float | str]:
        """The rules as plain numbers, for a keeper that does not know these classes."""
        merged: dict[str, float | str] = {"key": self.key}
        for rule in self.rules:
            merged.update(rule.spec())
        return merged


class Limits(Protocol):
    """Keeps limits for everybody who shares it. Safe for use by several threads."""

    def admit(self, *limits: Limit, longest: float) -> float:
        """Sleep until one more request may leave that counts against all `limits`, and return 0.0.

        When that takes more than `longest` seconds nothing is counted and the wait in seconds is returned.
        """
        ...

    def pause(self, limit: Limit, seconds: float) -> None:
        """The other side wants to be left alone: nobody leaves for so long, and its bucket is full afterwards."""
        ...

    def slot(self, key: str, most: int) -> AbstractContextManager[None]:
        """One of `most` places for requests that run at the same time; waits for one, frees it also after a crash."""
        ...


class LimitReached(Retriable):
    """A limit leaves no room for longer than the caller wants to wait; `retry_after` says when there is some."""


def wait_for(limits: Limits, *wanted: Limit, longest: float = 60.0) -> None:
    """Return when one more request may leave. Raises LimitReached when that is more than `longest` seconds away."""
    away = limits.admit(*wanted, longest=longest)
    if away > 0:
        keys = ", ".join(limit.key for limit in wanted)
        raise LimitReached(f"no request is allowed for {away:.0f} s ({keys})", code="limit_reached", retry_after=away)


@dataclass
class _State:
    """What was let go under one key; moments are of the monotonic clock."""

    full_at: float = float("-inf")
    recent: deque[float] = field(default_factory=deque)
    day_began: float = float("-inf")
    day_count: int = 0
    paused_until: float = float("-inf")

    def earliest(self, limit: Limit, moment: float) -> float:
        at = max(moment, self.paused_until)
        for rule in limit.rules:
            if isinstance(rule, Leaky):
                at = max(at, self.full_at - (rule.held - 1.0) / rule.per_second)
            elif isinstance(rule, Window):
                if len(self.recent) >= rule.count:
                    at = max(at, self.recent[-rule.count] + rule.seconds + rule.late)
            elif self.day_count >= rule.count:
                at = max(at, self.day_began + DAY_SECONDS)
        return at

    def note(self, limit: Limit, at: float) -> None:
        for rule in limit.rules:
            if isinstance(rule, Leaky):
                self.full_at = max(self.full_at, at) + 1.0 / rule.per_second
            elif isinstance(rule, Window):
                self.recent.append(at)
                while len(self.recent) > rule.count:
                    self.recent.popleft()
            else:
                if at >= self.day_began + DAY_SECONDS:
                    self.day_began, self.day_count = at, 0
                self.day_count += 1


class LocalLimits:
    """Keeps limits within this process only; a day of `Daily` starts with its first request here."""

    def __init__(
        self, *, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._states: defaultdict[str, _State] = defaultdict(_State)
        self._slots: dict[str, threading.BoundedSemaphore] = {}
        self._lock = threading.Lock()

    def admit(self, *limits: Limit, longest: float) -> float:
        with self._lock:
            now = self._clock()
            at = now
            for limit in limits:
                at = max(at, self._states[limit.key].earliest(limit, now))
            if at - now > longest:
                return at - now
            for limit in limits:
                self._states[limit.key].note(limit, at)
        if at > now:
            self._sleep(at - now)
        return 0.0

    def pause(self, limit: Limit, seconds: float) -> None:
        with self._lock:
            state = self._states[limit.key]
            until = self._clock() + seconds
            state.paused_until = max(state.paused_until, until)
            for rule in limit.rules:
                if isinstance(rule, Leaky):
                    state.full_at = max(state.full_at, until + rule.held / rule.per_second)

    @contextmanager
    def slot(self, key: str, most: int) -> Iterator[None]:
        with self._lock:
            places = self._slots.setdefault(key, threading.BoundedSemaphore(most))
        with places:
            yield
