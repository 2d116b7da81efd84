"""Registers and virtual tables of the simulated 1C against what the world's plan says."""

from base64 import b64encode
from collections import defaultdict
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
import requests

from simulators.onec.server import OnecServer
from simulators.world.build import World, morning
from simulators.world.onec import base_on
from tests.support.simulated_onec import LOGIN, PASSWORD, Published

DAY = date(2026, 3, 16)
MOMENT = f"datetime'{DAY}T06:00:00'"
STOCK = "AccumulationRegister_ТоварыНаСкладах"
SETTLEMENTS = "AccumulationRegister_РасчетыСКлиентами"
TERMS = "AccumulationRegister_РасчетыСКлиентамиПоСрокам"
REVENUE = "AccumulationRegister_ВыручкаИСебестоимостьПродаж"


@pytest.fixture(scope="session")
def world() -> World:
    return World(7, DAY)


@pytest.fixture(scope="session")
def base(world: World, publish: Callable[[OnecServer], str]) -> Published:
    server = OnecServer(base_on(world, DAY), LOGIN, PASSWORD)
    session = requests.Session()
    session.headers["Authorization"] = "Basic " + b64encode(f"{LOGIN}:{PASSWORD}".encode()).decode()
    return Published(server, publish(server), session)


def rows(base: Published, path: str) -> list[dict[str, Any]]:
    response = base.get(path, Accept="application/json;odata=nometadata")
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json(parse_float=Decimal)["value"]
    return found


def kopecks(value: Any) -> int:
    return int(Decimal(str(value)) * 100)


def legal_entities(world: World) -> dict[str, str]:
    """Key of analytics -> legal entity."""
    return {
        world.guid("partner key", outlet.key, outlet.legal_entity.key): outlet.legal_entity.key
        for outlet in world.outlets
    }


def test_stock_is_what_the_plan_left_on_the_shelves(base: Published, world: World) -> None:
    places = {
        world.guid("warehouse", branch, place): (branch, place)
        for branch in range(len(world.organisations))
        for place in range(2)
    }
    products = {product.key: number for number, product in enumerate(world.products)}
    found = {
        (*places[row["Склад_Key"]], products[row["Номенклатура_Key"]]): row["ВНаличииBalance"]
        for row in rows(base, f"{STOCK}/Balance(Period={MOMENT})")
    }
    assert found == world.ledger.stock(morning(DAY))
    assert min(found.values()) > 0


def test_debts_by_legal_entity(base: Published, world: World) -> None:
    owner = legal_entities(world)
    net: dict[str, int] = defaultdict(int)
    for row in rows(base, f"{SETTLEMENTS}/Balance(Period={MOMENT})"):
        net[owner[row["АналитикаУчетаПоПартнерам_Key"]]] += kopecks(row["СуммаBalance"])
    by_terms: dict[str, int] = defaultdict(int)
    overdue: dict[str, int] = defaultdict(int)
    for row in rows(base, f"{TERMS}/Balance()"):
        client = owner[row["АналитикаУчетаПоПартнерам_Key"]]
        by_terms[client] += kopecks(row["ДолгBalance"]) - kopecks(row["ПредоплатаBalance"])
        if row["ДатаПлановогоПогашения"] < f"{DAY}":
            overdue[client] += kopecks(row["ДолгBalance"])
    truth = world.ledger.debts(morning(DAY))
    assert {k: v for k, v in net.items() if v} == {k: debt for k, (debt, _) in truth.items() if debt}
    assert {k: v for k, v in by_terms.items() if v} == {k: debt for k, (debt, _) in truth.items() if debt}
    assert {k: v for k, v in overdue.items() if v} == {k: late for k, (_, late) in truth.items() if late}
    assert any(debt < 0 for debt, _ in truth.values())


def test_revenue_of_a_day_by_organisation(base: Published, world: World) -> None:
    day = DAY - timedelta(days=4)
    span = f"StartPeriod=datetime'{day}T00:00:00',EndPeriod=datetime'{day}T23:59:59'"
    call = f"{REVENUE}/Turnovers({span},Dimensions='АналитикаУчетаПоПартнерам')"
    outlets = {world.guid("partner key", o.key, o.legal_entity.key): o for o in world.outlets}
    found: dict[int, int] = defaultdict(int)
    for row in rows(base, call):
        found[outlets[row["АналитикаУчетаПоПартнерам_Key"]].client.branch] += kopecks(row["СуммаВыручкиTurnover"])
    truth = world.ledger.revenue(morning(DAY))
    assert dict(found) == {branch: truth[day, branch] for branch in range(3)}


def test_both_ways_of_quoting_a_condition(base: Published, world: World) -> None:
    product = world.products[3].key
    nested = rows(base, f"{STOCK}/Balance(Condition='Номенклатура_Key eq guid'{product}'',Period={MOMENT})")
    doubled = rows(base, f"{STOCK}/Balance(Period={MOMENT},Condition='Номенклатура_Key eq guid''{product}''')")
    as_option = rows(base, f"{STOCK}/Balance?Condition=Номенклатура_Key eq guid'{product}'")
    assert nested == doubled == as_option
    assert {row["Номенклатура_Key"] for row in nested} == {product}
    assert len(nested) == 6
    narrow = rows(base, f"{STOCK}/Balance(Condition='Номенклатура_Key eq guid'{product}'',Dimensions='Склад')")
    assert set(narrow[0]) == {"Склад_Key", "ВНаличииBalance", "КОтгрузкеBalance"}


def test_balance_and_turnovers_add_up(base: Published, world: World) -> None:
    start, end = DAY - timedelta(days=30), DAY - timedelta(days=1)
    span = f"StartPeriod=datetime'{start}T00:00:00',EndPeriod=datetime'{end}T23:59:59'"
    moved = rows(base, f"{STOCK}/BalanceAndTurnovers({span},Dimensions='Номенклатура,Склад')")
    for row in moved:
        assert row["ВНаличииOpeningBalance"] + row["ВНаличииTurnover"] == row["ВНаличииClosingBalance"]
        assert row["ВНаличииReceipt"] - row["ВНаличииExpense"] == row["ВНаличииTurnover"]
    truth = world.ledger.stock(morning(DAY).replace(hour=0))
    assert sum(row["ВНаличииClosingBalance"] for row in moved) == sum(truth.values())


def test_prices_are_the_newest_of_their_moment(base: Published, world: World) -> None:
    call = "InformationRegister_ЦеныНоменклатуры_RecordType/SliceLast"
    wholesale = world.guid("price type", 1)
    condition = f"Condition='ВидЦены_Key eq guid'{wholesale}''"
    for day, level in ((DAY, 3), (date(2025, 12, 31), 2), (date(2026, 1, 1), 3)):
        found = rows(base, f"{call}(Period=datetime'{day}T00:00:00',{condition})")
        assert {row["Номенклатура_Key"]: kopecks(row["Цена"]) for row in found} == {
            product.key: world.ledger.list_price(number, level) for number, product in enumerate(world.products)
        }


def test_pages_of_a_virtual_table_make_the_whole(base: Published) -> None:
    call = f"{STOCK}/Balance(Period={MOMENT})"
    whole = rows(base, f"{call}?$orderby=Номенклатура_Key,Склад_Key")
    pages = [
        row
        for skip in range(0, len(whole) + 100, 100)
        for row in rows(base, f"{call}?$orderby=Номенклатура_Key,Склад_Key&$top=100&$skip={skip}")
    ]
    assert pages == whole


def test_record_sets_and_their_rows_say_the_same(base: Published, world: World) -> None:
    shipment = world.shipments[-3000]
    kind = "StandardODATA.Document_РеализацияТоваровУслуг"
    one = base.json(f"{STOCK}(Recorder='{shipment.key}', Recorder_Type='{kind}')")
    flat = rows(base, f"{STOCK}_RecordType?$filter=Recorder eq cast(guid'{shipment.key}','{kind}')")
    assert one["RecordSet"] == flat
    assert [line["LineNumber"] for line in flat] == [str(n) for n in range(1, len(flat) + 1)]
    assert all(line["RecordType"] == "Expense" and line["Active"] for line in flat)


@pytest.mark.parametrize(
    ("path", "error"),
    [
        (f"{REVENUE}/Balance()", (400, "6")),
        (f"{STOCK}/Nothing()", (400, "6")),
        (f"{STOCK}_RecordType/Balance()", (400, "6")),
        ("InformationRegister_ЦеныНоменклатуры/SliceLast()", (400, "6")),
        (f"{STOCK}/Balance(Dimensions='НетТакого')", (400, "6")),
        (f"{STOCK}/Balance(StartPeriod={MOMENT})", (400, "6")),
        (f"{STOCK}/Balance(Condition='Номенклатура_Key eq')", (400, "14")),
        (f"{STOCK}/Balance(Period='вчера')", (400, "1")),
        ("AccumulationRegister_НетТакого/Balance()", (404, "8")),
    ],
)
def test_refusals_have_1cs_codes(base: Published, path: str, error: tuple[int, str]) -> None:
    assert base.error(path) == error
