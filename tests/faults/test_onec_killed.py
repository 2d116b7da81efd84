"""The loading task is killed with SIGKILL at random moments: running it again leaves landing equal to the base.

POLKA_KILLS says how many times (default 3); the base changes between the kills, so that every load has work to do.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

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


@pytest.fixture
def address(base: Base) -> Iterator[str]:
    with serve(OnecServer(base, LOGIN, PASSWORD)) as root:
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


def wait_for_the_load(database: str, known: int, process: subprocess.Popen[bytes]) -> None:
    """Until the process has begun its first run."""
    with connect(database, autocommit=True) as conn:
        while process.poll() is None:
            row = conn.execute("select coalesce(max(load_id), 0) from ops.load_run").fetchone()
            if row is not None and row[0] > known:
                return
            time.sleep(0.005)


def last_load(database: str) -> int:
    with connect(database, autocommit=True) as conn:
        row = conn.execute("select coalesce(max(load_id), 0) from ops.load_run").fetchone()
        assert row is not None
        return int(row[0])


@pytest.mark.timeout(600 + 60 * KILLS)
def test_killed_at_random_moments_and_run_again(base: Base, address: str, database: str) -> None:
    dice = random.Random("kill -9")
    paging.FIRST_PAGE, paging.MAX_PAGE, pages = 10, 20, (paging.FIRST_PAGE, paging.MAX_PAGE)
    connection = Connection(address, LOGIN, PASSWORD)
    with connect(database, autocommit=True) as conn:
        ensure_tables(conn)
        register_source(conn, SOURCE)
    # How long an undisturbed load takes from its first run on: kills are spread over that time.
    began = start(address, database)
    wait_for_the_load(database, 0, began)
    first = time.monotonic()
    assert began.wait(120) == 0, began.stderr.read() if began.stderr else b""
    usual = time.monotonic() - first
    assert landed(database) == expected(base)
    in_the_middle = 0
    try:
        for number in range(KILLS):
            if number % 3 == 0:  # now and then the table is loaded for the first time
                with connect(database, autocommit=True) as conn:
                    conn.execute("truncate raw.onec_order, raw.onec_order_line, ops.cursor, ops.coverage")
            work(base, dice, number)
            known = last_load(database)
            process = start(address, database)
            wait_for_the_load(database, known, process)
            time.sleep(dice.uniform(0, usual))
            in_the_middle += process.poll() is None
            process.send_signal(signal.SIGKILL)
            process.wait()
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
    assert in_the_middle >= KILLS // 2
