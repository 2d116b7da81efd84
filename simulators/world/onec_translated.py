"""The same distributor in УНФ and in БП 3.0: what УТ 11 holds, told in the words of the other configurations.

Partners and outlets are counterparties there, with the same guids; agreements are contracts; fields and tabular
sections have other names. What a configuration does not keep is left out. Payments, corrections and registers come from
the ledger.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import Any, ClassVar

from simulators.onec.base import Base, EntitySet, simple_set, version
from simulators.onec.bp30 import BP30
from simulators.onec.exchange import ExchangePlan
from simulators.onec.registers import Register
from simulators.onec.schema import EMPTY_GUID, Configuration, RegisterSchema
from simulators.onec.unf import UNF
from simulators.world.build import Line, Return, Shipment, World, morning
from simulators.world.ledger import Correction, Payment, PaymentKind
from simulators.world.onec import Publisher
from simulators.world.onec_text import kopecks, stamp

Record = dict[str, Any]
Value = Callable[[Record], Any]
Lines = tuple[str, Mapping[str, "str | Value"], "Value | None"]  # section, fields, which lines


def _is(value: Any) -> Value:
    return lambda record: value


@dataclass(frozen=True)
class Told:
    """How a set is told: fields of the same name are taken over, `fields` says new name -> old name or function."""

    name: str
    source: str
    fields: Mapping[str, str | Value] = field(default_factory=dict)
    lines: Mapping[str, Lines] = field(default_factory=dict)


class Teller(ABC):
    """What both translations share."""

    configuration: Configuration
    order: str
    shipment: str
    correction: str
    payments: ClassVar[Mapping[PaymentKind, str]]

    def __init__(self, world: World, day: date) -> None:
        self.world = world
        self.ledger = world.ledger
        self.moment = morning(day)
        publisher = Publisher(world, self.moment)
        self.base_of_ut11 = publisher.base()
        self.currency = publisher.currency
        self.warehouses = publisher.warehouses
        self.departments = publisher.departments
        self.price_types = publisher.price_types
        self.inns = {outlet.key: (outlet.legal_entity.inn, outlet.legal_entity.kpp) for outlet in world.outlets} | {
            client.key: (client.legal_entities[0].inn, client.legal_entities[0].kpp) for client in world.clients
        }

    def base(self) -> Base:
        """Everything that the configuration publishes."""
        sets = [self._tell(told) for told in self.told()] + self.written()
        known = {s.name for s in sets}
        sets += [simple_set(schema, []) for schema in self.configuration.sets if schema.name not in known]
        return Base(sets, self.registers(), ExchangePlan())

    @abstractmethod
    def told(self) -> list[Told]: ...

    @abstractmethod
    def written(self) -> list[EntitySet]: ...

    @abstractmethod
    def registers(self) -> list[Register]: ...

    def make(self, name: str, records: Iterable[Record]) -> EntitySet:
        """A set of records that are worked out when somebody reads it."""
        schema = self.configuration.by_name[name]
        return simple_set(schema, ({"DataVersion": version(n), **r} for n, r in enumerate(records, start=1)))

    def make_register(self, name: str, records: Iterable[Record]) -> Register:
        """A register, its records numbered within their recorder."""
        schema: RegisterSchema = next(r for r in self.configuration.registers if r.name == name)

        def numbered() -> Iterator[Record]:
            numbers: dict[str, int] = defaultdict(int)
            for record in records:
                recorder = record.get("Recorder") or record.get("Recorder_Key", "")
                numbers[recorder] += 1
                extra = {} if schema.recorder is None else {"LineNumber": numbers[recorder], "Active": True}
                yield extra | record

        return Register(schema, simple_set(schema.records, numbered()))

    def _tell(self, told: Told) -> EntitySet:
        schema = self.configuration.by_name[told.name]
        source = self.base_of_ut11.sets[told.source]
        kept = [f.name for f in schema.fields if f.name in source.schema.by_name and f.name not in told.fields]

        def records() -> Iterator[Record]:
            for row in source.rows:
                old = source.exact(row)
                new = {name: old[name] for name in kept} | _renamed(old, told.fields)
                for table, (section, names, which) in told.lines.items():
                    columns = schema.table(table)
                    own = {f.name for f in columns.fields} if columns else set()
                    new[table] = [
                        {n: v for n, v in line.items() if n in own - {"Ref_Key", "LineNumber"} - set(names)}
                        | _renamed(line, names)
                        for line in old[section]
                        if which is None or which(line)
                    ]
                yield new

        return simple_set(schema, records())

    # what the ledger knows

    def head(self, key: str, number: str, at: datetime) -> Record:
        """Standard fields of a posted document."""
        return {"Ref_Key": key, "Number": number, "Date": stamp(at), "Posted": True}

    def type_of(self, name: str) -> str:
        return f"StandardODATA.{name}"

    def known_payments(self, kind: PaymentKind) -> Iterator[Payment]:
        return (p for p in self.ledger.payments if p.kind == kind and p.at <= self.moment)

    def known_corrections(self) -> Iterator[tuple[Correction, Line]]:
        """Corrections, each with the shipped line as it was before."""
        for correction in self.ledger.corrections:
            if correction.at <= self.moment:
                found = correction.line
                yield (
                    correction,
                    next(
                        line
                        for line in correction.shipment.lines
                        if (line.product, line.price) == (found.product, found.price)
                    ),
                )

    def sales(self) -> Iterator[tuple[str, str, datetime, Shipment, Line, int]]:
        """Key, set and moment of a document, its shipment, line and sign, of everything sold or taken back."""
        for shipment in self.world.shipments:
            if shipment.at <= self.moment:
                for line in shipment.lines:
                    yield shipment.key, self.shipment, shipment.at, shipment, line, 1
        for back in self.world.returns:
            if back.at <= self.moment:
                for line in back.lines:
                    yield back.key, self.returned, back.at, back.shipment, line, -1
        for correction in self.ledger.corrections:
            if correction.at <= self.moment:
                yield correction.key, self.correction, correction.at, correction.shipment, correction.line, -1

    returned: str

    def set_of(self, document: Shipment | Return | Correction | Payment) -> str:
        """The set that a document of the ledger lies in."""
        if isinstance(document, Payment):
            return self.payments[document.kind]
        return {Shipment: self.shipment, Return: self.returned, Correction: self.correction}[type(document)]

    def prices(self) -> Iterator[tuple[datetime, int, str, str, int]]:
        """Moment, level, product, kind of price, kopecks."""
        for day, level in self.ledger.price_changes:
            at = datetime.combine(day, time())
            if at <= self.moment:
                for number, product in enumerate(self.world.products):
                    yield at, level, product.key, self.price_types["Оптовая"], self.ledger.list_price(number, level)


def _renamed(old: Record, fields: Mapping[str, str | Value]) -> Record:
    return {new: old[name] if isinstance(name, str) else name(old) for new, name in fields.items()}


_PERSON = {"ЮрЛицо": "ЮридическоеЛицо", "ИндивидуальныйПредприниматель": "ИндивидуальныйПредприниматель"}


class _Unf(Teller):
    configuration = UNF
    order = "Document_ЗаказПокупателя"
    shipment = "Document_РасходнаяНакладная"
    returned = "Document_ПриходнаяНакладная"
    correction = "Document_КорректировкаРеализации"
    payments: ClassVar[Mapping[PaymentKind, str]] = {
        "bank": "Document_ПоступлениеНаСчет",
        "cash": "Document_ПоступлениеВКассу",
        "card": "Document_ОперацияПоПлатежнымКартам",
    }

    def told(self) -> list[Told]:
        unit_type = self.type_of("Catalog_ЕдиницыИзмерения")
        goods: dict[str, str | Value] = {
            "Всего": "СуммаСНДС",
            "ПроцентСкидкиНаценки": "ПроцентАвтоматическойСкидки",
            "СуммаСкидкиНаценки": "СуммаАвтоматическойСкидки",
            "ЕдиницаИзмерения": "Упаковка_Key",
            "ЕдиницаИзмерения_Type": _is(unit_type),
        }
        returned = {n: v for n, v in goods.items() if not n.endswith("Наценки")}
        trade: dict[str, str | Value] = {
            "Контрагент_Key": "Партнер_Key",
            "Договор_Key": "Соглашение_Key",
            "Ответственный_Key": "Менеджер_Key",
            "ВалютаДокумента_Key": "Валюта_Key",
            "СуммаВключаетНДС": "ЦенаВключаетНДС",
            "ВидЦен_Key": _is(self.price_types["Оптовая"]),
        }
        stands_in = {"СтруктурнаяЕдиница_Key": "Склад_Key"}
        states = {name: self.world.guid("order state", name) for name in _ORDER_STATES}
        return [
            Told("Catalog_Организации", "Catalog_Организации"),
            Told("Catalog_Полка_Территории", "Catalog_БизнесРегионы"),
            Told("Catalog_Полка_Марки", "Catalog_Марки"),
            Told(
                "Catalog_Сотрудники",
                "Catalog_Пользователи",
                {"Code": _is("")},
                {"КонтактнаяИнформация": ("КонтактнаяИнформация", {}, None)},
            ),
            Told(
                "Catalog_Контрагенты",
                "Catalog_Партнеры",
                {
                    "Parent_Key": _is(EMPTY_GUID),
                    "ГоловнойКонтрагент_Key": "Parent_Key",
                    "ИНН": lambda r: self.inns.get(r["Ref_Key"], ("", ""))[0],
                    "КПП": lambda r: self.inns.get(r["Ref_Key"], ("", ""))[1],
                    "ВидКонтрагента": lambda r: _PERSON[r["ЮрФизЛицо"]],
                    "Покупатель": "Клиент",
                    "Ответственный_Key": "ОсновнойМенеджер_Key",
                    "ДатаСоздания": "ДатаРегистрации",
                    "Полка_Территория_Key": "БизнесРегион_Key",
                },
                {"КонтактнаяИнформация": ("КонтактнаяИнформация", {}, None)},
            ),
            Told(
                "Catalog_ДоговорыКонтрагентов",
                "Catalog_СоглашенияСКлиентами",
                {
                    "Owner": "Партнер_Key",
                    "Owner_Type": _is(self.type_of("Catalog_Контрагенты")),
                    "НомерДоговора": "Номер",
                    "ДатаДоговора": "Дата",
                    "ВидДоговора": _is("СПокупателем"),
                    "СрокДействия": "ДатаОкончанияДействия",
                    "ВалютаРасчетов_Key": "Валюта_Key",
                    "СрокОплатыПокупателя": "Полка_ОтсрочкаДней",
                    "СуммаДолга": "Полка_КредитныйЛимит",
                    "Ответственный_Key": "Менеджер_Key",
                    "Полка_ДействуетС": "ДатаНачалаДействия",
                },
            ),
            Told("Catalog_ВидыЦен", "Catalog_ВидыЦен"),
            Told("Catalog_Валюты", "Catalog_Валюты"),
            Told("Catalog_СтавкиНДС", "Catalog_СтавкиНДС"),
            Told(
                "Catalog_Номенклатура",
                "Catalog_Номенклатура",
                {
                    "ТипНоменклатуры": lambda r: _UNF_TYPES.get(r["ТипНоменклатуры"], ""),
                    "ВозвратнаяТара": lambda r: r["ТипНоменклатуры"] == "МногооборотнаяТара",
                    "Вес": "ВесЧислитель",
                    "Полка_Марка_Key": "Марка_Key",
                },
            ),
            Told("Catalog_ЕдиницыИзмерения", "Catalog_УпаковкиЕдиницыИзмерения", {"Коэффициент": "Числитель"}),
            Told("Catalog_ПричиныОтменыЗаказа", "Catalog_ПричиныОтменыЗаказовКлиентов"),
            Told(
                self.order,
                "Document_ЗаказКлиента",
                {
                    **trade,
                    "ВидОперации": _is("ЗаказНаПродажу"),
                    "СостояниеЗаказа": lambda r: states[_state(r)],
                    "СостояниеЗаказа_Type": _is(self.type_of("Catalog_СостоянияЗаказовПокупателей")),
                    "Закрыт": lambda r: r["Статус"] == "Закрыт",
                    "ВариантЗавершения": lambda r: {"Отменен": "Отменен", "Завершен": "Успешно"}.get(_state(r), ""),
                    "ПричинаОтмены_Key": lambda r: _cancelled(r) or EMPTY_GUID,
                    "СтруктурнаяЕдиницаРезерв_Key": "Склад_Key",
                    "СтруктурнаяЕдиницаПродажи_Key": "Подразделение_Key",
                    "НомерВходящегоДокумента": _is(""),
                },
                {
                    "Запасы": (
                        "Товары",
                        {**goods, "Полка_Отменено": "Отменено", "Полка_ПричинаОтмены_Key": "ПричинаОтмены_Key"},
                        None,
                    )
                },
            ),
            Told(
                self.shipment,
                "Document_РеализацияТоваровУслуг",
                {
                    **trade,
                    **stands_in,
                    "ВидОперации": _is("ПродажаПокупателю"),
                    "Заказ": "ЗаказКлиента",
                    "Заказ_Type": _is(self.type_of(self.order)),
                },
                {
                    "Запасы": (
                        "Товары",
                        {**goods, "Заказ": "ЗаказКлиента", "Заказ_Type": _is(self.type_of(self.order))},
                        None,
                    )
                },
            ),
            Told(
                self.returned,
                "Document_ВозвратТоваровОтКлиента",
                {
                    **trade,
                    **stands_in,
                    "ВидОперации": _is("ВозвратОтПокупателя"),
                    "ДокументОснование": "ДокументРеализации",
                    "ДокументОснование_Type": _is(self.type_of(self.shipment)),
                    "Полка_АдресДоставки": "АдресДоставки",
                    "Полка_ПричинаВозврата": "ПричинаВозврата",
                },
                {
                    "Запасы": (
                        "Товары",
                        {
                            **returned,
                            "ДокументПродажи": "ДокументРеализации",
                            "ДокументПродажи_Type": _is(self.type_of(self.shipment)),
                        },
                        None,
                    )
                },
            ),
        ]

    def written(self) -> list[EntitySet]:
        guid = self.world.guid
        places: list[Record] = []
        for name, kind in (("Catalog_Склады", "Склад"), ("Catalog_СтруктураПредприятия", "Подразделение")):
            source = self.base_of_ut11.sets[name]
            places += [
                {**_only(source.exact(row), "Ref_Key DeletionMark Description"), "ТипСтруктурнойЕдиницы": kind}
                for row in source.rows
            ]
        states = [{"Ref_Key": guid("order state", name), "Description": name} for name in _ORDER_STATES]
        return [
            self.make("Catalog_СтруктурныеЕдиницы", places),
            self.make("Catalog_СостоянияЗаказовПокупателей", states),
            self.make(self.correction, self._corrections()),
            *(self.make(name, self._payments(kind)) for kind, name in self.payments.items()),
        ]

    def _corrections(self) -> Iterator[Record]:
        for correction, before in self.known_corrections():
            outlet, taken = correction.shipment.order.outlet, correction.line
            branch = outlet.client.branch
            yield {
                **self.head(correction.key, correction.number, correction.at),
                "ВидОперации": "Корректировка",
                "Контрагент_Key": outlet.key,
                "Договор_Key": outlet.agreement_key,
                "Организация_Key": self.world.organisations[branch],
                "Ответственный_Key": outlet.client.manager.key,
                "ВалютаДокумента_Key": self.currency,
                "СуммаВключаетНДС": True,
                "СуммаДокумента": -kopecks(taken.amount),
                "СтруктурнаяЕдиница_Key": self.warehouses[branch][correction.shipment.order.warehouse],
                "ДокументОснование": correction.shipment.key,
                "ДокументОснование_Type": self.type_of(self.shipment),
                "Запасы": [
                    {
                        "Номенклатура_Key": self.world.products[taken.product].key,
                        "Количество": before.quantity - taken.quantity,
                        "Цена": kopecks(before.price),
                        "Сумма": kopecks(before.amount - taken.amount),
                        "СуммаНДС": kopecks(before.vat - taken.vat),
                        "Всего": kopecks(before.amount - taken.amount),
                        "КоличествоДоКорректировки": before.quantity,
                        "ЦенаДоКорректировки": kopecks(before.price),
                        "СуммаДоКорректировки": kopecks(before.amount),
                        "СуммаНДСДоКорректировки": kopecks(before.vat),
                    }
                ],
            }

    def _payments(self, kind: PaymentKind) -> Iterator[Record]:
        for payment in self.known_payments(kind):
            outlet = payment.parts[0][0].order.outlet
            result = {
                **self.head(payment.key, payment.number, payment.at),
                "ВидОперации": "ОтПокупателя",
                "Контрагент_Key": payment.client.key,
                "Договор_Key": outlet.agreement_key,
                "Организация_Key": self.world.organisations[payment.client.branch],
                "ВалютаДенежныхСредств_Key": self.currency,
                "СуммаДокумента": kopecks(payment.amount),
                "РасшифровкаПлатежа": [
                    {
                        "Договор_Key": shipment.order.outlet.agreement_key,
                        "ПризнакАванса": shipment.at > payment.at,
                        "Документ": shipment.key if shipment.at <= payment.at else "",
                        "Документ_Type": self.type_of(self.shipment) if shipment.at <= payment.at else None,
                        "Заказ": shipment.order.key,
                        "Заказ_Type": self.type_of(self.order),
                        "СуммаПлатежа": kopecks(amount),
                        "СуммаРасчетов": kopecks(amount),
                    }
                    for shipment, amount in payment.parts
                ],
            }
            if kind == "bank":
                result |= {"НазначениеПлатежа": "Оплата за продукты питания", "Оплачено": True}
                result["ДатаОплаты"] = stamp(payment.at.date())
            yield result

    def registers(self) -> list[Register]:
        return [
            self.make_register("AccumulationRegister_Продажи", self._sold()),
            self.make_register("AccumulationRegister_ЗапасыНаСкладах", self._stock()),
            self.make_register("AccumulationRegister_РасчетыСПокупателями", self._settled()),
            self.make_register("InformationRegister_ЦеныНоменклатуры", self._priced()),
        ]

    def _sold(self) -> Iterator[Record]:
        for key, name, at, shipment, line, sign in self.sales():
            outlet = shipment.order.outlet
            branch = outlet.client.branch
            stocked = self.ledger.is_stocked(line.product)
            cost = self.ledger.unit_cost(line.product, at.date()) * line.quantity if stocked else 0
            yield {
                "Recorder": key,
                "Recorder_Type": self.type_of(name),
                "Period": stamp(at),
                "Номенклатура_Key": self.world.products[line.product].key,
                "Контрагент_Key": outlet.key,
                "Договор_Key": outlet.agreement_key,
                "Организация_Key": self.world.organisations[branch],
                "Документ": key,
                "Документ_Type": self.type_of(name),
                "ЗаказПокупателя": shipment.order.key,
                "ЗаказПокупателя_Type": self.type_of(self.order),
                "Подразделение_Key": self.departments[branch],
                "Ответственный_Key": outlet.client.manager.key,
                "Количество": sign * line.quantity,
                "Сумма": kopecks(sign * line.amount),
                "СуммаНДС": kopecks(sign * line.vat),
                "Себестоимость": kopecks(sign * cost),
            }

    def _stock(self) -> Iterator[Record]:
        for delivery in self.ledger.deliveries:
            if delivery.at <= self.moment:
                for product, quantity in sorted(delivery.quantities.items()):
                    yield {
                        "Recorder": delivery.key,
                        "Recorder_Type": self.type_of(self.returned),
                        "Period": stamp(delivery.at),
                        "RecordType": "Receipt",
                        "Организация_Key": self.world.organisations[delivery.branch],
                        "СтруктурнаяЕдиница_Key": self.warehouses[delivery.branch][delivery.warehouse],
                        "Номенклатура_Key": self.world.products[product].key,
                        "Количество": quantity,
                    }
        for key, name, at, shipment, line, sign in self.sales():
            if self.ledger.is_stocked(line.product):
                branch = shipment.order.outlet.client.branch
                yield {
                    "Recorder": key,
                    "Recorder_Type": self.type_of(name),
                    "Period": stamp(at),
                    "RecordType": "Expense" if sign > 0 else "Receipt",
                    "Организация_Key": self.world.organisations[branch],
                    "СтруктурнаяЕдиница_Key": self.warehouses[branch][shipment.order.warehouse],
                    "Номенклатура_Key": self.world.products[line.product].key,
                    "Количество": line.quantity,
                }

    def _settled(self) -> Iterator[Record]:
        """A debt is positive, what was paid ahead is a negative balance of its own kind."""
        for move in self.ledger.settlement_moves:
            if move.at > self.moment:
                return
            outlet = move.shipment.order.outlet
            debt = move.kind == "debt"
            yield {
                "Recorder": move.document.key,
                "Recorder_Type": self.type_of(self.set_of(move.document)),
                "Period": stamp(move.at),
                "RecordType": "Receipt" if debt == (move.amount > 0) else "Expense",
                "Организация_Key": self.world.organisations[outlet.client.branch],
                "Контрагент_Key": outlet.key,
                "Договор_Key": outlet.agreement_key,
                "Документ": move.source.key,
                "Документ_Type": self.type_of(self.set_of(move.source)),
                "Заказ": move.shipment.order.key,
                "Заказ_Type": self.type_of(self.order),
                "ТипРасчетов": "Долг" if debt else "Аванс",
                "Сумма": kopecks(abs(move.amount)),
                "СуммаВал": kopecks(abs(move.amount)),
            }

    def _priced(self) -> Iterator[Record]:
        for at, _, product, kind, price in self.prices():
            row = {"Period": stamp(at), "ВидЦен_Key": kind, "Номенклатура_Key": product}
            yield row | {"Цена": kopecks(price), "Актуальность": True}


class _Bp30(Teller):
    configuration = BP30
    order = "Document_СчетНаОплатуПокупателю"
    shipment = "Document_РеализацияТоваровУслуг"
    returned = "Document_ВозвратТоваровОтПокупателя"
    correction = "Document_КорректировкаРеализации"
    payments: ClassVar[Mapping[PaymentKind, str]] = {
        "bank": "Document_ПоступлениеНаРасчетныйСчет",
        "cash": "Document_ПриходныйКассовыйОрдер",
        "card": "Document_ОплатаПлатежнойКартой",
    }

    def told(self) -> list[Told]:
        services = {p.key for p in self.world.products if p.kind == "Услуга"}
        rates = {self.world.guid("vat", percent): f"НДС{percent}" for percent in (10, 22)}
        goods: dict[str, str | Value] = {"СтавкаНДС": lambda line: rates[line["СтавкаНДС_Key"]]}
        service = {**goods, "Содержание": _is("Доставка")}
        trade: dict[str, str | Value] = {
            "Контрагент_Key": "Партнер_Key",
            "ДоговорКонтрагента_Key": "Соглашение_Key",
            "ПодразделениеОрганизации_Key": "Подразделение_Key",
            "ВалютаДокумента_Key": "Валюта_Key",
            "СуммаВключаетНДС": "ЦенаВключаетНДС",
            "Полка_Менеджер_Key": "Менеджер_Key",
        }

        def is_service(line: Record) -> bool:
            return line["Номенклатура_Key"] in services

        def is_good(line: Record) -> bool:
            return not is_service(line)

        return [
            Told("Catalog_Организации", "Catalog_Организации"),
            Told("Catalog_Полка_Территории", "Catalog_БизнесРегионы"),
            Told("Catalog_Полка_Марки", "Catalog_Марки"),
            Told("Catalog_Полка_ПричиныОтмены", "Catalog_ПричиныОтменыЗаказовКлиентов"),
            Told("Catalog_ПодразделенияОрганизаций", "Catalog_СтруктураПредприятия"),
            Told("Catalog_Склады", "Catalog_Склады"),
            Told(
                "Catalog_Пользователи",
                "Catalog_Пользователи",
                lines={"КонтактнаяИнформация": ("КонтактнаяИнформация", {}, None)},
            ),
            Told(
                "Catalog_Контрагенты",
                "Catalog_Партнеры",
                {
                    "Parent_Key": _is(EMPTY_GUID),
                    "ГоловнойКонтрагент_Key": "Parent_Key",
                    "ИНН": lambda r: self.inns.get(r["Ref_Key"], ("", ""))[0],
                    "КПП": lambda r: self.inns.get(r["Ref_Key"], ("", ""))[1],
                    "ЮридическоеФизическоеЛицо": lambda r: (
                        "ЮридическоеЛицо" if r["ЮрФизЛицо"] == "ЮрЛицо" else "ФизическоеЛицо"
                    ),
                    "Полка_Территория_Key": "БизнесРегион_Key",
                    "Полка_Менеджер_Key": "ОсновнойМенеджер_Key",
                    "Полка_ДатаРегистрации": "ДатаРегистрации",
                    "Полка_Клиент": "Клиент",
                    "Полка_Поставщик": "Поставщик",
                },
                {"КонтактнаяИнформация": ("КонтактнаяИнформация", {}, None)},
            ),
            Told(
                "Catalog_ДоговорыКонтрагентов",
                "Catalog_СоглашенияСКлиентами",
                {
                    "Owner_Key": "Партнер_Key",
                    "ВидДоговора": _is("СПокупателем"),
                    "СрокДействия": "ДатаОкончанияДействия",
                    "ВалютаВзаиморасчетов_Key": "Валюта_Key",
                    "ТипЦен_Key": "ВидЦен_Key",
                    "СрокОплаты": "Полка_ОтсрочкаДней",
                    "Полка_Менеджер_Key": "Менеджер_Key",
                    "Полка_ДействуетС": "ДатаНачалаДействия",
                },
            ),
            Told("Catalog_ТипыЦенНоменклатуры", "Catalog_ВидыЦен"),
            Told("Catalog_Валюты", "Catalog_Валюты"),
            Told("Catalog_ВидыНоменклатуры", "Catalog_ВидыНоменклатуры"),
            Told(
                "Catalog_Номенклатура",
                "Catalog_Номенклатура",
                {
                    "Услуга": lambda r: r["ТипНоменклатуры"] == "Услуга",
                    "Полка_ТипНоменклатуры": "ТипНоменклатуры",
                    "Полка_Тара": lambda r: r["ТипНоменклатуры"] == "МногооборотнаяТара",
                    "Полка_Марка_Key": "Марка_Key",
                    "Полка_Вес": "ВесЧислитель",
                },
            ),
            Told("Catalog_КлассификаторЕдиницИзмерения", "Catalog_УпаковкиЕдиницыИзмерения"),
            Told("Catalog_СтатьиЗатрат", "ChartOfCharacteristicTypes_СтатьиРасходов"),
            Told(
                self.order,
                "Document_ЗаказКлиента",
                {
                    **trade,
                    "ТипЦен_Key": _is(self.price_types["Оптовая"]),
                    "Полка_Статус": "Статус",
                    "Полка_Закрыт": lambda r: r["Статус"] == "Закрыт",
                    "Полка_Согласован": "Согласован",
                    "Полка_ДатаОтгрузки": "ДатаОтгрузки",
                },
                {
                    "Товары": (
                        "Товары",
                        {
                            **goods,
                            "ПроцентСкидки": "ПроцентАвтоматическойСкидки",
                            "СуммаСкидки": "СуммаАвтоматическойСкидки",
                            "Полка_ДатаОтгрузки": "ДатаОтгрузки",
                            "Полка_Отменено": "Отменено",
                            "Полка_ПричинаОтмены_Key": "ПричинаОтмены_Key",
                        },
                        is_good,
                    ),
                    "Услуги": ("Товары", service, is_service),
                },
            ),
            Told(
                self.shipment,
                "Document_РеализацияТоваровУслуг",
                {**trade, "ВидОперации": _is("ПродажаКомиссия"), "СчетНаОплатуПокупателю_Key": "ЗаказКлиента"},
                {
                    "Товары": (
                        "Товары",
                        {**goods, "ЕдиницаИзмерения_Key": "Упаковка_Key", "КоличествоМест": "КоличествоУпаковок"},
                        is_good,
                    ),
                    "Услуги": ("Товары", service, is_service),
                },
            ),
            Told(
                self.returned,
                "Document_ВозвратТоваровОтКлиента",
                {
                    **trade,
                    "ВидОперации": _is("ПродажаКомиссия"),
                    "ДокументОтгрузки": "ДокументРеализации",
                    "ДокументОтгрузки_Type": _is(self.type_of(self.shipment)),
                    "Полка_АдресДоставки": "АдресДоставки",
                    "Полка_ПричинаВозврата": "ПричинаВозврата",
                },
                {"Товары": ("Товары", goods, None)},
            ),
        ]

    def written(self) -> list[EntitySet]:
        return [
            self.make(self.correction, self._corrections()),
            *(self.make(name, self._payments(kind)) for kind, name in self.payments.items()),
            self.make("Document_ПоступлениеТоваровУслуг", self._bought()),
            self.make(
                "ChartOfAccounts_Хозрасчетный",
                [{"Ref_Key": self.account(code), "Code": code, "Description": name} for code, name in _ACCOUNTS],
            ),
        ]

    def _corrections(self) -> Iterator[Record]:
        for correction, before in self.known_corrections():
            outlet, taken = correction.shipment.order.outlet, correction.line
            branch = outlet.client.branch
            yield {
                **self.head(correction.key, correction.number, correction.at),
                "ВидОперации": "СогласованноеИзменение",
                "Контрагент_Key": outlet.key,
                "ДоговорКонтрагента_Key": outlet.agreement_key,
                "Организация_Key": self.world.organisations[branch],
                "Склад_Key": self.warehouses[branch][correction.shipment.order.warehouse],
                "Полка_Менеджер_Key": outlet.client.manager.key,
                "ВалютаДокумента_Key": self.currency,
                "СуммаВключаетНДС": True,
                "СуммаДокумента": -kopecks(taken.amount),
                "ДокументРеализации": correction.shipment.key,
                "ДокументРеализации_Type": self.type_of(self.shipment),
                "Товары": [
                    {
                        "Номенклатура_Key": self.world.products[taken.product].key,
                        "Количество": before.quantity - taken.quantity,
                        "Цена": kopecks(before.price),
                        "Сумма": kopecks(before.amount - taken.amount),
                        "СуммаНДС": kopecks(before.vat - taken.vat),
                        "КоличествоДоИзменения": before.quantity,
                        "ЦенаДоИзменения": kopecks(before.price),
                        "СуммаДоИзменения": kopecks(before.amount),
                        "СуммаНДСДоИзменения": kopecks(before.vat),
                    }
                ],
            }

    def _payments(self, kind: PaymentKind) -> Iterator[Record]:
        for payment in self.known_payments(kind):
            yield {
                **self.head(payment.key, payment.number, payment.at),
                "ВидОперации": "ОплатаПокупателя",
                "Контрагент": payment.client.key,
                "Контрагент_Type": self.type_of("Catalog_Контрагенты"),
                "ДоговорКонтрагента_Key": payment.parts[0][0].order.outlet.agreement_key,
                "Организация_Key": self.world.organisations[payment.client.branch],
                "ВалютаДокумента_Key": self.currency,
                "СуммаДокумента": kopecks(payment.amount),
                "РасшифровкаПлатежа": [
                    {
                        "ДоговорКонтрагента_Key": shipment.order.outlet.agreement_key,
                        "Сделка": shipment.key if shipment.at <= payment.at else "",
                        "Сделка_Type": self.type_of(self.shipment) if shipment.at <= payment.at else None,
                        "СчетНаОплату_Key": shipment.order.key,
                        "СуммаПлатежа": kopecks(amount),
                        "СуммаВзаиморасчетов": kopecks(amount),
                    }
                    for shipment, amount in payment.parts
                ],
            }

    def _bought(self) -> Iterator[Record]:
        """Services of others: delivery, fuel, marketing."""
        for cost in self.ledger.costs:
            if cost.at > self.moment:
                continue
            yield {
                **self.head(cost.key, cost.number, cost.at),
                "ВидОперации": "Услуги",
                "Контрагент_Key": self.world.guid("supplier", cost.ordinal % 3),
                "Организация_Key": self.world.organisations[cost.branch],
                "ПодразделениеОрганизации_Key": self.departments[cost.branch],
                "ВалютаДокумента_Key": self.currency,
                "СуммаВключаетНДС": True,
                "СуммаДокумента": kopecks(cost.amount),
                "Услуги": [
                    {
                        "Содержание": f"{cost.article}, {cost.at:%m.%Y}",
                        "Количество": 1,
                        "Цена": kopecks(cost.amount),
                        "Сумма": kopecks(cost.amount),
                        "СуммаНДС": kopecks(cost.amount * 22 // 122),
                        "СтавкаНДС": "НДС22",
                        "Субконто1": self.world.guid("article", cost.article),
                        "Субконто1_Type": self.type_of("Catalog_СтатьиЗатрат"),
                        "ПодразделениеЗатрат_Key": self.departments[cost.branch],
                    }
                ],
            }

    def registers(self) -> list[Register]:
        def priced() -> Iterator[Record]:
            for at, level, product, kind, price in self.prices():
                yield {
                    "Recorder": self.world.guid("price list", level),
                    "Recorder_Type": self.type_of("Document_УстановкаЦенНоменклатуры"),
                    "Period": stamp(at),
                    "ТипЦен_Key": kind,
                    "Номенклатура_Key": product,
                    "Цена": kopecks(price),
                    "Валюта_Key": self.currency,
                }

        return [
            self.make_register("InformationRegister_ЦеныНоменклатуры", priced()),
            self.make_register("AccountingRegister_Хозрасчетный", self._posted()),
        ]

    def _posted(self) -> Iterator[Record]:
        """Settlements with clients: 62.01 holds debts, 62.02 money paid ahead, by counterparty and contract."""
        money = {"bank": "51", "cash": "50.01", "card": "57.03"}
        for move in self.ledger.settlement_moves:
            if move.at > self.moment:
                return
            outlet = move.shipment.order.outlet
            against = money[move.document.kind] if isinstance(move.document, Payment) else "90.01"
            clients = "62.01" if move.kind == "debt" else "62.02"
            debit = (move.kind == "debt") == (move.amount > 0)
            dimensions: Record = {}
            for number, (key, name) in enumerate(
                ((outlet.key, "Catalog_Контрагенты"), (outlet.agreement_key, "Catalog_ДоговорыКонтрагентов")), start=1
            ):
                field_name = f"ExtDimension{'Dr' if debit else 'Cr'}{number}"
                dimensions |= {field_name: key, f"{field_name}_Type": self.type_of(name)}
            yield {
                "Recorder": move.document.key,
                "Recorder_Type": self.type_of(self.set_of(move.document)),
                "Period": stamp(move.at),
                "AccountDr_Key": self.account(clients if debit else against),
                "AccountCr_Key": self.account(against if debit else clients),
                "Организация_Key": self.world.organisations[outlet.client.branch],
                "Сумма": kopecks(abs(move.amount)),
                **dimensions,
            }

    def account(self, code: str) -> str:
        """Guid of an account."""
        return self.world.guid("account", code)


_ACCOUNTS = (
    ("50.01", "Касса организации"),
    ("51", "Расчетные счета"),
    ("57.03", "Продажи по платежным картам"),
    ("62.01", "Расчеты с покупателями и заказчиками"),
    ("62.02", "Расчеты по авансам полученным"),
    ("90.01", "Выручка"),
)
_ORDER_STATES = ("Открыт", "В работе", "Завершен", "Отменен")
_UNF_TYPES = {"Товар": "Запас", "МногооборотнаяТара": "Запас", "Услуга": "Услуга"}


def _cancelled(order: Record) -> str | None:
    """Guid of the reason when nothing of an order is left."""
    lines = order["Товары"]
    return str(lines[0]["ПричинаОтмены_Key"]) if lines and all(line["Отменено"] for line in lines) else None


def _state(order: Record) -> str:
    if _cancelled(order) is not None:
        return "Отменен"
    return {"Закрыт": "Завершен", "КОбеспечению": "В работе"}.get(order["Статус"], "Открыт")


def _only(record: Record, names: str) -> Record:
    return {name: record[name] for name in names.split()}


def translated_base(world: World, day: date, configuration: str) -> Base:
    """The base of `unf` or `bp30` at six in the morning of `day`."""
    return {"unf": _Unf, "bp30": _Bp30}[configuration](world, day).base()
