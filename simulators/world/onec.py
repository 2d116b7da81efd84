"""The world as a 1C base on one morning: every record that is known by then, in the state it has by then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time
from random import Random
from typing import Any

from simulators.onec.base import Base, EntitySet, Fragments, LineLayout, Row, fragment, simple_set, version
from simulators.onec.exchange import ExchangePlan
from simulators.onec.schema import EMPTY_GUID
from simulators.onec.ut11 import UT11
from simulators.world import names
from simulators.world.build import Client, Line, Order, Outlet, Return, Shipment, World, morning
from simulators.world.onec_ledger import LedgerPublisher
from simulators.world.onec_text import kopecks, roubles, stamp
from simulators.world.people import company_inn, phone_digits
from simulators.world.workdays import DAY

_SCHEMAS = UT11.by_name
_GOODS = (
    "Номенклатура_Key",
    "Упаковка_Key",
    "КоличествоУпаковок",
    "Количество",
    "Цена",
    "Сумма",
    "СтавкаНДС_Key",
    "СуммаНДС",
    "СуммаСНДС",
    "ПроцентАвтоматическойСкидки",
    "СуммаАвтоматическойСкидки",
)
_NUMBERED = ("LineNumber", "КодСтроки")
_ORDER_TYPE = '"StandardODATA.Document_ЗаказКлиента"'
_SHIPMENT_TYPE = '"StandardODATA.Document_РеализацияТоваровУслуг"'


def base_on(world: World, day: date, configuration: str = "ut11") -> Base:
    """The published sets as they stand at six in the morning of `day`, in УТ 11, УНФ (unf) or БП 3.0 (bp30)."""
    if configuration != "ut11":
        from simulators.world.onec_translated import translated_base  # it tells what this module publishes

        return translated_base(world, day, configuration)
    return Publisher(world, morning(day)).base()


class Publisher:
    """The sets of УТ 11 on one morning."""

    def __init__(self, world: World, moment: datetime) -> None:
        self.world = world
        self.moment = moment
        guid = world.guid
        self.currency = guid("currency", 643)
        self.price_types = {
            "Оптовая": guid("price type", 1),
            "Сетевая": guid("price type", 2),
            "Закупочная": guid("price type", 3),
        }
        self.price_type = self.price_types["Оптовая"]
        self.units = {"шт": guid("unit", "шт"), "кг": guid("unit", "кг")}
        self.vat = {10: guid("vat", 10), 22: guid("vat", 22)}
        self.warehouses = [[guid("warehouse", b, n) for n in range(2)] for b in range(len(world.organisations))]
        self.departments = [guid("department", b) for b in range(len(world.organisations))]
        self.reasons = {name: guid("reason", name) for name in names.CANCELLED_BY_US + names.CANCELLED_BY_CLIENT}
        self._goods: dict[Line, Fragments] = {}
        self._branch = {client.key: client.branch for client in world.clients}
        self._ledger = LedgerPublisher(self)

    def base(self) -> Base:
        orders = [o for o in self.world.orders if o.known_from <= self.moment]
        shipments = [s for s in self.world.shipments if s.at <= self.moment]
        returns = [r for r in self.world.returns if r.at <= self.moment]
        sets = [
            *self._dictionaries(),
            self._managers(),
            self._products(),
            self._partners(),
            self._legal_entities(),
            self._agreements(),
            self._order_set(orders),
            self._shipment_set(shipments),
            self._return_set(returns),
            *self._ledger.sets(),
        ]
        filled = {s.name for s in sets}
        # Kinds of documents this distributor has none of are published all the same.
        sets += [simple_set(schema, []) for name, schema in _SCHEMAS.items() if name not in filled]
        return Base(sets, self._ledger.registers(), ExchangePlan())

    def _set(self, name: str, records: Sequence[Mapping[str, Any]]) -> EntitySet:
        full = [{"DataVersion": version(n), **record} for n, record in enumerate(records, start=1)]
        return simple_set(_SCHEMAS[name], full)

    # catalogs

    def _dictionaries(self) -> list[EntitySet]:
        guid = self.world.guid
        organisations = [
            {
                "Ref_Key": self.world.organisations[n],
                "Code": f"00-00000{n + 1}",
                "Description": name,
                "НаименованиеПолное": full,
                "НаименованиеСокращенное": name,
                "ИНН": self._organisation_inn(n),
                "КПП": f"{office}4501001",
                "ЮрФизЛицо": "ЮрЛицо",
                "Префикс": prefix,
            }
            for n, (name, full, prefix, _, office) in enumerate(names.ORGANISATIONS)
        ]
        regions: list[dict[str, Any]] = []
        root = guid("region", "Россия")
        regions.append({"Ref_Key": root, "Description": "Россия"})
        for region, cities in names.REGIONS:
            regions.append({"Ref_Key": guid("region", region), "Description": region, "Parent_Key": root})
            regions += [
                {"Ref_Key": guid("region", city), "Description": city, "Parent_Key": guid("region", region)}
                for city in cities
            ]
        brands = [{"Ref_Key": guid("brand", brand), "Description": brand} for brand in names.ASSORTMENT]
        reasons = [{"Ref_Key": key, "Description": name} for name, key in self.reasons.items()]
        units = [
            {
                "Ref_Key": key,
                "Code": code,
                "Description": name,
                "Числитель": 1,
                "Знаменатель": 1,
                "ТипУпаковки": "ЕдиницаИзмерения",
            }
            for (name, key), code in zip(self.units.items(), ("796", "166"), strict=True)
        ]
        rates = [{"Ref_Key": key, "Description": f"{percent}%", "Ставка": percent} for percent, key in self.vat.items()]
        warehouses = [
            {
                "Ref_Key": key,
                "Description": f"{kind}, {names.ORGANISATIONS[branch][3]}",
                "ТипСклада": "ОптовыйСклад",
                "БизнесРегион_Key": guid("region", names.REGIONS[branch][0]),
                "Подразделение_Key": self.departments[branch],
            }
            for branch, keys in enumerate(self.warehouses)
            for key, kind in zip(keys, ("Основной склад", "Холодильный склад"), strict=True)
        ]
        departments = [
            {"Ref_Key": key, "Code": f"00-{n + 1:06d}", "Description": f"Отдел продаж, {names.ORGANISATIONS[n][3]}"}
            for n, key in enumerate(self.departments)
        ]
        contact_kinds = [
            {"Ref_Key": guid("contact kind", kind), "Description": name, "Тип": kind}
            for kind, name in _CONTACT_KINDS.items()
        ]
        return [
            self._set("Catalog_Организации", organisations),
            self._set("Catalog_БизнесРегионы", regions),
            self._set("Catalog_Марки", brands),
            self._set("Catalog_ПричиныОтменыЗаказовКлиентов", reasons),
            self._set("Catalog_УпаковкиЕдиницыИзмерения", units),
            self._set("Catalog_СтавкиНДС", rates),
            self._set("Catalog_Склады", warehouses),
            self._set("Catalog_СтруктураПредприятия", departments),
            self._set("Catalog_ВидыКонтактнойИнформации", contact_kinds),
            self._set("Catalog_Валюты", [{"Ref_Key": self.currency, "Code": "643", "Description": "RUB"}]),
            self._set(
                "Catalog_ВидыЦен",
                [
                    {
                        "Ref_Key": key,
                        "Description": name,
                        "ЦенаВключаетНДС": name != "Закупочная",
                        "ВалютаЦены_Key": self.currency,
                        "Статус": "Действует",
                    }
                    for name, key in self.price_types.items()
                ],
            ),
            self._set(
                "Catalog_ВидыНоменклатуры",
                [
                    {"Ref_Key": guid("product kind", kind), "Description": kind, "ТипНоменклатуры": kind}
                    for kind in sorted({p.kind for p in self.world.products})
                ],
            ),
        ]

    def _organisation_inn(self, number: int) -> str:
        return company_inn(Random(f"organisation:{number}"), names.ORGANISATIONS[number][4] + "45")

    def _contact(self, kind: str, text: str, city: str = "") -> dict[str, Any]:
        line = {"Тип": kind, "Вид_Key": self.world.guid("contact kind", kind), "Представление": text}
        if kind == "Телефон":
            line["НомерТелефона"] = phone_digits(text)
            line["НомерТелефонаБезКодов"] = phone_digits(text)[-7:]
        elif kind == "АдресЭлектроннойПочты":
            line["АдресЭП"] = text
            line["ДоменноеИмяСервера"] = text.partition("@")[2]
        else:
            line |= {"Страна": "РОССИЯ", "Город": city}
        return line

    def _managers(self) -> EntitySet:
        records: list[dict[str, Any]] = [
            {
                "Ref_Key": m.key,
                "Description": m.name,
                "Подразделение_Key": self.departments[m.branch],
                "КонтактнаяИнформация": [
                    self._contact("АдресЭлектроннойПочты", m.email),
                    self._contact("Телефон", m.phone),
                ],
            }
            for m in self.world.managers
        ]
        guid = self.world.guid
        records += [
            {"Ref_Key": guid("manager", "admin"), "Description": "Администратор", "Служебный": True},
            {"Ref_Key": guid("manager", "odata"), "Description": "Полка", "Служебный": True},
            {"Ref_Key": guid("manager", "left"), "Description": "Рыбаков Олег Ильич", "Недействителен": True},
        ]
        return self._set("Catalog_Пользователи", records)

    def _products(self) -> EntitySet:
        guid = self.world.guid
        groups = sorted({p.group for p in self.world.products})
        records: list[dict[str, Any]] = [
            {"Ref_Key": guid("group", g), "Code": f"НФ-Г{n:07d}", "Description": g, "IsFolder": True}
            for n, g in enumerate(groups, start=1)
        ]
        for p in self.world.products:
            heavy = p.kind == "Товар"
            records.append(
                {
                    "Ref_Key": p.key,
                    "Code": p.code,
                    "Description": p.name,
                    "НаименованиеПолное": p.name,
                    "Артикул": p.article,
                    "Parent_Key": guid("group", p.group),
                    "Марка_Key": guid("brand", p.brand) if p.brand else EMPTY_GUID,
                    "ЕдиницаИзмерения_Key": self.units[p.unit],
                    "ТипНоменклатуры": p.kind,
                    "ВидНоменклатуры_Key": guid("product kind", p.kind),
                    "СтавкаНДС_Key": self.vat[p.vat_percent],
                    "ВесИспользовать": heavy,
                    "ВесЧислитель": 1 if heavy else 0,
                    "ВесЗнаменатель": 1 if heavy else 0,
                    "СрокГодности": 30 if heavy else 0,
                    "Качество": "Новый",
                }
            )
        return self._set("Catalog_Номенклатура", records)

    def _partners(self) -> EntitySet:
        records: list[dict[str, Any]] = []
        for client in self.world.clients:
            only = client.outlets[0]
            if only.is_sub_partner:
                records.append(
                    {**self._partner(client, client.key, client.name), "НаименованиеПолное": client.full_name}
                )
                records += [{**self._outlet(o), "Parent_Key": client.key} for o in client.outlets]
            else:
                records.append({**self._outlet(only), "НаименованиеПолное": client.full_name})
        guid = self.world.guid
        records += [
            {"Ref_Key": guid("supplier", n), "Description": name, "ЮрФизЛицо": "ЮрЛицо", "Поставщик": True}
            for n, name in enumerate(("Молкомбинат «Вятское поле»", "Мясокомбинат «Мясной ряд»", "Рыбный порт ООО"))
        ]
        for n, record in enumerate(records, start=1):
            record["Code"] = f"00-{n:08d}"
        return self._set("Catalog_Партнеры", records)

    def _partner(self, client: Client, key: str, name: str) -> dict[str, Any]:
        return {
            "Ref_Key": key,
            "Description": name,
            "НаименованиеПолное": name,
            "БизнесРегион_Key": self.world.guid("region", client.city),
            "ОсновнойМенеджер_Key": client.manager.key,
            "ДатаРегистрации": stamp(client.registered_on),
            "ЮрФизЛицо": "ЮрЛицо" if client.legal_entities[0].is_company else "ИндивидуальныйПредприниматель",
            "Клиент": True,
        }

    def _outlet(self, outlet: Outlet) -> dict[str, Any]:
        contacts = [self._contact("Адрес", outlet.address, outlet.city), self._contact("Телефон", outlet.phone)]
        if outlet.email:
            contacts.append(self._contact("АдресЭлектроннойПочты", outlet.email))
        closed = outlet.plan.closed_on
        known = closed is not None and datetime.combine(closed, time()) <= self.moment
        return {
            **self._partner(outlet.client, outlet.key, outlet.name),
            "ОбслуживаетсяТорговымиПредставителями": True,
            "Полка_ФорматТочки": outlet.format,
            "Полка_Канал": outlet.channel,
            "Полка_ДатаЗакрытия": stamp(closed) if closed and known else None,
            "КонтактнаяИнформация": contacts,
        }

    def _legal_entities(self) -> EntitySet:
        records = []
        for client in self.world.clients:
            for legal in client.legal_entities:
                head = client.legal_entities[0].key
                records.append(
                    {
                        "Ref_Key": legal.key,
                        "Description": legal.name,
                        "НаименованиеПолное": legal.full_name,
                        "ЮрФизЛицо": "ЮрЛицо" if legal.is_company else "ИндивидуальныйПредприниматель",
                        "ИНН": legal.inn,
                        "КПП": legal.kpp,
                        "Партнер_Key": client.key,
                        "ГоловнойКонтрагент_Key": head if head != legal.key else EMPTY_GUID,
                        "КонтактнаяИнформация": [self._contact("Адрес", client.outlets[0].address, client.city)],
                    }
                )
        return self._set("Catalog_Контрагенты", records)

    def _agreements(self) -> EntitySet:
        records = []
        for number, outlet in enumerate(self.world.outlets, start=1):
            client, plan = outlet.client, outlet.plan
            terms = self.world.ledger.terms[client.key]
            signed = plan.agreed.valid_from if plan.agreed else client.registered_on
            common = {
                "Партнер_Key": outlet.key,
                "Контрагент_Key": outlet.legal_entity.key,
                "Организация_Key": self.world.organisations[client.branch],
                "Менеджер_Key": client.manager.key,
                "ВидЦен_Key": self.price_type,
                "Валюта_Key": self.currency,
                "Согласован": True,
                "ПорядокРасчетов": terms.settlement,
                "ГрафикОплаты_Key": self.world.guid("schedule", terms.deferral_days),
                "СегментПартнеров_Key": self.world.guid("segment", outlet.channel),
                "Полка_ПроцентСкидки": client.discount_percent,
                "Полка_ОтсрочкаДней": terms.deferral_days,
                "Полка_КредитныйЛимит": kopecks(terms.credit_limit),
            }
            record = {
                **common,
                "Ref_Key": outlet.agreement_key,
                "Номер": f"С-{number:05d}",
                "Дата": stamp(signed),
                "Description": f"Соглашение № С-{number:05d} ({outlet.name})",
                "Статус": "Действует",
                "ДатаНачалаДействия": stamp(signed),
            }
            if plan.agreed and plan.agreement == "active":
                record["Полка_ДниЗаказа"] = plan.agreed.text
                # Nobody fills "every week": 1C keeps 0 then.
                record["Полка_ЗаказРазВНедель"] = (
                    plan.agreed.every_weeks if plan.agreed.every_weeks > 1 or number % 3 else 0
                )
            records.append(record)
            if plan.agreed and plan.agreement == "expired":
                over = self.world.planner.start + 200 * DAY
                records.append(
                    {
                        **record,
                        "Ref_Key": self.world.guid("old agreement", outlet.key),
                        "Номер": f"С-{number:05d}/1",
                        "Description": f"Соглашение № С-{number:05d}/1 (прежнее)",
                        "ДатаОкончанияДействия": stamp(over),
                        "Полка_ДниЗаказа": plan.agreed.text,
                        "Полка_ЗаказРазВНедель": plan.agreed.every_weeks,
                    }
                )
        return self._set("Catalog_СоглашенияСКлиентами", records)

    # documents

    def _goods_fragments(self, line: Line) -> Fragments:
        found = self._goods.get(line)
        if found is None:
            product = self.world.products[line.product]
            amount = roubles(line.amount)
            quantity = str(line.quantity)
            found = self._goods[line] = (
                f'"{product.key}"',
                f'"{self.units[product.unit]}"',
                quantity,
                quantity,
                roubles(line.price),
                amount,
                f'"{self.vat[product.vat_percent]}"',
                roubles(line.vat),
                amount,
                str(line.discount_percent),
                roubles(line.discount),
            )
        return found

    def _trade(self, order: Order) -> Fragments:
        outlet = order.outlet
        branch = outlet.client.branch
        return (
            f'"{outlet.key}"',
            f'"{outlet.legal_entity.key}"',
            f'"{self.world.organisations[branch]}"',
            f'"{outlet.agreement_key}"',
            f'"{outlet.client.manager.key}"',
            f'"{self.warehouses[branch][order.warehouse]}"',
            f'"{self.departments[branch]}"',
            fragment("string", outlet.address),
            self._ledger.contract_key(outlet),
            self._ledger.object_key(order),
            f'"{self.world.ledger.terms[outlet.client.key].settlement}"',
        )

    _TRADE_FIELDS = (
        "Партнер_Key",
        "Контрагент_Key",
        "Организация_Key",
        "Соглашение_Key",
        "Менеджер_Key",
        "Склад_Key",
        "Подразделение_Key",
        "АдресДоставки",
        "Договор_Key",
        "ОбъектРасчетов_Key",
        "ПорядокРасчетов",
    )

    def _constants(self, operation: str) -> dict[str, str]:
        return {
            "DeletionMark": "false",
            "Posted": "true",
            "Валюта_Key": f'"{self.currency}"',
            "ЦенаВключаетНДС": "true",
            "ХозяйственнаяОперация": f'"{operation}"',
            "НалогообложениеНДС": '"ПродажаОблагаетсяНДС"',
            "ФормаОплаты": '"Безналичная"',
        }

    def _order_set(self, orders: Sequence[Order]) -> EntitySet:
        schema = _SCHEMAS["Document_ЗаказКлиента"]
        table = schema.tables[0]
        layout = LineLayout(
            table,
            (*_GOODS, "Отменено", "ПричинаОтмены_Key", "ВариантОбеспечения"),
            inherited={"ДатаОтгрузки": "ДатаОтгрузки", "Склад_Key": "Склад_Key"},
            numbered=_NUMBERED,
            constants={"ВидЦены_Key": f'"{self.price_type}"'},
        )
        varying = (
            "Ref_Key",
            "DataVersion",
            "DeletionMark",
            "Number",
            "Date",
            "Posted",
            *self._TRADE_FIELDS,
            "СуммаДокумента",
            "Комментарий",
            "Статус",
            "Согласован",
            "ДатаСогласования",
            "ДатаОтгрузки",
            "МаксимальныйКодСтроки",
        )
        result = EntitySet(schema, varying, self._constants("РеализацияКлиенту"), [layout])
        result.replace_rows(self._order_rows(orders))
        return result

    def _order_rows(self, orders: Sequence[Order]) -> Iterator[Row]:
        empty_reason = f'"{EMPTY_GUID}"'
        normal = ("false", empty_reason, '"Отгрузить"')
        for order in orders:
            shipped = order.shipment is not None and order.shipment.at <= self.moment
            open_lines = [line for line in order.lines if not line.cancelled_by]
            finished = shipped or not open_lines
            status = "Закрыт" if finished else "КОбеспечению" if order.posted else "НеСогласован"
            day = stamp(order.at.date())
            values = (
                f'"{order.key}"',
                f'"{version(order.ordinal * 4 + 2 + finished)}"',
                "true" if order.deleted else "false",
                f'"{order.number:<14}"',
                f'"{stamp(order.at)}"',
                "true" if order.posted else "false",
                *self._trade(order),
                roubles(sum(line.amount for line in open_lines)),
                fragment("string", order.comment),
                f'"{status}"',
                "true" if order.posted else "false",
                f'"{day}"',
                f'"{stamp(order.requested_on)}"',
                f'"{len(order.lines)}"',
            )
            lines = []
            for line in order.lines:
                tail = normal
                if line.cancelled_by:
                    reasons = names.CANCELLED_BY_US if line.cancelled_by == "us" else names.CANCELLED_BY_CLIENT
                    tail = ("true", f'"{self.reasons[reasons[order.reason]]}"', '"НеТребуется"')
                lines.append(self._goods_fragments(line) + tail)
            yield Row(values, (lines,))

    def _shipment_set(self, shipments: Sequence[Shipment]) -> EntitySet:
        schema = _SCHEMAS["Document_РеализацияТоваровУслуг"]
        link = {"ЗаказКлиента": "ЗаказКлиента", "ЗаказКлиента_Type": "ЗаказКлиента_Type", "Склад_Key": "Склад_Key"}
        layout = LineLayout(schema.tables[0], _GOODS, link, _NUMBERED, {"ВидЦены_Key": f'"{self.price_type}"'})
        varying = (
            "Ref_Key",
            "DataVersion",
            "Number",
            "Date",
            *self._TRADE_FIELDS,
            "СуммаДокумента",
            "ЗаказКлиента",
            "СуммаВзаиморасчетов",
        )
        constants = {
            **self._constants("РеализацияКлиенту"),
            "Статус": '"Отгружено"',
            "Согласован": "true",
            "РеализацияПоЗаказам": "true",
            "ЗаказКлиента_Type": _ORDER_TYPE,
            "ВалютаВзаиморасчетов_Key": f'"{self.currency}"',
        }
        stages = LineLayout(
            schema.tables[1],
            ("ДатаПлатежа", "СуммаПлатежа", "Сдвиг"),
            {"Заказ": "ЗаказКлиента", "Заказ_Type": "ЗаказКлиента_Type", "ОбъектРасчетов_Key": "ОбъектРасчетов_Key"},
            constants={
                "ВариантОплаты": '"КредитПослеОтгрузки"',
                "ВариантОтсчета": '"ОтДатыОтгрузки"',
                "ПроцентПлатежа": "100",
            },
        )
        result = EntitySet(schema, varying, constants, [layout, stages])
        result.replace_rows(self._shipment_rows(shipments))
        return result

    def _shipment_rows(self, shipments: Sequence[Shipment]) -> Iterator[Row]:
        ledger = self.world.ledger
        for shipment in shipments:
            amount = roubles(sum(line.amount for line in shipment.lines))
            terms = ledger.terms[shipment.order.outlet.client.key]
            stage = (f'"{stamp(ledger.due_on(shipment))}"', amount, f'"{terms.deferral_days}"')
            values = (
                f'"{shipment.key}"',
                f'"{version(shipment.ordinal)}"',
                f'"{shipment.number:<14}"',
                f'"{stamp(shipment.at)}"',
                *self._trade(shipment.order),
                amount,
                f'"{shipment.order.key}"',
                amount,
            )
            yield Row(values, ([self._goods_fragments(line) for line in shipment.lines], [stage]))

    def _return_set(self, returns: Sequence[Return]) -> EntitySet:
        schema = _SCHEMAS["Document_ВозвратТоваровОтКлиента"]
        link = {"ДокументРеализации": "ДокументРеализации", "ДокументРеализации_Type": "ДокументРеализации_Type"}
        goods = _GOODS[:9]
        layout = LineLayout(schema.tables[0], goods, link, _NUMBERED, {"ВидЦены_Key": f'"{self.price_type}"'})
        varying = (
            "Ref_Key",
            "DataVersion",
            "Number",
            "Date",
            *self._TRADE_FIELDS,
            "СуммаДокумента",
            "ДокументРеализации",
            "ПричинаВозврата",
        )
        constants = {
            **self._constants("ВозвратОтКлиента"),
            "Статус": '"Выполнено"',
            "ДокументРеализации_Type": _SHIPMENT_TYPE,
        }
        result = EntitySet(schema, varying, constants, [layout])
        result.replace_rows(self._return_rows(returns))
        return result

    def _return_rows(self, returns: Sequence[Return]) -> Iterator[Row]:
        for back in returns:
            values = (
                f'"{back.key}"',
                f'"{version(back.ordinal)}"',
                f'"{back.number:<14}"',
                f'"{stamp(back.at)}"',
                *self._trade(back.shipment.order),
                roubles(sum(line.amount for line in back.lines)),
                f'"{back.shipment.key}"',
                fragment("string", back.reason),
            )
            yield Row(values, ([self._goods_fragments(line)[:9] for line in back.lines],))


_CONTACT_KINDS = {"Адрес": "Адрес доставки", "Телефон": "Телефон", "АдресЭлектроннойПочты": "Адрес электронной почты"}
