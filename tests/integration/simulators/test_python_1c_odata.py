"""A client that others wrote (python-1c-odata on PyPI) reads the simulator correctly and completely."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from python_1c_odata import (
    AccumulationRegister,
    Catalog,
    Document,
    ExchangePlan,
    Infobase,
    InformationRegister,
    ODataError,
)
from python_1c_odata.filter import F
from python_1c_odata.literals import guid as guid_literal

from simulators.onec.server import OnecServer
from simulators.world.build import World, morning
from simulators.world.onec import base_on
from tests.support.simulated_onec import LOGIN, PASSWORD

DAY = date(2026, 3, 11)


@pytest.fixture(scope="module")
def world() -> World:
    return World(7, DAY, outlets=110)


@pytest.fixture(scope="module")
def root(world: World, publish: Callable[[OnecServer], str]) -> str:
    return publish(OnecServer(base_on(world, DAY), LOGIN, PASSWORD))


def talk(root: str, what: Callable[[Infobase], Coroutine[Any, Any, Any]], *, format: str = "json") -> Any:
    async def run() -> Any:
        async with Infobase(root, "trade", LOGIN, PASSWORD, timeout=120, format=format) as infobase:
            return await what(infobase)

    return asyncio.run(run())


def test_it_finds_the_published_sets(root: str) -> None:
    async def ask(infobase: Infobase) -> Any:
        return await infobase.entity_sets(), await infobase.entity_type_for_set("Document_ЗаказКлиента")

    sets, order = talk(root, ask)
    assert {"Catalog_Партнеры", "Document_ЗаказКлиента", "Document_ВозвратТоваровОтКлиента"} <= set(sets)
    assert order.keys == ("Ref_Key",)
    assert {p.name: p.type for p in order.properties}["СуммаДокумента"] == "Edm.Double"
    assert "Партнер" in order.navigation_properties


def test_it_reads_every_order_with_its_lines(root: str, world: World) -> None:
    async def ask(infobase: Infobase) -> Any:
        documents = Document(infobase, "ЗаказКлиента")
        rows = [row async for row in documents.iterate(page_size=1000, orderby="Ref_Key")]
        return await documents.count(), rows

    count, rows = talk(root, ask)
    known = {order.key: order for order in world.orders if order.known_from.date() < DAY}
    assert count == len(rows) == len(known)
    assert {row["Ref_Key"] for row in rows} == known.keys()
    for row in rows:
        order = known[row["Ref_Key"]]
        lines = row["Товары"]
        assert [int(line["LineNumber"]) for line in lines] == list(range(1, len(order.lines) + 1))
        assert [Decimal(str(line["СуммаСНДС"])) * 100 for line in lines] == [line.amount for line in order.lines]
        assert row["Партнер_Key"] == order.outlet.key


def test_its_filters_select_the_same_as_the_plan(root: str, world: World) -> None:
    outlet = world.outlets[5]

    async def ask(infobase: Infobase) -> Any:
        documents = Document(infobase, "ЗаказКлиента")
        of_outlet = F("Партнер_Key") == guid_literal(outlet.key)
        recent = F("Date") >= date(2026, 1, 1)
        return await documents.count(odata_filter=of_outlet & recent), await documents.count(odata_filter=~of_outlet)

    inside, outside = talk(root, ask)
    known = [order for order in world.orders if order.known_from.date() < DAY]
    assert inside == sum(o.outlet is outlet and o.at.date() >= date(2026, 1, 1) for o in known)
    assert outside == sum(o.outlet is not outlet for o in known)


def test_it_looks_into_lines(root: str, world: World) -> None:
    product = world.products[0]

    async def ask(infobase: Infobase) -> Any:
        condition = F("Товары").any(F("Номенклатура_Key") == guid_literal(product.key))
        return await Document(infobase, "ВозвратТоваровОтКлиента").count(odata_filter=condition)

    expected = sum(back.at.date() < DAY and any(line.product == 0 for line in back.lines) for back in world.returns)
    assert talk(root, ask) == expected


def test_it_gets_one_record_and_the_codes_of_errors(root: str, world: World) -> None:
    client = world.clients[0]

    async def ask(infobase: Infobase) -> Any:
        catalog = Catalog(infobase, "Партнеры")
        found = await catalog.get(client.key)
        codes = []
        for attempt in (
            catalog.get("11111111-1111-1111-1111-111111111111"),
            Catalog(infobase, "НетТакого").query(top=1),
            catalog.query(odata_filter="Description eq"),
            catalog.query(select="НетТакого"),
        ):
            with pytest.raises(ODataError) as caught:
                await attempt
            codes.append((caught.value.status, caught.value.internal_code))
        return found, codes

    found, codes = talk(root, ask)
    assert found["Description"] == client.name
    assert codes == [(404, "9"), (404, "8"), (400, "14"), (400, "6")]


def test_it_reads_atom_too(root: str, world: World) -> None:
    async def ask(infobase: Infobase) -> Any:
        return await Catalog(infobase, "Номенклатура").query(inlinecount=True, odata_filter="IsFolder eq false")

    page = talk(root, ask, format="atom")
    assert page.count == len(page.value) == len(world.products)
    assert {row["Ref_Key"] for row in page.value} == {product.key for product in world.products}


def test_it_asks_for_virtual_tables(root: str, world: World) -> None:
    register = "AccumulationRegister_ТоварыНаСкладах"
    product = world.products[2].key
    moment = morning(DAY)

    async def ask(infobase: Infobase) -> Any:
        stock = AccumulationRegister(infobase, register.partition("_")[2])
        revenue = AccumulationRegister(infobase, "ВыручкаИСебестоимостьПродаж")
        prices = InformationRegister(infobase, "ЦеныНоменклатуры", record_type=True)
        only = F("Номенклатура_Key") == guid_literal(product)
        month = ("2026-02-01T00:00:00", "2026-02-28T23:59:59")
        with pytest.raises(ODataError) as refused:
            await revenue.balance()
        return (
            await stock.balance(moment, only),
            await stock.turnovers(*month, only),
            await stock.balance_and_turnovers(*month, only),
            await revenue.turnovers(*month, select="СуммаВыручкиTurnover"),
            await prices.slice_last(moment, only),
            (refused.value.status, refused.value.internal_code),
        )

    balance, turnovers, both, revenue, prices, refused = talk(root, ask)
    truth = world.ledger.stock(morning(DAY))
    assert sum(row["ВНаличииBalance"] for row in balance["value"]) == sum(
        quantity for (_, _, number), quantity in truth.items() if number == 2
    )
    moved = {row["Склад_Key"]: row["ВНаличииTurnover"] for row in turnovers["value"]}
    assert {row["Склад_Key"]: row["ВНаличииTurnover"] for row in both["value"] if row["ВНаличииTurnover"]} == {
        place: quantity for place, quantity in moved.items() if quantity
    }
    sold = sum(
        amount for (day, _), amount in world.ledger.revenue(morning(DAY)).items() if (day.year, day.month) == (2026, 2)
    )
    assert sum(Decimal(str(row["СуммаВыручкиTurnover"])) for row in revenue["value"]) * 100 == sold
    assert len(prices["value"]) == 3
    assert refused == (400, "6")


def test_it_reads_records_of_registers_and_the_nodes_of_the_plan(root: str, world: World) -> None:
    shipment = world.shipments[100]

    async def ask(infobase: Infobase) -> Any:
        of_shipment = f"Recorder eq cast(guid'{shipment.key}','Document_РеализацияТоваровУслуг')"
        rows = AccumulationRegister(infobase, "ТоварыНаСкладах_RecordType")
        return await rows.query(odata_filter=of_shipment), await ExchangePlan(infobase, "ДляODATA").query()

    movements, nodes = talk(root, ask)
    stocked = [line for line in shipment.lines if world.ledger.is_stocked(line.product)]
    assert [row["ВНаличии"] for row in movements.value] == [line.quantity for line in stocked]
    assert [node["ThisNode"] for node in nodes.value].count(True) == 1
