"""A file of real invoices (UCI Online Retail's columns) served as a 1C base of the same sets.

customer -> partner, with one sub-partner outlet per country where it bought in several; country -> business region;
lines without a customer belong to one technical client. Every line of the file is served once:

    invoice C...                  -> return        (quantity turned positive; its money subtracts)
    invoice A...                  -> debt write-off (what was written off is positive; its money subtracts)
    other, quantity below zero    -> stock write-off (quantity turned positive; its money subtracts)
    other                         -> shipment, and a copy of the same lines in a customer order

An invoice with lines of several classes becomes several documents of the same number. `Сумма` is quantity times price,
not rounded, so that sums agree with the file to the last digit.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import re
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, get_args

from simulators.onec.base import Base, EntitySet, Fragments, LineLayout, Row, fragment, number_text, simple_set, version
from simulators.onec.ut11 import UT11
from simulators.world.build import Manager

DocumentClass = Literal["shipment", "return", "stock_write_off", "debt_adjustment"]
COLUMNS = ("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country")
ANONYMOUS = "Розничный покупатель (технический клиент)"
# Codes that are no goods: postage, carriage, fees, manual corrections, discounts, samples, donations, vouchers.
NO_GOODS = re.compile(r"POST|DOT|M|C2|D|S|B|BANK CHARGES|AMAZONFEE|CRUK|PADS|gift_\d+_\d+", re.IGNORECASE)
_SCHEMAS = UT11.by_name
_GOODS = ("Номенклатура_Key", "КоличествоУпаковок", "Количество", "Цена", "Сумма", "СуммаСНДС")
_WRITTEN_OFF = ("Номенклатура_Key", "КоличествоУпаковок", "Количество", "Цена", "Сумма")


@dataclass
class Invoice:
    """Lines of one invoice that belong to one class; quantities and amounts as 1C keeps them."""

    number: str
    document_class: DocumentClass
    at: str  # ISO; the first moment of the invoice
    customer: str
    country: str
    lines: list[Fragments] = field(default_factory=list)
    amount: Decimal = Decimal(0)


def guid(*parts: str) -> str:
    """The same identifier in every replay of the same file."""
    return str(uuid.UUID(bytes=hashlib.md5("\0".join(("replay", *parts)).encode(), usedforsecurity=False).digest()))


def read_lines(path: Path) -> Iterator[list[str]]:
    """Rows of the file without its header. Raises ValueError when the columns are others."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        header = next(rows, [])
        if tuple(header) != COLUMNS:
            raise ValueError(f"{path.name} has the columns {', '.join(header)}; expected {', '.join(COLUMNS)}")
        yield from rows


def class_of(invoice: str, quantity: str) -> DocumentClass:
    """Which document a line of the file becomes."""
    if invoice.startswith("C"):
        return "return"
    if invoice.startswith("A"):
        return "debt_adjustment"
    return "stock_write_off" if quantity.startswith("-") else "shipment"


class Replay:
    """The file, sorted into documents."""

    def __init__(self, rows: Iterator[list[str]]) -> None:
        self.invoices: dict[tuple[str, DocumentClass], Invoice] = {}
        self.countries_of: dict[str, dict[str, None]] = {}
        self.products: dict[str, Counter[str]] = {}
        self._products_seen: dict[str, str] = {}
        self._priced: dict[tuple[str, str, DocumentClass], tuple[Decimal, Fragments]] = {}
        for row in rows:
            self._add(*row)
        if not self.invoices:
            raise ValueError("the file has no lines")

    @classmethod
    def read(cls, path: Path) -> Replay:
        """Raises ValueError when the file is not in the expected format."""
        return cls(read_lines(path))

    def _add(
        self,
        number: str,
        code: str,
        description: str,
        quantity: str,
        moment: str,
        price: str,
        customer: str,
        country: str,
    ) -> None:
        document_class = class_of(number, quantity)
        amount, money = self._money(quantity, price, document_class)
        key = (number, document_class)
        invoice = self.invoices.get(key)
        if invoice is None:
            invoice = self.invoices[key] = Invoice(number, document_class, moment, customer, country)
            self.countries_of.setdefault(customer, {})[country] = None
        invoice.at = min(invoice.at, moment)
        invoice.amount += amount
        product = self._products_seen.get(code)
        if product is None:
            product = self._products_seen[code] = f'"{guid("product", code)}"'
            self.products[code] = Counter()
        self.products[code][description] += 1
        if document_class == "debt_adjustment":
            invoice.lines.append((money[3], fragment("string", description)))
        else:
            invoice.lines.append((product, *money))

    def _money(self, quantity: str, price: str, document_class: DocumentClass) -> tuple[Decimal, Fragments]:
        """Amount of a line, and its fragments: packages, quantity, price, amount, amount with VAT."""
        key = (quantity, price, document_class)
        found = self._priced.get(key)
        if found is None:
            units, paid = int(quantity), Decimal(price)
            amount = units * paid if document_class == "shipment" else -units * paid
            count = number_text(-units if document_class in {"return", "stock_write_off"} else units)
            text = number_text(amount)
            found = self._priced[key] = (amount, (count, count, number_text(paid), text, text))
        return found

    # what is served

    def managers(self) -> list[Manager]:
        """One manager has all clients."""
        return [Manager(guid("manager"), "Петрова Анна Сергеевна", "sales@wholesaler.example", "+7 (900) 000-00-00", 0)]

    def base(self) -> Base:
        """The published sets."""
        sets = [*self._dictionaries(), self._partners(), self._products()]
        by_class: dict[DocumentClass, list[Invoice]] = {}
        for invoice in self.invoices.values():
            by_class.setdefault(invoice.document_class, []).append(invoice)
        shipments = by_class.get("shipment", [])
        sets += [
            self._trade_set("Document_ЗаказКлиента", shipments),
            self._trade_set("Document_РеализацияТоваровУслуг", shipments),
            self._trade_set("Document_ВозвратТоваровОтКлиента", by_class.get("return", [])),
            self._write_off_set(by_class.get("stock_write_off", [])),
            self._debt_set(by_class.get("debt_adjustment", [])),
        ]
        filled = {s.name for s in sets}
        sets += [simple_set(schema, []) for name, schema in _SCHEMAS.items() if name not in filled]
        return Base(sets)

    def outlet_key(self, customer: str, country: str) -> str:
        """Guid of the outlet that an invoice belongs to: the client's own when it bought in one country only."""
        several = len(self.countries_of[customer]) > 1
        return guid("outlet", customer, country) if several else guid("partner", customer)

    def _dictionaries(self) -> list[EntitySet]:
        countries = sorted({country for own in self.countries_of.values() for country in own})
        (manager,) = self.managers()
        contact = {"Тип": "АдресЭлектроннойПочты", "Представление": manager.email, "АдресЭП": manager.email}
        named: dict[str, list[dict[str, Any]]] = {
            "Catalog_Организации": [
                {"Ref_Key": guid("organisation"), "Description": "Wholesaler Ltd", "ЮрФизЛицо": "ЮрЛицо"}
            ],
            "Catalog_БизнесРегионы": [{"Ref_Key": guid("region", c), "Description": c} for c in countries],
            "Catalog_Пользователи": [
                {"Ref_Key": manager.key, "Description": manager.name, "КонтактнаяИнформация": [contact]}
            ],
            "Catalog_Валюты": [{"Ref_Key": guid("currency"), "Code": "826", "Description": "GBP"}],
            "Catalog_Склады": [{"Ref_Key": guid("warehouse"), "Description": "Main warehouse"}],
        }
        return [self._simple(name, records) for name, records in named.items()]

    def _simple(self, name: str, records: list[dict[str, Any]]) -> EntitySet:
        full = [{"DataVersion": version(n), **record} for n, record in enumerate(records, start=1)]
        return simple_set(_SCHEMAS[name], full)

    def _partners(self) -> EntitySet:
        records = []
        (manager,) = self.managers()
        for customer, countries in self.countries_of.items():
            name = f"Customer {customer}" if customer else ANONYMOUS
            common = {"ОсновнойМенеджер_Key": manager.key, "ЮрФизЛицо": "ЮрЛицо", "Клиент": True, "Полка_Канал": "Опт"}
            first = next(iter(countries))
            client = guid("partner", customer)
            records.append(
                {
                    **common,
                    "Ref_Key": client,
                    "Code": customer or "RETAIL",
                    "Description": name,
                    "НаименованиеПолное": name,
                    "БизнесРегион_Key": guid("region", first),
                }
            )
            if len(countries) > 1:
                records += [
                    {
                        **common,
                        "Ref_Key": self.outlet_key(customer, country),
                        "Code": f"{customer or 'RETAIL'}-{number}",
                        "Description": f"{name}, {country}",
                        "Parent_Key": client,
                        "БизнесРегион_Key": guid("region", country),
                    }
                    for number, country in enumerate(countries, start=1)
                ]
        return self._simple("Catalog_Партнеры", records)

    def _products(self) -> EntitySet:
        records = []
        for code, descriptions in self.products.items():
            named = [(count, text) for text, count in descriptions.items() if text.strip()]
            name = max(named)[1] if named else code
            records.append(
                {
                    "Ref_Key": guid("product", code),
                    "Code": code,
                    "Description": name,
                    "НаименованиеПолное": name,
                    "Артикул": code,
                    "ТипНоменклатуры": "Услуга" if NO_GOODS.fullmatch(code) else "Товар",
                }
            )
        return self._simple("Catalog_Номенклатура", records)

    def _trade_set(self, name: str, invoices: list[Invoice]) -> EntitySet:
        schema = _SCHEMAS[name]
        numbered = ("LineNumber", "КодСтроки")
        is_order, is_shipment = name.endswith("ЗаказКлиента"), name.endswith("РеализацияТоваровУслуг")
        inherited = {"ЗаказКлиента": "ЗаказКлиента", "ЗаказКлиента_Type": "ЗаказКлиента_Type"} if is_shipment else {}
        line_constants = {"ВариантОбеспечения": '"Отгрузить"'} if is_order else {}
        layout = LineLayout(schema.tables[0], _GOODS, inherited, numbered, line_constants)
        link = {"Document_ЗаказКлиента": ("ДатаОтгрузки",), "Document_РеализацияТоваровУслуг": ("ЗаказКлиента",)}.get(
            name, ()
        )
        fields = ("Ref_Key", "DataVersion", "Number", "Date", "Партнер_Key", "СуммаДокумента", *link)
        constants = {
            "Posted": "true",
            "ЦенаВключаетНДС": "true",
            "Организация_Key": f'"{guid("organisation")}"',
            "Менеджер_Key": f'"{self.managers()[0].key}"',
            "Склад_Key": f'"{guid("warehouse")}"',
            "Валюта_Key": f'"{guid("currency")}"',
            "ХозяйственнаяОперация": '"ВозвратОтКлиента"' if not (is_order or is_shipment) else '"РеализацияКлиенту"',
            "Статус": '"Закрыт"' if is_order else '"Отгружено"' if is_shipment else '"Выполнено"',
        }
        if is_order:
            constants["Согласован"] = "true"
        if is_shipment:
            constants["ЗаказКлиента_Type"] = '"StandardODATA.Document_ЗаказКлиента"'
        result = EntitySet(schema, fields, constants, [layout])
        result.replace_rows(self._trade_row(name, number, invoice) for number, invoice in enumerate(invoices, start=1))
        return result

    def _trade_row(self, name: str, ordinal: int, invoice: Invoice) -> Row:
        values: Fragments = (
            *self._document(name, ordinal, invoice),
            f'"{self.outlet_key(invoice.customer, invoice.country)}"',
            number_text(invoice.amount),
        )
        if name == "Document_ЗаказКлиента":
            values = (*values, f'"{invoice.at[:10]}T00:00:00"')
        elif name == "Document_РеализацияТоваровУслуг":
            values = (*values, f'"{guid("Document_ЗаказКлиента", invoice.number)}"')
        return Row(values, (invoice.lines,))

    def _document(self, name: str, ordinal: int, invoice: Invoice) -> Fragments:
        return (
            f'"{guid(name, invoice.number)}"',
            f'"{version(ordinal)}"',
            f'"{invoice.number:<14}"',
            f'"{invoice.at.replace(" ", "T")}"',
        )

    def _write_off_set(self, invoices: list[Invoice]) -> EntitySet:
        schema = _SCHEMAS["Document_СписаниеНедостачТоваров"]
        layout = LineLayout(schema.tables[0], _WRITTEN_OFF)
        constants = {
            "Posted": "true",
            "Организация_Key": f'"{guid("organisation")}"',
            "Склад_Key": f'"{guid("warehouse")}"',
            "ХозяйственнаяОперация": '"СписаниеТоваровПоТребованию"',
        }
        result = EntitySet(schema, ("Ref_Key", "DataVersion", "Number", "Date"), constants, [layout])
        result.replace_rows(
            Row(self._document(schema.name, n, invoice), ([line[:5] for line in invoice.lines],))
            for n, invoice in enumerate(invoices, start=1)
        )
        return result

    def _debt_set(self, invoices: list[Invoice]) -> EntitySet:
        schema = _SCHEMAS["Document_СписаниеЗадолженности"]
        layout = LineLayout(schema.tables[0], ("Сумма", "Комментарий"))
        constants = {
            "Posted": "true",
            "Организация_Key": f'"{guid("organisation")}"',
            "Валюта_Key": f'"{guid("currency")}"',
            "ХозяйственнаяОперация": '"СписаниеДебиторскойЗадолженности"',
        }
        fields = ("Ref_Key", "DataVersion", "Number", "Date", "Партнер_Key", "СуммаДокумента")
        result = EntitySet(schema, fields, constants, [layout])
        result.replace_rows(
            Row(
                (
                    *self._document(schema.name, n, invoice),
                    f'"{self.outlet_key(invoice.customer, invoice.country)}"',
                    number_text(invoice.amount),
                ),
                (invoice.lines,),
            )
            for n, invoice in enumerate(invoices, start=1)
        )
        return result

    def manifest(self) -> dict[str, Any]:
        """Counts and sums of the file, by what its lines became. `as_of` is the day after its last invoice."""
        landing: dict[str, dict[str, Any]] = {}
        total = Decimal(0)
        for name in get_args(DocumentClass):
            of_class = [invoice for invoice in self.invoices.values() if invoice.document_class == name]
            money = sum((invoice.amount for invoice in of_class), Decimal(0))
            total += money if name == "shipment" else -money
            lines = sum(len(invoice.lines) for invoice in of_class)
            landing[name] = {"documents": len(of_class), "lines": lines, "money": str(money)}
        count = sum(entry["lines"] for entry in landing.values())
        last_day = datetime.fromisoformat(max(invoice.at for invoice in self.invoices.values())).date()
        landing["order"] = landing["shipment"]
        return {
            "world": "replay",
            "as_of": (last_day + timedelta(days=1)).isoformat(),
            "counts": {
                "lines": count,
                "amount": str(total),
                "invoices": len({invoice.number for invoice in self.invoices.values()}),
                "customers": sum(1 for customer in self.countries_of if customer),
                "products": len(self.products),
                "countries": len({country for own in self.countries_of.values() for country in own}),
            },
            "landing": landing,
            "planted": [],
            "traps": [],
        }
