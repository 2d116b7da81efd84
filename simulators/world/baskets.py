"""What some outlets order otherwise than usual: positions left out or halved, new and lost ones, and traps.

Only outlets that order in time and play no other part are chosen, by dice of their own. Each story ends before the
anchor day: what it means is true on that day's morning.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from fractions import Fraction
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING, Any

from simulators.world.plan import Difference, Occasion
from simulators.world.workdays import DAY, is_working

if TYPE_CHECKING:
    from simulators.world.build import Line, Outlet, World

RECENT = 14  # last orders that are told by the kopeck: the habitual basket, one price list, nothing left to chance
SHOPS = ("магазин у дома", "минимаркет")
_FAR = 240  # days back: where a position is taken off that will be back after half a year


@dataclass
class Plantings:
    """Truths and traps on the anchor's morning, and rows of the tables that people fill which belong to them.

    `earlier`: what the same stories meant on mornings before it, by the order that they were told of.
    """

    truths: list[dict[str, Any]] = field(default_factory=list)
    earlier: list[dict[str, Any]] = field(default_factory=list)
    traps: list[dict[str, str]] = field(default_factory=list)
    reference: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    successors: dict[str, str] = field(default_factory=dict)  # product key -> the key that took its place


@dataclass
class _Host:
    world: World
    outlet: Outlet
    past: list[Occasion]
    plantings: Plantings

    @property
    def last(self) -> Occasion:
        return self.past[-1]

    @property
    def top(self) -> list[int]:
        """Products of the basket, by what is paid for them."""
        lines = self.world.lines(self.outlet, "base", self.last.day)
        return [line.product for line in sorted(lines, key=lambda line: -line.amount)]

    @property
    def usual(self) -> dict[int, int]:
        return dict(self.outlet.basket)

    def line(self, product: int, quantity: int | None = None) -> Line:
        return self.world.line(self.outlet, product, quantity or self.usual[product], self.last.day)

    def another(self, rng: Random, apart_from: Sequence[int] = ()) -> int:
        """A product that the outlet never bought."""
        taken = {*self.usual, *apart_from}
        return rng.choice([p for p in range(len(self.world.products) - 2) if p not in taken])

    def truth(self, kind: str, product: int | None = None, **details: Any) -> None:
        row = {"kind": kind, "outlet_id": self.outlet.key, "client_id": self.outlet.client.key}
        if product is not None:
            key = self.world.products[product].key
            row["product_id"] = self.plantings.successors.get(key, key)
        self.plantings.truths.append({**row, **details})

    def lacked(self, product: int, orders: Sequence[Occasion], since: Occasion) -> None:
        """Two and three orders running without the position: after that it is no habit any more."""
        for absent_in_a_row, occasion in list(enumerate(orders, start=1))[1:3]:
            self.told_before(product, "habitual", occasion, absent_in_a_row, since.day.isoformat())

    def told_before(self, product: int, basis: str, order: Occasion, absent: int, last: str | None) -> None:
        """A truth about an order before the last one."""
        self.plantings.earlier.append({
            "kind": "missing_assortment", "outlet_id": self.outlet.key, "product_id": self.world.products[product].key,
            "basis": basis, "ordered_on": order.day.isoformat(), "absent_in_a_row": absent, "last_ordered_on": last,
        })  # fmt: skip

    def trap(self, kind: str) -> None:
        self.plantings.traps.append({"kind": kind, "outlet_id": self.outlet.key, "outlet_name": self.outlet.name})

    def refer(self, table: str, **row: str) -> None:
        self.plantings.reference.setdefault(table, []).append(row)

    def code(self, product: int) -> str:
        return self.world.products[product].code


# Tells one story about an outlet; False when the outlet does not suit it.
Story = Callable[[_Host, Random], bool]


def plant(world: World) -> Plantings:
    """Change the plans of some outlets; return what that means."""
    rng = Random(f"baskets:{world.seed}:{world.anchor}")
    plantings = Plantings()
    hosts = [host for outlet in world.outlets if (host := _host(world, outlet, plantings))]
    rng.shuffle(hosts)
    for count, story in STORIES:
        for _ in range(count):
            for host in hosts:
                # What is told by the kopeck is told at the prices of those orders.
                host.outlet.plan.frozen_prices_from = host.past[-RECENT].day
                if story(host, rng):
                    _tell_exactly(host)
                    hosts.remove(host)
                    break
                host.outlet.plan.frozen_prices_from = None
    _standards(world, plantings)
    plantings.truths.sort(key=lambda row: (row["kind"], row["outlet_id"], row.get("product_id", "")))
    plantings.earlier.sort(key=lambda row: (row["ordered_on"], row["outlet_id"], row["product_id"]))
    plantings.traps.sort(key=lambda row: (row["kind"], row["outlet_id"]))
    return plantings


def _standards(world: World, plantings: Plantings) -> None:
    """What outlets have to hold: a must-list of shops and the breadth of kiosks, both in two versions, the second one
    from the month before the anchor's on.
    """
    start = world.planner.start.isoformat()
    second = ((world.anchor.replace(day=1) - DAY).replace(day=1)).isoformat()
    first_until = (world.anchor.replace(day=1) - DAY).replace(day=1) - DAY
    breadth = plantings.reference.setdefault("breadth_standard", [])
    for positions, since, until in (("4", start, first_until.isoformat()), ("5", second, "")):
        breadth.append({"outlet_format": "kiosk", "positions": positions, "valid_from": since, "valid_to": until})
    held = Counter(product for outlet in world.outlets if outlet.format in SHOPS for product, _ in outlet.basket)
    common = [product for product, _ in sorted(held.items(), key=lambda item: (-item[1], item[0]))[:5]]
    # What nobody buys stands in for something: the group is one requirement, and changes nobody's orders.
    bought = {product for outlet in world.outlets for product, _ in outlet.basket}
    told = {p for outlet in world.outlets for o in outlet.plan.occasions if o.differs for p in o.differs.quantities}
    unused = [p for p in range(len(world.products) - 2) if p not in bought | told][:1]
    listed = [(common[0], "", start, ""), (common[1], "", start, first_until.isoformat()), (common[2], "", second, "")]
    listed += [(product, "основа", start, "") for product in (common[3], *unused)]
    for product, group, since, until in listed:
        plantings.reference.setdefault("must_list", []).append({
            "standard": "Основа", "outlet_format": "neighbourhood_shop", "product_code": world.products[product].code,
            "substitution_group": group, "valid_from": since, "valid_to": until,
        })  # fmt: skip


def _host(world: World, outlet: Outlet, plantings: Plantings) -> _Host | None:
    """A weekly outlet that always ordered in time, five positions at least."""
    plan = outlet.plan
    past = [o for o in plan.occasions if o.day < world.anchor]
    plain = all(o.state == "valid" and o.documents == 1 and o.entered_on is None for o in past)
    if plan.role != "regular" or plan.stops or plan.traps or not plain or len(past) < 60 or len(outlet.basket) < 5:
        return None
    gaps = _gaps(past)
    if sorted(gaps[-13:-1])[5:7] != [7, 7] or not all(6 <= gap <= 9 for gap in gaps[-6:]) or gaps[-1] < 7:
        return None
    return _Host(world, outlet, past, plantings)


def _gaps(past: Sequence[Occasion]) -> list[int]:
    return [(later.day - earlier.day).days for earlier, later in pairwise(past)]


def _tell_exactly(host: _Host) -> None:
    for occasion in host.past[-RECENT:]:
        occasion.size = "base"
        occasion.differs = occasion.differs or Difference()


def _late_gap(days: Sequence[Occasion]) -> int:
    """Nine of ten of the last twelve gaps were not longer."""
    gaps = sorted(_gaps(days)[-12:])
    return gaps[math.ceil(0.9 * len(gaps)) - 1]


def _roubles(amount: Fraction | int) -> str:
    """Kopecks, half of one rounded up, as roubles."""
    kopecks = math.floor(Fraction(amount) + Fraction(1, 2))
    return f"{kopecks // 100}.{kopecks % 100:02d}"


# missing assortment


def absent(positions: int, orders: int, *, taken_back: bool = False) -> Story:
    """Positions that the last orders lack; `taken_back`: they were in the order, and the client cancelled them."""

    def tell(host: _Host, rng: Random) -> bool:
        before = host.past[:-orders]
        last = before[-1]
        days = (host.last.day - last.day).days
        if days < _late_gap(before):
            return False
        gone = frozenset(host.top[:positions])
        for occasion in host.past[-orders:]:
            occasion.differs = Difference(taken_back=gone) if taken_back else Difference(without=gone)
        for product in gone:
            host.lacked(product, host.past[-orders:-1], last)
            host.truth(
                "missing_assortment", product, basis="habitual", ordered_on=host.last.day.isoformat(),
                absent_in_a_row=orders, last_ordered_on=last.day.isoformat(), usual_quantity=host.usual[product],
                missing_amount=_roubles(host.line(product).amount),
            )  # fmt: skip
        return True

    return tell


def agreed_and_never_bought(host: _Host, rng: Random) -> bool:
    """The agreed list has a position that the outlet never took."""
    never = host.another(rng)
    for product in (*host.usual, never):
        host.refer(
            "agreed_assortment",
            outlet_code=host.world.partner_codes[host.outlet.key],
            product_code=host.code(product),
            min_quantity="6" if product == never else "",
            valid_from=(host.last.day - 60 * DAY).isoformat(),
        )
    for occasion in host.past[:-1]:
        if occasion.day >= host.last.day - 60 * DAY:
            host.told_before(never, "agreed", occasion, 7, None)
    host.truth(
        "missing_assortment", never, basis="agreed", ordered_on=host.last.day.isoformat(), absent_in_a_row=7,
        last_ordered_on=None, usual_quantity=6, missing_amount="0.00",
    )  # fmt: skip
    return True


def absent_once(host: _Host, rng: Random) -> bool:
    """Once is no habit."""
    host.last.differs = Difference(without=frozenset(host.top[:2]))
    host.trap("absent_once")
    return True


def absent_after_our_refusal(host: _Host, rng: Random) -> bool:
    """The last time it was us who cancelled the position."""
    gone = frozenset(host.top[:1])
    host.past[-3].differs = Difference(refused=gone)
    for occasion in host.past[-2:]:
        occasion.differs = Difference(without=gone)
    host.trap("absent_after_our_refusal")
    return True


def substituted(host: _Host, rng: Random) -> bool:
    """Another position of the same group was taken instead."""
    gone, instead = host.top[0], host.another(rng)
    for occasion in host.past[-2:]:
        occasion.differs = Difference(without=frozenset([gone]), quantities={instead: host.usual[gone]})
    for product in (gone, instead):
        host.refer(
            "must_list", standard="Замены", outlet_format="wholesale", product_code=host.code(product),
            substitution_group="замена", valid_from=host.world.planner.start.isoformat(), valid_to="",
        )  # fmt: skip
    host.trap("substituted")
    return True


def stocked_up_with_it(host: _Host, rng: Random) -> bool:
    """Twice the usual quantity lasts twice as long."""
    gone = host.top[0]
    if (host.last.day - host.past[-3].day).days > 2 * _late_gap(host.past[:-2]):
        return False
    host.past[-3].differs = Difference(quantities={gone: 2 * host.usual[gone]})
    for occasion in host.past[-2:]:
        occasion.differs = Difference(without=frozenset([gone]))
    host.trap("stocked_up_with_it")
    return True


def every_third_order(host: _Host, rng: Random) -> bool:
    """A position that is never in two orders out of three."""
    rare = frozenset(host.top[:1])
    for number, occasion in enumerate(reversed(host.past)):
        if number % 3 != 2:
            occasion.differs = Difference(without=rare)
    host.trap("every_third_order")
    return True


def on_promotion_only(host: _Host, rng: Random) -> bool:
    """What was bought for a promotion is no habit."""
    promoted = host.another(rng)
    for occasion in host.past[-6:-2]:
        occasion.differs = Difference(quantities={promoted: 12})
    _promote(host, promoted, host.past[-6], host.past[-3])
    host.trap("on_promotion_only")
    return True


def _promote(host: _Host, product: int, first: Occasion, last: Occasion) -> None:
    host.refer(
        "promotion",
        product_code=host.code(product),
        client_code=host.world.partner_codes[host.outlet.client.key],
        valid_from=first.day.isoformat(),
        valid_to=last.day.isoformat(),
    )


def under_another_code(host: _Host, rng: Random) -> bool:
    """The position got another code, and is ordered under it."""
    old = host.top[0]
    both = [p for outlet in host.world.outlets if old in dict(outlet.basket) for p, _ in outlet.basket]
    new = host.another(rng, both)
    for occasion in host.outlet.plan.occasions:
        if occasion.day >= host.past[-2].day:
            occasion.differs = Difference(without=frozenset([old]), quantities={new: host.usual[old]})
    day = host.past[-2].day.isoformat()
    host.refer("product_successor", product_code=host.code(old), successor_code=host.code(new), succeeded_on=day)
    host.plantings.successors[host.world.products[old].key] = host.world.products[new].key
    host.trap("under_another_code")
    return True


# reduced quantity


def halved(host: _Host, rng: Random) -> bool:
    """Half of the three dearest positions."""
    less = {product: host.usual[product] // 2 for product in host.top[:3]}
    if min(less.values()) < 2:
        return False
    expected, ordered = _sums(host, less)
    if ordered >= Fraction(85, 100) * expected or expected - ordered < 300_00:
        return False
    host.last.differs = Difference(quantities=less)
    host.truth(
        "reduced_quantity", ordered_on=host.last.day.isoformat(), expected_amount=_roubles(expected),
        ordered_amount=_roubles(ordered), shortfall_amount=_roubles(expected - ordered),
        reduced_products=sorted(host.world.products[product].key for product in less),
    )  # fmt: skip
    return True


def _sums(host: _Host, otherwise: dict[int, int]) -> tuple[Fraction, Fraction]:
    """Usual and ordered quantities at the prices of the order, in kopecks."""
    lines = [host.line(product, otherwise.get(product)) for product in host.usual]
    prices = {line.product: Fraction(line.amount, line.quantity) for line in lines}
    expected = sum((prices[line.product] * host.usual[line.product] for line in lines), Fraction(0))
    return expected, Fraction(sum(line.amount for line in lines))


def small_because_early(host: _Host, rng: Random) -> bool:
    """Half an order after less than half a cycle is what was to be expected."""
    early = next((host.last.day + n * DAY for n in (3, 2) if is_working(host.last.day + n * DAY)), None)
    following = next((o.day for o in host.outlet.plan.occasions if o.day > host.last.day), None)
    if (
        host.outlet.plan.agreed
        or early is None
        or early >= host.world.anchor
        or following is None
        or following <= early
    ):
        return False
    small = Occasion(early, differs=Difference(quantities={p: -(-q // 2) for p, q in host.usual.items()}))
    host.world.planner.insert(host.outlet.plan, small)
    host.trap("small_because_early")
    return True


def small_after_a_promotion(host: _Host, rng: Random) -> bool:
    """After a promotion the client has enough of what was promoted."""
    promoted = host.top[:3]
    host.past[-2].differs = Difference(quantities={p: 2 * host.usual[p] for p in promoted})
    host.last.differs = Difference(quantities={p: max(1, host.usual[p] // 2) for p in promoted})
    for product in promoted:
        _promote(host, product, host.past[-2], host.past[-2])
    host.trap("small_after_a_promotion")
    return True


def we_shipped_less(host: _Host, rng: Random) -> bool:
    """Ordered as usual; it was us who brought half of it."""
    host.last.differs = Difference(shipped={p: max(1, q // 2) for p, q in host.usual.items()})
    host.trap("we_shipped_less")
    return True


def in_two_documents(host: _Host, rng: Random) -> bool:
    """The usual order, split in two."""
    host.last.documents = 2
    host.trap("in_two_documents")
    return True


def made_up_by_another(host: _Host, rng: Random) -> bool:
    """Less of the usual, and for the money something new."""
    less = {product: max(1, host.usual[product] // 2) for product in host.top[:3]}
    expected, ordered = _sums(host, less)
    new = host.another(rng)
    pieces = math.ceil((expected - ordered) / Fraction(host.line(new, 1).amount)) + 1
    host.last.differs = Difference(quantities={**less, new: pieces})
    host.trap("made_up_by_another")
    return True


def raised(host: _Host, rng: Random) -> bool:
    """Half as much again of one position, twice running: a bigger norm may be proposed."""
    more = host.top[0]
    quantity = -(-host.usual[more] * 3 // 2)
    for occasion in host.past[-2:]:
        occasion.differs = Difference(quantities={more: quantity})
    host.truth(
        "raised_quantity", more, ordered_on=host.last.day.isoformat(), ordered_quantity=quantity,
        usual_quantity=host.usual[more],
    )  # fmt: skip
    return True


# placements


def new_position(times: int) -> Story:
    """A position taken for the first time six orders ago, once or in every order since."""

    def tell(host: _Host, rng: Random) -> bool:
        new = host.another(rng)
        occasions = [o for o in host.outlet.plan.occasions if o.day >= host.past[-6].day][: times or None]
        for occasion in occasions:
            occasion.differs = Difference(quantities={new: 6})
        host.truth("new_position", new, is_stuck=times != 1)
        return True

    return tell


def lost_position(host: _Host, rng: Random) -> bool:
    """Not bought for more than half a year."""
    gone = host.top[0]
    for occasion in host.outlet.plan.occasions:
        if occasion.day > host.world.anchor - 195 * DAY:
            occasion.differs = Difference(without=frozenset([gone]))
    off = [o for o in host.past if o.differs]
    host.lacked(gone, off, host.past[-len(off) - 1])
    host.truth("lost_position", gone)
    return True


def relisted_position(host: _Host, rng: Random) -> bool:
    """Lost for more than half a year, and back for some weeks."""
    gone = host.top[0]
    for occasion in host.past:
        if host.world.anchor - _FAR * DAY < occasion.day < host.past[-5].day:
            occasion.differs = Difference(without=frozenset([gone]))
    missed = host.past[-5].day - max(o.day for o in host.past if o.day <= host.world.anchor - _FAR * DAY)
    if missed <= timedelta(days=185):
        return False
    off = [o for o in host.past if o.differs]
    host.lacked(gone, off, host.past[-len(off) - 6])
    host.truth("relisted_position", gone)
    return True


def came_back_whole(host: _Host, rng: Random) -> bool:
    """A first shipment that came back is no placement."""
    tried = host.another(rng)
    host.past[-4].differs = Difference(quantities={tried: 6}, given_back=frozenset([tried]))
    host.trap("came_back_whole")
    return True


# our own service


def shipped_late(host: _Host, rng: Random) -> bool:
    """All of it, three working days after the promise."""
    host.past[-4].differs = Difference(shipped_late_by=3)
    host.truth("shipped_late", ordered_on=host.past[-4].day.isoformat())
    return True


def shipped_short(host: _Host, rng: Random) -> bool:
    """In time, and half of it."""
    usual, less = host.usual, {p: max(1, q // 2) for p, q in host.usual.items()}
    host.past[-4].differs = Difference(shipped=less)
    host.truth(
        "shipped_short", ordered_on=host.past[-4].day.isoformat(), units_ordered=sum(usual.values()),
        units_shipped=sum(less.values()),
    )  # fmt: skip
    return True


STORIES: tuple[tuple[int, Story], ...] = (
    (1, under_another_code),
    (2, absent(2, 2)),
    (1, absent(1, 3)),
    (1, absent(1, 2, taken_back=True)),
    (1, agreed_and_never_bought),
    (2, halved),
    (1, small_because_early),
    (1, raised),
    (1, new_position(0)),
    (1, new_position(1)),
    (1, lost_position),
    (1, relisted_position),
    (1, came_back_whole),
    (1, absent_once),
    (1, absent_after_our_refusal),
    (1, substituted),
    (1, stocked_up_with_it),
    (1, every_third_order),
    (1, on_promotion_only),
    (1, small_after_a_promotion),
    (1, made_up_by_another),
    (1, we_shipped_less),
    (1, in_two_documents),
    (1, shipped_late),
    (1, shipped_short),
)
