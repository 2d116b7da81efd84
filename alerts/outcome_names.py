"""The closed list of outcomes, as reps read it and as they write it."""

import re
from dataclasses import dataclass
from datetime import date, timedelta

from alerts.wording import Language

_LABELS: dict[str, dict[Language, str]] = {
    "has_ordered": {"ru": "Заказал уже", "en": "Has ordered"},
    "will_order": {"ru": "Заказ будет", "en": "Will order"},
    "call_back": {"ru": "Перезвонить", "en": "Call back"},
    "no_answer": {"ru": "Не дозвонился", "en": "No answer"},
    "refused_price": {"ru": "Отказ: цена", "en": "No: price"},
    "refused_competitor": {"ru": "Отказ: конкурент", "en": "No: competitor"},
    "refused_stock": {"ru": "Отказ: остатки", "en": "No: stock left"},
    "refused_quality": {"ru": "Отказ: качество", "en": "No: quality"},
    "refused_debt": {"ru": "Отказ: долг", "en": "No: debt"},
    "refused_no_demand": {"ru": "Отказ: нет спроса", "en": "No: no demand"},
    "season_or_repairs": {"ru": "Сезон или ремонт", "en": "Season or repairs"},
    "outlet_closed": {"ru": "Точка закрыта", "en": "Outlet closed"},
    "our_fault": {"ru": "Наша вина", "en": "Our fault"},
    "cadence_changed": {"ru": "Теперь другой ритм", "en": "Another rhythm now"},
    "wrong_data": {"ru": "Ошибка данных", "en": "Wrong data"},
    "other": {"ru": "Другое", "en": "Other"},
}
# How people write them, the more special ones first.
_SIGNS: tuple[tuple[str, str], ...] = (
    ("no_answer", r"не дозвон|не бер[её]т трубк|не отвеча|no answer"),
    ("has_ordered", r"заказал[аи]? уже|уже заказал|has ordered|already ordered"),
    ("call_back", r"перезвон|call back"),
    ("cadence_changed", r"\bритм|rhythm|\bраз в (\d+|недел|две|месяц|пару)|\bevery (\d+ |two )?(day|week|month)"),
    ("outlet_closed", r"точка закры|закрыл(ась|ись|ся)|больше не работа|outlet closed|closed down"),
    ("season_or_repairs", r"сезон|ремонт|season|repairs"),
    ("our_fault", r"наша вина|не привезли|нет товара|our fault"),
    ("wrong_data", r"ошибка (в )?данн|wrong data"),
    ("refused_price", r"(отказ|no)\b.*?(цен|дорого|price)"),
    ("refused_competitor", r"(отказ|no)\b.*?(конкурент|competitor)"),
    ("refused_stock", r"(отказ|no)\b.*?(остат|stock)"),
    ("refused_quality", r"(отказ|no)\b.*?(качеств|quality)"),
    ("refused_debt", r"(отказ|no)\b.*?(долг|debt)"),
    ("refused_no_demand", r"(отказ|no)\b.*?(спрос|demand)"),
    ("will_order", r"заказ будет|закаж[еу]т|обещал\w* заказ|will order"),
)
_DAY = re.compile(r"\b(\d{1,2})\.(\d{1,2})(?:\.(\d{4}|\d{2}))?\b")


_EVERY = re.compile(
    r"(?:раз в|every)\s+(?:(?P<number>\d{1,3}|две|пару|two)\s+)?(?P<unit>дн|день|недел|месяц|day|week|month)"
)
_WORDS = {"две": 2, "пару": 2, "two": 2}
_UNIT_DAYS = {"дн": 1, "день": 1, "day": 1, "недел": 7, "week": 7, "месяц": 30, "month": 30}
LONGEST_CADENCE = 366


@dataclass(frozen=True)
class Answer:
    """One of the closed list, the day that was agreed on, and how often the client orders from now on, in days."""

    outcome: str
    until: date | None
    cadence_days: int | None = None


def outcomes() -> tuple[str, ...]:
    """The closed list, in the order in which it is offered."""
    return tuple(_LABELS)


def outcome_label(outcome: str, language: Language) -> str:
    """One of the closed list as reps read it; an unknown one is called by its id."""
    return _LABELS.get(outcome, {}).get(language, outcome)


def outcome_labels(language: Language) -> list[str]:
    """The closed list as reps read it."""
    return [labels[language] for labels in _LABELS.values()]


def read_answer(text: str | None, said_on: date) -> Answer | None:
    """The outcome a text means; None for no text. A day without a year is the next such day after `said_on`."""
    words = " ".join((text or "").split())
    if not words:
        return None
    lowered = words.lower()
    for outcome, sign in _SIGNS:
        if re.search(sign, lowered):
            if outcome == "cadence_changed":
                return Answer(outcome, None, _cadence(lowered))
            return Answer(outcome, _day(words, said_on))
    return Answer("other", None)


def _cadence(text: str) -> int | None:
    """'раз в 2 недели' -> 14."""
    found = _EVERY.search(text)
    if not found:
        return None
    number = found["number"] or "1"
    days = (_WORDS.get(number) or int(number)) * _UNIT_DAYS[found["unit"]]
    return days if 1 <= days <= LONGEST_CADENCE else None


def _day(text: str, said_on: date) -> date | None:
    found = _DAY.search(text)
    if not found:
        return None
    day, month, year = int(found[1]), int(found[2]), found[3]
    try:
        if year:
            return date(int(year) if len(year) > 2 else 2000 + int(year), month, day)
        this_year = date(said_on.year, month, day)
        return this_year if this_year >= said_on - timedelta(days=31) else date(said_on.year + 1, month, day)
    except ValueError:
        return None
