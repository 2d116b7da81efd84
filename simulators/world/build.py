"""The whole world: its people and goods, the outlets with their plans, and the documents that follow from the plans."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time
from functools import cache, cached_property
from random import Random
from typing import TYPE_CHECKING

from simulators.world import names, people
from simulators.world.baskets import plant
from simulators.world.cast import CAST, LATER_STOPS, later_stop
from simulators.world.plan import HORIZON_DAYS, Difference, Occasion, OutletPlan, Planner, Size
from simulators.world.workdays import DAY, add_working, next_working

if TYPE_CHECKING:
    from simulators.world.ledger import Ledger

FORMATS = (  # format, channel, share of 300 outlets, positions in the habitual basket
    ("палатка", "Традиционная розница", 40, (3, 5)),
    ("магазин у дома", "Традиционная розница", 95, (5, 10)),
    ("минимаркет", "Традиционная розница", 55, (6, 11)),
    ("супермаркет", "Сети", 30, (9, 15)),
    ("кафе", "HoReCa", 30, (4, 8)),
    ("ресторан", "HoReCa", 15, (5, 9)),
    ("столовая", "HoReCa", 15, (5, 9)),
    ("опт", "Опт", 20, (7, 12)),
)
CHAIN_SIZES = (14, 9, 7, 7, 6, 5, 5, 4, 4, 4, 3, 3, 3, 3, 3, 3, 2, 2, 2, 2, 2, 2, 2, 2)
OUTLETS = 300
MORNING = time(6, 0)  # the base is read at six


@dataclass(frozen=True)
class Manager:
    key: str
    name: str
    email: str
    phone: str
    branch: int


@dataclass(frozen=True)
class Product:
    key: str
    code: str
    name: str
    article: str
    group: str
    brand: str
    unit: str
    kind: str
    vat_percent: int
    price: int  # kopecks with VAT, at the beginning of the history


@dataclass
class LegalEntity:
    key: str
    name: str
    full_name: str
    inn: str
    kpp: str
    is_company: bool


@dataclass
class Client:
    key: str
    name: str
    full_name: str
    branch: int
    manager: Manager
    city: str
    registered_on: date
    discount_percent: int
    legal_entities: list[LegalEntity] = field(default_factory=list)
    outlets: list[Outlet] = field(default_factory=list)


@dataclass
class Outlet:
    """A point of delivery. Its key is the client's own when the client has no other."""

    key: str
    name: str
    format: str
    channel: str
    city: str
    address: str
    phone: str
    email: str
    client: Client
    legal_entity: LegalEntity
    agreement_key: str
    basket: list[tuple[int, int]]  # product number, habitual quantity
    plan: OutletPlan

    @property
    def is_sub_partner(self) -> bool:
        return self.key != self.client.key


@dataclass(frozen=True, eq=False)
class Line:
    """Quantities in units, money in kopecks; `amount` is after the discount and with VAT. Orders share equal lines."""

    product: int
    quantity: int
    price: int
    amount: int
    vat: int
    discount_percent: int
    discount: int
    cancelled_by: str = ""  # "", "us", "client"


@dataclass
class Order:
    key: str
    number: str
    at: datetime
    known_from: datetime
    outlet: Outlet
    posted: bool
    deleted: bool
    requested_on: date
    lines: list[Line]
    reason: int
    comment: str
    warehouse: int
    ordinal: int
    shipment: Shipment | None = None


@dataclass
class Shipment:
    key: str
    number: str
    at: datetime
    order: Order
    lines: list[Line]
    ordinal: int


@dataclass
class Return:
    key: str
    number: str
    at: datetime
    shipment: Shipment
    lines: list[Line]
    reason: str
    ordinal: int


class World:
    """Everything that is and will be, from 18 months before `anchor` to some weeks after it.

    The same seed and anchor give the same world. `onec.base_on(world, day)` serves it as one morning knows it.
    """

    def __init__(self, seed: int, anchor: date, *, outlets: int = OUTLETS, horizon_days: int = HORIZON_DAYS) -> None:
        self.seed = seed
        self.anchor = anchor
        self._size = outlets
        self._rng = Random(f"polka:{seed}:{anchor}")
        self.planner = Planner(self._rng, anchor, horizon_days)
        self.organisations = [self.guid("organisation", n) for n in range(len(names.ORGANISATIONS))]
        self.managers = [self._manager(n) for n in range(len(names.MANAGERS))]
        self.products = self._products()
        self.clients = self._clients()
        self.outlets = [outlet for client in self.clients for outlet in client.outlets]
        self._baskets: dict[tuple[str, Size, int], list[Line]] = {}
        self.plantings = plant(self)
        self.orders: list[Order] = []
        self.shipments: list[Shipment] = []
        self.returns: list[Return] = []
        self._write_documents()

    @cached_property
    def ledger(self) -> Ledger:
        """Money and goods behind the orders, worked out when somebody asks."""
        from simulators.world.ledger import Ledger  # it is written in terms of this module

        return Ledger(self)

    def guid(self, kind: str, *parts: object) -> str:
        """A stable identifier of the seed's world."""
        digest = hashlib.md5(f"{self.seed}:{kind}:{parts}".encode(), usedforsecurity=False).digest()
        return str(uuid.UUID(bytes=digest))

    @cached_property
    def partner_codes(self) -> dict[str, str]:
        """1C's Code of each client and outlet: numbered as they come, a chain before its outlets."""
        keys = list(dict.fromkeys(key for c in self.clients for key in (c.key, *(outlet.key for outlet in c.outlets))))
        return {key: f"00-{number:08d}" for number, key in enumerate(keys, start=1)}

    # people and goods

    def _manager(self, number: int) -> Manager:
        name = names.MANAGERS[number]
        email = f"{names.MANAGER_LOGINS[number]}@distributor.example"
        return Manager(self.guid("manager", number), name, email, people.phone(self._rng), number % 3)

    def _products(self) -> list[Product]:
        products: list[Product] = []
        for brand, (group, items) in names.ASSORTMENT.items():
            for name, unit, price, vat in items:
                products.append(self._product(len(products), name, group, brand, unit, "Товар", vat, price))
        for name, kind, price in names.NON_GOODS:
            products.append(self._product(len(products), name, "Услуги и тара", "", "шт", kind, 22, price))
        return products

    def _product(
        self, n: int, name: str, group: str, brand: str, unit: str, kind: str, vat: int, price: str
    ) -> Product:
        full = f"{name} «{brand}»" if brand and '"' not in brand else f"{name} {brand}".strip()
        kopecks = int(price.replace(".", ""))
        return Product(
            self.guid("product", n), f"НФ-{n + 1:08d}", full, f"{4600 + n}", group, brand, unit, kind, vat, kopecks
        )

    # clients and outlets

    def _clients(self) -> list[Client]:
        rng = self._rng
        formats = [row for row in FORMATS for _ in range(row[2])]
        singles = self._size - sum(CHAIN_SIZES)
        chain_formats = [row for row in formats if row[0] in {"магазин у дома", "минимаркет", "супермаркет", "кафе"}]
        rng.shuffle(chain_formats)
        chained = sorted(chain_formats[: sum(CHAIN_SIZES)], key=lambda row: row[0])
        rest = list(formats)
        for row in chained:
            rest.remove(row)
        rng.shuffle(rest)
        plans = self._plans()
        seven_of_chain = self._seven_plans()
        clients: list[Client] = []
        for size in CHAIN_SIZES:
            client = self._client(len(clients), chain=True)
            rows = [chained.pop() for _ in range(size)]
            for row in rows:
                own = seven_of_chain if size == 7 and seven_of_chain else plans
                self._add_outlet(client, row, own.pop(), sub_partner=True)
            clients.append(client)
        for _ in range(singles):
            client = self._client(len(clients), chain=False)
            self._add_outlet(client, rest.pop(), plans.pop(), sub_partner=False)
            clients.append(client)
        return clients

    def _plans(self) -> list[OutletPlan]:
        """Plans of all outlets but those of the «3 из 7» client, shuffled."""
        planner, plans = self.planner, []
        for count, part in CAST:
            plans += [plan for plan in (part(planner) for _ in range(count)) if plan is not None]
        plans += [plan for plan in (later_stop(planner) for _ in range(self._later_stops())) if plan is not None]
        while len(plans) < self._size - 7:
            plans.append(planner.regular_agreed() if self._rng.random() < 0.45 else planner.regular_learned())
        self._rng.shuffle(plans)
        return plans

    def _later_stops(self) -> int:
        """One and a bit a day, as long as some outlets keep their rhythm."""
        days = (self.planner.end - self.anchor).days
        return min(LATER_STOPS * days // HORIZON_DAYS, 2 * LATER_STOPS)

    def _seven_plans(self) -> list[OutletPlan]:
        """One client with seven outlets: three of them missed their order."""
        plans: list[OutletPlan] = []
        while len(plans) < 3:
            plan = self.planner.missed_agreed(1 + len(plans) % 2) or self.planner.missed_learned(1 + len(plans) % 2)
            if plan is None:  # no room for one missed cycle: long holidays
                plan = self.planner.missed_agreed(2) or self.planner.missed_learned(2) or self.planner.regular_agreed()
            plan.traps.append("three_of_seven")
            plans.append(plan)
        plans += [self.planner.regular_agreed() for _ in range(4)]
        self._rng.shuffle(plans)
        return plans

    def _client(self, number: int, *, chain: bool) -> Client:
        rng = self._rng
        manager = self.managers[number % len(self.managers)]
        branch = manager.branch
        city = rng.choice(names.REGIONS[branch][1])
        registered = self.planner.start - rng.randrange(10, 2000) * DAY
        discount = rng.choice([0, 0, 0, 0, 3, 5, 7]) if not chain else rng.choice([5, 7, 10])
        client = Client(self.guid("partner", number), "", "", branch, manager, city, registered, discount)
        for index in range(rng.choice([1, 1, 2, 3]) if chain else 1):
            client.legal_entities.append(self._legal_entity(number, index, chain, names.ORGANISATIONS[branch][4]))
        if chain:
            client.name = f"Сеть «{names.CHAIN_WORDS[number]}»"
            client.full_name = f"Торговая сеть «{names.CHAIN_WORDS[number]}», {client.legal_entities[0].name}"
        return client

    def _legal_entity(self, client: int, index: int, chain: bool, region: str) -> LegalEntity:
        rng = self._rng
        key = self.guid("legal entity", client, index)
        if chain or rng.random() < 0.3:
            word = names.CHAIN_WORDS[client] if chain else rng.choice(names.SHOP_WORDS)
            number = f"-{index + 1}" if index else ""
            return LegalEntity(
                key,
                f"{word}{number} ООО",
                f'Общество с ограниченной ответственностью "{word}{number}"',
                people.company_inn(rng, region + "45"),
                f"{region}4501001",
                True,
            )
        trader = people.sole_trader(rng)
        return LegalEntity(
            key,
            f"{trader} ИП",
            f"Индивидуальный предприниматель {trader}",
            people.person_inn(rng, region + "45"),
            "",
            False,
        )

    def _add_outlet(
        self, client: Client, row: tuple[str, str, int, tuple[int, int]], plan: OutletPlan, *, sub_partner: bool
    ) -> None:
        rng = self._rng
        form, channel, _, (fewest, most) = row
        number = len(client.outlets) + 1
        address = people.address(rng, client.city)
        short = address.split(", ", 2)[2].replace(", дом", ",")
        if sub_partner:
            key = self.guid("outlet", client.key, number)
            word = client.name.removeprefix("Сеть ")
            name = f"{word} № {number} ({short})"
        else:
            key = client.key
            name = client.name = self._shop_name(form, client.legal_entities[0], short)
            client.full_name = f"{name}, {client.legal_entities[0].full_name}"
        factor = 6 if form == "опт" else 2 if form == "супермаркет" else 1
        count = rng.randint(fewest, most)
        basket = [(p, rng.randint(3, 14) * factor) for p in rng.sample(range(len(self.products) - 2), count)]
        digits = key[:6]
        client.outlets.append(
            Outlet(
                key,
                name,
                form,
                channel,
                client.city,
                address,
                people.phone(rng),
                f"zakaz-{digits}@shop.example" if rng.random() < 0.6 else "",
                client,
                rng.choice(client.legal_entities),
                self.guid("agreement", key),
                basket,
                plan,
            )
        )

    def _shop_name(self, form: str, legal: LegalEntity, short: str) -> str:
        rng = self._rng
        if form == "палатка":
            return f"Павильон № {rng.randrange(1, 90)}, {short} ({legal.name})"
        if form == "кафе":
            return f"Кафе «{rng.choice(names.CAFE_WORDS)}», {short}"
        if form == "ресторан":
            return f"Ресторан «{rng.choice(names.RESTAURANT_WORDS)}», {short}"
        if form == "столовая":
            return f"{rng.choice(names.CANTEEN_WORDS)}, {short}"
        if form == "опт":
            return (
                f"{rng.choice(names.WHOLESALE_WORDS)} {rng.choice(['Юг', 'Север', 'Центр', 'плюс', 'и К°'])} ({short})"
            )
        word = rng.choice(names.SHOP_WORDS)
        quoted = rng.choice([f"«{word}»", f'"{word}"', f"«{word}»"])
        kind = {"магазин у дома": rng.choice(["Магазин", "Продукты", ""]), "минимаркет": "Минимаркет"}.get(
            form, "Супермаркет"
        )
        return f"{kind} {quoted}, {legal.name}, {short}".strip()

    # documents

    def _write_documents(self) -> None:
        pending = [
            (occasion, part, outlet)
            for outlet in self.outlets
            for occasion in outlet.plan.occasions
            for part in range(occasion.documents)
        ]
        pending.sort(key=lambda item: (item[0].visible_after, item[0].day, item[2].key, item[1]))
        counters = [0] * len(self.organisations)
        for occasion, part, outlet in pending:
            branch = outlet.client.branch
            counters[branch] += 1
            number = f"{names.ORGANISATIONS[branch][2]}00-{counters[branch]:06d}"
            order = self._order(occasion, part, outlet, number)
            self.orders.append(order)
            if occasion.state == "valid":
                self._ship(order, occasion, f"{names.ORGANISATIONS[branch][2]}УТ-{counters[branch]:06d}")

    def _order(self, occasion: Occasion, part: int, outlet: Outlet, number: str) -> Order:
        rng = self._rng
        hour, minute = occasion.at or (rng.randrange(9, 18), rng.randrange(60))
        at = datetime.combine(occasion.day, time(hour, (minute + part) % 60, rng.randrange(60)))
        known = at if occasion.entered_on is None else datetime.combine(occasion.entered_on, time(16, 30))
        client_cancelled = occasion.state == "cancelled_by_client"
        lines = self.lines(outlet, occasion.size, occasion.day)
        if occasion.documents == 2:
            half = len(lines) // 2
            lines = lines[:half] if part == 0 else lines[half:]
        if occasion.state in {"cancelled_by_us", "cancelled_by_client"}:
            lines = [_cancelled(line, "client" if client_cancelled else "us") for line in lines]
        elif occasion.differs:
            lines = self._differing(outlet, lines, occasion.differs, occasion.day)
        elif part == occasion.documents - 1 and rng.random() < 0.05:
            lines = self._with_cancelled_lines(outlet, lines, occasion.day)
        return Order(
            key=self.guid("order", self.anchor, outlet.key, occasion.day, occasion.visible_after, part, occasion.state),
            number=number,
            at=at,
            known_from=known,
            outlet=outlet,
            posted=occasion.state not in {"draft", "deleted"},
            deleted=occasion.state == "deleted",
            requested_on=occasion.requested_on or next_working(occasion.day + DAY),
            lines=lines,
            reason=rng.randrange(4),
            comment=rng.choice(names.COMMENTS),
            warehouse=part % 2,
            ordinal=len(self.orders) + 1,
        )

    def price_level(self, outlet: Outlet, day: date) -> int:
        """How often the outlet's prices have risen by then."""
        frozen = outlet.plan.frozen_prices_from
        return _half_years(self.planner.start, day if frozen is None else min(day, frozen))

    def lines(self, outlet: Outlet, size: Size, day: date) -> list[Line]:
        """The habitual basket, or somewhat less or more of it."""
        level = self.price_level(outlet, day)
        key = (outlet.key, size, level)
        if key not in self._baskets:
            self._baskets[key] = [
                self._line(product, _sized(quantity, size), level, outlet.client.discount_percent)
                for product, quantity in outlet.basket
            ]
        return self._baskets[key]

    def _line(self, product: int, quantity: int, level: int, discount_percent: int) -> Line:
        found = self.products[product]
        return priced_line(product, quantity, price_at(found.price, level), discount_percent, found.vat_percent)

    def line(self, outlet: Outlet, product: int, quantity: int, day: date) -> Line:
        """What the outlet pays for a product on a day."""
        return self._line(product, quantity, self.price_level(outlet, day), outlet.client.discount_percent)

    def _differing(self, outlet: Outlet, lines: list[Line], differs: Difference, day: date) -> list[Line]:
        """The basket as it was planned to differ; further products come last."""
        wanted = {line.product: line.quantity for line in lines} | dict(differs.quantities)
        result = []
        for product, quantity in wanted.items():
            if product not in differs.without:
                line = self.line(outlet, product, quantity, day)
                by = "us" if product in differs.refused else "client" if product in differs.taken_back else ""
                result.append(_cancelled(line, by) if by else line)
        return result

    def _with_cancelled_lines(self, outlet: Outlet, lines: list[Line], day: date) -> list[Line]:
        """Now and then we cannot deliver a line, or the client takes one back. Neither changes what it wanted to buy:
        a line of the basket that we cancelled still counts, one that the client cancelled was an extra one."""
        rng = self._rng
        lines = list(lines)
        if rng.random() < 0.5 and len(lines) > 1:
            at = rng.randrange(len(lines))
            lines[at] = _cancelled(lines[at], "us")
        else:
            inside = {product for product, _ in outlet.basket}
            extra = next(p for p in rng.sample(range(len(self.products) - 2), len(inside) + 1) if p not in inside)
            level = _half_years(self.planner.start, day)
            lines.append(_cancelled(self._line(extra, 5, level, outlet.client.discount_percent), "client"))
        return lines

    def _ship(self, order: Order, occasion: Occasion, number: str) -> None:
        rng = self._rng
        lines = [line for line in order.lines if not line.cancelled_by]
        differs = occasion.differs
        if differs:
            lines = [self._part_of(line, differs.shipped.get(line.product, line.quantity)) for line in lines]
        elif rng.random() < 0.06 and lines:
            at = rng.randrange(len(lines))
            short = lines[at].quantity - max(1, lines[at].quantity // 3)
            if short > 0:
                lines = [*lines[:at], self._part_of(lines[at], short), *lines[at + 1 :]]
        if not differs and rng.random() < 0.03:
            lines = [*lines, priced_line(len(self.products) - 2, 1, self.products[-2].price, 0, 22)]
        if not lines:
            return
        day = max(order.requested_on, next_working(order.known_from.date() + DAY))
        if differs and differs.shipped_late_by:
            day = add_working(day, differs.shipped_late_by)
        at_time = datetime.combine(day, time(rng.randrange(7, 12), rng.randrange(60), rng.randrange(60)))
        shipment = Shipment(self.guid("shipment", order.key), number, at_time, order, lines, len(self.shipments) + 1)
        order.shipment = shipment
        self.shipments.append(shipment)
        given_back = [line for line in lines if differs and line.product in differs.given_back]
        if occasion.returned or given_back or (not differs and rng.random() < 0.02):
            days = 1 if occasion.returned or given_back else rng.randrange(2, 9)
            at_time = datetime.combine(add_working(day, days), time(13, rng.randrange(60)))
            taken = given_back or [self._part_of(lines[0], max(1, lines[0].quantity // 4))]
            reason = rng.choice(names.RETURN_REASONS)
            ordinal = len(self.returns) + 1
            self.returns.append(
                Return(
                    self.guid("return", order.key),
                    number.replace("УТ", "ВЗ"),
                    at_time,
                    shipment,
                    taken,
                    reason,
                    ordinal,
                )
            )

    def sku(self, product: int) -> str:
        """Key of the product, or of the one that took its place."""
        key = self.products[product].key
        return self.plantings.successors.get(key, key)

    def _part_of(self, line: Line, quantity: int) -> Line:
        vat_percent = self.products[line.product].vat_percent
        return priced_line(line.product, quantity, line.price, line.discount_percent, vat_percent)

    def habitual_amount(self, outlet: Outlet) -> int:
        """Kopecks of the outlet's habitual basket at the prices of its last orders."""
        day = outlet.plan.frozen_prices_from or self.anchor
        return sum(line.amount for line in self.lines(outlet, "base", day))


def priced_line(product: int, quantity: int, price: int, discount_percent: int, vat_percent: int) -> Line:
    """A line of `quantity` units at a price with VAT, discount taken off, rounded to kopecks."""
    whole = price * quantity
    discount = (whole * discount_percent + 50) // 100
    amount = whole - discount
    vat = (amount * vat_percent * 2 + 100 + vat_percent) // (2 * (100 + vat_percent))
    return Line(product, quantity, price, amount, vat, discount_percent, discount)


def _sized(quantity: int, size: Size) -> int:
    """A little less or more: never so much that it is worth a word, even when the norm itself was a little off."""
    if size == "double":
        return quantity * 2 + max(1, quantity // 4)
    step = quantity // 8
    return quantity + step if size == "more" else quantity - step if size == "less" else quantity


def _cancelled(line: Line, by: str) -> Line:
    return replace(line, cancelled_by=by)


def _half_years(start: date, day: date) -> int:
    """How often prices have risen since `start`: price lists change on 1 January and 1 July."""
    return (day.year - start.year) * 2 + (day.month > 6) - (start.month > 6)


@cache
def price_at(price: int, times: int) -> int:
    """A list price after it has risen so many times."""
    for _ in range(max(times, 0)):
        price = round(price * 1.04 / 10) * 10
    return price


def morning(day: date) -> datetime:
    """When the base is read on `day`."""
    return datetime.combine(day, MORNING)
