"""What a forecast leaves behind, and that a second one for the same week changes nothing."""

from collections import Counter
from datetime import date, timedelta

from forecasting import make
from forecasting.methods import HORIZON, METHODS
from tests.support.demand_tables import demand_tables
from tests.support.landed_documents import BASE, Documents
from warehouse.db import connect

WEEK = timedelta(days=7)
MONDAY = date(2025, 6, 9)


def ordered(database: str, weeks: dict[str, list[int]]) -> None:
    """Demand per product, the last number being that of the week before MONDAY."""
    with connect(database) as conn:
        Documents().source(conn)
        demand_tables(conn)
        for product, units in weeks.items():
            conn.execute("insert into intermediate.int_demand_segment values (%s, 'w', %s, 'AX')", [BASE, product])
            for back, quantity in enumerate(reversed(units), start=1):
                if quantity:
                    conn.execute(
                        "insert into intermediate.int_weekly_demand values (%s, 'w', %s, %s, %s)",
                        [BASE, product, MONDAY - back * WEEK, quantity],
                    )


def predictions(database: str) -> list[tuple[object, ...]]:
    with connect(database) as conn:
        return conn.execute(
            "select made_for_week, origin_week, product_id, method, week_start, predicted_quantity, ordered_quantity "
            "from ops.demand_prediction order by 1, 2, 3, 4, 5"
        ).fetchall()


def test_each_method_is_tried_on_the_past_and_a_rerun_replaces_the_week(database: str) -> None:
    ordered(database, {"old": [10] * 40, "young": [0] * 36 + [5, 0, 0, 7], "gone": [1] + [0] * 60})
    (made,) = make(MONDAY + timedelta(days=2), database_url=database)
    assert (made.instance, made.week, made.series) == (BASE, MONDAY, 2)
    first = predictions(database)
    tried = Counter((origin, product) for _, origin, product, *_ in first)
    assert tried == {
        (MONDAY - 16 * WEEK, "old"): HORIZON * len(METHODS),
        (MONDAY - 8 * WEEK, "old"): HORIZON * len(METHODS),
        (MONDAY, "old"): HORIZON * len(METHODS),
        (MONDAY, "young"): HORIZON * len(METHODS),  # nobody could have forecast it before
    }
    for _, origin, product, _, week, predicted, came in first:
        assert (came is None) == (origin == MONDAY)
        assert origin <= week < origin + HORIZON * WEEK
        if product == "old":
            assert abs(float(predicted) - 10) < 0.1
            assert came in {None, 10}

    assert make(MONDAY, database_url=database) == [made]
    assert predictions(database) == first
    (later,) = make(MONDAY + WEEK, database_url=database)
    assert later.week == MONDAY + WEEK
    assert [row for row in predictions(database) if row[0] == MONDAY] == first
    make(MONDAY + 8 * WEEK, database_url=database)
    assert {row[0] for row in predictions(database)} == {MONDAY + WEEK, MONDAY + 8 * WEEK}


def test_a_source_without_orders_gets_no_forecast(database: str) -> None:
    ordered(database, {})
    assert make(MONDAY, database_url=database) == []
