"""The planted truths of one morning, written from the plans and not from the documents."""

from __future__ import annotations

from datetime import date
from typing import Any

from simulators.world.baskets import Plantings
from simulators.world.build import Outlet, World, morning
from simulators.world.crm import crm_identity
from simulators.world.novelties import QUARTER, without_news
from simulators.world.plan import Stop

LOST_DAYS = 180  # silent for so long: nobody calls any more
SMALLEST_DEBT = 100_000  # kopecks


def manifest(world: World, day: date) -> dict[str, Any]:
    """What must be found, and what must not, on the morning of `day`. Money is text in roubles and kopecks."""
    planted = [
        _missed_order(world, outlet, stop, day)
        for outlet in world.outlets
        for stop in outlet.plan.stops
        if stop.status(day) == "missed" and not _closed(outlet, day)
    ]
    traps = [_trap(outlet, trap) for outlet in world.outlets for trap in outlet.plan.traps]
    # What outlets order otherwise than usual is told about one morning only.
    baskets = world.plantings if day == world.anchor else Plantings()
    return {
        "world": "seeded",
        "as_of": day.isoformat(),
        "anchor": world.anchor.isoformat(),
        "seed": world.seed,
        "counts": _counts(world, day),
        "planted": sorted(planted, key=lambda item: (item["client_id"], item["outlet_id"])),
        "traps": sorted(traps, key=lambda item: (item["kind"], item["outlet_id"])),
        "reasons": _reasons(world, day, baskets),
        "baskets": {"truths": baskets.truths, "earlier": baskets.earlier, "traps": baskets.traps},
        "control": _control(world, day),
        "crm_identity": crm_identity(world, day),
    }


def _reasons(world: World, day: date, baskets: Plantings) -> list[dict[str, Any]]:
    """Other reasons to call: who, whose client, since when, roubles.

    An order that lacks something weekly is lost twice in the four weeks to come (each time with a chance of one half);
    one that is smaller, once (one quarter). Both outlets that are chosen for this order weekly.
    """
    outlets = {outlet.key: outlet for outlet in world.outlets}
    found = [
        _reason(outlet, "lapsed", outlet.key, stop.due, 3 * world.habitual_amount(outlet))
        for outlet in world.outlets
        for stop in outlet.plan.stops
        if stop.status(day) == "lapsed" and not _closed(outlet, day) and (day - stop.last).days < LOST_DAYS
    ]
    debtors = {outlet.legal_entity.key: outlet for outlet in world.outlets}
    for key, (net, overdue) in world.ledger.debts(morning(day)).items():
        asked = min(net, overdue)
        if asked >= SMALLEST_DEBT:
            found.append(_reason(debtors[key], "overdue_debt", key, None, asked))
    stocked = {product for (_, _, product), quantity in world.ledger.stock(morning(day)).items() if quantity > 0}
    on_hand = {world.sku(product) for product in stocked}
    lacking: dict[str, list[dict[str, Any]]] = {}
    for truth in baskets.truths:
        if truth["kind"] == "missing_assortment" and truth["product_id"] in on_hand:
            lacking.setdefault(truth["outlet_id"], []).append(truth)
        elif truth["kind"] == "reduced_quantity":
            amount = kopecks(truth["shortfall_amount"])
            ordered = date.fromisoformat(truth["ordered_on"])
            found.append(_reason(outlets[truth["outlet_id"]], truth["kind"], truth["outlet_id"], ordered, amount))
    for key, truths in lacking.items():
        amount = 2 * sum(kopecks(truth["missing_amount"]) for truth in truths)
        ordered = date.fromisoformat(truths[0]["ordered_on"])
        found.append(_reason(outlets[key], "missing_assortment", key, ordered, amount))
    for silent in without_news(world, day):
        since = silent.last_new_on + QUARTER
        found.append(_reason(silent.outlet, "no_new_positions", silent.outlet.key, since, silent.worth))
    return sorted(found, key=lambda item: (item["reason"], item["subject_id"]))


def _reason(outlet: Outlet, reason: str, subject: str, due: date | None, amount: int) -> dict[str, Any]:
    return {
        "reason": reason,
        "subject_id": subject,
        "client_id": outlet.client.key,
        "manager_id": outlet.client.manager.key,
        "due_on": due.isoformat() if due else None,
        "money_at_risk": money(amount),
    }


def _control(world: World, day: date) -> dict[str, Any]:
    """What registers and marts must add up to, from the plans of payments and deliveries; money is net of returns."""
    moment = morning(day)
    warehouses = [[world.guid("warehouse", branch, n) for n in range(2)] for branch in range(len(world.organisations))]
    return {
        "debt": [
            {"legal_entity_id": key, "debt": money(debt), "overdue": money(overdue)}
            for key, (debt, overdue) in sorted(world.ledger.debts(moment).items())
        ],
        "stock": [
            {
                "warehouse_id": warehouses[branch][place],
                "product_id": world.products[product].key,
                "quantity": quantity,
            }
            for (branch, place, product), quantity in sorted(world.ledger.stock(moment).items())
        ],
        "revenue": [
            {"day": shipped.isoformat(), "organisation_id": world.organisations[branch], "amount": money(amount)}
            for (shipped, branch), amount in sorted(world.ledger.revenue(moment).items())
        ],
        "paid": {
            kind: money(sum(p.amount for p in world.ledger.payments if p.kind == kind and p.at <= moment))
            for kind in ("bank", "cash", "card")
        },
    }


def _closed(outlet: Outlet, day: date) -> bool:
    return outlet.plan.closed_on is not None and outlet.plan.closed_on <= day


def _missed_order(world: World, outlet: Outlet, stop: Stop, day: date) -> dict[str, Any]:
    cycles = stop.missed_cycles(day)
    median = world.habitual_amount(outlet)
    return {
        "kind": "missed_order",
        "basis": stop.basis,
        "client_id": outlet.client.key,
        "client_name": outlet.client.name,
        "outlet_id": outlet.key,
        "outlet_name": outlet.name,
        "manager_id": outlet.client.manager.key,
        "branch_id": world.organisations[outlet.client.branch],
        "last_ordered_on": stop.last.isoformat(),
        "due_on": stop.due.isoformat(),
        "missed_due_dates": [s.isoformat() for s in stop.skipped if s < day],
        "missed_cycles": cycles,
        "median_amount": money(median),
        "money_at_risk": money(median * min(cycles, 3)),
    }


def _trap(outlet: Outlet, kind: str) -> dict[str, Any]:
    return {
        "kind": kind,
        "outlet_id": outlet.key,
        "outlet_name": outlet.name,
        "client_id": outlet.client.key,
        "outlets_of_client": len(outlet.client.outlets),
    }


def _counts(world: World, day: date) -> dict[str, int]:
    moment = morning(day)
    orders = [o for o in world.orders if o.known_from <= moment]
    shipments = [s for s in world.shipments if s.at <= moment]
    returns = [r for r in world.returns if r.at <= moment]
    return {
        "clients": len(world.clients),
        "outlets": len(world.outlets),
        "products": len(world.products),
        "managers": len(world.managers),
        "organisations": len(world.organisations),
        "orders": len(orders),
        "order_lines": sum(len(o.lines) for o in orders),
        "shipments": len(shipments),
        "shipment_lines": sum(len(s.lines) for s in shipments),
        "returns": len(returns),
        "return_lines": sum(len(r.lines) for r in returns),
    }


def money(amount: int) -> str:
    """Kopecks as `18400.50`"""
    sign = "-" if amount < 0 else ""
    return f"{sign}{abs(amount) // 100}.{abs(amount) % 100:02d}"


def kopecks(amount: str) -> int:
    """`18400.50` as kopecks."""
    roubles, _, rest = amount.partition(".")
    return int(roubles) * 100 + int(rest)
