"""The history that the bench of marts is measured on."""

from datetime import date

import pytest

from extractors.core.run import ensure_tables
from tests.bench.marts_data import DAILY_LINES, DAILY_ORDERS, EDITED, LAST_DAY, History, working_day, write_new_day
from warehouse.db import Connection, connect


@pytest.fixture
def conn(database: str) -> Connection:
    return connect(database, autocommit=True)


def one(conn: Connection, query: str) -> object:
    row = conn.execute(query.encode()).fetchone()
    assert row is not None
    return row[0] if len(row) == 1 else row


def test_working_days_have_numbers() -> None:
    assert working_day(0) == LAST_DAY == date(2026, 11, 20)
    assert working_day(1) == date(2026, 11, 23)
    assert working_day(-5) == date(2026, 11, 13)


def test_a_history_and_a_new_day(conn: Connection) -> None:
    ensure_tables(conn)
    History(6 * DAILY_LINES).write(conn)
    assert one(conn, "select count(*), count(distinct (record_id, product_id)) from raw.onec_order_line") == (
        6 * DAILY_LINES,
        6 * DAILY_LINES,
    )
    assert one(conn, "select min(dated_at)::date, max(dated_at)::date from raw.onec_order") == (
        working_day(-5),
        working_day(0),
    )
    assert one(conn, "select count(*) from raw.onec_shipment_line") == 6 * DAILY_LINES
    assert one(conn, "select max(dated_at)::date from raw.onec_shipment") == working_day(0)
    assert one(conn, "select count(*) from raw.onec_order left join raw.onec_partner as p on p.record_id = partner_id "
                     "where p.record_id is null") == 0  # fmt: skip
    write_new_day(conn, 1)
    assert one(conn, "select count(*) from raw.onec_order") == 7 * DAILY_ORDERS
    assert one(conn, "select count(*) from raw.onec_shipment") == 7 * DAILY_ORDERS
    assert one(conn, "select count(*) from raw.onec_order where load_id = 2 and dated_at < '2026-11-21'") == EDITED
    assert one(
        conn,
        "select count(*) from raw.onec_shipment as s join raw.onec_order as o on o.record_id = s.order_id "
        "where s.load_id = 2 and o.load_id = 1 or s.partner_id <> o.partner_id",
    ) in range(DAILY_ORDERS - EDITED, DAILY_ORDERS + 1)


def test_shipments_are_paid_for_some_weeks_later(conn: Connection) -> None:
    ensure_tables(conn)
    History(40 * DAILY_LINES).write(conn)
    write_new_day(conn, 1)
    assert one(
        conn,
        """
        select min(p.dated_at::date - s.dated_at::date) >= 7, max(p.dated_at::date - s.dated_at::date) <= 51,
            count(*) > 5000, count(distinct s.record_id) = count(*), max(p.dated_at)::date
        from raw.onec_bank_receipt as p
        join raw.onec_bank_receipt_allocation as line on line.record_id = p.record_id
        join raw.onec_shipment as s
            on s.record_id = line.basis_id and s.contract_id = p.contract_id and line.amount = p.amount
        """,
    ) == (True, True, True, True, working_day(1))
    # What is due has been paid but for the late ones; a return is taken off.
    assert one(
        conn,
        """
        select count(*) filter (where line.basis_id is null and s.dated_at < '2026-10-28') between 1 and 500,
            count(*) filter (where line.amount < s.amount and r.record_id is null),
            count(*) filter (where line.amount = s.amount and r.record_id is not null)
        from raw.onec_shipment as s
        left join raw.onec_bank_receipt_allocation as line on line.basis_id = s.record_id
        left join raw.onec_return as r on r.shipment_id = s.record_id
        """,
    ) == (True, 0, 0)
