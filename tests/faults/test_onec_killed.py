"""The loading task is killed with SIGKILL at random moments: running it again leaves landing equal to the base.

POLKA_KILLS says how many times (default 3); the base changes between the kills, so that every load has work to do.
"""

import asyncio
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from starlette.requests import Request
from starlette.responses import Response

from clients.connection import Connection
from extractors.core import paging
from extractors.core.run import ensure_tables, extract, register_source
from simulators.onec.base import Base, simple_set
from simulators.onec.server import PUBLICATION, OnecServer
from simulators.onec.ut11 import UT11
from tests.support.serving import serve
from tests.support.simulated_onec import LOGIN, PASSWORD, guid, order
from tests.support.small_load import SOURCE
from warehouse.db import connect
from warehouse.settings import PROJECT_ROOT

KILLS = int(os.environ.get("POLKA_KILLS", "3"))
ORDERS, BRANDS = "Document_ЗаказКлиента", "Catalog_Марки"
RECORDS = 400
MOSCOW = ZoneInfo("Europe/Moscow")


@pytest.fixture
def base() -> Base:
    brands = [{"Ref_Key": guid(5000 + n), "Description": f"Марка {n}"} for n in range(60)]
    orders = [order(n, n % 6) for n in range(1, RECORDS)]
    return Base([simple_set(UT11.by_name[ORDERS], orders), simple_set(UT11.by_name[BRANDS], brands)])


class DeadlyServer(OnecServer):
    """Kills a process at some moment between its n-th request and the next one.

    Counted in requests and not in seconds: how fast the machine is decides nothing.
    """

    def __init__(self, base: Base) -> None:
        super().__init__(base, LOGIN, PASSWORD)
        self.moments: list[float] = []
        self._deadly = 0
        self._delay = 0.0
        self._victim: subprocess.Popen[bytes] | None = None
        self._shot: asyncio.Task[None] | None = None
        self.in_the_middle = 0

    def aim(self, at_request: int, delay: float) -> None:
        self._deadly, self._delay = len(self.moments) + at_request, delay

    def name_victim(self, process: subprocess.Popen[bytes]) -> None:
        self._victim = process

    async def _odata(self, request: Request) -> Response:
        self.moments.append(time.monotonic())
        if len(self.moments) == self._deadly:
            self._shot = asyncio.create_task(self._shoot())
        return await super()._odata(request)

    async def _shoot(self) -> None:
        await asyncio.sleep(self._delay)
        assert self._victim is not None, "the process named itself before its first request"
        self.in_the_middle += self._victim.poll() is None
        self._victim.kill()


@pytest.fixture
def server(base: Base) -> DeadlyServer:
    return DeadlyServer(base)


@pytest.fixture
def address(server: DeadlyServer) -> Iterator[str]:
    with serve(server) as root:
        yield root + PUBLICATION


def expected(base: Base) -> dict[str, tuple[Any, ...]]:
    orders = base.sets[ORDERS]
    result = {}
    for row in orders.rows:
        record = orders.exact(row)
        lines = [(n, line["Количество"], line["Цена"]) for n, line in enumerate(record["Товары"], start=1)]
        moment = datetime.fromisoformat(record["Date"]).replace(tzinfo=MOSCOW)
        result[record["Ref_Key"]] = (moment, record["Posted"], record["СуммаДокумента"], lines)
    return result


def landed(database: str) -> dict[str, tuple[Any, ...]]:
    with connect(database, autocommit=True) as conn:
        lines: dict[str, list[tuple[Any, ...]]] = {}
        for key, *values in conn.execute(
            "select record_id, line_no, quantity, price from raw.onec_order_line order by record_id, line_no"
        ).fetchall():
            lines.setdefault(key, []).append(tuple(values))
        heads = conn.execute(
            "select record_id, dated_at, posted, amount from raw.onec_order where deleted_at is null"
        ).fetchall()
    return {key: (*values, lines.get(key, [])) for key, *values in heads}


def work(base: Base, dice: random.Random, number: int) -> None:
    """A day of work: edits, new and deleted orders."""
    keys = sorted(base.sets[ORDERS].key(row) for row in base.sets[ORDERS].rows)
    for key in dice.sample(keys, 60):
        base.edit(ORDERS, key, {"СуммаДокумента": Decimal(dice.randrange(10_000)) / 100, "Posted": True})
    for key in dice.sample(keys, 5):
        base.remove(ORDERS, key)
    for n in range(8):
        base.write(ORDERS, order(10_000 + number * 10 + n, n % 4))


def start(address: str, database: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.support.small_load", address, database, "brand", "order"]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT_ROOT)}
    return subprocess.Popen(command, cwd=PROJECT_ROOT, env=environment, stderr=subprocess.PIPE)


def undisturbed(server: DeadlyServer, address: str, database: str) -> tuple[int, float]:
    """A load that nobody kills: its requests, and the seconds between two of them."""
    before = len(server.moments)
    process = start(address, database)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    moments = server.moments[before:]
    return len(moments), (moments[-1] - moments[0]) / (len(moments) - 1)


@pytest.mark.timeout(600 + 60 * KILLS)
def test_killed_at_random_moments_and_run_again(base: Base, server: DeadlyServer, address: str, database: str) -> None:
    dice = random.Random("kill -9")
    paging.FIRST_PAGE, paging.MAX_PAGE, pages = 10, 20, (paging.FIRST_PAGE, paging.MAX_PAGE)
    connection = Connection(address, LOGIN, PASSWORD)
    with connect(database, autocommit=True) as conn:
        ensure_tables(conn)
        register_source(conn, SOURCE)
    first_load, pause = undisturbed(server, address, database)
    assert landed(database) == expected(base)
    work(base, dice, -1)
    later_load, _ = undisturbed(server, address, database)
    try:
        for number in range(KILLS):
            from_nothing = number % 3 == 0  # now and then the table is loaded for the first time
            if from_nothing:
                with connect(database, autocommit=True) as conn:
                    conn.execute("truncate raw.onec_order, raw.onec_order_line, ops.cursor, ops.coverage")
            work(base, dice, number)
            server.aim(dice.randint(1, first_load if from_nothing else later_load), dice.uniform(0, pause))
            process = start(address, database)
            server.name_victim(process)
            process.communicate(timeout=120)
            for entity in ("brand", "order"):
                extract(SOURCE, entity, connection, database_url=database)
            extract(SOURCE, "order", connection, database_url=database, mode="reconcile")
            assert landed(database) == expected(base), f"after kill {number}"
            again = extract(SOURCE, "order", connection, database_url=database, mode="reconcile")
            assert (again.rows_inserted, again.rows_changed, again.rows_deleted) == (0, 0, 0)
    finally:
        paging.FIRST_PAGE, paging.MAX_PAGE = pages
    with connect(database, autocommit=True) as conn:
        left = conn.execute("select count(*) from ops.load_run where finished_at is null").fetchone()
    assert left == (0,), "every run that was killed is closed by the next one"
    assert server.in_the_middle >= KILLS // 2
