"""The seeded distributor in УТ 11, УНФ and БП 3.0: other names, the same business."""

from collections import defaultdict
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from simulators.onec.base import Base
from simulators.world.build import World, morning
from simulators.world.onec import base_on

DAY = date(2026, 3, 16)


@pytest.fixture(scope="module")
def world() -> World:
    return World(7, DAY, outlets=110)


@pytest.fixture(scope="module")
def unf(world: World) -> Base:
    return base_on(world, DAY, "unf")


@pytest.fixture(scope="module")
def bp30(world: World) -> Base:
    return base_on(world, DAY, "bp30")


def records(base: Base, name: str) -> list[dict[str, Any]]:
    entity_set = base.find(name)
    assert entity_set is not None
    return [entity_set.exact(row) for row in entity_set.rows]


def kopecks(value: Any) -> int:
    return int(Decimal(str(value)) * 100)


@pytest.mark.parametrize(
    ("configuration", "orders", "section"),
    [("unf", "Document_ЗаказПокупателя", "Запасы"), ("bp30", "Document_СчетНаОплатуПокупателю", "Товары")],
)
def test_every_order_is_there_with_its_lines(
    configuration: str, orders: str, section: str, world: World, request: pytest.FixtureRequest
) -> None:
    found = {record["Ref_Key"]: record for record in records(request.getfixturevalue(configuration), orders)}
    known = [order for order in world.orders if order.known_from <= morning(DAY)]
    assert found.keys() == {order.key for order in known}
    for order in known:
        record = found[order.key]
        assert record["Контрагент_Key"] == order.outlet.key
        assert record["Posted"] == order.posted
        assert [kopecks(line["Сумма"]) for line in record[section]] == [line.amount for line in order.lines]
        assert [line["Полка_Отменено"] for line in record[section]] == [bool(line.cancelled_by) for line in order.lines]


def test_every_shipment_of_an_accounting_base_keeps_goods_and_services_apart(bp30: Base, world: World) -> None:
    found = {record["Ref_Key"]: record for record in records(bp30, "Document_РеализацияТоваровУслуг")}
    services = 0
    for shipment in (s for s in world.shipments if s.at <= morning(DAY)):
        record = found[shipment.key]
        sums = [kopecks(line["Сумма"]) for section in ("Товары", "Услуги") for line in record[section]]
        assert sum(sums) == sum(line.amount for line in shipment.lines) == kopecks(record["СуммаДокумента"])
        services += len(record["Услуги"])
    assert services > 0


def test_outlets_are_counterparties_under_their_head(unf: Base, bp30: Base, world: World) -> None:
    for base in (unf, bp30):
        found = {record["Ref_Key"]: record for record in records(base, "Catalog_Контрагенты")}
        for outlet in world.outlets:
            if outlet.is_sub_partner:
                assert found[outlet.key]["ГоловнойКонтрагент_Key"] == outlet.client.key
            assert found[outlet.key]["ИНН"] == outlet.legal_entity.inn


def test_balances_of_the_registers_of_unf(unf: Base, world: World) -> None:
    moment = morning(DAY)
    balance = unf.registers["AccumulationRegister_РасчетыСПокупателями"].call("Balance()", {})
    by_client: dict[str, int] = defaultdict(int)
    for row in balance.rows:
        record = balance.exact(row)
        by_client[record["Контрагент_Key"]] += kopecks(record["СуммаBalance"])
    owner = {outlet.key: outlet.legal_entity.key for outlet in world.outlets}
    net: dict[str, int] = defaultdict(int)
    for outlet, amount in by_client.items():
        net[owner[outlet]] += amount
    truth = {key: debt for key, (debt, _) in world.ledger.debts(moment).items() if debt}
    assert {key: amount for key, amount in net.items() if amount} == truth

    stock = unf.registers["AccumulationRegister_ЗапасыНаСкладах"].call("Balance()", {})
    quantities = [int(stock.exact(row)["КоличествоBalance"]) for row in stock.rows]
    assert sum(quantities) == sum(world.ledger.stock(moment).values())

    sold = unf.registers["AccumulationRegister_Продажи"].call("Turnovers(Dimensions='Организация')", {})
    revenue: dict[str, int] = defaultdict(int)
    for (_, branch), amount in world.ledger.revenue(moment).items():
        revenue[world.organisations[branch]] += amount
    found = [sold.exact(row) for row in sold.rows]
    assert {record["Организация_Key"]: kopecks(record["СуммаTurnover"]) for record in found} == revenue


def test_payments_add_up_in_every_configuration(unf: Base, bp30: Base, world: World) -> None:
    sets = {
        "ut11": (
            "Document_ПоступлениеБезналичныхДенежныхСредств",
            "Document_ПриходныйКассовыйОрдер",
            "Document_ОперацияПоПлатежнойКарте",
        ),
        "unf": ("Document_ПоступлениеНаСчет", "Document_ПоступлениеВКассу", "Document_ОперацияПоПлатежнымКартам"),
        "bp30": (
            "Document_ПоступлениеНаРасчетныйСчет",
            "Document_ПриходныйКассовыйОрдер",
            "Document_ОплатаПлатежнойКартой",
        ),
    }
    bases = {"ut11": base_on(world, DAY), "unf": unf, "bp30": bp30}
    planned = {
        kind: sum(p.amount for p in world.ledger.payments if p.kind == kind and p.at <= morning(DAY))
        for kind in ("bank", "cash", "card")
    }
    assert min(planned.values()) > 0
    for name, base in bases.items():
        for kind, source in zip(planned, sets[name], strict=True):
            found = records(base, source)
            assert sum(kopecks(record["СуммаДокумента"]) for record in found) == planned[kind]
            for record in found:
                parts = [line.get("СуммаПлатежа", line.get("Сумма")) for line in record["РасшифровкаПлатежа"]]
                assert sum(kopecks(part) for part in parts) == kopecks(record["СуммаДокумента"])


def test_balances_of_accounts_of_an_accounting_base(bp30: Base, world: World) -> None:
    register = bp30.registers["AccountingRegister_Хозрасчетный"]
    owner = {outlet.key: outlet.legal_entity.key for outlet in world.outlets}
    net: dict[str, int] = defaultdict(int)
    for code, side in (("62.01", "Dr"), ("62.02", "Cr")):
        account = world.guid("account", code)
        balance = register.call(f"Balance(AccountCondition='Account_Key eq guid'{account}'')", {})
        for row in balance.rows:
            record = balance.exact(row)
            assert record["Account_Key"] == account
            amount = kopecks(record[f"СуммаBalance{side}"])
            assert amount > 0
            net[owner[record["ExtDimension1"]]] += amount if side == "Dr" else -amount
    truth = {key: debt for key, (debt, _) in world.ledger.debts(morning(DAY)).items() if debt}
    assert {key: amount for key, amount in net.items() if amount} == truth
