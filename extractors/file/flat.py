"""Records of files -> flat records with the names that the mapping `tables` knows.

A record is archived as it came: `{"id": id, "formed": moment, "commerceml": {entity: object}}`
or `{"id": id, "formed": moment, "rows": [row, ...]}`, a row being {column: text}; a document has a row per line.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

import xxhash

from extractors.core.values import EMPTY_DATE, to_utc
from extractors.file.commerceml import Object, many, one, requisite, text

KEY = "Ид"
FORMED = "Сформировано"
LINES = "Строки"
CONTACTS = "Контакты"
# Contact kinds as 1C calls them; a table may have a column for each.
CONTACT_COLUMNS = {"Email": "АдресЭлектроннойПочты", "Телефон": "Телефон", "Адрес": "Адрес"}
_YES = frozenset({"true", "1", "да", "истина"})
_RUSSIAN = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})(?:[ T]+(\d{1,2}):(\d{2})(?::(\d{2}))?)?")
_SERIAL = re.compile(r"\d{1,7}(\.\d+)?")
_EXCEL_ZERO = datetime(1899, 12, 30)  # noqa: DTZ001  # a local time, like every date in a sheet
_EXCEL_DAYS = 2_958_466  # the serial of 31.12.9999, plus one


def flatten(record: dict[str, Any]) -> Mapping[str, Any]:
    """One archived record as {name of the mapping: value}. Raises ValueError when it is neither kind."""
    if "rows" in record:
        flat = _from_rows(record["rows"])
    elif isinstance(record.get("commerceml"), dict) and len(record["commerceml"]) == 1:
        ((entity, item),) = record["commerceml"].items()
        flat = _FROM_OBJECT[entity](item)
    else:
        raise ValueError("neither an object of CommerceML nor rows of a table")
    return {**flat, FORMED: record.get("formed")}


def moment(value: Any, zone: ZoneInfo) -> datetime | None:
    """A date of a file: ISO, dd.mm.yyyy [hh:mm[:ss]], or the serial number of a sheet; local unless it has a zone."""
    written = str(value).strip()
    if not written or written.startswith((EMPTY_DATE, "01.01.0001")):
        return None
    if found := _RUSSIAN.fullmatch(written):
        day, month, year, hour, minute, second = (int(part) if part else 0 for part in found.groups())
        local = datetime(year, month, day, hour, minute, second)  # noqa: DTZ001
    elif _SERIAL.fullmatch(written):
        days = Decimal(written)
        if not 1 <= days < _EXCEL_DAYS:
            raise ValueError("no date of a sheet")
        local = _EXCEL_ZERO + timedelta(seconds=int((days * 86400).to_integral_value()))
    else:
        local = datetime.fromisoformat(written)
    return local.astimezone(UTC) if local.tzinfo else to_utc(local, zone)


# --- tables


def _from_rows(rows: list[dict[str, Any]]) -> dict[str, Any]:
    flat: dict[str, Any] = {**rows[0], LINES: rows}
    contacts: list[dict[str, Any]] = [
        {"Вид": kind, "Представление": flat[column], "Город": flat.get("Город"), column: flat[column]}
        for column, kind in CONTACT_COLUMNS.items()
        if flat.get(column)
    ]
    flat[CONTACTS] = contacts
    return flat


# --- CommerceML


def _product(item: Object) -> dict[str, Any]:
    weight = requisite(item, "Вес") or text(item, "Вес")
    return {
        KEY: product_id(item),
        "Код": requisite(item, "Код") or text(item, "Код"),
        "Наименование": text(item, "Наименование"),
        "Артикул": text(item, "Артикул"),
        "Родитель": item.get("@Родитель") or text(item, "Группы", "Ид"),
        "ЭтоГруппа": item.get("@ЭтоГруппа") == "true",
        "Марка": text(item, "Изготовитель", "Ид"),
        "ЕдиницаИзмерения": text(item, "БазоваяЕдиница") or (text(item, "БазоваяЕдиница", "@Код") or "").strip(),
        "ТипНоменклатуры": requisite(item, "ТипНоменклатуры"),
        "ВесЧислитель": weight,
        "ВесЗнаменатель": "1" if weight else None,
        "ПометкаУдаления": _is_deleted(item),
    }


def product_id(item: Object) -> str | None:
    """The product's own id: what stands before # names it, what stands behind names the characteristic."""
    found = (text(item, "Ид") or "").partition("#")[0]
    return found or None


def _named(item: Object) -> dict[str, Any]:
    return {
        KEY: text(item, "Ид"),
        "Код": text(item, "Код"),
        "Наименование": text(item, "Наименование"),
        "НаименованиеПолное": text(item, "ПолноеНаименование") or text(item, "ОфициальноеНаименование"),
        "ИНН": text(item, "ИНН") or text(item, "РеквизитыЮрЛица", "ИНН"),
        "КПП": text(item, "КПП") or text(item, "РеквизитыЮрЛица", "КПП"),
        "ПометкаУдаления": _is_deleted(item),
    }


def _party(item: Object) -> dict[str, Any]:
    is_person = one(item, "ПолноеНаименование") is not None and not text(item, "ОфициальноеНаименование")
    contacts = []
    for contact in many(item, "Контакты", "Контакт"):
        value = text(contact, "Значение") or text(contact, "Представление")
        kind = (text(contact, "Тип") or "").casefold()
        if value and ("почта" in kind or "mail" in kind) and "@" in value:
            contacts.append({"Вид": "АдресЭлектроннойПочты", "Представление": value, "Email": value})
        elif value and "телефон" in kind:
            contacts.append({"Вид": "Телефон", "Представление": value, "Телефон": value})
    for place in ("Адрес", "АдресРегистрации", "ЮридическийАдрес"):
        if value := text(item, place, "Представление"):
            contacts.append({"Вид": "Адрес", "Представление": value, "Город": _city(one(item, place)) or ""})
            break
    return {
        **_named(item),
        "Партнер": text(item, "Ид"),
        "ЮрФизЛицо": "ФизЛицо" if is_person else "ЮрЛицо",
        "Клиент": True,
        CONTACTS: contacts,
    }


def _city(address: Any) -> str | None:
    for part in many(address, "АдресноеПоле"):
        if text(part, "Тип") in ("Город", "Населенный пункт"):
            return text(part, "Значение")
    return None


def _document(item: Object) -> dict[str, Any]:
    flags = {name: (requisite(item, name) or "").casefold() in _YES for name in ("Отменен", "ПометкаУдаления")}
    parties = [party for party in many(item, "Контрагенты", "Контрагент") if isinstance(party, dict)]
    seller = next((p for p in parties if (text(p, "Роль") or "").casefold() == "продавец"), None)
    buyer = next((p for p in parties if p is not seller), None)
    posted = requisite(item, "Проведен")
    return {
        KEY: text(item, "Ид"),
        "Номер": requisite(item, "Номер по 1С") or text(item, "Номер"),
        "Дата": f"{text(item, 'Дата') or ''}T{text(item, 'Время') or '00:00:00'}",
        # What a site sends is an order as soon as it is there; 1C says whether it is posted.
        "Проведен": True if posted is None else posted.casefold() in _YES,
        "ПометкаУдаления": flags["ПометкаУдаления"] or _is_deleted(item),
        "Партнер": text(buyer, "Ид"),
        "Контрагент": text(buyer, "Ид"),
        "Организация": text(seller, "Ид"),
        "Склад": text(item, "Склады", "Склад", "Ид") or text(item, "Склад", "Ид"),
        "Валюта": text(item, "Валюта"),
        "СуммаДокумента": text(item, "Сумма"),
        "ЦенаВключаетНДС": (text(item, "Налоги", "Налог", "УчтеноВСумме") or "true").casefold() in _YES,
        "АдресДоставки": requisite(item, "Адрес доставки") or text(item, "АдресДоставки", "Представление"),
        "Комментарий": text(item, "Комментарий"),
        "Статус": requisite(item, "Статус заказа", "Статус"),
        "ДатаОтгрузки": requisite(item, "Дата отгрузки по 1С", "Дата отгрузки"),
        "ХозОперация": text(item, "ХозОперация"),
        "ЗаказКлиента": text(item, "Основание", "Ид") or requisite(item, "Заказ"),
        LINES: [_line(line, flags["Отменен"]) for line in many(item, "Товары", "Товар") if isinstance(line, dict)],
    }


def _line(line: Object, cancelled: bool) -> dict[str, Any]:
    whole_id = text(line, "Ид") or ""
    amount, tax = text(line, "Сумма"), text(line, "Налоги", "Налог", "Сумма")
    included = (text(line, "Налоги", "Налог", "УчтеноВСумме") or "true").casefold() in _YES
    quantity, factor = text(line, "Количество"), text(line, "Коэффициент") or text(line, "Единица", "Коэффициент")
    return {
        "Номенклатура": whole_id.partition("#")[0] or None,
        "Характеристика": whole_id.partition("#")[2] or None,
        "КоличествоУпаковок": quantity,
        "Количество": _product_of(quantity, factor),
        "Цена": text(line, "ЦенаЗаЕдиницу"),
        "Сумма": amount,
        "СуммаНДС": tax,
        "СуммаСНДС": amount if included else _sum_of(amount, tax),
        "СуммаСкидки": text(line, "Скидки", "Скидка", "Сумма") or text(line, "СкидкиНаценки", "СкидкаНаценка", "Сумма"),
        "Отменено": cancelled,
    }


def _price_type(item: Object) -> dict[str, Any]:
    return {
        **_named(item),
        "Валюта": text(item, "Валюта"),
        "ЦенаВключаетНДС": (text(item, "Налог", "УчтеноВСумме") or "true").casefold() in _YES,
    }


def _price(item: Object) -> dict[str, Any]:
    product, characteristic = _offered(item)
    kind = text(item, "ИдТипаЦены")
    return {
        KEY: register_id((kind, product, characteristic)) if product else None,
        "ВидЦены": kind,
        "Номенклатура": product,
        "Характеристика": characteristic,
        "Валюта": text(item, "Валюта"),
        "Цена": text(item, "ЦенаЗаЕдиницу"),
    }


def _stock(item: Object) -> dict[str, Any]:
    product, characteristic = _offered(item)
    place = text(item, "@ИдСклада") or text(item, "Ид")
    return {
        KEY: register_id((place, product, characteristic)) if product else None,
        "Склад": place,
        "Номенклатура": product,
        "Характеристика": characteristic,
        "ВНаличии": text(item, "@КоличествоНаСкладе") or text(item, "Количество"),
    }


def _offered(item: Object) -> tuple[str | None, str | None]:
    product, _, characteristic = (item.get("@Предложение") or "").partition("#")
    return product or None, characteristic or None


def register_id(parts: Sequence[str | None]) -> str | None:
    """The id of a row of a register: short, whatever the values of its key are. None when all of them are empty."""
    return xxhash.xxh3_128_hexdigest("|".join(part or "" for part in parts).encode()) if any(parts) else None


def _product_of(quantity: str | None, factor: str | None) -> str | None:
    return _exactly(quantity, factor or "1", lambda a, b: a * b)


def _sum_of(amount: str | None, tax: str | None) -> str | None:
    return _exactly(amount, tax or "0", lambda a, b: a + b)


def _exactly(one: str | None, other: str, what: Callable[[Decimal, Decimal], Decimal]) -> str | None:
    """Exact arithmetic; what is no number stays as it is, the column will say so."""
    if one is None:
        return None
    try:
        return format(what(Decimal(one), Decimal(other)), "f")
    except InvalidOperation:
        return one


def _is_deleted(item: Object) -> bool:
    flag = text(item, "ПометкаУдаления") or text(item, "@ПометкаУдаления") or requisite(item, "ПометкаУдаления") or ""
    return flag.casefold() in _YES or (text(item, "@Статус") or text(item, "Статус") or "").casefold() == "удален"


_FROM_OBJECT: dict[str, Callable[[Object], dict[str, Any]]] = {
    "product": _product,
    "brand": _named,
    "organisation": _named,
    "partner": _party,
    "legal_entity": _party,
    "order": _document,
    "shipment": _document,
    "return": _document,
    "bank_receipt": _document,
    "cash_receipt": _document,
    "price_type": _price_type,
    "warehouse": _named,
    "price": _price,
    "stock": _stock,
}


def record_id(entity: str, item: Object) -> str | None:
    """The id that `flatten` will find in an object."""
    found = _FROM_OBJECT[entity](item)[KEY]
    return found if isinstance(found, str) else None
