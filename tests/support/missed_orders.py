"""A second, slow reading of the rules of the missed order, straight from documents as 1C serves them.

Written from the sentences of the specification for one purpose: to check that the world's planted truths hold.
"""

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from statistics import median
from typing import Any

import holidays

from simulators.onec.base import Base
from simulators.onec.schema import EMPTY_DATE
from simulators.world import names

DAY = timedelta(days=1)
RUSSIA = holidays.RU()
WEEKDAYS = ["пн", "вт", "ср", "чт", "пт", "сб", "вс"]


@dataclass(frozen=True)
class Finding:
    """What the rules say of one outlet."""

    status: str
    basis: str = ""
    last: date | None = None
    due: date | None = None
    cycles: int = 0
    median_amount: Decimal = Decimal(0)

    @property
    def at_risk(self) -> Decimal:
        return self.median_amount * min(self.cycles, 3)


def working(day: date) -> date:
    while not RUSSIA.is_working_day(day):
        day += DAY
    return day


def records(base: Base, name: str) -> list[dict[str, Any]]:
    entity_set = base.sets[name]
    return [entity_set.document(row) for row in entity_set.rows]


def to_date(text: str) -> date:
    return datetime.fromisoformat(text).date()


def findings(base: Base, day: date) -> dict[str, Finding]:
    """Outlet's guid -> finding on the morning of `day`."""
    partners = {p["Ref_Key"]: p for p in records(base, "Catalog_Партнеры")}
    parents = {p["Parent_Key"] for p in partners.values()}
    agreements: dict[str, dict[str, Any]] = {}
    for agreement in records(base, "Catalog_СоглашенияСКлиентами"):
        until = to_date(agreement["ДатаОкончанияДействия"])
        valid = to_date(agreement["ДатаНачалаДействия"]) <= day and (until == date.min or until >= day)
        if agreement["Статус"] == "Действует" and valid and agreement["Полка_ДниЗаказа"]:
            agreements[agreement["Партнер_Key"]] = agreement
    reasons = {r["Ref_Key"]: r["Description"] for r in records(base, "Catalog_ПричиныОтменыЗаказовКлиентов")}
    orders: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for order in records(base, "Document_ЗаказКлиента"):
        orders[order["Партнер_Key"]].append(order)
    result = {}
    for key, partner in partners.items():
        if partner["Клиент"] and key not in parents:
            result[key] = judge(partner, orders.get(key, []), agreements.get(key), reasons, day)
    return result


def judge(
    partner: dict[str, Any],
    orders: Iterable[dict[str, Any]],
    agreement: dict[str, Any] | None,
    reasons: dict[str, str],
    day: date,
) -> Finding:
    closed_on = partner["Полка_ДатаЗакрытия"]
    if closed_on != EMPTY_DATE and to_date(closed_on) <= day:
        return Finding("closed")
    amounts: dict[date, Decimal] = defaultdict(Decimal)
    drafts: list[date] = []
    covered_ahead = False
    for order in orders:
        if order["DeletionMark"]:
            continue
        dated = to_date(order["Date"])
        if not order["Posted"]:
            drafts.append(dated)
            continue
        by_client = [
            line["Отменено"] and reasons.get(line["ПричинаОтмены_Key"]) in names.CANCELLED_BY_CLIENT
            for line in order["Товары"]
        ]
        all_cancelled = all(line["Отменено"] for line in order["Товары"])
        by_us = any(
            line["Отменено"] and reasons.get(line["ПричинаОтмены_Key"]) in names.CANCELLED_BY_US
            for line in order["Товары"]
        )
        if all_cancelled and not by_us:
            continue
        if dated > day or (order["Статус"] != "Закрыт" and to_date(order["ДатаОтгрузки"]) >= day):
            covered_ahead = True
        if dated > day:
            continue
        amounts[dated] += sum(
            (
                Decimal(str(line["СуммаСНДС"]))
                for line, gone in zip(order["Товары"], by_client, strict=True)
                if not gone
            ),
            Decimal(0),
        )
    days = sorted(amounts)
    if not days:
        return Finding("no_history")
    last = days[-1]
    habit = median([amounts[d] for d in days[-12:]])
    if drafts and max(drafts) > last:
        return Finding("draft")
    if covered_ahead:
        return Finding("on_time")
    ratio = min(max(amounts[last] / habit, Decimal(1)), Decimal(3)) if habit else Decimal(1)
    if agreement is not None:
        return agreed(agreement, last, habit, ratio, day)
    if len(days) == 1:
        return Finding("first_order")
    if sum(1 for d in days if last - d <= 180 * DAY) < 5:
        return Finding("little_history")
    return learned(days, habit, ratio, day)


def agreed(agreement: dict[str, Any], last: date, habit: Decimal, ratio: Decimal, day: date) -> Finding:
    weekdays = [WEEKDAYS.index(word) for word in agreement["Полка_ДниЗаказа"].split(",")]
    weeks = int(agreement["Полка_ЗаказРазВНедель"]) or 1
    start = to_date(agreement["ДатаНачалаДействия"])
    monday = start - start.weekday() * DAY
    scheduled = set()
    while monday <= day + 120 * DAY:
        scheduled |= {working(monday + weekday * DAY) for weekday in weekdays}
        monday += weeks * 7 * DAY
    ordered = sorted(scheduled)
    covered = min(ordered, key=lambda s: (abs(s - last), -s.toordinal()))
    ahead = [s for s in ordered if s > covered and s > last]
    due = ahead[math.floor(ratio - 1)]
    if day <= working(due + DAY):
        return Finding("on_time", "agreed", last, due)
    cycles = sum(1 for s in ordered if s > covered and s < day)
    status = "lapsed" if cycles >= 3 and day - last >= 30 * DAY else "missed"
    return Finding(status, "agreed", last, due, cycles, habit)


def learned(days: list[date], habit: Decimal, ratio: Decimal, day: date) -> Finding:
    last = days[-1]
    gaps = sorted([(b - a).days for a, b in pairwise(days)][-12:])
    middle = median(gaps)
    position = 0.9 * (len(gaps) - 1)
    low = gaps[math.floor(position)]
    p90 = low + (gaps[math.ceil(position)] - low) * (position - math.floor(position))
    cycle = middle * math.floor(ratio)
    late_after = working(last + max(math.ceil(cycle + 1), math.ceil(round(p90, 6))) * DAY)
    if day <= late_after:
        return Finding("on_time", "learned", last)
    cycles = max(1, math.floor((day - last).days / middle))
    status = "lapsed" if cycles >= 3 and day - last >= 30 * DAY else "missed"
    return Finding(status, "learned", last, last + math.ceil(middle) * DAY, cycles, habit)
