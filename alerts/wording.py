"""Numbers, money and dates as people write them, and nouns that agree with them, in Russian and English."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Literal
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_time
from babel.numbers import format_decimal

Language = Literal["ru", "en"]

# Forms by CLDR plural category.
_NOUNS: dict[Language, dict[str, dict[str, str]]] = {
    "ru": {
        "client": {"one": "клиент", "few": "клиента", "many": "клиентов"},
        "day": {"one": "день", "few": "дня", "many": "дней"},
        "day_acc": {"one": "день", "few": "дня", "many": "дней"},
        "left": {"one": "остался", "few": "осталось", "many": "осталось"},
        "order": {"one": "заказ", "few": "заказа", "many": "заказов"},
        "outlet": {"one": "точка", "few": "точки", "many": "точек"},
        "outlet_in": {"one": "точке", "few": "точках", "many": "точках"},
        "outlet_of": {"one": "точки", "few": "точек", "many": "точек"},
        "position": {"one": "позиция", "few": "позиции", "many": "позиций"},
        "position_acc": {"one": "позицию", "few": "позиции", "many": "позиций"},
        "week": {"one": "неделя", "few": "недели", "many": "недель"},
        "week_acc": {"one": "неделю", "few": "недели", "many": "недель"},
        "checked": {"one": "проверена", "few": "проверено", "many": "проверено"},
        "skipped": {"one": "пропущен", "few": "пропущено", "many": "пропущено"},
        "arrived": {"one": "поступил", "few": "поступили", "many": "поступили"},
    },
    "en": {
        "client": {"one": "client", "other": "clients"},
        "day": {"one": "day", "other": "days"},
        "order": {"one": "order", "other": "orders"},
        "outlet": {"one": "outlet", "other": "outlets"},
        "position": {"one": "item", "other": "items"},
        "week": {"one": "week", "other": "weeks"},
    },
}
_WEEKDAYS_RU = {
    "пн": "понедельникам",
    "вт": "вторникам",
    "ср": "средам",
    "чт": "четвергам",
    "пт": "пятницам",
    "сб": "субботам",
    "вс": "воскресеньям",
}
_WEEKDAYS_EN = {
    "пн": "Mondays",
    "вт": "Tuesdays",
    "ср": "Wednesdays",
    "чт": "Thursdays",
    "пт": "Fridays",
    "сб": "Saturdays",
    "вс": "Sundays",
}
_SPELLED_WEEKDAYS = 2
_ORDINALS: dict[Language, tuple[str, ...]] = {
    "ru": ("0-й", "Первый", "Второй", "Третий", "Четвёртый", "Пятый"),
    "en": ("0th", "First", "Second", "Third", "Fourth", "Fifth"),
}
_REASONS: dict[str, dict[Language, str]] = {
    "no_manager": {"ru": "у клиента в 1С не указан менеджер", "en": "the client has no manager in 1C"},
    "unknown_manager": {"ru": "менеджер клиента не найден среди менеджеров 1С", "en": "1C does not know this manager"},
    "inactive_manager": {"ru": "менеджер клиента в 1С недействителен", "en": "the client's manager is inactive in 1C"},
    "no_email": {"ru": "у менеджера в 1С не указан e-mail", "en": "the manager has no e-mail in 1C"},
    "bad_email": {"ru": "e-mail менеджера в 1С записан с ошибкой", "en": "the manager's e-mail in 1C is malformed"},
    "no_employee": {
        "ru": "в CRM нет действующего сотрудника с e-mail этого менеджера",
        "en": "the CRM has no active user with this manager's e-mail",
    },
    "address_refused": {
        "ru": "почтовый сервер не принял адрес менеджера",
        "en": "the mail server refused the manager's address",
    },
    "letter_in_doubt": {
        "ru": "отправка прервалась: письмо могло дойти, спросите менеджера",
        "en": "sending was interrupted: the letter may have arrived, ask the manager",
    },
    "no_chat": {
        "ru": "менеджер не подключил бота Telegram: пошлите ему его ссылку (polka telegram links)",
        "en": "the manager has not started the Telegram bot: give him his link (polka telegram links)",
    },
    "chat_blocked": {"ru": "менеджер заблокировал бота Telegram", "en": "the manager has blocked the Telegram bot"},
    "day_is_over": {
        "ru": "отправка прервалась, задачи нет, день прошёл",
        "en": "sending was interrupted, there is no task, the day is over",
    },
    "outcome_unknown": {"ru": "ответа не было, ищем по ключу", "en": "no answer came, looking it up by its key"},
}
NBSP = "\N{NO-BREAK SPACE}"


def reason(name: str, language: Language) -> str:
    """Why something was not sent, for the ledger."""
    return _REASONS[name][language]


def form(number: int, noun: str, language: Language) -> str:
    """The noun alone, agreeing with the number: 3, 'outlet' -> 'точки'."""
    forms = _NOUNS[language][noun]
    category = Locale(language).plural_form(abs(number))
    return forms.get(category) or forms.get("many") or forms["other"]


def count(number: int, noun: str, language: Language) -> str:
    """'21 точка', '22 точки', '25 точек'; the number never parts from its noun at a line's end."""
    return f"{format_decimal(number, locale=language)}{NBSP}{form(number, noun, language)}"


def whole_roubles(amount: Decimal) -> Decimal:
    """Rounded half up, as people do."""
    return amount.quantize(Decimal(1), rounding=ROUND_HALF_UP)


def money(amount: Decimal, language: Language, *, sign: bool = True) -> str:
    """Whole roubles: '36 800 ₽' with no-break spaces."""
    digits = format_decimal(whole_roubles(amount), format="#,##0", locale=language).replace(
        "\N{NARROW NO-BREAK SPACE}", NBSP
    )
    return f"{digits}{NBSP}₽" if sign else digits


def number(value: Decimal | int, language: Language) -> str:
    """At most three decimals: '1 204,5'."""
    return format_decimal(value, format="#,##0.###", locale=language).replace("\N{NARROW NO-BREAK SPACE}", NBSP)


def pieces(value: Decimal | int, language: Language) -> str:
    """'6 шт.'; what is not whole is no pieces: '2,5'."""
    if value != int(value):
        return number(value, language)
    return f"{number(value, language)}{NBSP}{'шт.' if language == 'ru' else 'pcs'}"


def ordinal(value: int, language: Language) -> str:
    """'Второй', 'Second'; '7-й', '7th' beyond the first five."""
    spelled = _ORDINALS[language]
    return spelled[value] if value < len(spelled) else f"{value}{'-й' if language == 'ru' else 'th'}"


def day(value: date, as_of: date) -> str:
    """'26.05'; with the year when it is not the list's own."""
    return value.strftime("%d.%m" if value.year == as_of.year else "%d.%m.%Y")


def day_with_weekday(value: date, as_of: date, language: Language) -> str:
    """'11.06, ср'."""
    return f"{day(value, as_of)},{NBSP}{format_date(value, 'ccc', locale=language)}"


def weekday(value: date, language: Language) -> str:
    """Short: 'вт'."""
    return format_date(value, "ccc", locale=language)


def clock_time(moment: datetime, time_zone: str, language: Language) -> str:
    """'06:10' in the company's zone."""
    return format_time(moment, "HH:mm", tzinfo=ZoneInfo(time_zone), locale=language)


def moment_text(moment: datetime, time_zone: str, as_of: date, language: Language) -> str:
    """'06:10' when the moment is of the list's day, else '09.06 18:40'."""
    local = moment.astimezone(ZoneInfo(time_zone))
    time_of_day = clock_time(moment, time_zone, language)
    return time_of_day if local.date() == as_of else f"{day(local.date(), as_of)} {time_of_day}"


def rhythm(weekdays: Sequence[str], every_weeks: int | None, language: Language) -> str:
    """'раз в неделю, по понедельникам'; 'по понедельникам и четвергам'; 'каждые 2 недели, по вторникам'."""
    weeks = every_weeks or 1
    if language == "ru":
        days = _joined(weekdays, _WEEKDAYS_RU, " и ", "по ")
        if weeks > 1:
            often = f"раз в {count(weeks, 'week_acc', 'ru')}"
        else:
            often = "раз в неделю" if len(weekdays) < _SPELLED_WEEKDAYS else ""
    else:
        days = _joined(weekdays, _WEEKDAYS_EN, " and ", "on ")
        if weeks > 1:
            often = f"every {count(weeks, 'week', 'en')}"
        else:
            often = "weekly" if len(weekdays) < _SPELLED_WEEKDAYS else ""
    return ", ".join(part for part in (often, days) if part)


def every_days(cadence: Decimal, language: Language) -> str:
    """'раз в неделю', 'раз в 10 дней', 'раз в 7-8 дней' for a median between whole days."""
    whole = int(cadence)
    if language == "ru":
        if cadence != whole:
            return f"раз в {whole}–{count(whole + 1, 'day', 'ru')}"
        if whole <= 1:
            return "каждый день"
        if whole % 7 == 0:
            return "раз в неделю" if whole == 7 else f"раз в {count(whole // 7, 'week_acc', 'ru')}"
        return f"раз в {count(whole, 'day', 'ru')}"
    if cadence != whole:
        return f"every {whole}–{count(whole + 1, 'day', 'en')}"
    if whole <= 1:
        return "every day"
    if whole % 7 == 0:
        return "every week" if whole == 7 else f"every {count(whole // 7, 'week', 'en')}"
    return f"every {count(whole, 'day', 'en')}"


def papers(term: Mapping[str, Any], as_of: date, language: Language) -> str:
    """' (УТ-1187 от 02.05, срок 16.05)' of a debt: its document if it is the only one, and when it was due."""
    due = day(term["due_on"], as_of)
    number, arisen = term.get("document_number"), term.get("arisen_on")
    if not number or (term.get("documents_total") or 1) > 1:
        return f" (срок {due})" if language == "ru" else f" (due {due})"
    if language == "ru":
        return f" ({number} от {day(arisen, as_of)}, срок {due})" if arisen else f" ({number}, срок {due})"
    return f" ({number} of {day(arisen, as_of)}, due {due})" if arisen else f" ({number}, due {due})"


def list_of(items: Sequence[str], language: Language) -> str:
    """'02.06, 05.06 и 09.06'."""
    if len(items) < 2:
        return "".join(items)
    return ", ".join(items[:-1]) + (" и " if language == "ru" else " and ") + items[-1]


def quoted(name: str, language: Language) -> str:
    """The name in quotation marks, unless it brings some of its own."""
    if any(mark in name for mark in '«»"“”„'):
        return name
    return f"«{name}»" if language == "ru" else f"“{name}”"


def _joined(weekdays: Sequence[str], names: dict[str, str], last: str, prefix: str) -> str:
    known = [day for day in names if day in weekdays]
    if not known:
        return ""
    if len(known) <= _SPELLED_WEEKDAYS:
        return prefix + last.join(names[day] for day in known)
    short = known if names is _WEEKDAYS_RU else [names[day][:3] for day in known]
    return ", ".join(short)
