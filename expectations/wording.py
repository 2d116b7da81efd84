"""Turns a failed expectation into a sentence for people, in Russian and in English."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from string import Formatter
from typing import Any, Literal
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_datetime
from babel.numbers import format_decimal

from expectations.run import CheckResult

Language = Literal["ru", "en"]


@dataclass(frozen=True)
class Sentence:
    ru: str
    en: str


def sentence(result: CheckResult, zone: ZoneInfo, row: Mapping[str, Any] | None = None) -> Sentence:
    """What happened. `row` is the unexpected row to speak of; by default the first one."""
    if not result.evaluated:
        return Sentence(
            ru=f"проверка «{result.expectation.id}» не выполнена: {_plain_error_ru(result.error)}",
            en=f"check '{result.expectation.id}' was not evaluated: {result.error}",
        )
    fields: dict[str, Any] = {}
    if isinstance(result.observed, Mapping):
        fields.update(result.observed)
    else:
        fields["observed"] = result.observed
    fields.update(row or (result.rows[0] if result.rows else {}))
    message = result.expectation.message
    return Sentence(ru=_fill(message.ru, fields, "ru", zone), en=_fill(message.en, fields, "en", zone))


def moment(value: datetime, language: Language, zone: ZoneInfo) -> str:
    """A moment on the company's wall clock: «09.06 18:40», 'Jun 9, 18:40'."""
    pattern = "dd.MM HH:mm" if language == "ru" else "MMM d, HH:mm"
    return format_datetime(value.astimezone(zone), pattern, locale=language)


def day(value: date, language: Language) -> str:
    """A day: «09.06.2025», 'Jun 9, 2025'."""
    return format_date(value, "dd.MM.yyyy" if language == "ru" else "MMM d, yyyy", locale=language)


def _fill(template: str, fields: Mapping[str, Any], language: Language, zone: ZoneInfo) -> str:
    parts = []
    for literal, name, _, _ in Formatter().parse(template):
        parts.append(literal)
        if name:
            parts.append(_show(fields.get(name), language, zone))
    return "".join(parts)


def _show(value: Any, language: Language, zone: ZoneInfo) -> str:
    if value is None:
        return "—"
    if isinstance(value, datetime):
        return moment(value, language, zone)
    if isinstance(value, date):
        return day(value, language)
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return format_decimal(value, format="#,##0.#", locale=language).replace("\u00a0", " ")
    return str(value)


def _plain_error_ru(error: str | None) -> str:
    text = error or ""
    if "UndefinedTable" in text or "does not exist" in text:
        return "в хранилище нет нужной таблицы или колонки"
    if "OperationalError" in text or "TestConnectionError" in text or "connection" in text.lower():
        return "хранилище не отвечает"
    if "timeout" in text.lower():
        return "хранилище не ответило вовремя"
    return "ошибка в хранилище"
