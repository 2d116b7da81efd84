"""What stands behind the orders, as УТ 11 keeps it: contracts, payments, prices, costs and all registers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Any

from simulators.onec.base import EntitySet, Row, fragment, simple_set, version
from simulators.onec.registers import Register
from simulators.onec.schema import RegisterSchema
from simulators.onec.ut11 import UT11
from simulators.world import names
from simulators.world.build import Line, Outlet, Return, Shipment
from simulators.world.ledger import CHAIN_PRICE_PERCENT, PURCHASE_PERCENT, Correction, Payment, PaymentKind
from simulators.world.onec_text import kopecks, roubles, stamp
from simulators.world.workdays import DAY

if TYPE_CHECKING:
    from simulators.world.onec import Publisher

_SCHEMAS = UT11.by_name
_REGISTERS = {register.name: register for register in UT11.registers}
DOCUMENT_TYPES = {
    Shipment: "StandardODATA.Document_РеализацияТоваровУслуг",
    Return: "StandardODATA.Document_ВозвратТоваровОтКлиента",
    Correction: "StandardODATA.Document_КорректировкаРеализации",
}
PAYMENT_SETS: dict[PaymentKind, str] = {
    "bank": "Document_ПоступлениеБезналичныхДенежныхСредств",
    "cash": "Document_ПриходныйКассовыйОрдер",
    "card": "Document_ОперацияПоПлатежнойКарте",
}
_ORDER_TYPE = "StandardODATA.Document_ЗаказКлиента"
_PAYMENT_NUMBERS = {"bank": "ПлатежноеПоручение", "cash": "Наличная", "card": "ПлатежнаяКарта"}


class LedgerPublisher:
    """Entity sets and registers of the ledger on one morning."""

    def __init__(self, publisher: Publisher) -> None:
        self.publisher = publisher
        self.world = publisher.world
        self.ledger = publisher.world.ledger
        self.moment = publisher.moment
        self._keys: dict[tuple[object, ...], str] = {}

    # keys that several records share

    def _key(self, kind: str, *parts: object) -> str:
        """A guid as JSON text, remembered: documents repeat them a hundred thousand times."""
        known = self._keys.get((kind, *parts))
        if known is None:
            known = self._keys[kind, *parts] = f'"{self.world.guid(kind, *parts)}"'
        return known

    def contract_key(self, outlet: Outlet) -> str:
        """The contract with the legal entity that an outlet buys through, as JSON text."""
        return self._key("contract", outlet.legal_entity.key)

    def object_key(self, shipment_or_order: Any) -> str:
        """What settlements are kept by: the order, or the contract, as was agreed; JSON text."""
        order = shipment_or_order.order if isinstance(shipment_or_order, Shipment) else shipment_or_order
        if self.ledger.terms[order.outlet.client.key].settlement == "ПоЗаказам":
            return self._key("settlement object", order.key)
        return self._key("settlement object", order.outlet.legal_entity.key)

    def partner_key(self, outlet: Outlet) -> str:
        """Key of analytics of an outlet with its legal entity, as JSON text."""
        return self._key("partner key", outlet.key, outlet.legal_entity.key)

    # catalogs

    def sets(self) -> list[EntitySet]:
        """Catalogs and documents."""
        return [
            self._contracts(),
            self._schedules(),
            self._set("Catalog_ОбъектыРасчетов", self._objects()),
            self._partner_keys(),
            self._product_keys(),
            self._segments(),
            self._set("Catalog_БонусныеПрограммыЛояльности", [self._programme()]),
            self._set(
                "ChartOfCharacteristicTypes_СтатьиРасходов",
                [{"Ref_Key": self.world.guid("article", name), "Description": name} for name, _ in names.COST_ARTICLES],
            ),
            self._set("Document_КорректировкаРеализации", self._corrections()),
            *(self._set(name, self._payments(kind)) for kind, name in PAYMENT_SETS.items()),
            self._set("Document_ПриобретениеТоваровУслуг", self._deliveries()),
            self._set("Document_УстановкаЦенНоменклатуры", self._price_documents()),
            self._set("Document_ПриобретениеУслугПрочихАктивов", self._costs()),
            self._set("Document_НачислениеИСписаниеБонусныхБаллов", self._bonus_documents()),
            self._set("Document_ПланПродаж", self._plans()),
        ]

    def _set(self, name: str, records: Iterable[Mapping[str, Any]]) -> EntitySet:
        """A set whose records are worked out when somebody reads it."""
        return simple_set(_SCHEMAS[name], ({"DataVersion": version(n), **r} for n, r in enumerate(records, start=1)))

    def _contracts(self) -> EntitySet:
        records = []
        for number, client in enumerate(self.world.clients, start=1):
            terms = self.ledger.terms[client.key]
            for index, legal in enumerate(client.legal_entities):
                signed = client.registered_on
                records.append(
                    {
                        "Ref_Key": self.world.guid("contract", legal.key),
                        "Description": f"Договор поставки № {number}/{index + 1}",
                        "Номер": f"{number}/{index + 1}",
                        "Дата": stamp(signed),
                        "Партнер_Key": client.key,
                        "Контрагент_Key": legal.key,
                        "Организация_Key": self.world.organisations[client.branch],
                        "Менеджер_Key": client.manager.key,
                        "Статус": "Действует",
                        "ТипДоговора": "СПокупателем",
                        "ДатаНачалаДействия": stamp(signed),
                        "ВалютаВзаиморасчетов_Key": self.publisher.currency,
                        "ОграничиватьСуммуЗадолженности": terms.credit_limit > 0,
                        "ДопустимаяСуммаЗадолженности": terms.credit_limit // 100,
                        "ЗапрещаетсяПросроченнаяЗадолженность": terms.credit_limit > 0,
                        "ПорядокРасчетов": terms.settlement,
                        "ГрафикОплаты_Key": self.world.guid("schedule", terms.deferral_days),
                    }
                )
        return self._set("Catalog_ДоговорыКонтрагентов", records)

    def _schedules(self) -> EntitySet:
        days = sorted({terms.deferral_days for terms in self.ledger.terms.values()})
        return self._set(
            "Catalog_ГрафикиОплаты",
            [
                {
                    "Ref_Key": self.world.guid("schedule", n),
                    "Description": f"Отсрочка {n} дней" if n else "Оплата при получении",
                    "Этапы": [
                        {
                            "ВариантОплаты": "КредитПослеОтгрузки",
                            "ПроцентПлатежа": 100,
                            "Сдвиг": n,
                            "ВариантОтсчета": "ОтДатыОтгрузки",
                        }
                    ],
                }
                for n in days
            ],
        )

    def _objects(self) -> Iterator[dict[str, Any]]:
        for client in self.world.clients:
            for legal in client.legal_entities:
                yield (
                    {
                        "Ref_Key": self.world.guid("settlement object", legal.key),
                        "Description": f"Договор с {legal.name}",
                        "Дата": stamp(client.registered_on),
                        "Организация_Key": self.world.organisations[client.branch],
                        "Партнер_Key": client.key,
                        "Контрагент_Key": legal.key,
                        "Договор_Key": self.world.guid("contract", legal.key),
                        "Объект": self.world.guid("contract", legal.key),
                        "Объект_Type": "StandardODATA.Catalog_ДоговорыКонтрагентов",
                        "ТипРасчетов": "РасчетыСКлиентом",
                    }
                )
        for order in self.world.orders:
            outlet = order.outlet
            if order.known_from > self.moment or self.ledger.terms[outlet.client.key].settlement != "ПоЗаказам":
                continue
            yield (
                {
                    "Ref_Key": self.world.guid("settlement object", order.key),
                    "Description": f"Заказ клиента {order.number}",
                    "Номер": order.number,
                    "Дата": stamp(order.at),
                    "Организация_Key": self.world.organisations[outlet.client.branch],
                    "Партнер_Key": outlet.key,
                    "Контрагент_Key": outlet.legal_entity.key,
                    "Договор_Key": self.world.guid("contract", outlet.legal_entity.key),
                    "Объект": order.key,
                    "Объект_Type": _ORDER_TYPE,
                    "ТипРасчетов": "РасчетыСКлиентом",
                }
            )

    def _partner_keys(self) -> EntitySet:
        return self._set(
            "Catalog_КлючиАналитикиУчетаПоПартнерам",
            [
                {
                    "Ref_Key": self.world.guid("partner key", outlet.key, outlet.legal_entity.key),
                    "Description": f"{outlet.name}; {outlet.legal_entity.name}",
                    "Организация_Key": self.world.organisations[outlet.client.branch],
                    "Партнер_Key": outlet.key,
                    "Контрагент_Key": outlet.legal_entity.key,
                    "Договор_Key": self.world.guid("contract", outlet.legal_entity.key),
                }
                for outlet in self.world.outlets
            ],
        )

    def _product_keys(self) -> EntitySet:
        return self._set(
            "Catalog_КлючиАналитикиУчетаНоменклатуры",
            [
                {
                    "Ref_Key": self.world.guid("product key", n, branch, place),
                    "Description": product.name,
                    "Номенклатура_Key": product.key,
                    "МестоХранения": warehouse,
                    "МестоХранения_Type": "StandardODATA.Catalog_Склады",
                }
                for branch, warehouses in enumerate(self.publisher.warehouses)
                for place, warehouse in enumerate(warehouses)
                for n, product in enumerate(self.world.products)
            ],
        )

    def _segments(self) -> EntitySet:
        channels = sorted({outlet.channel for outlet in self.world.outlets})
        return self._set(
            "Catalog_СегментыПартнеров",
            [{"Ref_Key": self.world.guid("segment", c), "Description": c} for c in channels],
        )

    def _programme(self) -> dict[str, Any]:
        return {"Ref_Key": self.world.guid("programme"), "Description": "Баллы сетям"}

    # documents

    def _corrections(self) -> Iterator[dict[str, Any]]:
        for correction in self.ledger.corrections:
            if correction.at > self.moment:
                continue
            line = self._line(correction.line)
            taken = {
                name: -value if name in _NEGATED else value for name, value in line.items()
            }  # differences are negative
            yield (
                {
                    **self._head(correction.key, correction.number, correction.at, correction.ordinal),
                    **self._trade(correction.shipment.order.outlet),
                    "Склад_Key": self._warehouse(correction.shipment),
                    "СуммаДокумента": -kopecks(correction.line.amount),
                    "ХозяйственнаяОперация": "КорректировкаПоСогласованиюСторон",
                    "ДокументОснование": correction.shipment.key,
                    "ДокументОснование_Type": DOCUMENT_TYPES[Shipment],
                    "ОбъектРасчетов_Key": self.object_key(correction.shipment)[1:-1],
                    "Расхождения": [taken],
                }
            )

    def _line(self, line: Line) -> dict[str, Any]:
        product = self.world.products[line.product]
        return {
            "Номенклатура_Key": product.key,
            "Упаковка_Key": self.publisher.units[product.unit],
            "КоличествоУпаковок": line.quantity,
            "Количество": line.quantity,
            "Цена": kopecks(line.price),
            "Сумма": kopecks(line.amount),
            "СтавкаНДС_Key": self.publisher.vat[product.vat_percent],
            "СуммаНДС": kopecks(line.vat),
            "СуммаСНДС": kopecks(line.amount),
            "КодСтроки": 1,
        }

    def _head(self, key: str, number: str, at: datetime, ordinal: int) -> dict[str, Any]:
        return {"Ref_Key": key, "DataVersion": version(ordinal), "Number": number, "Date": stamp(at), "Posted": True}

    def _trade(self, outlet: Outlet) -> dict[str, Any]:
        branch = outlet.client.branch
        return {
            "Партнер_Key": outlet.key,
            "Контрагент_Key": outlet.legal_entity.key,
            "Организация_Key": self.world.organisations[branch],
            "Соглашение_Key": outlet.agreement_key,
            "Договор_Key": self.contract_key(outlet)[1:-1],
            "Менеджер_Key": outlet.client.manager.key,
            "Подразделение_Key": self.publisher.departments[branch],
            "Валюта_Key": self.publisher.currency,
            "ЦенаВключаетНДС": True,
        }

    def _warehouse(self, shipment: Shipment) -> str:
        return self.publisher.warehouses[shipment.order.outlet.client.branch][shipment.order.warehouse]

    def _payments(self, kind: PaymentKind) -> Iterator[dict[str, Any]]:
        for payment in self.ledger.payments:
            if payment.at <= self.moment and payment.kind == kind:
                yield self._payment(payment)

    def _payment(self, payment: Payment) -> dict[str, Any]:
        legal = payment.legal
        contract = self._key("contract", legal.key)[1:-1]
        result = {
            **self._head(payment.key, payment.number, payment.at, payment.ordinal),
            "Организация_Key": self.world.organisations[payment.client.branch],
            "Партнер_Key": payment.client.key,
            "Контрагент_Key": legal.key,
            "Договор_Key": contract,
            "Валюта_Key": self.publisher.currency,
            "СуммаДокумента": kopecks(payment.amount),
            "ХозяйственнаяОперация": "ПоступлениеОплатыОтКлиента",
            "РасшифровкаПлатежа": [
                {
                    "Партнер_Key": shipment.order.outlet.key,
                    "Договор_Key": contract,
                    "ОбъектРасчетов_Key": self.object_key(shipment)[1:-1],
                    "ОснованиеПлатежа": shipment.key if shipment.at <= payment.at else shipment.order.key,
                    "ОснованиеПлатежа_Type": DOCUMENT_TYPES[Shipment] if shipment.at <= payment.at else _ORDER_TYPE,
                    "Сумма": kopecks(amount),
                    "СуммаВзаиморасчетов": kopecks(amount),
                    "ВалютаВзаиморасчетов_Key": self.publisher.currency,
                }
                for shipment, amount in payment.parts
            ],
        }
        if payment.kind == "bank":
            day = payment.at.date()
            what = ", ".join(shipment.number for shipment, _ in payment.parts[:3])
            result |= {
                "НазначениеПлатежа": f"Оплата за продукты питания по накладным {what}, в т.ч. НДС",
                "ПроведеноБанком": True,
                "ДатаПроведенияБанком": stamp(day),
            }
        elif payment.kind == "cash":
            result["Основание"] = "Оплата при получении товара"
        return result

    def _deliveries(self) -> Iterator[dict[str, Any]]:
        for delivery in self.ledger.deliveries:
            if delivery.at > self.moment:
                continue
            lines = []
            for product, quantity in sorted(delivery.quantities.items()):
                cost = self.ledger.unit_cost(product, delivery.at.date())
                found = self.world.products[product]
                lines.append(
                    {
                        "Номенклатура_Key": found.key,
                        "Количество": quantity,
                        "КоличествоУпаковок": quantity,
                        "Цена": kopecks(cost),
                        "Сумма": kopecks(cost * quantity),
                    }
                )
            yield (
                {
                    **self._head(delivery.key, delivery.number, delivery.at, delivery.ordinal),
                    "Организация_Key": self.world.organisations[delivery.branch],
                    "Партнер_Key": self.world.guid("supplier", delivery.ordinal % 3),
                    "Склад_Key": self.publisher.warehouses[delivery.branch][delivery.warehouse],
                    "Валюта_Key": self.publisher.currency,
                    "ХозяйственнаяОперация": "ЗакупкаУПоставщика",
                    "Товары": lines,
                }
            )

    def _price_documents(self) -> Iterator[dict[str, Any]]:
        yield from (
            {
                **self._head(self.world.guid("price list", level), f"УЦ-{level + 1:06d}", at, level + 1),
                "Статус": "Согласован",
                "Товары": [
                    {"Номенклатура_Key": product, "ВидЦены_Key": kind, "Цена": price}
                    for product, kind, price in self._prices(level)
                ],
            }
            for at, level in self._price_levels()
        )

    def _price_levels(self) -> list[tuple[datetime, int]]:
        levels = [(datetime.combine(day, time()), level) for day, level in self.ledger.price_changes]
        return [(at, level) for at, level in levels if at <= self.moment]

    def _prices(self, level: int) -> Iterator[tuple[str, str, Any]]:
        kinds = self.publisher.price_types
        for n, product in enumerate(self.world.products):
            price = self.ledger.list_price(n, level)
            yield product.key, kinds["Оптовая"], kopecks(price)
            yield product.key, kinds["Сетевая"], kopecks(price * CHAIN_PRICE_PERCENT // 100)
            without_vat = price * 100 // (100 + product.vat_percent)
            yield product.key, kinds["Закупочная"], kopecks(without_vat * PURCHASE_PERCENT // 100)

    def _costs(self) -> Iterator[dict[str, Any]]:
        for cost in self.ledger.costs:
            if cost.at > self.moment:
                continue
            vat = cost.amount * 22 // 122
            line = {
                "СтатьяРасходов": self.world.guid("article", cost.article),
                "СтатьяРасходов_Type": "StandardODATA.ChartOfCharacteristicTypes_СтатьиРасходов",
                "Содержание": f"{cost.article}, {cost.at:%m.%Y}",
                "Подразделение_Key": self.publisher.departments[cost.branch],
                "Количество": 1,
                "Цена": kopecks(cost.amount),
                "Сумма": kopecks(cost.amount),
                "СуммаНДС": kopecks(vat),
                "СуммаСНДС": kopecks(cost.amount),
            }
            yield (
                {
                    **self._head(cost.key, cost.number, cost.at, cost.ordinal),
                    "Организация_Key": self.world.organisations[cost.branch],
                    "Партнер_Key": self.world.guid("supplier", cost.ordinal % 3),
                    "Подразделение_Key": self.publisher.departments[cost.branch],
                    "Валюта_Key": self.publisher.currency,
                    "СуммаДокумента": kopecks(cost.amount),
                    "ЦенаВключаетНДС": True,
                    "ХозяйственнаяОперация": "ЗакупкаУПоставщика",
                    "Расходы": [line],
                }
            )

    def _bonus_documents(self) -> Iterator[dict[str, Any]]:
        yield from (
            {
                **self._head(bonus.key, bonus.number, bonus.at, bonus.ordinal),
                "БонуснаяПрограммаЛояльности_Key": self.world.guid("programme"),
                "ВидОперации": "Начисление" if bonus.points > 0 else "Списание",
                "Начисление": [{"Партнер_Key": bonus.client.key, "Баллы": kopecks(abs(bonus.points))}],
            }
            for bonus in self.ledger.bonuses
            if bonus.at <= self.moment
        )

    def _plans(self) -> Iterator[dict[str, Any]]:
        """For each branch the plan of the current and the two months before: the month before it and five percent."""
        shipped: dict[tuple[int, int, int], dict[int, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
        for shipment in self.world.shipments:
            if shipment.at > self.moment:
                continue
            month = (shipment.at.year, shipment.at.month, shipment.order.outlet.client.branch)
            for line in shipment.lines:
                sums = shipped[month][line.product]
                sums[0] += line.quantity
                sums[1] += line.amount
        first = self.moment.date().replace(day=1)
        for back in range(3):
            before = (first - DAY).replace(day=1)
            for branch, organisation in enumerate(self.world.organisations):
                lines = []
                for product, (quantity, amount) in sorted(shipped[before.year, before.month, branch].items()):
                    planned = quantity * 105 // 100
                    price = amount // quantity if quantity else 0
                    lines.append(
                        {
                            "Номенклатура_Key": self.world.products[product].key,
                            "Количество": planned,
                            "КоличествоУпаковок": planned,
                            "Цена": kopecks(price),
                            "Сумма": kopecks(price * planned),
                            "ДатаОтгрузки": stamp(first),
                        }
                    )
                at = datetime.combine(before + 27 * DAY, time(12, branch))
                number = f"{names.ORGANISATIONS[branch][2]}ПП-{first:%y%m}"
                yield (
                    {
                        **self._head(self.world.guid("plan", first, branch), number, at, 100 - back * 10 + branch),
                        "НачалоПериода": stamp(first),
                        "ОкончаниеПериода": stamp(_month_end(first)),
                        "Статус": "Утвержден",
                        "Организация_Key": organisation,
                        "Подразделение_Key": self.publisher.departments[branch],
                        "Товары": lines,
                    }
                )
            first = before

    # registers

    def registers(self) -> list[Register]:
        """All registers of the configuration; their records are worked out when somebody reads them."""
        revenue, stock, settlements, terms, bonuses, prices, members = (
            "AccumulationRegister_ВыручкаИСебестоимостьПродаж",
            "AccumulationRegister_ТоварыНаСкладах",
            "AccumulationRegister_РасчетыСКлиентами",
            "AccumulationRegister_РасчетыСКлиентамиПоСрокам",
            "AccumulationRegister_БонусныеБаллы",
            "InformationRegister_ЦеныНоменклатуры",
            "InformationRegister_ПартнерыСегмента",
        )
        currency = {"Валюта_Key": f'"{self.publisher.currency}"'}
        return [
            self._register(
                revenue,
                "Recorder Recorder_Type Period LineNumber АналитикаУчетаНоменклатуры_Key ЗаказКлиента"
                " АналитикаУчетаПоПартнерам_Key Подразделение_Key Менеджер_Key Склад Соглашение_Key Договор"
                " ХозяйственнаяОперация Количество СуммаВыручки СуммаВыручкиБезНДС Стоимость СтоимостьБезНДС"
                " СтоимостьРегл СуммаАвтоматическойСкидки ДокументДвижения ДокументДвижения_Type",
                self._revenue_rows(),
                {
                    "ЗаказКлиента_Type": f'"{_ORDER_TYPE}"',
                    "Склад_Type": '"StandardODATA.Catalog_Склады"',
                    "Договор_Type": '"StandardODATA.Catalog_ДоговорыКонтрагентов"',
                    "ТипЗапасов": '"Товар"',
                    "НалогообложениеНДС": '"ПродажаОблагаетсяНДС"',
                    "ВалютаДокумента_Key": f'"{self.publisher.currency}"',
                },
            ),
            self._register(
                stock,
                "Recorder Recorder_Type Period LineNumber RecordType Номенклатура_Key Склад_Key ВНаличии",
                self._stock_rows(),
                {},
            ),
            self._register(
                settlements,
                "Recorder Recorder_Type Period LineNumber RecordType АналитикаУчетаПоПартнерам_Key ОбъектРасчетов_Key"
                " Сумма",
                self._settlement_rows(),
                currency,
            ),
            self._register(
                terms,
                "Recorder Recorder_Type Period LineNumber RecordType АналитикаУчетаПоПартнерам_Key ОбъектРасчетов_Key"
                " РасчетныйДокумент РасчетныйДокумент_Type ДатаПлановогоПогашения ДатаВозникновения Долг ДолгУпр"
                " ДолгРегл Предоплата ПредоплатаУпр ПредоплатаРегл",
                self._term_rows(),
                currency,
            ),
            self._register(
                bonuses,
                "Recorder_Key Period LineNumber RecordType Партнер_Key Начислено",
                self._bonus_rows(),
                {"БонуснаяПрограммаЛояльности_Key": f'"{self.world.guid("programme")}"'},
            ),
            self._register(
                prices,
                "Recorder_Key Period LineNumber Номенклатура_Key ВидЦены_Key Цена",
                self._price_rows(),
                currency,
            ),
            self._register(members, "Сегмент_Key Партнер_Key", self._member_rows(), {}),
        ]

    def _register(self, name: str, varying: str, rows: Iterable[Row], constants: Mapping[str, str]) -> Register:
        schema: RegisterSchema = _REGISTERS[name]
        records = EntitySet(schema.records, varying.split(), {"Active": "true", **constants})
        records.replace_rows(rows)
        return Register(schema, records)

    def _revenue_rows(self) -> Iterator[Row]:
        for shipment in self.world.shipments:
            if shipment.at <= self.moment:
                yield from self._revenue(shipment, shipment, shipment.key, shipment.at, shipment.lines, 1)
        for back in self.world.returns:
            if back.at <= self.moment:
                yield from self._revenue(back, back.shipment, back.key, back.at, back.lines, -1)
        for found in self.ledger.corrections:
            if found.at <= self.moment:
                yield from self._revenue(found, found.shipment, found.key, found.at, [found.line], -1)

    def _revenue(
        self,
        document: Shipment | Return | Correction,
        shipment: Shipment,
        key: str,
        at: datetime,
        lines: Sequence[Line],
        sign: int,
    ) -> Iterator[Row]:
        outlet = shipment.order.outlet
        branch = outlet.client.branch
        place = shipment.order.warehouse
        kind = f'"{DOCUMENT_TYPES[type(document)]}"'
        operation = '"РеализацияКлиенту"' if sign > 0 else '"ВозвратОтКлиента"'
        head = (f'"{key}"', kind, f'"{stamp(at)}"')
        middle = (
            f'"{shipment.order.key}"',
            self.partner_key(outlet),
            f'"{self.publisher.departments[branch]}"',
            f'"{outlet.client.manager.key}"',
            f'"{self.publisher.warehouses[branch][place]}"',
            f'"{outlet.agreement_key}"',
            self.contract_key(outlet),
            operation,
        )
        for number, line in enumerate(lines, start=1):
            stocked = self.ledger.is_stocked(line.product)
            cost = roubles(sign * self.ledger.unit_cost(line.product, at.date()) * line.quantity if stocked else 0)
            yield Row(
                (
                    *head,
                    f'"{number}"',
                    self._key("product key", line.product, branch, place),
                    *middle,
                    str(sign * line.quantity),
                    roubles(sign * line.amount),
                    roubles(sign * (line.amount - line.vat)),
                    cost,
                    cost,
                    cost,
                    roubles(sign * line.discount),
                    f'"{key}"',
                    kind,
                )
            )

    def _stock_rows(self) -> Iterator[Row]:
        keys = [f'"{product.key}"' for product in self.world.products]

        def rows(
            key: str, kind: str, at: datetime, place: str, lines: Iterable[tuple[int, int]], receipt: bool
        ) -> Iterator[Row]:
            head = (f'"{key}"', f'"{kind}"', f'"{stamp(at)}"')
            for number, (product, quantity) in enumerate(lines, start=1):
                move = '"Receipt"' if receipt else '"Expense"'
                yield Row((*head, f'"{number}"', move, keys[product], f'"{place}"', str(quantity)))

        def goods(lines: Iterable[Line]) -> list[tuple[int, int]]:
            return [(line.product, line.quantity) for line in lines if self.ledger.is_stocked(line.product)]

        for delivery in self.ledger.deliveries:
            if delivery.at <= self.moment:
                place = self.publisher.warehouses[delivery.branch][delivery.warehouse]
                kind = "StandardODATA.Document_ПриобретениеТоваровУслуг"
                yield from rows(delivery.key, kind, delivery.at, place, sorted(delivery.quantities.items()), True)
        for shipment in self.world.shipments:
            if shipment.at <= self.moment:
                place, kind = self._warehouse(shipment), DOCUMENT_TYPES[Shipment]
                yield from rows(shipment.key, kind, shipment.at, place, goods(shipment.lines), False)
        for back in self.world.returns:
            if back.at <= self.moment:
                place, kind = self._warehouse(back.shipment), DOCUMENT_TYPES[Return]
                yield from rows(back.key, kind, back.at, place, goods(back.lines), True)
        for found in self.ledger.corrections:
            if found.at <= self.moment:
                place, kind = self._warehouse(found.shipment), DOCUMENT_TYPES[Correction]
                yield from rows(found.key, kind, found.at, place, goods([found.line]), True)

    def _document(self, document: Shipment | Return | Correction | Payment) -> tuple[str, str]:
        """Key and type of a settlement document as JSON texts."""
        if isinstance(document, Payment):
            return f'"{document.key}"', f'"StandardODATA.{PAYMENT_SETS[document.kind]}"'
        return f'"{document.key}"', f'"{DOCUMENT_TYPES[type(document)]}"'

    def _settlement_rows(self) -> Iterator[Row]:
        numbers: dict[str, int] = defaultdict(int)
        for move in self.ledger.settlement_moves:
            if move.at > self.moment:
                return
            recorder, kind = self._document(move.document)
            numbers[recorder] += 1
            grows = (move.kind == "debt") == (move.amount > 0)
            yield Row(
                (
                    recorder,
                    kind,
                    f'"{stamp(move.at)}"',
                    f'"{numbers[recorder]}"',
                    '"Receipt"' if grows else '"Expense"',
                    self.partner_key(move.shipment.order.outlet),
                    self.object_key(move.shipment),
                    roubles(abs(move.amount)),
                )
            )

    def _term_rows(self) -> Iterator[Row]:
        numbers: dict[str, int] = defaultdict(int)
        for move in self.ledger.settlement_moves:
            if move.at > self.moment:
                return
            recorder, kind = self._document(move.document)
            numbers[recorder] += 1
            source = self._document(move.source)
            due: date = self.ledger.due_on(move.shipment) if move.kind == "debt" else move.source.at.date()
            amount = roubles(abs(move.amount))
            sums = (amount,) * 3 + ("0",) * 3 if move.kind == "debt" else ("0",) * 3 + (amount,) * 3
            yield Row(
                (
                    recorder,
                    kind,
                    f'"{stamp(move.at)}"',
                    f'"{numbers[recorder]}"',
                    '"Receipt"' if move.amount > 0 else '"Expense"',
                    self.partner_key(move.shipment.order.outlet),
                    self.object_key(move.shipment),
                    *source,
                    f'"{stamp(due)}"',
                    f'"{stamp(move.source.at)}"',
                    *sums,
                )
            )

    def _bonus_rows(self) -> Iterator[Row]:
        for bonus in self.ledger.bonuses:
            if bonus.at <= self.moment:
                move = '"Receipt"' if bonus.points > 0 else '"Expense"'
                key, partner = f'"{bonus.key}"', f'"{bonus.client.key}"'
                yield Row((key, f'"{stamp(bonus.at)}"', '"1"', move, partner, roubles(abs(bonus.points))))

    def _price_rows(self) -> Iterator[Row]:
        for at, level in self._price_levels():
            key = self.world.guid("price list", level)
            for number, (product, kind, price) in enumerate(self._prices(level), start=1):
                yield Row(
                    (
                        f'"{key}"',
                        f'"{stamp(at)}"',
                        f'"{number}"',
                        f'"{product}"',
                        f'"{kind}"',
                        fragment("double", price),
                    )
                )

    def _member_rows(self) -> Iterator[Row]:
        for outlet in self.world.outlets:
            yield Row((f'"{self.world.guid("segment", outlet.channel)}"', f'"{outlet.key}"'))


_NEGATED = {"КоличествоУпаковок", "Количество", "Сумма", "СуммаНДС", "СуммаСНДС"}


def _month_end(first: date) -> date:
    return date(first.year + first.month // 12, first.month % 12 + 1, 1) - DAY
