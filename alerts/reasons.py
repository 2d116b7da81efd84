"""The reasons of a call by name: their short names, and what a text of one needs beyond the facts themselves."""

from collections.abc import Iterator, Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from alerts import wording
from alerts.followups import MAX_CYCLES_AT_RISK, Finding
from alerts.wording import Language

MISSED_ORDER = "missed_order"
MONTHLY = "no_new_positions"
"""Its money is an amount a month, not one of an order."""

_LISTED = {"missing_assortment": "positions", "reduced_quantity": "positions"}
# One outlet or client; several outlets of a client ("... в 3 из 7 точек").
_NAMES: dict[Language, dict[str, tuple[str, str]]] = {
    "ru": {
        "missed_order": ("Нет заказа вовремя", "Нет заказа"),
        "lapsed": ("Давно не заказывал", "Давно нет заказа"),
        "overdue_debt": ("Просрочен долг", "Просрочен долг"),
        "missing_assortment": ("Не взял позиции", "Не взяли позиции"),
        "reduced_quantity": ("Взял меньше", "Взяли меньше обычного"),
        "no_new_positions": ("Нет новых позиций", "Нет новых позиций"),
        "second_order": ("Нет второго заказа", "Нет второго заказа"),
        "signed_never_shipped": ("Подписан, но не заказывал", "Подписан, но не заказывал"),
        "pre_due_reminder": ("Ждём заказ", "Ждём заказ"),
        "discount_threshold": ("Близко к скидке", "Близко к скидке"),
    },
    "en": {
        "missed_order": ("No order in time", "No order"),
        "lapsed": ("Has not ordered for long", "No order for long"),
        "overdue_debt": ("Overdue debt", "Overdue debt"),
        "missing_assortment": ("Items left out", "Items left out"),
        "reduced_quantity": ("Took less", "Took less than usual"),
        "no_new_positions": ("No new items", "No new items"),
        "second_order": ("No second order", "No second order"),
        "signed_never_shipped": ("Signed, never ordered", "Signed, never ordered"),
        "pre_due_reminder": ("An order is due", "An order is due"),
        "discount_threshold": ("A discount is near", "A discount is near"),
    },
}
# The money of one reason among that of others.
_SHARES: dict[Language, dict[str, str]] = {
    "ru": {
        "missed_order": "заказы {}",
        "lapsed": "прежние заказы {}",
        "overdue_debt": "долг {}",
        "missing_assortment": "позиции {}",
        "reduced_quantity": "недобор {}",
        "no_new_positions": "новое {} в месяц",
        "second_order": "второй заказ {}",
        "signed_never_shipped": "первый заказ {}",
    },
    "en": {
        "missed_order": "orders {}",
        "lapsed": "former orders {}",
        "overdue_debt": "debt {}",
        "missing_assortment": "items {}",
        "reduced_quantity": "shortfall {}",
        "no_new_positions": "new items {} a month",
        "second_order": "second order {}",
        "signed_never_shipped": "first order {}",
    },
}
# What to do about a reason that is not the main one of its row.
_ALSO: dict[Language, dict[str, str]] = {
    "ru": {
        "missed_order": "Затем спросите, почему нет заказа, и предложите обычный.",
        "lapsed": "Спросите, почему перестали заказывать.",
        "overdue_debt": "Напомните о долге и запишите дату оплаты.",
        "missing_assortment": "Спросите о позициях, которых не было в заказах.",
        "reduced_quantity": "Узнайте, почему взяли меньше.",
        "no_new_positions": "Предложите новое: {names}.",
        "second_order": "Предложите второй заказ.",
        "signed_never_shipped": "Предложите первый заказ.",
        "pre_due_reminder": "Напомните о заказе.",
        "discount_threshold": "Скажите, что скидка близко.",
    },
    "en": {
        "missed_order": "Then ask why there is no order and offer the usual one.",
        "lapsed": "Ask why they stopped ordering.",
        "overdue_debt": "Remind them of the debt and write down the day of payment.",
        "missing_assortment": "Ask about the items that the orders lack.",
        "reduced_quantity": "Find out why they took less.",
        "no_new_positions": "Offer something new: {names}.",
        "second_order": "Offer a second order.",
        "signed_never_shipped": "Offer a first order.",
        "pre_due_reminder": "Remind them of the order.",
        "discount_threshold": "Tell them that the discount is near.",
    },
}


def name(reason: str, language: Language, *, many: bool = False) -> str:
    """What people call the reason; an unknown one is called by its id."""
    one, several = _NAMES[language].get(reason, (reason, reason))
    return several if many else one


def share(reason: str, amount: str, language: Language) -> str:
    """'долг 60 357 ₽': what one reason adds to the money of a row with several."""
    return _SHARES[language].get(reason, f"{reason} {{}}").format(amount)


def names(language: Language) -> dict[str, str]:
    """Reason -> what people call it."""
    return {reason: one for reason, (one, _) in _NAMES[language].items()}


def also(finding: Finding | None, reason: str, language: Language) -> str:
    """What else to do in the same call."""
    candidates = finding.facts.get("candidates") or [] if finding else []
    text = _ALSO[language].get(reason, "")
    return text.format(names=", ".join(one["name"] for one in candidates)) if candidates or "{" not in text else ""


def wordings(finding: Finding, language: Language) -> Iterator[Mapping[str, Any]]:
    """Values for the fact's template: the fullest wording first, then ever shorter ones that name fewer positions."""
    facts = finding.facts
    listed = facts.get(_LISTED.get(finding.reason, "")) or []
    values = {
        "facts": facts,
        "is_blocking": finding.is_blocking,
        "little_history": finding.confidence != "ok",
        "rhythm": _rhythm(facts, language) if "basis" in facts else "",
        "share": _share_lost(facts),
        "in_stock": in_stock(listed),
    }
    for shown in range(len(listed), -1, -1):
        yield {**values, "named": listed[:shown], "more": len(listed) - shown}
        if not shown:
            # Nothing to leave out any more but the remark about the stock.
            yield {**values, "named": [], "more": len(listed), "in_stock": False}


def in_stock(positions: list[Mapping[str, Any]]) -> bool:
    """Whether our warehouse is known to hold every one of them."""
    return bool(positions) and all((position.get("on_hand_quantity") or 0) > 0 for position in positions)


def factors(finding: Finding) -> tuple[Decimal, Decimal] | None:
    """(how many times, which amount) the money at risk is made of, where it is a product."""
    facts = finding.facts
    if finding.reason == "lapsed" and facts.get("median_amount") is not None:
        return Decimal(min(facts.get("missed_cycles") or 0, MAX_CYCLES_AT_RISK)), Decimal(facts["median_amount"])
    amount = {"missing_assortment": "order_amount", "reduced_quantity": "shortfall_amount"}.get(finding.reason)
    if amount and facts.get(amount) is not None and facts.get("orders_counted") is not None:
        return Decimal(facts["orders_counted"]), Decimal(facts[amount])
    return None


def _share_lost(facts: Mapping[str, Any]) -> int:
    expected, ordered = facts.get("expected_amount"), facts.get("ordered_amount")
    if not expected or ordered is None:
        return 0
    lost = (Decimal(expected) - Decimal(ordered)) / Decimal(expected) * 100
    return int(lost.quantize(Decimal(1), rounding=ROUND_HALF_UP))


def _rhythm(facts: Mapping[str, Any], language: Language) -> str:
    if facts["basis"] == "agreed":
        weekdays = [day.strip() for day in (facts.get("weekdays") or "").split(",") if day.strip()]
        return wording.rhythm(weekdays, facts.get("every_weeks"), language)
    if facts.get("cadence_days") is None:
        return ""
    return wording.every_days(Decimal(facts["cadence_days"]), language)
