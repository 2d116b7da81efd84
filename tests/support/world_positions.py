"""What a world's documents say of positions on one morning, worked out from its plans: no SQL, no marts.

Written from the rules in words (README, docs) and not from the models: an outlet keeps what was shipped to it less what
came back of that shipment; half a year without a position ends its spell; and so on.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from itertools import pairwise
from statistics import median

from simulators.world.build import Order, Outlet, World, morning

HALF_YEAR = timedelta(days=180)
RECENT = timedelta(days=90)
FORMATS = {
    "палатка": "kiosk", "магазин у дома": "shop", "минимаркет": "shop", "супермаркет": "supermarket", "кафе": "horeca",
    "ресторан": "horeca", "столовая": "horeca", "опт": "wholesale",
}  # fmt: skip


@dataclass(frozen=True)
class Spell:
    """An outlet had a position from its first purchase to its last."""

    outlet_id: str
    product_id: str
    number: int
    kind: str
    placed_on: date
    last_on: date
    purchase_days: int
    lost_on: date | None


@dataclass(frozen=True)
class Offer:
    """A position that many of the outlet's like hold and it never had; money is what they keep of it in 30 days."""

    outlet_id: str
    product_id: str
    holders: int
    peers: int
    monthly_amount: Fraction
    is_alert: bool


@dataclass(frozen=True)
class Standard:
    """How an outlet stood to one standard in one month."""

    required: int
    present: int
    excused: int
    is_in_grace: bool


@dataclass(frozen=True)
class Service:
    """What became of one order: units the client wanted and got, days after the promise."""

    units_ordered: int
    units_shipped: int
    is_otif: bool | None
    delay_days: int | None
    cancelled_by_us: bool


class Positions:
    """A world seen on one morning."""

    def __init__(self, world: World, day: date) -> None:
        self.world, self.day, self.moment = world, day, morning(day)
        self.kept: dict[tuple[str, str], dict[date, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
        self._outlets = {outlet.key: outlet for outlet in world.outlets}
        for shipment in world.shipments:
            if shipment.at <= self.moment:
                for line in shipment.lines:
                    self._count(shipment.order.outlet, line.product, shipment.at.date(), line.quantity, line.amount)
        for back in world.returns:
            if back.at <= self.moment:
                for line in back.lines:
                    at = back.shipment.at.date()
                    self._count(back.shipment.order.outlet, line.product, at, -line.quantity, -line.amount)

    def _count(self, outlet: Outlet, product: int, day: date, quantity: int, amount: int) -> None:
        found = self.world.products[product]
        if found.kind == "Товар":
            sku = self.world.plantings.successors.get(found.key, found.key)
            cell = self.kept[outlet.key, sku][day]
            cell[0] += quantity
            cell[1] += amount

    def spells(self) -> list[Spell]:
        """All spells of all outlets with all positions."""
        days = {key: sorted(day for day, (units, _) in cells.items() if units > 0) for key, cells in self.kept.items()}
        first: dict[str, date] = {}
        for (outlet_id, _), own in days.items():
            if own:
                first[outlet_id] = min(own[0], first.get(outlet_id, own[0]))
        began = min(first.values())
        return [
            self._spell(outlet_id, product_id, number, spell, spells, began, first[outlet_id])
            for (outlet_id, product_id), own in days.items()
            for spells in [_split(own)]
            for number, spell in enumerate(spells, start=1)
        ]

    def _spell(
        self, outlet_id: str, product_id: str, number: int, days: list[date], all_of: list[list[date]], began: date,
        outlet_first: date,
    ) -> Spell:  # fmt: skip
        placed, last = days[0], days[-1]
        if number > 1:
            kind = "relisted"
        elif placed < began + HALF_YEAR:
            kind = "undetermined"
        else:
            kind = "initial" if placed < outlet_first + timedelta(days=14) else "new"
        closed = self._outlets[outlet_id].plan.closed_on
        ends = [last + HALF_YEAR + timedelta(days=1)]
        if closed is not None and last < closed <= self.day:
            ends.append(closed)
        over = min(ends)
        lost = over if over <= self.day or number < len(all_of) else None
        return Spell(outlet_id, product_id, number, kind, placed, last, len(days), lost)

    def offers(self) -> list[Offer]:
        """Positions worth offering to outlets that buy."""
        since = self.day - RECENT
        held: dict[str, dict[str, int]] = defaultdict(dict)
        ever: dict[str, set[str]] = defaultdict(set)
        for (outlet_id, product_id), cells in self.kept.items():
            if any(units > 0 for units, _ in cells.values()):
                ever[outlet_id].add(product_id)
            now = [cell for day, cell in cells.items() if since < day <= self.day]
            closed = self._outlets[outlet_id].plan.closed_on
            if sum(units for units, _ in now) > 0 and (closed is None or closed > self.day):
                held[outlet_id][product_id] = sum(amount for _, amount in now)
        news: dict[str, date] = {}
        for spell in self.spells():
            news[spell.outlet_id] = max(spell.placed_on, news.get(spell.outlet_id, spell.placed_on))
        result = []
        for outlet_id in held:
            peers = self._peers(outlet_id, list(held))
            if len(peers) < 5:
                continue
            amounts: dict[str, list[int]] = defaultdict(list)
            for peer in peers:
                for product_id, amount in held[peer].items():
                    amounts[product_id].append(amount)
            for product_id, of in amounts.items():
                if product_id not in ever[outlet_id] and len(of) >= Fraction(2, 5) * len(peers):
                    monthly = Fraction(median(map(Fraction, of))) / 3
                    alert = self.day - news[outlet_id] > RECENT
                    result.append(Offer(outlet_id, product_id, len(of), len(peers), monthly, alert))
        return result

    def _peers(self, outlet_id: str, active: list[str]) -> list[str]:
        own = self._outlets[outlet_id]
        like = [self._outlets[k] for k in active if FORMATS[self._outlets[k].format] == FORMATS[own.format]]
        near = [o for o in like if o.city == own.city]
        return [o.key for o in (near if len(near) > 5 else like) if o.key != outlet_id]

    def services(self) -> dict[str, Service]:
        """By order key: orders whose promise has come due, or that were served."""
        return {
            order.key: self._service(order)
            for order in self.world.orders
            if order.known_from <= self.moment and order.posted and not order.deleted
            and any(line.cancelled_by != "client" for line in order.lines)
        }  # fmt: skip

    def _service(self, order: Order) -> Service:
        wanted = {line.product: line.quantity for line in order.lines if line.cancelled_by != "client"}
        shipment = order.shipment if order.shipment and order.shipment.at <= self.moment else None
        got = {line.product: line.quantity for line in shipment.lines} if shipment else {}
        served = {product: min(got.get(product, 0), quantity) for product, quantity in wanted.items()}
        full = served == wanted
        due = full or order.requested_on < self.day
        nothing = all(line.cancelled_by for line in order.lines)
        otif = delay = None
        if due:
            arrived = shipment.at.date() if shipment else self.day
            otif = full and arrived <= order.requested_on
            # What we refused altogether is not late any more: it never comes.
            delay = None if nothing else max(0, (arrived - order.requested_on).days)
        return Service(sum(wanted.values()), sum(served.values()), otif, delay, nothing)

    def standards(self) -> dict[tuple[str, date, str, str], Standard]:
        """By outlet, month, kind and name: from its first purchase until it closed."""
        first: dict[str, date] = {}
        for spell in self.spells():
            first[spell.outlet_id] = min(spell.placed_on, first.get(spell.outlet_id, spell.placed_on))
        refused = self._refused()
        result = {}
        month = min(day for cells in self.kept.values() for day in cells).replace(day=1)
        while month <= self.day:
            following = (month + timedelta(days=32)).replace(day=1)
            judged = min(following - timedelta(days=1), self.day)
            for outlet in self.world.outlets:
                closed = outlet.plan.closed_on
                if first.get(outlet.key, date.max) > judged or (closed is not None and closed < month):
                    continue
                grace = judged < first[outlet.key] + self._grace(outlet)
                own = {sku: cells for (key, sku), cells in self.kept.items() if key == outlet.key}
                kept = {
                    sku
                    for sku, cells in own.items()
                    if sum(units for day, (units, _) in cells.items() if month <= day < following) > 0
                }
                away = refused[outlet.key, month]
                for name, needed in self._breadths(outlet, judged):
                    kind = "breadth" if name.startswith("at least") else "format_breadth"
                    excused = min(len(away - kept), max(0, needed - len(kept)))
                    result[outlet.key, month, kind, name] = Standard(needed, len(kept), excused, grace)
                for name, needs in self._must_lists(outlet, judged).items():
                    there = [any(_is_there(own.get(sku, {}), judged) for sku in skus) for skus in needs]
                    lacking = [skus for skus, met in zip(needs, there, strict=True) if not met]
                    excused = sum(1 for skus in lacking if skus & away)
                    result[outlet.key, month, "must_list", name] = Standard(len(needs), sum(there), excused, grace)
            month = following
        return result

    def _refused(self) -> dict[tuple[str, date], set[str]]:
        """Positions that we cancelled, by outlet and month of the order."""
        result: dict[tuple[str, date], set[str]] = defaultdict(set)
        for order in self.world.orders:
            if order.known_from <= self.moment and order.posted and not order.deleted:
                for line in order.lines:
                    product = self.world.products[line.product]
                    if line.cancelled_by == "us" and product.kind == "Товар":
                        sku = self.world.plantings.successors.get(product.key, product.key)
                        result[order.outlet.key, order.at.date().replace(day=1)].add(sku)
        return result

    def _grace(self, outlet: Outlet) -> timedelta:
        """Two weeks, or two of its first cycles."""
        days = sorted({
            o.day for o in outlet.plan.occasions
            if o.state in {"valid", "cancelled_by_us"} and o.visible_after < self.day
        })  # fmt: skip
        gaps = sorted((later - earlier).days for earlier, later in pairwise(days[:4]))
        return timedelta(days=max(14, 2 * gaps[(len(gaps) - 1) // 2] if gaps else 0))

    def _breadths(self, outlet: Outlet, judged: date) -> list[tuple[str, int]]:
        shipped = {"supermarket": 20, "shop": 10}
        result = [("at least 10", 10)]
        own = FORMATS[outlet.format]
        said = [r for r in self.world.plantings.reference["breadth_standard"] if r["outlet_format"] == own]
        needed = [int(row["positions"]) for row in said if _is_valid(row, judged)]
        if not said and own in shipped:
            needed = [shipped[own]]
        return result + [("by format", positions) for positions in needed]

    def _must_lists(self, outlet: Outlet, judged: date) -> dict[str, list[set[str]]]:
        """Standard -> its requirements, each met by any of some positions."""
        codes = {product.code: product.key for product in self.world.products}
        formats = {"neighbourhood_shop": "shop"}
        found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        for row in self.world.plantings.reference["must_list"]:
            asked = formats.get(row["outlet_format"], row["outlet_format"])
            if asked == FORMATS[outlet.format] and _is_valid(row, judged):
                key = codes[row["product_code"]]
                sku = self.world.plantings.successors.get(key, key)
                found[row["standard"]][row["substitution_group"] or sku].add(sku)
        return {name: list(needs.values()) for name, needs in found.items()}


def _is_valid(row: dict[str, str], day: date) -> bool:
    return row["valid_from"] <= day.isoformat() <= (row["valid_to"] or "9999-12-31")


def _is_there(cells: dict[date, list[int]], judged: date) -> bool:
    """Bought and kept within thirty days, or within two of the position's own cycles."""
    year = {day: units for day, (units, _) in cells.items() if judged - timedelta(days=365) < day <= judged}
    days = sorted(day for day, units in year.items() if units > 0)
    gaps = sorted((later - earlier).days for earlier, later in pairwise(days))
    window = timedelta(days=max(30, 2 * gaps[(len(gaps) - 1) // 2] if gaps else 0))
    return bool(days) and sum(units for day, units in year.items() if day > judged - window) > 0


def _split(days: list[date]) -> list[list[date]]:
    spells: list[list[date]] = []
    for day in days:
        if spells and day - spells[-1][-1] <= HALF_YEAR:
            spells[-1].append(day)
        else:
            spells.append([day])
    return spells
