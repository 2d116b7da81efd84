"""The process dies before any statement of a landing: running again leaves what an undisturbed run leaves."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest

from extractors.core import paging
from extractors.core.run import ensure_tables, extract, register_source, reland
from tests.support.crashing import Crash, countdown, crash_at
from tests.support.small_onec import SmallOnec, order, order_line
from warehouse.db import connect
from warehouse.sources import SourceConfig

# One look at the statistics and an ANALYZE of each table: whether they run depends on what is there already.
STATISTICS_STATEMENTS = 3
ORDERS = "Document_ЗаказКлиента"
WINDOW = (datetime(2026, 2, 28, 21, tzinfo=UTC), datetime(2026, 3, 31, 21, tzinfo=UTC))


@pytest.fixture
def base(monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallOnec]:
    monkeypatch.setattr(paging, "FIRST_PAGE", 3)
    monkeypatch.setattr(paging, "MAX_PAGE", 3)
    with SmallOnec() as running:
        yield running


@pytest.fixture
def warehouse(database: str) -> str:
    with connect(database, autocommit=True) as conn:
        ensure_tables(conn)
    return database


def source(name: str) -> SourceConfig:
    return SourceConfig(id=name, kind="onec", connection="onec")


def died(work: Callable[[], object]) -> bool:
    """Whether `work` met the crash; it does not once the run is shorter than the countdown."""
    try:
        work()
    except Crash:
        return True
    return False


def first_state() -> list[dict[str, Any]]:
    return [order(number, lines=number % 3) for number in range(1, 8)]


def second_state() -> list[dict[str, Any]]:
    """Changed header, changed, new and vanished lines, a new version only, a new record, a bad one, one gone."""
    records = first_state()
    records[0] |= {"Статус": "Закрыт", "DataVersion": "2"}
    records[1]["Товары"] = [order_line(2, Отменено=True), order_line(5)]
    records[3]["DataVersion"] = "same content"
    del records[5]
    return [*records, order(50), order(51, СуммаДокумента=1e300)]


def landed(url: str, instance: str) -> list[list[tuple[Any, ...]]]:
    """Everything that a reader can see, without what names the run."""
    queries = [
        "select record_id, number, status, amount, source_version, row_hash, deleted_at is null from raw.onec_order",
        "select record_id, line_no, quantity, cancelled from raw.onec_order_line",
        "select record_id, status, source_version, row_hash, deleted_at is null from raw_history.onec_order",
        "select record_id, line_no, quantity, cancelled from raw_history.onec_order_line",
        "select distinct record_id, reason, original from raw.rejected_record",
        "select position from ops.cursor",
        "select entity from ops.coverage",
    ]
    with connect(url, autocommit=True) as conn:
        return [
            sorted(conn.execute(f"{query} where instance = %s", [instance]).fetchall(), key=repr) for query in queries
        ]


def watermark(url: str, instance: str) -> tuple[int, int]:
    """Rows of cursor and of coverage."""
    with connect(url, autocommit=True) as conn:
        row = conn.execute(
            """
            select (select count(*) from ops.cursor where instance = %(i)s),
                   (select count(*) from ops.coverage where instance = %(i)s)
            """,
            {"i": instance},
        ).fetchone()
    assert row is not None
    return row


def test_first_load(base: SmallOnec, warehouse: str, monkeypatch: pytest.MonkeyPatch) -> None:
    base.sets[ORDERS] = first_state()
    crash_at(monkeypatch, None)
    extract(source("whole"), "order", base.connection, database_url=warehouse)
    statements = countdown.seen
    expected = landed(warehouse, "whole")
    assert len(expected[0]) == 7
    for statement in count():
        name = f"crash_{statement}"
        crash_at(monkeypatch, statement)
        if not died(lambda name=name: extract(source(name), "order", base.connection, database_url=warehouse)):
            break
        # The lock's release is the only statement after the one that moves cursor and coverage.
        moved = watermark(warehouse, name)
        assert moved in ((0, 0), (1, 1))
        if moved == (1, 1):
            assert landed(warehouse, name) == expected
        crash_at(monkeypatch, None)
        extract(source(name), "order", base.connection, database_url=warehouse)
        assert landed(warehouse, name) == expected, f"died before statement {statement}"
    assert statement > 15
    assert abs(statement - statements) <= 2 * STATISTICS_STATEMENTS


def test_what_a_dead_run_landed_is_known_to_have_changed(
    base: SmallOnec, warehouse: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next read finds it unchanged, so only the dead run can say that marts built in between are behind."""
    base.sets[ORDERS] = first_state()
    for statement in count():
        name = f"dead_{statement}"
        crash_at(monkeypatch, statement)
        if not died(lambda name=name: extract(source(name), "order", base.connection, database_url=warehouse)):
            break
        with connect(warehouse, autocommit=True) as conn:
            there = conn.execute("select count(*) from raw.onec_order where instance = %s", [name]).fetchone()
        crash_at(monkeypatch, None)
        outcome = extract(source(name), "order", base.connection, database_url=warehouse)
        with connect(warehouse, autocommit=True) as conn:
            told = conn.execute(
                "select coalesce(sum(rows_inserted + rows_changed), 0) from ops.load_run"
                " where instance = %s and load_id < %s",
                [name, outcome.load_id],
            ).fetchone()
        assert told == there
    assert statement > 15


def test_changes_and_deletions(base: SmallOnec, warehouse: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def prepare(name: str) -> None:
        base.sets[ORDERS] = first_state()
        crash_at(monkeypatch, None)
        with connect(warehouse, autocommit=True) as conn:
            register_source(conn, source(name))
        extract(source(name), "order", base.connection, database_url=warehouse)
        base.sets[ORDERS] = second_state()

    def read(name: str) -> None:
        extract(source(name), "order", base.connection, mode="window", window=WINDOW, database_url=warehouse)

    prepare("whole")
    crash_at(monkeypatch, None)
    read("whole")
    expected = landed(warehouse, "whole")
    assert [len(found) for found in expected[:5]] == [8, 9, 3, 2, 1]
    for statement in count():
        name = f"crash_{statement}"
        prepare(name)
        crash_at(monkeypatch, statement)
        if not died(lambda name=name: read(name)):
            break
        crash_at(monkeypatch, None)
        read(name)
        assert landed(warehouse, name) == expected, f"died before statement {statement}"
    assert statement > 25
    crash_at(monkeypatch, None)
    reland("order", "crash_20", warehouse)
    assert landed(warehouse, "crash_20") == expected


def test_reland_that_dies_changes_nothing(base: SmallOnec, warehouse: str, monkeypatch: pytest.MonkeyPatch) -> None:
    base.sets[ORDERS] = first_state()
    with connect(warehouse, autocommit=True) as conn:
        register_source(conn, source("whole"))
    extract(source("whole"), "order", base.connection, database_url=warehouse)
    expected = landed(warehouse, "whole")
    crash_at(monkeypatch, None)
    reland("order", "whole", warehouse)
    assert landed(warehouse, "whole") == expected
    for statement in count():
        crash_at(monkeypatch, statement)
        if not died(lambda: reland("order", "whole", warehouse)):
            break
        assert landed(warehouse, "whole") == expected
    assert statement > 20
