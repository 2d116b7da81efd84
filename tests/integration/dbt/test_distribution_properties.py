"""What must hold of distribution whatever was sold: seen on random sales through the real marts."""

import json
import random
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from extractors.core.run import ensure_tables
from tests.support.landed_documents import Documents, Line
from warehouse.db import Connection, connect
from warehouse.dbt_runner import run_dbt
from warehouse.reference import load
from warehouse.reference_file import read

AS_OF = date(2025, 6, 10)
FIRST_DAY = date(2024, 9, 2)
PRODUCTS = [f"product {number}" for number in range(9)]
NOW = datetime(2025, 6, 10, tzinfo=UTC)
MARTS = (
    "distribution_qualitative", "active_base_bridge", "revenue_decomposition", "placement_movement", "order_compliance",
    "distribution_weighted", "distribution_numeric", "order_fulfilment",
)  # fmt: skip


def dbt(database: str, *arguments: str) -> None:
    code, tail = run_dbt([*arguments, "--vars", json.dumps({"as_of": AS_OF.isoformat()})], database)
    assert code == 0, tail


def fill_in(conn: Connection, folder: Path, **tables: str) -> None:
    folder.mkdir(exist_ok=True)
    for name, text in tables.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    content = read(folder)
    assert content.problems == []
    load(conn, content, now=NOW)
    conn.commit()


def random_sales(documents: Documents, rng: random.Random) -> None:
    for number in range(10):
        outlet = f"outlet {number}"
        documents.partner(outlet, outlet_format="палатка", business_region_id="north" if number % 2 else "south")
        day = FIRST_DAY + timedelta(days=rng.randrange(60))
        while day <= AS_OF:
            lines = [
                Line(product, rng.randrange(1, 20), rng.choice([10, 12, 25]), rng.choice([None] * 9 + ["Нет товара"]))
                for product in rng.sample(PRODUCTS, rng.randrange(1, 7))
            ]
            key = f"{outlet} {day}"
            documents.order(f"o {key}", outlet, day, lines, requested_on=day + timedelta(days=1))
            if rng.random() < 0.9:
                delivered = [line for line in lines if line.cancelled is None]
                documents.shipment(f"s {key}", outlet, day + timedelta(days=1), delivered, order_id=f"o {key}")
                if rng.random() < 0.2 and delivered:
                    back = Line(delivered[0].product, delivered[0].quantity, delivered[0].price)
                    linked = rng.choice([f"s {key}", None])
                    documents.give_back(f"r {key}", outlet, day + timedelta(days=rng.randrange(2, 40)), [back], linked)
            day += timedelta(days=rng.choice([3, 7, 7, 7, 14, 45]))


def same_sales_in_one_and_in_two_documents(documents: Documents, rng: random.Random) -> None:
    for outlet in ("whole", "split"):
        documents.partner(outlet, outlet_format="палатка")
    for week in range(20):
        day = AS_OF - timedelta(days=7 * (20 - week))
        lines = [Line(product, rng.randrange(2, 9), 20) for product in rng.sample(PRODUCTS, 5)]
        documents.order(f"o whole {week}", "whole", day, lines)
        documents.shipment(f"s whole {week}", "whole", day, lines, order_id=f"o whole {week}")
        for part, own in enumerate((lines[:2], lines[2:])):
            documents.order(f"o split {week} {part}", "split", day, own)
            documents.shipment(f"s split {week} {part}", "split", day, own, order_id=f"o split {week} {part}")


def rows(conn: Connection, query: str) -> list[tuple[object, ...]]:
    return conn.execute(query.encode()).fetchall()


@pytest.mark.timeout(900)
def test_distribution_holds_together(database: str, tmp_path: Path) -> None:
    rng = random.Random(6)
    documents = Documents()
    with connect(database) as conn:
        ensure_tables(conn)
        documents.source(conn)
        documents.reason("Нет товара")
        for territory in ("north", "south"):
            documents.record("business_region", territory, name=territory, deletion_mark=False)
        for number, product in enumerate(PRODUCTS):
            documents.product(product, brand_id=f"brand {number % 3}", parent_id=f"group {number % 2}")
        random_sales(documents, rng)
        same_sales_in_one_and_in_two_documents(documents, rng)
        documents.partner("got everything back")
        documents.shipment("s back", "got everything back", date(2025, 5, 20), [Line(PRODUCTS[0], 5)])
        documents.give_back("r back", "got everything back", date(2025, 6, 3), [Line(PRODUCTS[0], 5)], "s back")
        documents.copy(conn)
        conn.commit()
        fill_in(
            conn,
            tmp_path / "reference",
            breadth_standard="outlet_format,positions,valid_from\nkiosk,3,2024-01-01\n",
            must_list="standard,product_code,substitution_group,valid_from\n"
            "core,product 0,,2024-01-01\ncore,product 1,either,2024-01-01\ncore,product 2,either,2024-01-01\n",
        )
    dbt(database, "seed")
    dbt(database, "run", "--select", *(f"+{mart}" for mart in MARTS))
    with connect(database) as conn:
        check_properties(conn)
        old = "select * from marts.outlet_standard where month_start < '2025-05-01' order by 1, 2, 5, 11, 12"
        before = rows(conn, old)
        assert before
        fill_in(
            conn,
            tmp_path / "next",
            breadth_standard="outlet_format,positions,valid_from,valid_to\n"
            "kiosk,3,2024-01-01,2025-04-30\nkiosk,6,2025-05-01,\n",
        )
    dbt(database, "run", "--select", "outlet_standard")
    with connect(database) as conn:
        assert rows(conn, old) == before
        required = rows(
            conn,
            "select distinct month_start, required_positions from marts.outlet_standard "
            "where standard_kind = 'format_breadth' and month_start >= '2025-04-01' order by 1",
        )
    assert required == [(date(2025, 4, 1), 3), (date(2025, 5, 1), 6), (date(2025, 6, 1), 6)]


def check_properties(conn: Connection) -> None:
    nothing = {
        "numeric distribution is a share of each denominator": "select 1 from marts.distribution_numeric where "
        "active_outlets > least(u_base, u_assigned) or nd_base_percent > 100 or nd_assigned_percent > 100",
        "weighted distribution is a share": "select 1 from marts.distribution_weighted "
        "where wd_percent not between 0 and 100",
        "the bridge reconciles with the month before": """
            select 1 from marts.active_base_bridge as now
            inner join marts.active_base_bridge as before
                on now.level = before.level and now.slice = before.slice
                and now.month_start = before.month_start + interval '1 month'
                and (now.territory_id, now.manager_id, now.outlet_format, now.channel)
                    is not distinct from (before.territory_id, before.manager_id, before.outlet_format, before.channel)
            where now.active_prior <> before.active_total
                or now.active_prior + now.newly_active + now.reactivated - now.dropped <> now.active_total
        """,
        "the bridge ends at the active outlets": """
            select 1 from marts.active_base_bridge as b
            inner join marts.distribution_numeric as n on n.period_start = b.month_start
            where b.level = 'outlet' and b.slice = 'total' and n.slice = 'total' and n.period_kind = 'month'
                and n.active_outlets <> b.active_total
        """,
        "the parts of the change add up to the kopeck": """
            select 1 from marts.revenue_decomposition
            where outlets_effect_amount + positions_effect_amount + units_effect_amount + price_effect_amount
                <> amount - amount_before
        """,
        "gross is not above fair": "select 1 from marts.outlet_standard where gross_percent > fair_percent "
        "or (is_met_gross and not is_met_fair)",
        "what came back whole is no distribution": "select 1 from marts.sku_placement "
        "where outlet_id = 'got everything back'",
        "a fill rate is a share": "select 1 from marts.order_fulfilment where unit_fill_percent > 100 "
        "or line_fill_percent > 100 or (is_otif and not is_filled)",
        "money of the day is money of the documents": """
            select 1
            from (select sum(shipped_amount) as shipped, sum(returned_amount) as returned from marts.sales_daily) as d
            cross join (select sum(signed_amount) as shipped from marts.fct_shipment_line) as s
            cross join (select -sum(signed_amount) as returned from marts.fct_return_line) as r
            where d.shipped <> s.shipped or d.returned <> r.returned
        """,
        "nothing was placed that is neither there nor lost": """
            select 1 from (
                select sum(net_placements) as net from marts.placement_movement where slice = 'total'
            ) as moves
            where net <> (select count(*) from marts.sku_placement where state <> 'lost')
        """,
    }
    for name, query in nothing.items():
        assert rows(conn, query) == [], name
    for mart, columns, by in (
        (
            "order_compliance",
            "expected_amount, ordered_amount, habitual_positions, habitual_taken, is_quantity_alert",
            "ordered_on",
        ),
        ("outlet_standard", "standard_kind, standard, present_positions, gross_percent, fair_percent", "month_start"),
        ("sku_placement", "product_id, placement_kind, placed_on, last_on, is_stuck, state", "placed_on"),
        ("sales_daily", "product_id, kept_quantity, kept_amount, shipped_amount", "sold_on"),
    ):
        whole, split = (
            rows(conn, f"select {by}, {columns} from marts.{mart} where outlet_id = '{outlet}' order by 1, 2, 3")
            for outlet in ("whole", "split")
        )
        assert whole, mart
        assert whole == split, mart
