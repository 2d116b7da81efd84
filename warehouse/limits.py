"""Limits of other systems, shared through the warehouse by every process and machine (migration 0006).

The counting is done by functions of the database, on its clock. Permits are fetched several at once while they are
used up quickly, so that the database is asked about twice a second however fast requests leave.
"""

import json
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import psycopg

from warehouse.db import Connection

AHEAD_SECONDS = 0.5
MOST_PERMITS = 64
_SLOT_PAUSE_SECONDS = (0.02, 0.5)  # first, longest
# Counting needs no disk: a crash of the server forgets less than a second. A machine that vanished without a word gives
# its slots back after about a minute.
_SESSION = """
set synchronous_commit = off;
set tcp_keepalives_idle = 30; set tcp_keepalives_interval = 10; set tcp_keepalives_count = 3
"""


class Limit(Protocol):
    """What a request counts against; `spec` gives {"key": ..., <rules>} as `ops.take_permits` reads it."""

    @property
    def late(self) -> float: ...

    def spec(self) -> Mapping[str, float | str]: ...


@dataclass
class _Lot:
    """Permits in hand: moments of this process's monotonic clock from which each is good, for `late` seconds."""

    wish: int = 1
    permits: deque[float] = field(default_factory=deque)
    used: int = 1  # of the last fetch; its first is taken at once
    wasted: bool = False
    careful: bool = False

    def take(self, now: float, late: float) -> float | None:
        while self.permits:
            at = self.permits.popleft()
            if at + late >= now:
                self.used += 1
                return at
            self.wasted = True
        return None

    def plan(self, most: int) -> int:
        """How many to fetch: twice as many until some go to waste; then half of what was used, and one more each time.

        What goes to waste is lost for everybody until its span is over.
        """
        if self.wasted:
            self.wish, self.careful = max(1, self.used // 2), True
        else:
            self.wish = self.wish + 1 if self.careful else self.wish * 2
        self.wish = min(most, self.wish)
        self.used, self.wasted = 1, False
        return self.wish


def _most(specs: Sequence[Mapping[str, float | str]], late: float) -> int:
    """How many permits are worth fetching: of a rolling window no more than can leave while they are good."""
    most = MOST_PERMITS
    for spec in specs:
        if "count" in spec:
            most = min(most, max(1, round(late * float(spec["count"]) / float(spec["seconds"]))))
    return most


class SharedLimits:
    """Keeps limits through the warehouse; see clients.limits.Limits for the protocol. Safe for several threads."""

    def __init__(
        self,
        database: Callable[[], AbstractContextManager[Connection]],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`database` opens an autocommit connection of our own; it is opened at first use and again after a loss."""
        self._database = database
        self._clock = clock
        self._sleep = sleep
        self._stack = ExitStack()
        self._conn: Connection | None = None
        self._lots: defaultdict[tuple[str, ...], _Lot] = defaultdict(_Lot)
        self._held: defaultdict[str, dict[int, object]] = defaultdict(dict)  # place -> its holder
        self._lock = threading.Lock()

    def __enter__(self) -> "SharedLimits":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def admit(self, *limits: Limit, longest: float) -> float:
        """Sleep until one more request may leave, return 0.0; or the wait when it is over `longest` seconds.

        Raises psycopg.OperationalError when the warehouse stays away.
        """
        specs = [limit.spec() for limit in limits]
        late = min(limit.late for limit in limits)
        with self._lock:
            lot = self._lots[tuple(json.dumps(spec, sort_keys=True) for spec in specs)]
            at = lot.take(self._clock(), late)
            if at is None:
                delays = self._ask(
                    "select ops.take_permits(%s, %s, %s, %s)",
                    [json.dumps(specs), lot.plan(_most(specs, late)), AHEAD_SECONDS, longest],
                )
                if delays[0] < 0:
                    return -float(delays[0])
                # Counted from the answer: the database's own `now` was before it, so we are never early.
                received = self._clock()
                lot.permits.extend(received + float(delay) for delay in delays)
                at = lot.permits.popleft()
        pause = at - self._clock()
        if pause > 0:
            self._sleep(pause)
        return 0.0

    def pause(self, limit: Limit, seconds: float) -> None:
        """Nobody leaves under `limit` for so long. Permits that others hold already are good for a second yet."""
        spec = limit.spec()
        with self._lock:
            for names, lot in self._lots.items():
                if any(json.loads(name)["key"] == spec["key"] for name in names):
                    lot.permits.clear()
            self._ask("select ops.pause_requests(%s, %s)", [json.dumps(spec), seconds])

    @contextmanager
    def slot(self, key: str, most: int) -> Iterator[None]:
        """Hold one of `most` places of `key` among all processes; waits for one. A lost connection frees it early."""
        pause, longest = _SLOT_PAUSE_SECONDS
        holder = object()
        while (place := self._take_slot(key, most, holder)) is None:
            self._sleep(pause)
            pause = min(longest, pause * 2)
        try:
            yield
        finally:
            with self._lock:
                if self._held[key].get(place) is holder:
                    del self._held[key][place]
                    self._ask("select ops.free_slot(%s, %s)", [key, place])

    def close(self) -> None:
        """Close the connection; slots that are still held become free."""
        with self._lock:
            self._forget()

    def _take_slot(self, key: str, most: int, holder: object) -> int | None:
        with self._lock:
            held = self._held[key]
            if len(held) >= most:
                return None
            place = self._ask("select ops.take_slot(%s, %s, %s)", [key, most, sorted(held)])
            if place is None:
                return None
            held[int(place)] = holder
            return int(place)

    def _ask(self, query: str, parameters: list[Any]) -> Any:
        """One statement; a connection that was lost is opened anew once."""
        for last in (False, True):
            try:
                if self._conn is None:
                    self._conn = self._stack.enter_context(self._database())
                    self._conn.execute(_SESSION.encode())
                row = self._conn.execute(query.encode(), parameters).fetchone()
                if row is None:
                    raise RuntimeError("a function of the database gave no row")
                return row[0]
            except psycopg.OperationalError:
                self._forget()
                if last:
                    raise
        raise AssertionError("unreachable")

    def _forget(self) -> None:
        """Slots and permits end with their connection."""
        self._held.clear()
        self._lots.clear()
        self._conn = None
        self._stack.close()
