"""The rules against clients that do nothing unusual: how many of their ordinary orders would be called about.

The same noise is judged twice: by a simulation of the rule in a few lines of Python, and by the marts built from
documents with that noise. Strict figures flag nearly everything and are for reports; the rules for calling flag little
and still see a real fall.
"""

import json
import math
import random
import statistics
from collections.abc import Callable
from datetime import date, timedelta
from itertools import pairwise

import holidays
import pytest

from extractors.core.run import ensure_tables
from tests.support.landed_documents import Documents, Line
from warehouse.db import Connection, connect
from warehouse.dbt_runner import run_dbt

AS_OF = date(2025, 6, 10)
PRICES = (100, 80, 60, 50, 40, 40, 30, 30, 20, 20)
PRODUCTS = [f"product {number}" for number in range(10)]
REGULAR = 500  # outlets of each rhythm, one judgement each
BASKETS, OCCASIONS = 200, 26  # outlets and their orders: all after the sixth are judged
SIX = 6
RUSSIA = holidays.RU()


def weekly(rng: random.Random) -> int:
    return rng.choices([5, 6, 7, 8, 9, 10, 14], [3, 10, 70, 8, 4, 3, 2])[0]


def fortnightly(rng: random.Random) -> int:
    return max(1, round(rng.gammavariate(9, 14 / 9)))


def quantity(rng: random.Random, mean: float = 10) -> int:
    return max(1, round(rng.gauss(mean, 0.25 * mean)))


def percentile(values: list[int], share: float) -> float:
    ordered = sorted(values)
    place = (len(ordered) - 1) * share
    low = int(place)
    return ordered[low] + (ordered[min(low + 1, len(ordered) - 1)] - ordered[low]) * (place - low)


def late_after(before: list[int]) -> int:
    """Days after the last order until which the next one is in time, whole days."""
    return max(math.ceil(statistics.median(before) + 1), math.ceil(round(percentile(before, 0.9), 6)))


def days_to_notice(gap: Callable[[random.Random], int], rng: random.Random, rounds: int = 10_000) -> float:
    """A client stops for good: the usual number of days from the due day to the day of the call."""
    noticed = []
    for _ in range(rounds):
        before = [gap(rng) for _ in range(12)]
        noticed.append(late_after(before) + 1 - math.ceil(statistics.median(before)))
    return statistics.median(noticed)


def missed_share(gap: Callable[[random.Random], int], rng: random.Random, rounds: int = 20_000) -> float:
    """How often an ordinary gap is longer than max(median + 1 day, P90) of the twelve before it."""
    flagged = 0
    for _ in range(rounds):
        before = [gap(rng) for _ in range(12)]
        flagged += gap(rng) > max(statistics.median(before) + 1, percentile(before, 0.9))
    return flagged / rounds


def basket_shares(rng: random.Random, rounds: int = 10_000) -> tuple[float, float, float]:
    """Shares of ordinary orders with a line below its median, flagged as reduced, and flagged when three halve."""
    below = reduced = caught = 0
    for _ in range(rounds):
        usual = [statistics.median(quantity(rng) for _ in range(SIX)) for _ in PRICES]
        order = [quantity(rng) for _ in PRICES]
        halved = [quantity(rng, 5) if number < 3 else taken for number, taken in enumerate(order)]
        below += any(taken < median for taken, median in zip(order, usual, strict=True))
        reduced += is_reduced(order, usual)
        caught += is_reduced(halved, usual)
    return below / rounds, reduced / rounds, caught / rounds


def is_reduced(order: list[int], usual: list[float]) -> bool:
    money = sum(price * taken for price, taken in zip(PRICES, order, strict=True))
    expected = sum(price * median for price, median in zip(PRICES, usual, strict=True))
    return money < 0.85 * expected and any(taken < 0.7 * median for taken, median in zip(order, usual, strict=True))


def land(documents: Documents, rng: random.Random) -> dict[str, list[date]]:
    """Days of the orders of each outlet with a rhythm, the last one first."""
    days: dict[str, list[date]] = {}
    for product in PRODUCTS:
        documents.product(product)
    for name, gap in (("weekly", weekly), ("fortnightly", fortnightly)):
        for number in range(REGULAR):
            outlet = f"{name} {number}"
            documents.partner(outlet)
            # The next order comes this morning: was it called missed before it came?
            day = AS_OF - timedelta(days=gap(rng))
            for turn in range(13):
                documents.order(f"{outlet} {turn}", outlet, day, [Line(PRODUCTS[0], 10)])
                days.setdefault(outlet, []).append(day)
                day -= timedelta(days=gap(rng))
    for number in range(BASKETS):
        for kind in ("quantity", "assortment"):
            outlet = f"{kind} {number}"
            documents.partner(outlet)
            for turn in range(OCCASIONS):
                day = AS_OF - timedelta(days=7 * (OCCASIONS - turn))
                last = turn == OCCASIONS - 1
                lines = quantity_lines(rng, halved=last) if kind == "quantity" else assortment_lines(rng, turn)
                documents.order(f"{outlet} {turn}", outlet, day, lines)
    return days


def quantity_lines(rng: random.Random, *, halved: bool) -> list[Line]:
    return [
        Line(product, quantity(rng, 5 if halved and number < 3 else 10), PRICES[number])
        for number, product in enumerate(PRODUCTS)
    ]


def assortment_lines(rng: random.Random, turn: int) -> list[Line]:
    """Each position is taken nine times of ten; at the end the first one is dropped for good."""
    dropped = turn >= OCCASIONS - 2
    taken = [product for number, product in enumerate(PRODUCTS) if rng.random() < 0.9 and not (dropped and number == 0)]
    return [Line(product, 10, PRICES[PRODUCTS.index(product)]) for product in taken or PRODUCTS[1:]]


def in_time_until(days: list[date]) -> date:
    """The deadline of the rule; one on a day off moves to the next working day."""
    gaps = [(later - earlier).days for later, earlier in pairwise(days)]
    day = days[0] + timedelta(days=late_after(gaps))
    while not RUSSIA.is_working_day(day):
        day += timedelta(days=1)
    return day


def share(conn: Connection, query: str) -> float:
    row = conn.execute(query.encode()).fetchone()
    assert row is not None
    return float(row[0])


@pytest.mark.timeout(900)
def test_ordinary_orders_are_left_alone_and_real_falls_are_seen(database: str) -> None:
    rng = random.Random(20250610)
    documents = Documents()
    with connect(database) as conn:
        ensure_tables(conn)
        documents.source(conn)
        days = land(documents, rng)
        documents.copy(conn)
    arguments = ["--vars", json.dumps({"as_of": AS_OF.isoformat()})]
    selected = ["--select", "+order_expectation", "+order_compliance"]
    for command in ("seed", "run"):
        code, tail = run_dbt([command, *arguments, *(selected if command == "run" else [])], database)
        assert code == 0, tail

    before_last = AS_OF - timedelta(days=7)
    judged = f"occasions_before = {SIX} and outlet_id like '%s' and ordered_on < '{before_last}'"
    with connect(database) as conn:
        for name, gap, limit in (("weekly", weekly, 0.08), ("fortnightly", fortnightly, 0.16)):
            expected = missed_share(gap, rng)
            found = share(
                conn,
                "select avg(cast(is_missed as integer)) from marts.order_expectation "
                f"where basis = 'learned' and outlet_id like '{name} %'",
            )
            assert expected == pytest.approx(limit, abs=0.015), name
            # A deadline on a day off moves to the next working day, so the mart is never stricter than the bare rule.
            assert found <= expected + 3 * (expected * (1 - expected) / REGULAR) ** 0.5, name

        # Who has stopped is called on the first day after this one.
        until = dict(
            conn.execute(
                """
                select outlet_id, late_after from marts.order_expectation
                where basis = 'learned' and (outlet_id like 'weekly %' or outlet_id like 'fortnightly %')
                """
            ).fetchall()
        )
        assert until == {outlet: in_time_until(own) for outlet, own in days.items()}
        assert days_to_notice(weekly, rng) == 2
        assert days_to_notice(fortnightly, rng) == 6

        below, reduced, caught = basket_shares(rng)
        strict = share(
            conn,
            "select avg(cast(not is_quantity_kept as integer)) from marts.order_compliance where "
            + judged % "quantity %",
        )
        alert = share(
            conn,
            "select avg(cast(is_quantity_alert as integer)) from marts.order_compliance where " + judged % "quantity %",
        )
        seen = share(
            conn,
            "select avg(cast(is_quantity_alert as integer)) from marts.order_compliance "
            f"where outlet_id like 'quantity %' and ordered_on = '{before_last}'",
        )
        assert reduced == pytest.approx(0.062, abs=0.01)
        assert caught > 0.9
        assert strict == pytest.approx(below, abs=0.03)
        assert alert == pytest.approx(reduced, abs=0.015)
        assert seen == pytest.approx(caught, abs=0.06)

        incomplete = share(
            conn,
            "select avg(cast(not is_assortment_complete as integer)) from marts.order_compliance where "
            + judged % "assortment %"
            + f" and ordered_on < '{before_last - timedelta(days=7)}'",
        )
        missing = share(
            conn,
            "select avg(cast(is_assortment_alert as integer)) from marts.order_compliance where "
            + judged % "assortment %"
            + f" and ordered_on < '{before_last - timedelta(days=7)}'",
        )
        dropped = share(
            conn,
            "select count(*) from marts.order_assortment_gap where is_alert and product_id = 'product 0' "
            f"and outlet_id like 'assortment %' and ordered_on = '{before_last}'",
        )
        assert incomplete == pytest.approx(1 - 0.9**10, abs=0.05)
        assert missing <= 0.10 + 0.01
        assert missing == pytest.approx(1 - (1 - 0.1**2) ** 10, abs=0.03)
        # The others have skipped the position as long before; they are seen one order later.
        assert dropped >= 0.88 * BASKETS
