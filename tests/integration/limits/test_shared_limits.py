"""Limits kept through Postgres by several real processes, seen from outside: by the moments of their requests."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, pairwise
from typing import Any

import psycopg
import pytest

from clients.limits import Daily, Leaky, Limit, LimitReached, Limits, Window, wait_for
from warehouse.db import Connection, connect
from warehouse.limits import SharedLimits
from warehouse.settings import PROJECT_ROOT

# A worker takes permits until its time is over and prints when it got each; CLOCK_MONOTONIC is the machine's.
WORKER = """
import sys, time
from clients.limits import Daily, Leaky, Limit, Window, wait_for
from warehouse.db import connect
from warehouse.limits import SharedLimits
url, limit, seconds, skew = sys.argv[1], eval(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])
with SharedLimits(lambda: connect(url, autocommit=True), clock=lambda: time.monotonic() + skew) as limits:
    wait_for(limits, Limit("warm-up"))
    print("ready", flush=True)
    sys.stdin.readline()
    ends = time.monotonic() + seconds
    while True:
        left = ends - time.monotonic()
        if left <= 0 or limits.admit(limit, longest=left) > 0:
            break
        print(time.monotonic(), flush=True)
"""
HOLDER = """
import sys, time
from warehouse.db import connect
from warehouse.limits import SharedLimits
with SharedLimits(lambda: connect(sys.argv[1], autocommit=True)) as limits:
    with limits.slot("base", 1):
        print("held", flush=True)
        time.sleep(60)
"""


def start(source: str, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", source, *arguments],
        cwd=PROJECT_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def moments_of(url: str, limit: str, seconds: float, skews: list[float]) -> list[list[float]]:
    workers = [start(WORKER, url, limit, str(seconds), str(skew)) for skew in skews]
    try:
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write("go\n")
            worker.stdin.flush()
        found = []
        for worker in workers:
            out, _ = worker.communicate(timeout=60)
            assert worker.returncode == 0
            found.append([float(line) for line in out.split()])
        return found
    finally:
        for worker in workers:
            worker.kill()


def highest_level(moments: list[float], per_second: float) -> float:
    """How full the bucket of the other side gets."""
    level = highest = 0.0
    for before, moment in pairwise([moments[0], *moments]):
        level = max(0.0, level - (moment - before) * per_second) + 1.0
        highest = max(highest, level)
    return highest


def most_in(moments: list[float], seconds: float) -> int:
    return max(sum(start <= moment < start + seconds for moment in moments) for start in moments)


@contextmanager
def shared(url: str) -> Iterator[Limits]:
    with SharedLimits(lambda: connect(url, autocommit=True)) as limits:
        yield limits


def test_three_processes_share_a_leaky_bucket_whatever_their_clocks_say(database: str) -> None:
    found = moments_of(database, "Limit('portal', (Leaky(20.0, 50.0),))", 3.0, [0.0, 3600.0, -86400.0])
    moments = sorted(chain.from_iterable(found))
    assert highest_level(moments, 20.0) <= 50.0
    assert len(moments) >= 30 + 20 * 2.4, "the burst and what drains in the time are nearly all used"
    assert all(found), "every process got its share"


def test_two_processes_share_a_rolling_window(database: str) -> None:
    found = moments_of(database, "Limit('account', (Window(7, 1.0),))", 4.0, [0.0, 60.0])
    moments = sorted(chain.from_iterable(found))
    assert most_in(moments, 1.0) <= 7
    assert len(moments) >= 7 * 4.0 / 1.2


def test_permits_come_in_lots_when_they_are_used_up_quickly(database: str) -> None:
    asked: list[str] = []

    class Counting:
        def __init__(self, conn: Connection) -> None:
            self._conn = conn

        def execute(self, query: bytes, *rest: Any) -> Any:
            asked.append(query.decode())
            return self._conn.execute(query, *rest)

    @contextmanager
    def counting() -> Iterator[Any]:
        with connect(database, autocommit=True) as conn:
            yield Counting(conn)

    with SharedLimits(counting) as limits:
        limit = Limit("fast", (Leaky(50.0, 51.0),))
        started = time.monotonic()
        for _ in range(100):
            wait_for(limits, limit)
        spent = time.monotonic() - started
    grants = [query for query in asked if "take_permits" in query]
    assert spent > 1.5
    assert len(grants) <= 15, "not once per request"


def test_what_was_taken_ahead_and_not_used_is_not_used_late(database: str) -> None:
    limit = Limit("account", (Window(5, 1.0),))
    with shared(database) as limits:
        moments = []
        for pause in (0.0, 0.0, 0.0, 0.8, 0.0, 0.9, 0.0, 0.0, 0.7, 0.0, 0.0, 0.0):
            time.sleep(pause)
            wait_for(limits, limit)
            moments.append(time.monotonic())
    assert most_in(moments, 1.0) <= 5


def test_a_daily_budget_ends_at_midnight_of_its_zone(database: str) -> None:
    limit = Limit("hub", (Daily(2, "Asia/Kamchatka"),))
    with shared(database) as limits, connect(database, autocommit=True) as conn:
        wait_for(limits, limit)
        wait_for(limits, limit)
        with pytest.raises(LimitReached) as caught:
            wait_for(limits, limit, longest=1.0)
        row = conn.execute(
            """
            select extract(epoch from ((now() at time zone 'Asia/Kamchatka')::date + 1)::timestamp
                           at time zone 'Asia/Kamchatka' - now())::float8
            """
        ).fetchone()
        assert row is not None
        assert caught.value.retry_after == pytest.approx(row[0], abs=5.0)
        conn.execute("update ops.request_limit set day = day - 1 where key = 'hub'")
        wait_for(limits, limit, longest=1.0)


def test_a_pause_of_one_process_holds_the_others(database: str) -> None:
    portal, method = Limit("portal", (Leaky(2.0, 50.0),)), Limit("portal:crm.item.list")
    with shared(database) as one, shared(database) as other:
        wait_for(other, portal, method)
        one.pause(method, 300.0)
        one.pause(portal, 0.3)
        time.sleep(1.1)  # permits in hand are good for a moment yet
        with pytest.raises(LimitReached, match=r"portal:crm\.item\.list"):
            wait_for(other, portal, method, longest=5.0)
        started = time.monotonic()
        for _ in range(3):
            wait_for(other, portal)
        assert time.monotonic() - started > 0.5, "the bucket is full after a pause"


def test_limits_named_in_any_order_never_lock_each_other_out(database: str) -> None:
    source = WORKER.replace('wait_for(limits, Limit("warm-up"))', "").replace(
        "limits.admit(limit,", "limits.admit(*limit,"
    )
    orders = ["[Limit('a', (Window(500, 1.0),)), Limit('b')]", "[Limit('b'), Limit('a', (Window(500, 1.0),))]"]
    workers = [start(source, database, order, "1.5", "0") for order in orders]
    for worker in workers:
        assert worker.stdout is not None
        worker.stdout.readline()
    for worker in workers:
        out, _ = worker.communicate("go\n", timeout=30)
        assert worker.returncode == 0
        assert out.split()


def test_a_killed_process_gives_its_slot_back(database: str) -> None:
    holder = start(HOLDER, database)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        waited: list[float] = []

        def sleep(seconds: float) -> None:
            waited.append(seconds)
            if len(waited) == 3:
                holder.send_signal(signal.SIGKILL)
                holder.wait()
            time.sleep(seconds)

        with SharedLimits(lambda: connect(database, autocommit=True), sleep=sleep) as limits:
            with limits.slot("base", 1):
                assert len(waited) >= 3, "it had to wait for the kill"
            with limits.slot("base", 1):
                pass
    finally:
        holder.kill()
        holder.communicate()


def test_one_process_holds_as_many_slots_as_there_are_and_no_more(database: str) -> None:
    class Waited(Exception):
        pass

    def never(seconds: float) -> None:
        raise Waited

    with shared(database) as one, SharedLimits(lambda: connect(database, autocommit=True), sleep=never) as other:
        with one.slot("base", 2), one.slot("base", 2):
            with pytest.raises(Waited), other.slot("base", 2):
                pass
            with other.slot("another base", 2):
                pass
        with other.slot("base", 2), other.slot("base", 2), pytest.raises(Waited), other.slot("base", 2):
            pass


def test_a_lost_connection_is_opened_again(database: str) -> None:
    limit = Limit("portal", (Leaky(100.0, 200.0),))
    opened: list[Connection] = []

    def opening() -> Connection:
        opened.append(connect(database, autocommit=True))
        return opened[-1]

    with SharedLimits(opening) as limits:
        wait_for(limits, limit)
        with connect(database, autocommit=True) as conn:
            conn.execute("select pg_terminate_backend(%s)", [opened[0].info.backend_pid])
        for _ in range(300):
            wait_for(limits, limit)
        assert len(opened) == 2


def test_a_warehouse_that_stays_away_is_told() -> None:
    def gone() -> Connection:
        raise psycopg.OperationalError("no warehouse")

    with SharedLimits(gone) as limits, pytest.raises(psycopg.OperationalError):
        wait_for(limits, Limit("portal"))
