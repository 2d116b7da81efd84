"""Every planted truth about baskets, placements and service is found in the marts, and nothing else is."""

import json
from collections import Counter
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from clients.connection import Connection as Address
from extractors.core.run import ensure_tables, extract, register_source
from polka.backtest import SOON_WORKING_DAYS, backtest
from simulators.onec.server import PUBLICATION, OnecServer
from simulators.world import reference
from simulators.world.build import World, morning
from simulators.world.manifest import manifest
from simulators.world.onec import base_on
from simulators.world.workdays import add_working, is_working
from tests.support.serving import serve
from tests.support.simulated_onec import LOGIN, PASSWORD
from tests.support.world_positions import FORMATS, Positions
from warehouse.clock import now
from warehouse.db import connect
from warehouse.dbt_runner import run_dbt
from warehouse.reference import load
from warehouse.reference_file import read
from warehouse.sources import SourceConfig

TODAY = date(2026, 11, 23)
SOURCE = SourceConfig(id="onec_main", kind="onec", connection="onec_main", branches="by_organization")
ENTITIES = (
    "organisation", "business_region", "partner", "product", "agreement", "cancellation_reason", "order", "shipment",
    "return",
)  # fmt: skip
MARTS = (
    "order_compliance", "order_assortment_gap", "order_quantity_gap", "placement_opportunity", "sku_placement",
    "order_fulfilment", "order_expectation", "outlet_standard", "int_weekly_demand",
)  # fmt: skip
LAST = "ordered_on = (select max(o.ordered_on) from marts.fct_order_occasion as o where o.outlet_id = {}.outlet_id)"


@dataclass
class Built:
    world: World
    database: str
    truths: list[dict[str, Any]]
    positions: Positions

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with connect(self.database) as conn:
            return conn.execute(query.encode()).fetchall()

    def planted(self, kind: str) -> list[dict[str, Any]]:
        found = [truth for truth in self.truths if truth["kind"] == kind]
        assert found, f"nothing of kind {kind} is planted"
        return found

    def trapped(self, kind: str) -> set[str]:
        return {trap["outlet_id"] for trap in manifest(self.world, TODAY)["traps"] if trap["kind"] == kind}


@pytest.fixture(scope="module")
def built(module_database: str, tmp_path_factory: pytest.TempPathFactory) -> Built:
    world = World(7, TODAY, outlets=200)
    with connect(module_database, autocommit=True) as conn:
        ensure_tables(conn)
        register_source(conn, SOURCE)
    with serve(OnecServer(base_on(world, TODAY), LOGIN, PASSWORD)) as root:
        for entity in ENTITIES:
            address = Address(root + PUBLICATION, LOGIN, PASSWORD)
            extract(SOURCE, entity, address, database_url=module_database, triggered_by="test")
    folder: Path = tmp_path_factory.mktemp("reference")
    reference.write(world, folder)
    content = read(folder)
    assert content.problems == []
    with connect(module_database) as conn:
        load(conn, content, now=now())
    for command in (("seed",), ("run", "--select", *(f"+{mart}" for mart in MARTS))):
        code, tail = run_dbt([*command, "--vars", json.dumps({"as_of": TODAY.isoformat()})], module_database)
        assert code == 0, "\n".join(tail)
    return Built(world, module_database, manifest(world, TODAY)["baskets"]["truths"], Positions(world, TODAY))


def day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


def test_every_story_has_its_outlet(built: Built) -> None:
    assert Counter(truth["kind"] for truth in built.truths) == {
        "missing_assortment": 7, "reduced_quantity": 2, "raised_quantity": 1, "new_position": 2, "lost_position": 1,
        "relisted_position": 1, "shipped_late": 1, "shipped_short": 1,
    }  # fmt: skip
    kinds = {trap["kind"] for trap in manifest(built.world, TODAY)["baskets"]["traps"]}
    assert kinds == {
        "absent_once", "absent_after_our_refusal", "substituted", "stocked_up_with_it", "every_third_order",
        "on_promotion_only", "under_another_code", "small_because_early", "small_after_a_promotion", "we_shipped_less",
        "in_two_documents", "made_up_by_another", "came_back_whole",
    }  # fmt: skip


def test_missing_positions_are_those_planted(built: Built) -> None:
    found = built.rows(f"""
        select outlet_id, product_id, basis, ordered_on, absent_in_a_row, last_ordered_on, usual_quantity,
            missing_amount
        from marts.order_assortment_gap as gap where is_alert and {LAST.format("gap")}
    """)
    expected = [
        (
            truth["outlet_id"], truth["product_id"], truth["basis"], day(truth["ordered_on"]), truth["absent_in_a_row"],
            day(truth["last_ordered_on"]), truth["usual_quantity"], Decimal(truth["missing_amount"]),
        )
        for truth in built.planted("missing_assortment")
    ]  # fmt: skip
    assert sorted(found) == sorted(expected)


def test_every_order_of_the_history_tells_what_was_planted_then(built: Built) -> None:
    """Not the last orders only: what the list of each past morning had to say of its last orders, and nothing more."""
    baskets = manifest(built.world, TODAY)["baskets"]
    missing = [truth for truth in baskets["truths"] if truth["kind"] == "missing_assortment"]
    expected = {
        (*key(t), t["basis"], day(t["ordered_on"]), t["absent_in_a_row"], day(t["last_ordered_on"]))
        for t in [*missing, *baskets["earlier"]]
    }
    found = built.rows("""
        select outlet_id, product_id, basis, ordered_on, absent_in_a_row, last_ordered_on
        from marts.order_assortment_gap where is_alert
    """)
    assert len(found) == len(set(found))
    assert set(found) == expected
    assert len({row[3] for row in found}) >= 12, "many mornings"
    reduced = built.rows("select outlet_id, ordered_on from marts.order_compliance where is_quantity_alert")
    assert set(reduced) == {(t["outlet_id"], day(t["ordered_on"])) for t in built.planted("reduced_quantity")}
    judged = built.rows("select count(distinct ordered_on), count(*) from marts.order_compliance")
    assert judged[0][0] >= 200
    assert judged[0][1] >= 8000


def test_reduced_orders_are_those_planted(built: Built) -> None:
    found = built.rows(f"""
        select outlet_id, ordered_on, expected_amount, ordered_amount, shortfall_amount
        from marts.order_compliance as fact where is_quantity_alert and {LAST.format("fact")}
    """)
    expected = [
        (
            truth["outlet_id"], day(truth["ordered_on"]),
            *(Decimal(truth[name]) for name in ("expected_amount", "ordered_amount", "shortfall_amount")),
        )
        for truth in built.planted("reduced_quantity")
    ]  # fmt: skip
    assert sorted(found) == sorted(expected)
    lines = built.rows(f"""
        select outlet_id, array_agg(product_id order by product_id collate "C")
        from marts.order_quantity_gap as gap where is_alert and {LAST.format("gap")} group by outlet_id
    """)
    assert dict(lines) == {t["outlet_id"]: t["reduced_products"] for t in built.planted("reduced_quantity")}


def test_raised_lines_are_those_planted(built: Built) -> None:
    found = built.rows(f"""
        select outlet_id, product_id, ordered_on, ordered_quantity, usual_quantity, is_alert
        from marts.order_quantity_gap as gap where is_raise and {LAST.format("gap")}
    """)
    names = ("ordered_quantity", "usual_quantity")
    expected = [
        (truth["outlet_id"], truth["product_id"], day(truth["ordered_on"]), *(truth[name] for name in names), False)
        for truth in built.planted("raised_quantity")
    ]
    assert found == expected


def test_placements_are_those_of_the_plan(built: Built) -> None:
    found = built.rows("""
        select outlet_id, product_id, episode_no, placement_kind, placed_on, last_on, purchase_days, lost_on
        from marts.sku_placement
    """)
    spells = built.positions.spells()
    assert sorted(found, key=str) == sorted(
        (
            (s.outlet_id, s.product_id, s.number, s.kind, s.placed_on, s.last_on, s.purchase_days, s.lost_on)
            for s in spells
        ),
        key=str,
    )
    kinds = {(row[0], row[1]): row for row in found}
    stuck = {
        (outlet, product): value
        for outlet, product, value in built.rows("select outlet_id, product_id, is_stuck from marts.sku_placement")
    }
    for truth in built.planted("new_position"):
        assert kinds[truth["outlet_id"], truth["product_id"]][3] == "new"
        assert stuck[truth["outlet_id"], truth["product_id"]] is truth["is_stuck"]
    for truth in built.planted("lost_position"):
        assert kinds[truth["outlet_id"], truth["product_id"]][7] is not None
    (back,) = built.planted("relisted_position")
    assert [(s.kind, s.lost_on is None) for s in spells if (s.outlet_id, s.product_id) == key(back)][-1] == (
        "relisted",
        True,
    )


def key(truth: dict[str, Any]) -> tuple[str, str]:
    return truth["outlet_id"], truth["product_id"]


def test_positions_to_offer_are_those_of_the_plan(built: Built) -> None:
    found = built.rows("""
        select outlet_id, product_id, peers_holding, peers_total, monthly_amount, is_alert
        from marts.placement_opportunity
    """)
    offers = built.positions.offers()
    assert offers
    assert sorted(found) == sorted(
        (o.outlet_id, o.product_id, o.holders, o.peers, roubles(o.monthly_amount), o.is_alert) for o in offers
    )
    new = {truth["outlet_id"] for truth in built.planted("new_position")}
    assert not [row for row in found if row[0] in new and row[5]]


def test_who_took_nothing_new_is_told_by_the_manifest(built: Built) -> None:
    """Of who orders in time and is known long enough: a second reading of the plan, and the marts, outlet by outlet."""
    told = {
        reason["subject_id"]: Decimal(reason["money_at_risk"])
        for reason in manifest(built.world, TODAY)["reasons"]
        if reason["reason"] == "no_new_positions"
    }
    assert len(told) >= 10
    stock = {built.world.sku(p) for (_, _, p), units in built.world.ledger.stock(morning(TODAY)).items() if units > 0}
    regular = {
        outlet
        for (outlet,) in built.rows(
            "select outlet_id from marts.order_expectation where status = 'on_time' and history_state = 'established'"
        )
    }
    offers: dict[str, list[tuple[Fraction, Fraction, str]]] = {}
    for offer in built.positions.offers():
        if offer.is_alert and offer.product_id in stock and offer.outlet_id in regular:
            best_first = (-Fraction(offer.holders, offer.peers), -offer.monthly_amount, offer.product_id)
            offers.setdefault(offer.outlet_id, []).append(best_first)
    assert told == {
        outlet: roubles(Fraction(sum(roubles(-money) for _, money, _ in sorted(found)[:3])) * 50)
        for outlet, found in offers.items()
    }
    asked = {
        outlet for (outlet,) in built.rows("select distinct outlet_id from marts.placement_opportunity where is_alert")
    }
    assert told.keys() <= asked
    got_one = {truth["outlet_id"] for truth in built.planted("new_position")}
    little = {
        trap["outlet_id"]
        for trap in manifest(built.world, TODAY)["traps"]
        if trap["kind"] in {"little_history", "single_order", "closed", "lapsed", "draft"}
    }
    assert got_one
    assert little
    assert not told.keys() & (got_one | little)


def roubles(kopecks: Fraction) -> Decimal:
    exact = Decimal(kopecks.numerator) / Decimal(kopecks.denominator) / 100
    return exact.quantize(Decimal("0.01"), ROUND_HALF_UP)


def test_standards_are_those_of_the_plan(built: Built) -> None:
    found = {
        (outlet, month, kind, standard): rest
        for outlet, month, kind, standard, *rest in built.rows("""
            select outlet_id, month_start, standard_kind, standard, required_positions, present_positions,
                excused_positions, is_in_grace, is_met_gross, is_met_fair
            from marts.outlet_standard
        """)
    }
    expected = {
        which: [
            s.required, s.present, s.excused, s.is_in_grace, s.present >= s.required,
            s.present + s.excused >= s.required,
        ]
        for which, s in built.positions.standards().items()
    }  # fmt: skip
    differing = {
        which: (expected.get(which), found.get(which))
        for which in expected.keys() | found.keys()
        if expected.get(which) != found.get(which)
    }
    assert differing == {}
    kiosks = {month: rest[0] for (_, month, kind, _), rest in found.items() if kind == "format_breadth" and rest[0] < 6}
    assert [kiosks[month] for month in sorted(kiosks)][-3:] == [4, 5, 5]
    core = [rest for (*_, kind, name), rest in found.items() if (kind, name) == ("must_list", "Основа")]
    assert {rest[1] for rest in core} >= {0, 1, 2}
    assert any(rest[2] for rest in found.values())
    assert any(rest[3] for rest in found.values())


def test_demand_is_what_clients_wanted(built: Built) -> None:
    """Ordered in full weeks, less what clients cancelled themselves; our refusals stay in."""
    found = {
        (product, week): int(quantity)
        for product, week, quantity in built.rows("""
            select product_id, week_start, sum(ordered_quantity) from intermediate.int_weekly_demand group by 1, 2
        """)
    }
    expected: Counter[tuple[str, date]] = Counter()
    monday = TODAY - timedelta(days=TODAY.weekday())
    moment = morning(TODAY)
    for order in built.world.orders:
        day = order.at.date()
        if order.known_from <= moment and order.posted and not order.deleted and day < monday:
            for line in order.lines:
                product = built.world.products[line.product]
                if product.kind == "Товар" and line.cancelled_by != "client":
                    sku = built.world.plantings.successors.get(product.key, product.key)
                    expected[sku, day - timedelta(days=day.weekday())] += line.quantity
    assert found == dict(expected)


def test_service_is_that_of_the_plan(built: Built) -> None:
    found = {
        order_id: (int(ordered), int(shipped), is_otif, delay, stage == "cancelled_by_us")
        for order_id, ordered, shipped, is_otif, delay, stage in built.rows(
            "select order_id, units_ordered, units_shipped, is_otif, delay_days, stage from marts.order_fulfilment "
            "where units_ordered is not null"
        )
    }
    expected = {
        order_id: (s.units_ordered, s.units_shipped, s.is_otif, s.delay_days, s.cancelled_by_us)
        for order_id, s in built.positions.services().items()
    }
    differing = {
        k: (expected.get(k), found.get(k)) for k in expected.keys() | found.keys() if expected.get(k) != found.get(k)
    }
    assert differing == {}
    whole = {
        (outlet, on): row
        for outlet, on, *row in built.rows(
            "select outlet_id, ordered_on, stage, is_filled, is_otif, delay_days, units_shipped "
            "from marts.order_fulfilment"
        )
    }
    (late,), (short,) = built.planted("shipped_late"), built.planted("shipped_short")
    stage, is_filled, is_otif, delay, _ = whole[late["outlet_id"], day(late["ordered_on"])]
    assert (stage, is_filled, is_otif) == ("shipped", True, False)
    assert delay >= 3
    stage, is_filled, is_otif, delay, units = whole[short["outlet_id"], day(short["ordered_on"])]
    assert (stage, is_filled, is_otif, delay, units) == ("closed_short", False, False, 0, short["units_shipped"])
    refused = {outlet for (outlet, _), row in whole.items() if row[0] == "cancelled_by_us"}
    assert refused == built.trapped("cancelled_by_us")


def test_missed_orders_are_those_planted(built: Built) -> None:
    found = built.rows("""
        select outlet_id, basis, last_ordered_on, missed_cycles, median_amount, money_at_risk
        from marts.order_expectation where is_missed
    """)
    planted = manifest(built.world, TODAY)["planted"]
    assert {truth["kind"] for truth in planted} == {"missed_order"}
    expected = [
        (
            truth["outlet_id"], truth["basis"], day(truth["last_ordered_on"]), truth["missed_cycles"],
            *(Decimal(truth[name]) for name in ("median_amount", "money_at_risk")),
        )
        for truth in planted
    ]  # fmt: skip
    assert sorted(found) == sorted(expected)


def test_who_has_lapsed_and_whose_second_order_is_late(built: Built) -> None:
    status = dict(built.rows("select outlet_id, status from marts.order_expectation"))
    assert {outlet for outlet, is_now in status.items() if is_now == "lapsed"} == built.trapped("lapsed")
    assert {outlet for outlet, is_now in status.items() if is_now == "first_order"} == built.trapped("single_order")
    late = {
        outlet for (outlet,) in built.rows("select outlet_id from marts.order_expectation where is_second_order_late")
    }
    assert late == second_orders_late(built.world)


def second_orders_late(world: World) -> set[str]:
    """One order only, longer ago than outlets of its format usually wait with their second, and a day."""
    days = {
        outlet.key: sorted(
            {
                o.day
                for o in outlet.plan.occasions
                if o.state in {"valid", "cancelled_by_us"} and o.visible_after < TODAY
            }
        )
        for outlet in world.outlets
    }
    gaps: dict[str, list[int]] = {}
    for outlet in world.outlets:
        own = days[outlet.key]
        if len(own) > 1:
            gaps.setdefault(FORMATS[outlet.format], []).append((own[1] - own[0]).days)
            gaps.setdefault("all", []).append((own[1] - own[0]).days)
    late = set()
    for outlet in world.outlets:
        own = days[outlet.key]
        usual = gaps.get(FORMATS[outlet.format], [])
        usual = sorted(usual if len(usual) >= 5 else gaps["all"])
        if len(own) == 1 and (TODAY - own[0]).days > usual[(len(usual) - 1) // 2] + 1:
            late.add(outlet.key)
    return late


def test_a_rule_tried_on_past_days_says_what_was_planted_then(built: Built) -> None:
    grace = 4
    found = backtest("missed_order", {"agreed_grace_working_days": grace}, TODAY, built.database, months=1, every=1)
    days = [found.first + n * timedelta(days=1) for n in range((found.last - found.first).days + 1)]
    days = [one for one in days if is_working(one)]
    assert found.days_looked_at == found.working_days == len(days) >= 10
    present: dict[tuple[str, date], tuple[date, date, Decimal]] = {}
    changed: dict[tuple[str, date], tuple[date, date, Decimal]] = {}
    for on in days:
        for truth in manifest(built.world, on)["planted"]:
            story = truth["outlet_id"], date.fromisoformat(truth["last_ordered_on"])
            due = date.fromisoformat(truth["due_on"])
            row = on, due, Decimal(truth["money_at_risk"])
            present.setdefault(story, row)
            if truth["basis"] == "learned" or on > add_working(due, grace):
                changed.setdefault(story, row)
    assert 0 < len(changed) < len(present)
    for stories, planted in zip(found.stories, (present, changed), strict=True):
        told = {
            (story.outlet_id, story.episode_on): (story.told_on, story.due_on, story.money_at_risk) for story in stories
        }
        assert told == planted
    assert (found.only_present, found.only_changed) == (len(present) - len(changed), 0)
    assert found.present.money == sum((money for _, _, money in present.values()), Decimal(0))

    # Nobody was called, so whoever ordered within the window did so by himself.
    occasions = {
        outlet.key: [o.day for o in outlet.plan.occasions if o.state == "valid" and o.visible_after < TODAY]
        for outlet in built.world.outlets
    }
    soon, later = 0, 0
    for (outlet, _), (on, _, _) in present.items():
        came = min((one for one in occasions[outlet] if on <= one <= add_working(on, 7)), default=None)
        if came is not None:
            waited = sum(is_working(on + n * timedelta(days=1)) for n in range(1, (came - on).days + 1))
            soon += waited <= SOON_WORKING_DAYS
            later += waited > SOON_WORKING_DAYS
    assert (found.present.judged, found.present.false_alarms, found.present.self_cured) == (len(present), soon, later)
