"""What the marts are measured against: bare CREATE TABLE AS of the same aggregates, and questions put to flat lines."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from warehouse.db import Connection, connect

# Our model, and the plainest statement that makes the same aggregate; the first two are the questions' flat lines.
AGGREGATES = {
    "fct_order_line": """
        create table peer.order_line as
        select document.instance, document.record_id as order_id, line.line_no, document.partner_id as outlet_id,
            document.manager_id, cast(document.dated_at at time zone 'Europe/Moscow' as date) as ordered_on,
            document.dated_at, line.product_id, line.quantity, line.price, line.amount_with_vat, line.vat_amount
        from raw.onec_order as document
        inner join raw.onec_order_line as line
            on document.instance = line.instance and document.record_id = line.record_id
        where document.posted and not document.deletion_mark and document.deleted_at is null
    """,
    "fct_shipment_line": """
        create table peer.shipment_line as
        select document.instance, document.record_id as shipment_id, line.line_no, document.partner_id as outlet_id,
            document.manager_id, cast(document.dated_at at time zone 'Europe/Moscow' as date) as shipped_on,
            document.order_id, line.product_id, line.quantity, line.price, line.amount_with_vat, line.vat_amount
        from raw.onec_shipment as document
        inner join raw.onec_shipment_line as line
            on document.instance = line.instance and document.record_id = line.record_id
        where document.posted and not document.deletion_mark and document.deleted_at is null
    """,
    "fct_order_occasion": """
        create table peer.occasion as
        select outlet_id, ordered_on, count(distinct order_id) as orders, count(distinct product_id) as positions,
            sum(amount_with_vat) as amount
        from peer.order_line group by outlet_id, ordered_on
    """,
    "sales_daily": """
        create table peer.sales_daily as
        with returned as (
            select shipment_id, product_id, sum(quantity) as quantity, sum(amount_with_vat) as amount
            from raw.onec_return_line group by shipment_id, product_id
        )
        select line.outlet_id, line.product_id, line.shipped_on, count(distinct line.shipment_id) as shipments,
            sum(line.quantity) as quantity, sum(line.amount_with_vat) as amount,
            sum(line.quantity - coalesce(returned.quantity, 0)) as kept_units,
            sum(line.amount_with_vat - coalesce(returned.amount, 0)) as kept_amount
        from peer.shipment_line as line
        left join returned on line.shipment_id = returned.shipment_id and line.product_id = returned.product_id
        group by line.outlet_id, line.product_id, line.shipped_on
    """,
    "int_placement_month": """
        create table peer.placement_month as
        select outlet_id, cast(date_trunc('month', shipped_on) as date) as month_start, product_id,
            sum(kept_units) as kept_units, sum(kept_amount) as kept_amount
        from peer.sales_daily group by 1, 2, 3 having sum(kept_units) > 0
    """,
    "distribution_numeric": """
        create table peer.distribution as
        select placed.month_start, outlet.business_region_id, outlet.manager_id, placed.product_id,
            count(distinct placed.outlet_id) as outlets
        from peer.placement_month as placed inner join raw.onec_partner as outlet on outlet.record_id = placed.outlet_id
        group by placed.month_start, grouping sets (
            (), (outlet.business_region_id), (outlet.manager_id), (placed.product_id),
            (outlet.business_region_id, placed.product_id), (outlet.manager_id, placed.product_id)
        )
    """,
    "order_fulfilment": """
        create table peer.fulfilment as
        select ordered.order_id, sum(ordered.quantity) as ordered, sum(shipped.quantity) as shipped,
            min(shipped.shipped_on) as shipped_on
        from peer.order_line as ordered
        left join peer.shipment_line as shipped
            on ordered.order_id = shipped.order_id and ordered.product_id = shipped.product_id
        group by ordered.order_id
    """,
}
CLIENTS = 8
Say = Callable[[str], None]


def create_aggregates(conn: Connection) -> dict[str, float]:
    """Seconds of each bare statement; then the flat lines get what a plain fact table has: an index by day."""
    seconds = {}
    conn.execute("create schema peer")
    for model, statement in AGGREGATES.items():
        started = time.monotonic()
        conn.execute(statement.encode())
        seconds[model] = time.monotonic() - started
    conn.execute("create index on peer.order_line using brin (ordered_on)")
    conn.execute("create index on peer.shipment_line using brin (shipped_on)")
    conn.execute("analyze")
    return seconds


def ask(url: str, queries: list[str], times: int) -> list[float]:
    """Milliseconds of each answer: eight clients at once, each asks all queries one after the other, `times` times."""

    def client(number: int) -> list[float]:
        taken = []
        with connect(url, autocommit=True) as conn:
            for turn in range(times):
                query = queries[(number + turn) % len(queries)]
                started = time.monotonic()
                conn.execute(query.encode()).fetchall()
                taken.append((time.monotonic() - started) * 1000)
        return taken

    with ThreadPoolExecutor(CLIENTS) as pool:
        return [milliseconds for answers in pool.map(client, range(CLIENTS)) for milliseconds in answers]


def p95(values: list[float]) -> float:
    """The value that 95 of 100 do not exceed."""
    return sorted(values)[max(0, -(-len(values) * 95 // 100) - 1)]
