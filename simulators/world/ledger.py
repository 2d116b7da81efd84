"""Money and goods behind the orders: terms of payment, payments, corrections, goods received, prices, costs, bonuses.

All of it follows from the shipments by plans of its own, with dice of its own: the orders stay what they are. Money is
in kopecks. `debts`, `stock` and `revenue` state the truth from the plans, without a look at any register.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import cached_property
from random import Random
from typing import Literal

from simulators.world import names
from simulators.world.build import Client, LegalEntity, Line, Return, Shipment, World, price_at, priced_line
from simulators.world.workdays import DAY, next_working

PaymentKind = Literal["bank", "cash", "card"]
Settlement = Literal["ПоЗаказам", "ПоДоговорамКонтрагентов"]
Habit = Literal["punctual", "slow", "late", "stopped"]

PURCHASE_PERCENT = 72  # what goods cost us, of the list price without VAT
CHAIN_PRICE_PERCENT = 95
DEFERRALS = (0, 7, 14, 14, 21, 30)
CREDIT_LIMITS = (30_000_00, 50_000_00, 100_000_00, 250_000_00, 600_000_00)
DELIVERED_BY = time(5, 10)
OPENING_STOCK_DAYS = 10  # goods are on the shelves this long before the first order


@dataclass(frozen=True)
class Terms:
    """What was agreed with a client, and how it keeps to it."""

    deferral_days: int
    credit_limit: int
    settlement: Settlement
    habit: Habit
    by: PaymentKind
    stopped_on: date | None = None


@dataclass(frozen=True)
class Correction:
    """A document that takes a part of one shipped line back because less was delivered than written."""

    key: str
    number: str
    at: datetime
    shipment: Shipment
    line: Line  # the difference, as positive numbers
    ordinal: int


@dataclass
class Payment:
    """Money from one legal entity: `parts` says which shipments it pays, in kopecks."""

    key: str
    number: str
    at: datetime
    kind: PaymentKind
    client: Client
    legal: LegalEntity
    parts: list[tuple[Shipment, int]]
    ordinal: int = 0

    @property
    def amount(self) -> int:
        return sum(part for _, part in self.parts)


@dataclass(frozen=True)
class Delivery:
    """Goods that a supplier brought to one of our warehouses."""

    key: str
    number: str
    at: datetime
    branch: int
    warehouse: int
    quantities: dict[int, int]  # product -> base units
    ordinal: int


@dataclass(frozen=True)
class Cost:
    """A month's bill for one kind of expense of one branch."""

    key: str
    number: str
    at: datetime
    branch: int
    article: str
    amount: int
    ordinal: int


@dataclass(frozen=True)
class Bonus:
    """Points given to (positive) or used by (negative) a client, in hundredths of a point."""

    key: str
    number: str
    at: datetime
    client: Client
    points: int
    ordinal: int


@dataclass(frozen=True)
class SettlementMove:
    """What a document does to the debt for a shipment, or to money paid ahead for it (`source` brought that money)."""

    at: datetime
    document: Shipment | Return | Correction | Payment
    shipment: Shipment
    kind: Literal["debt", "prepaid"]
    amount: int  # positive: the debt (the money paid ahead) grows
    source: Shipment | Return | Correction | Payment


class Ledger:
    """The whole of it for one world, from its first day to its horizon."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._rng = Random(f"ledger:{world.seed}:{world.anchor}")
        self.terms = {client.key: self._terms(client) for client in world.clients}

    # terms

    def _terms(self, client: Client) -> Terms:
        rng = self._rng
        chain = client.outlets[0].is_sub_partner
        form = client.outlets[0].format
        if not chain and form == "палатка":
            deferral = 0
        else:
            deferral = rng.choice(DEFERRALS[1:]) if chain else rng.choice(DEFERRALS)
        roll = rng.random()
        habit: Habit = "punctual" if roll < 0.62 else "slow" if roll < 0.87 else "late" if roll < 0.96 else "stopped"
        by: PaymentKind = "bank" if deferral else rng.choice(["cash", "cash", "card"])
        stopped = self.world.anchor - rng.randrange(25, 90) * DAY if habit == "stopped" and deferral else None
        settlement: Settlement = "ПоЗаказам" if form in {"опт", "ресторан", "столовая"} else "ПоДоговорамКонтрагентов"
        limit = 0 if not deferral else rng.choice(CREDIT_LIMITS) * (3 if chain else 1)
        return Terms(deferral, limit, settlement, habit, by, stopped)

    def due_on(self, shipment: Shipment) -> date:
        """When a shipment must be paid; a day off moves it to the next working day."""
        terms = self.terms[shipment.order.outlet.client.key]
        return next_working(shipment.at.date() + terms.deferral_days * DAY)

    # corrections

    @cached_property
    def corrections(self) -> list[Correction]:
        """In the order of their shipments."""
        rng = Random(f"corrections:{self.world.seed}:{self.world.anchor}")
        found: list[Correction] = []
        for shipment in self.world.shipments:
            if rng.random() >= 0.008:
                continue
            goods = [line for line in shipment.lines if line.quantity > 3]
            if not goods:
                continue
            line = rng.choice(goods)
            vat = self.world.products[line.product].vat_percent
            missing = priced_line(line.product, max(1, line.quantity // 5), line.price, line.discount_percent, vat)
            day = next_working(shipment.at.date() + rng.randrange(1, 5) * DAY)
            at = datetime.combine(day, time(15, rng.randrange(60), rng.randrange(60)))
            key = self.world.guid("correction", shipment.key)
            number = shipment.number.replace("УТ", "КР")
            found.append(Correction(key, number, at, shipment, missing, len(found) + 1))
        return found

    # payments

    @cached_property
    def _taken_back(self) -> dict[str, list[tuple[datetime, int]]]:
        """Shipment -> when and how much of it was returned or corrected."""
        result: dict[str, list[tuple[datetime, int]]] = defaultdict(list)
        for back in self.world.returns:
            result[back.shipment.key].append((back.at, sum(line.amount for line in back.lines)))
        for correction in self.corrections:
            result[correction.shipment.key].append((correction.at, correction.line.amount))
        return result

    @cached_property
    def payments(self) -> list[Payment]:
        """In the order of time."""
        grouped: dict[tuple[datetime, str, str, int], Payment] = {}
        for shipment in self.world.shipments:
            for at, amount in self._parts(shipment):
                order = shipment.order
                legal, client = order.outlet.legal_entity, order.outlet.client
                kind = self.terms[client.key].by
                # Cash and cards are taken per delivery, a bank order covers what is due that day.
                separate = shipment.ordinal if kind != "bank" else 0
                group = (at, legal.key, kind, separate)
                found = grouped.get(group)
                if found is None:
                    key = self.world.guid("payment", legal.key, at, kind, separate)
                    found = grouped[group] = Payment(key, "", at, kind, client, legal, [])
                found.parts.append((shipment, amount))
        payments = sorted(grouped.values(), key=lambda p: (p.at, p.key))
        counters: dict[tuple[int, str], int] = defaultdict(int)
        for ordinal, payment in enumerate(payments, start=1):
            branch = payment.client.branch
            counters[branch, payment.kind] += 1
            prefix = {"bank": "БП", "cash": "ПК", "card": "ЭК"}[payment.kind]
            payment.number = f"{names.ORGANISATIONS[branch][2]}{prefix}-{counters[branch, payment.kind]:06d}"
            payment.ordinal = ordinal
        return payments

    def _parts(self, shipment: Shipment) -> Iterator[tuple[datetime, int]]:
        """Moments and amounts in which a shipment is paid: what was taken back by then is not."""
        client = shipment.order.outlet.client
        terms = self.terms[client.key]
        shipped = shipment.at
        rng = Random(f"pay:{shipment.key}")
        if terms.by != "bank":
            minutes = rng.randrange(5, 50)
            yield shipped.replace(hour=shipped.hour + 1, minute=minutes), self._owed(shipment, shipped)
            return
        delay = {
            "punctual": rng.choice([-2, -1, 0, 0, 0]),
            "slow": rng.choice([0, 1, 2, 3, 5]),
            "late": rng.choice([5, 9, 14, 21, 34]),
            "stopped": rng.choice([0, 2, 6]),
        }[terms.habit]
        prepaid = terms.habit == "punctual" and rng.random() < 0.03
        if prepaid:
            ordered = shipment.order.at.replace(hour=17, minute=0, second=0)
            if ordered < shipped:
                whole = sum(line.amount for line in shipment.order.lines if not line.cancelled_by)
                yield ordered, whole
                return
        day = next_working(max(self.due_on(shipment) + delay * DAY, shipped.date()))
        if terms.stopped_on is not None and day >= terms.stopped_on:
            return
        at = datetime.combine(day, time(16, 0))
        owed = self._owed(shipment, at)
        if owed <= 0:
            return
        if rng.random() < 0.05:
            first = owed // 200 * 100
            later = datetime.combine(next_working(day + 10 * DAY), time(16, 0))
            if first > 0:
                yield at, first
                yield later, owed - first
                return
        yield at, owed

    def _owed(self, shipment: Shipment, at: datetime) -> int:
        taken = sum(amount for moment, amount in self._taken_back[shipment.key] if moment <= at)
        return sum(line.amount for line in shipment.lines) - taken

    @cached_property
    def settlement_moves(self) -> list[SettlementMove]:
        """Debts and money paid ahead as documents move them, in the order of time. What is paid ahead of a shipment
        covers it first; what is paid or taken back beyond the debt is kept as paid ahead."""
        credits: dict[str, list[tuple[datetime, Return | Correction | Payment, int]]] = defaultdict(list)
        for payment in self.payments:
            for shipment, amount in payment.parts:
                credits[shipment.key].append((payment.at, payment, amount))
        for back in self.world.returns:
            credits[back.shipment.key].append((back.at, back, sum(line.amount for line in back.lines)))
        for correction in self.corrections:
            credits[correction.shipment.key].append((correction.at, correction, correction.line.amount))
        moves: list[SettlementMove] = []
        for shipment in self.world.shipments:
            moves += _netted(shipment, sorted(credits[shipment.key], key=lambda credit: credit[0]))
        return sorted(moves, key=lambda move: move.at)

    # goods

    @cached_property
    def deliveries(self) -> list[Delivery]:
        """What the suppliers bring: once a full shelf, then every Monday what the week will need."""
        needs: dict[tuple[date, int, int], dict[int, int]] = defaultdict(lambda: defaultdict(int))
        for shipment in self.world.shipments:
            day = shipment.at.date()
            monday = day - day.weekday() * DAY
            place = (monday, shipment.order.outlet.client.branch, shipment.order.warehouse)
            for line in shipment.lines:
                if self.is_stocked(line.product):
                    needs[place][line.product] += line.quantity
        opening = self.world.planner.start - OPENING_STOCK_DAYS * DAY
        for branch in range(len(self.world.organisations)):
            for warehouse in range(2):
                shelf = {p: self.shelf(branch, warehouse, p) for p in range(len(self.world.products))}
                needs[opening, branch, warehouse] = {p: quantity for p, quantity in shelf.items() if quantity}
        found: list[Delivery] = []
        for ordinal, (place, quantities) in enumerate(sorted(needs.items()), start=1):
            day, branch, warehouse = place
            key = self.world.guid("delivery", place)
            number = f"{names.ORGANISATIONS[branch][2]}ПТ-{ordinal:06d}"
            at = datetime.combine(day, DELIVERED_BY)
            found.append(Delivery(key, number, at, branch, warehouse, dict(quantities), ordinal))
        return found

    def is_stocked(self, product: int) -> bool:
        """Whether the product lies in a warehouse: services do not."""
        return self.world.products[product].kind != "Услуга"

    def shelf(self, branch: int, warehouse: int, product: int) -> int:
        """Base units that always lie in a warehouse, beside what is bought for the week."""
        if not self.is_stocked(product):
            return 0
        return 40 + (product * 13 + branch * 7 + warehouse * 29) % 90

    # prices

    @cached_property
    def price_changes(self) -> list[tuple[date, int]]:
        """Days from which a price list holds, with the number of rises before it."""
        start = self.world.planner.start
        days = [start - OPENING_STOCK_DAYS * DAY]
        days += [
            day
            for year in range(start.year, self.world.planner.end.year + 1)
            for day in (date(year, 1, 1), date(year, 7, 1))
            if start < day <= self.world.planner.end
        ]
        return list(zip(days, range(len(days)), strict=True))

    def list_price(self, product: int, level: int) -> int:
        """Kopecks with VAT after `level` rises."""
        return price_at(self.world.products[product].price, level)

    def unit_cost(self, product: int, day: date) -> int:
        """What one base unit cost us, in kopecks without VAT."""
        level = max((n for start, n in self.price_changes if start <= day), default=0)
        found = self.world.products[product]
        return self.list_price(product, level) * 100 // (100 + found.vat_percent) * PURCHASE_PERCENT // 100

    # costs and bonuses

    @cached_property
    def costs(self) -> list[Cost]:
        """Bills of the last day of every month: delivery and marketing, a share of what was shipped."""
        shipped: dict[tuple[int, int, int], int] = defaultdict(int)
        for shipment in self.world.shipments:
            day, branch = shipment.at.date(), shipment.order.outlet.client.branch
            shipped[day.year, day.month, branch] += sum(line.amount for line in shipment.lines)
        found: list[Cost] = []
        for (year, month, branch), amount in sorted(shipped.items()):
            last = date(year + month // 12, month % 12 + 1, 1) - DAY
            for article, thousandths in names.COST_ARTICLES:
                key = self.world.guid("cost", year, month, branch, article)
                number = f"{names.ORGANISATIONS[branch][2]}УП-{len(found) + 1:06d}"
                at = datetime.combine(last, time(18, len(found) % 60))
                found.append(Cost(key, number, at, branch, article, amount * thousandths // 1000, len(found) + 1))
        return found

    @cached_property
    def bonuses(self) -> list[Bonus]:
        """Chains get points for every month and use most of them at the end of a quarter."""
        shipped: dict[tuple[int, int, str], int] = defaultdict(int)
        for shipment in self.world.shipments:
            client = shipment.order.outlet.client
            if client.outlets[0].is_sub_partner:
                day = shipment.at.date()
                shipped[day.year, day.month, client.key] += sum(line.amount for line in shipment.lines)
        clients = {client.key: client for client in self.world.clients}
        held: dict[str, int] = defaultdict(int)
        found: list[Bonus] = []

        def add(client: Client, at: datetime, points: int) -> None:
            ordinal = len(found) + 1
            key = self.world.guid("bonus", client.key, at, points > 0)
            number = f"{names.ORGANISATIONS[client.branch][2]}ББ-{ordinal:06d}"
            found.append(Bonus(key, number, at, client, points, ordinal))
            held[client.key] += points

        for (year, month, key), amount in sorted(shipped.items()):
            last = date(year + month // 12, month % 12 + 1, 1) - DAY
            add(clients[key], datetime.combine(last, time(20, 0)), amount // 100)
            if month % 3 == 0 and held[key] > 0:
                add(clients[key], datetime.combine(last, time(21, 0)), -(held[key] * 4 // 5))
        return found

    # the truth, straight from the plans

    def debts(self, moment: datetime) -> dict[str, tuple[int, int]]:
        """Legal entity -> (what it owes less what it paid ahead, what of it is overdue), in kopecks."""
        net: dict[str, int] = defaultdict(int)
        overdue: dict[str, int] = defaultdict(int)
        paid: dict[str, int] = defaultdict(int)
        for payment in self.payments:
            if payment.at <= moment:
                for shipment, amount in payment.parts:
                    paid[shipment.key] += amount
                    net[payment.legal.key] -= amount
        for shipment in self.world.shipments:
            if shipment.at > moment:
                continue
            key = shipment.order.outlet.legal_entity.key
            owed = self._owed(shipment, moment)
            net[key] += owed
            if self.due_on(shipment) < moment.date():
                overdue[key] += max(owed - paid[shipment.key], 0)
        return {key: (amount, overdue[key]) for key, amount in net.items() if amount or overdue[key]}

    def stock(self, moment: datetime) -> dict[tuple[int, int, int], int]:
        """(branch, warehouse, product) -> base units: the shelf, what came for later this week, what came back."""
        result = {
            (branch, warehouse, product): self.shelf(branch, warehouse, product)
            for branch in range(len(self.world.organisations))
            for warehouse in range(2)
            for product in range(len(self.world.products))
        }
        monday = moment.date() - moment.weekday() * DAY
        unloaded = moment >= datetime.combine(monday, DELIVERED_BY)
        for shipment in self.world.shipments:
            if unloaded and shipment.at > moment and monday <= shipment.at.date() < monday + 7 * DAY:
                for line in shipment.lines:
                    place = (shipment.order.outlet.client.branch, shipment.order.warehouse, line.product)
                    if self.is_stocked(line.product):
                        result[place] += line.quantity
        backs = [(back.at, back.shipment, back.lines) for back in self.world.returns]
        backs += [(c.at, c.shipment, [c.line]) for c in self.corrections]
        for at, shipment, lines in backs:
            if at <= moment:
                for line in lines:
                    place = (shipment.order.outlet.client.branch, shipment.order.warehouse, line.product)
                    if self.is_stocked(line.product):
                        result[place] += line.quantity
        return {place: quantity for place, quantity in result.items() if quantity}

    def revenue(self, moment: datetime) -> dict[tuple[date, int], int]:
        """(day, branch) -> kopecks with VAT: shipped less taken back, each on its own day."""
        result: dict[tuple[date, int], int] = defaultdict(int)
        for shipment in self.world.shipments:
            if shipment.at <= moment:
                place = (shipment.at.date(), shipment.order.outlet.client.branch)
                result[place] += sum(line.amount for line in shipment.lines)
        for back in self.world.returns:
            if back.at <= moment:
                place = (back.at.date(), back.shipment.order.outlet.client.branch)
                result[place] -= sum(line.amount for line in back.lines)
        for correction in self.corrections:
            if correction.at <= moment:
                place = (correction.at.date(), correction.shipment.order.outlet.client.branch)
                result[place] -= correction.line.amount
        return dict(result)


def _netted(
    shipment: Shipment, credits: list[tuple[datetime, Return | Correction | Payment, int]]
) -> Iterator[SettlementMove]:
    debt = 0
    ahead: list[tuple[Return | Correction | Payment, int]] = []
    before = [credit for credit in credits if credit[0] < shipment.at]
    for at, document, amount in before:
        ahead.append((document, amount))
        yield SettlementMove(at, document, shipment, "prepaid", amount, document)
    left = sum(line.amount for line in shipment.lines)
    for document, amount in ahead:
        used = min(amount, left)
        left -= used
        if used:
            yield SettlementMove(shipment.at, shipment, shipment, "prepaid", -used, document)
    if left:
        debt = left
        yield SettlementMove(shipment.at, shipment, shipment, "debt", debt, shipment)
    for at, document, amount in credits[len(before) :]:
        used = min(amount, debt)
        debt -= used
        if used:
            yield SettlementMove(at, document, shipment, "debt", -used, shipment)
        if amount > used:
            yield SettlementMove(at, document, shipment, "prepaid", amount - used, document)
