"""Who took nothing new for a quarter although others of its kind buy what it never had: from deliveries, no marts."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from statistics import median

from simulators.world.build import Outlet, World, morning

QUARTER = timedelta(days=90)
HALF_YEAR = timedelta(days=180)  # not bought for longer: lost, and news when it comes back
PEERS = 5  # fewer outlets of a kind say nothing
HELD_BY = Fraction(2, 5)  # of its peers: worth offering
NAMED = 3  # positions are offered at a time
ACCEPTED = Fraction(1, 2)  # share of the peers' monthly amount that an offer is worth
ESTABLISHED = 5  # days with orders in the half year up to the last
_KINDS = {
    "палатка": "kiosk", "магазин у дома": "shop", "минимаркет": "shop", "супермаркет": "supermarket", "кафе": "horeca",
    "ресторан": "horeca", "столовая": "horeca", "опт": "wholesale",
}  # fmt: skip

# Outlet and position (the code in force) -> day of the shipment -> units and kopecks that stayed there.
Kept = dict[tuple[str, str], dict[date, list[int]]]


@dataclass(frozen=True)
class WithoutNews:
    """An outlet that orders as it used to and took nothing new since `last_new_on`; `worth` in kopecks."""

    outlet: Outlet
    last_new_on: date
    worth: int


@lru_cache(maxsize=4)
def without_news(world: World, day: date) -> tuple[WithoutNews, ...]:
    """Outlets to be offered something on the morning of `day`."""
    kept, since = _kept(world, day), day - QUARTER
    had: dict[str, set[str]] = defaultdict(set)
    news: dict[str, date] = {}
    now: dict[str, dict[str, int]] = defaultdict(dict)
    for (outlet_id, position), cells in kept.items():
        bought = sorted(on for on, (units, _) in cells.items() if units > 0)
        if bought:
            had[outlet_id].add(position)
            came = [bought[0], *(later for earlier, later in pairwise(bought) if later - earlier > HALF_YEAR)]
            news[outlet_id] = max(came[-1], news.get(outlet_id, came[-1]))
        recent = [cell for on, cell in cells.items() if on > since]
        if sum(units for units, _ in recent) > 0:
            now[outlet_id][position] = sum(amount for _, amount in recent)
    stock = {world.sku(product) for (_, _, product), units in world.ledger.stock(morning(day)).items() if units > 0}
    open_now = [o for o in world.outlets if o.key in now and not (o.plan.closed_on and o.plan.closed_on <= day)]
    found = []
    for outlet in open_now:
        if day - news[outlet.key] > QUARTER and _orders_as_usual(outlet, day):
            offered = [o for o in _offers(outlet, open_now, now) if o[2] not in had[outlet.key] and o[2] in stock]
            if offered:
                worth = ACCEPTED * sum(_rounded(-amount / 3) for _, amount, _ in sorted(offered)[:NAMED])
                found.append(WithoutNews(outlet, news[outlet.key], _rounded(worth)))
    return tuple(found)


def _kept(world: World, day: date) -> Kept:
    kept: Kept = defaultdict(lambda: defaultdict(lambda: [0, 0]))
    moment = morning(day)
    skus = [world.sku(n) if p.kind == "Товар" else "" for n, p in enumerate(world.products)]
    parts = [(s, s.lines, 1) for s in world.shipments if s.at <= moment]
    parts += [(r.shipment, r.lines, -1) for r in world.returns if r.at <= moment]
    for shipment, lines, sign in parts:
        on, outlet_id = shipment.at.date(), shipment.order.outlet.key
        for line in lines:
            if skus[line.product]:
                cell = kept[outlet_id, skus[line.product]][on]
                cell[0] += sign * line.quantity
                cell[1] += sign * line.amount
    return kept


def _offers(
    outlet: Outlet, open_now: list[Outlet], now: dict[str, dict[str, int]]
) -> list[tuple[Fraction, Fraction, str]]:
    """Minus the share of the peers that hold a position, minus the median of what they pay for it in a quarter, it.

    Peers: of the same kind in the same city when there are enough of them, else everywhere.
    """
    like = [o for o in open_now if _KINDS[o.format] == _KINDS[outlet.format]]
    near = [o for o in like if o.city == outlet.city]
    among = near if len(near) > PEERS else like
    if len(among) <= PEERS:
        return []
    held: dict[str, list[int]] = defaultdict(list)
    for peer in among:
        for position, amount in now[peer.key].items():
            held[position].append(amount)
    peers = len(among) - 1
    return [
        (-Fraction(len(amounts), peers), -median(map(Fraction, amounts)), position)
        for position, amounts in held.items()
        if len(amounts) >= HELD_BY * peers
    ]


def _orders_as_usual(outlet: Outlet, day: date) -> bool:
    """Long enough known, and not late."""
    told = [o for o in outlet.plan.occasions if o.visible_after < day]
    days = sorted({o.day for o in told if o.state in {"valid", "cancelled_by_us"}})
    if not days or sum(days[-1] - on <= HALF_YEAR for on in days) < ESTABLISHED:
        return False
    drafted = any(o.state == "draft" and o.day > days[-1] for o in told)
    return not drafted and all(stop.status(day) == "on_time" for stop in outlet.plan.stops)


def _rounded(amount: Fraction) -> int:
    """Half a kopeck is a whole one."""
    return int(amount + Fraction(1, 2))
