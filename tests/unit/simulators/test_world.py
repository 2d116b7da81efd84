"""The seeded world: the same for a seed, believable, and true to its own manifest on any day."""

from collections import Counter
from datetime import date, timedelta
from decimal import Decimal
from functools import lru_cache

import pytest

from simulators.world import names
from simulators.world.build import World
from simulators.world.manifest import manifest
from simulators.world.onec import base_on
from simulators.world.people import company_inn, person_inn
from simulators.world.workdays import add_working, is_working, next_working
from tests.support.missed_orders import findings, records

ANCHOR = date(2026, 3, 11)


@lru_cache(maxsize=2)
def world(anchor: date, outlets: int = 300) -> World:
    return World(7, anchor, outlets=outlets)


def days_from(first: date, count: int) -> list[date]:
    return [first + timedelta(days=n) for n in range(count)]


DIFFICULT_DAYS = [
    *days_from(date(2025, 12, 29), 16),  # the long New Year holidays, Sundays among them
    *days_from(date(2027, 1, 8), 6),
    *days_from(date(2026, 4, 30), 14),  # the May holidays
    *days_from(date(2026, 6, 11), 5),
    *days_from(date(2026, 11, 2), 5),
    *[date(2025, 11, 1), date(2025, 11, 3), date(2026, 2, 21), date(2026, 2, 23), date(2026, 2, 24), date(2026, 3, 8)],
    *[
        date(2024, 2, 29),
        date(2026, 8, 16),
        date(2026, 8, 31),
        date(2026, 9, 1),
        date(2026, 10, 25),
        date(2026, 11, 22),
    ],
]


def disagreements(of: World, day: date) -> list[str]:
    """Where the manifest and an independent reading of the served documents differ."""
    truths = {truth["outlet_id"]: truth for truth in manifest(of, day)["planted"]}
    found = {key: f for key, f in findings(base_on(of, day), day).items() if f.status == "missed"}
    result = [f"{truths[key]} was not found" for key in truths.keys() - found.keys()]
    result += [f"{found[key]} was not planted" for key in found.keys() - truths.keys()]
    for key in truths.keys() & found.keys():
        truth, finding = truths[key], found[key]
        assert finding.last is not None
        assert finding.due is not None
        expected = (
            truth["basis"],
            truth["last_ordered_on"],
            truth["due_on"],
            truth["missed_cycles"],
            Decimal(truth["median_amount"]),
            Decimal(truth["money_at_risk"]),
        )
        got = (
            finding.basis,
            finding.last.isoformat(),
            finding.due.isoformat(),
            finding.cycles,
            finding.median_amount,
            finding.at_risk,
        )
        if expected != got:
            result.append(f"planted {expected}, found {got}")
    return result


def test_there_are_sixty_difficult_days() -> None:
    assert len(set(DIFFICULT_DAYS)) >= 58
    assert any(day.weekday() == 6 for day in DIFFICULT_DAYS)
    assert any(not is_working(day) for day in DIFFICULT_DAYS)


@pytest.mark.parametrize("day", DIFFICULT_DAYS, ids=str)
def test_the_manifest_is_true_on_any_day(day: date) -> None:
    of = World(day.toordinal(), day, outlets=110)
    assert disagreements(of, day) == []
    truths = manifest(of, day)["planted"]
    assert len(truths) >= 10
    assert {truth["basis"] for truth in truths} == {"agreed", "learned"}


@pytest.mark.parametrize("days_on", [1, 2, 3, 5, 8, 13, 21, 30])
def test_the_manifest_stays_true_while_the_world_goes_on(days_on: int) -> None:
    of = world(ANCHOR, 130)
    assert disagreements(of, ANCHOR + timedelta(days=days_on)) == []


def test_the_full_world_has_the_announced_shape() -> None:
    of = world(ANCHOR)
    truths = manifest(of, ANCHOR)
    assert disagreements(of, ANCHOR) == []
    assert len(of.outlets) == 300
    assert 200 <= len(of.clients) <= 240
    assert sum(product.kind == "Товар" for product in of.products) == 120
    assert len({outlet.client.manager.key for outlet in of.outlets}) == 8
    assert len({outlet.client.branch for outlet in of.outlets}) == 3
    assert {outlet.format for outlet in of.outlets} == {
        "палатка", "магазин у дома", "минимаркет", "супермаркет", "кафе", "ресторан", "столовая", "опт",
    }  # fmt: skip
    first = min(order.at for order in of.orders).date()
    assert 530 <= (ANCHOR - first).days <= 548
    kinds = {trap["kind"] for trap in truths["traps"]}
    assert kinds >= {
        "cancelled_by_us", "cancelled_by_client", "draft", "deleted_order", "stocked_up", "ordered_early",
        "future_order", "open_order", "return_only_is_no_order", "closed", "single_order", "little_history", "lapsed",
        "within_grace", "two_documents_one_day", "back_dated", "back_dated_later", "late_evening",
        "expired_agreement", "three_of_seven",
    }  # fmt: skip
    cycles = Counter(truth["missed_cycles"] for truth in truths["planted"])
    assert cycles[1] >= 10
    assert cycles[2] >= 5
    assert cycles[3] >= 2


def test_three_of_seven_outlets_of_one_client_are_planted() -> None:
    truths = manifest(world(ANCHOR), ANCHOR)
    affected = Counter(truth["client_id"] for truth in truths["planted"])
    traps = [trap for trap in truths["traps"] if trap["kind"] == "three_of_seven"]
    assert {trap["outlets_of_client"] for trap in traps} == {7}
    (client,) = {trap["client_id"] for trap in traps}
    assert affected[client] == 3


def test_no_rep_gets_more_clients_than_a_list_holds() -> None:
    truths = manifest(world(ANCHOR), ANCHOR)["planted"]
    per_rep = Counter(rep for rep, _ in {(truth["manager_id"], truth["client_id"]) for truth in truths})
    assert max(per_rep.values()) <= 15


def test_a_seed_and_an_anchor_make_the_same_world_and_another_seed_another() -> None:
    first, again, other = (World(seed, ANCHOR, outlets=110) for seed in (3, 3, 4))
    assert manifest(first, ANCHOR) == manifest(again, ANCHOR)
    served = [base_on(of, ANCHOR).sets["Document_ЗаказКлиента"] for of in (first, again)]
    assert [served[0].json(row) for row in served[0].rows] == [served[1].json(row) for row in served[1].rows]
    assert manifest(first, ANCHOR)["planted"] != manifest(other, ANCHOR)["planted"]


def test_a_day_later_everything_known_is_still_there() -> None:
    of = world(ANCHOR, 130)
    before = {order["Ref_Key"]: order for order in records(base_on(of, ANCHOR), "Document_ЗаказКлиента")}
    after = {
        order["Ref_Key"]: order for order in records(base_on(of, ANCHOR + timedelta(days=3)), "Document_ЗаказКлиента")
    }
    assert before.keys() < after.keys()
    changed = [key for key in before if before[key] != after[key]]
    assert changed
    assert all(before[key]["DataVersion"] != after[key]["DataVersion"] for key in changed)
    dated_back = [
        order for key, order in after.items() if key not in before and order["Date"] < f"{ANCHOR - timedelta(days=2)}"
    ]
    assert dated_back, "somebody typed in an old order"


def test_tax_numbers_have_valid_check_digits() -> None:
    for client in world(ANCHOR).clients:
        for legal in client.legal_entities:
            digits = [int(char) for char in legal.inn]
            if legal.is_company:
                assert len(digits) == 10
                weights = [2, 4, 10, 3, 5, 9, 4, 6, 8]
                assert sum(w * d for w, d in zip(weights, digits, strict=False)) % 11 % 10 == digits[9]
            else:
                assert len(digits) == 12
                weights = [3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8]
                assert sum(w * d for w, d in zip(weights[1:], digits, strict=False)) % 11 % 10 == digits[10]
                assert sum(w * d for w, d in zip(weights, digits, strict=False)) % 11 % 10 == digits[11]


def test_known_tax_numbers_have_the_digits_we_compute() -> None:
    class Fixed:
        def __init__(self, number: int) -> None:
            self.number = number

        def randrange(self, stop: int) -> int:
            return self.number % stop

    # A published number of a company and one of a person; only the check digits are ours.
    assert company_inn(Fixed(8389), "7707") == "7707083893"  # type: ignore[arg-type]
    assert person_inn(Fixed(110), "5001")[:10] == "5001000110"  # type: ignore[arg-type]


def test_orders_add_up_and_shipments_never_exceed_them() -> None:
    of = world(ANCHOR, 130)
    for order in of.orders:
        for line in order.lines:
            assert line.amount == line.price * line.quantity - line.discount
            assert line.quantity > 0
        if order.shipment:
            ordered = {line.product: line.quantity for line in order.lines if not line.cancelled_by}
            goods = [line for line in order.shipment.lines if of.products[line.product].kind == "Товар"]
            assert all(line.quantity <= ordered[line.product] for line in goods)
            assert order.shipment.at > order.at
    short = [
        order
        for order in of.orders
        if order.shipment
        and sum(line.quantity for line in order.shipment.lines) < sum(line.quantity for line in order.lines)
    ]
    assert len(short) > len(of.orders) * 0.02


def test_reasons_of_both_sides_occur() -> None:
    base = base_on(world(ANCHOR, 130), ANCHOR)
    told = {r["Ref_Key"]: r["Description"] for r in records(base, "Catalog_ПричиныОтменыЗаказовКлиентов")}
    used = {
        told[line["ПричинаОтмены_Key"]]
        for order in records(base, "Document_ЗаказКлиента")
        for line in order["Товары"]
        if line["Отменено"]
    }
    assert used & set(names.CANCELLED_BY_US)
    assert used & set(names.CANCELLED_BY_CLIENT)


def test_working_days_follow_the_production_calendar() -> None:
    assert not is_working(date(2026, 1, 9))  # moved from a Saturday
    assert is_working(date(2025, 11, 1))  # a working Saturday
    assert next_working(date(2026, 1, 1)) == date(2026, 1, 12)
    assert add_working(date(2026, 5, 8), 1) == date(2026, 5, 12)
