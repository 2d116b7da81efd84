"""The simulated 1C read by PyOData1C from PyPI, which knows 1C's OData as its users do."""

from collections.abc import Callable, Iterator
from datetime import date, datetime
from decimal import Decimal

import pytest
from pydantic import Field
from PyOData1C.exeptions import ResponseError
from PyOData1C.http import Connection
from PyOData1C.models import ODataModel
from PyOData1C.odata import OData, Q
from requests.auth import HTTPBasicAuth

from simulators.onec.server import OnecServer, Quirks
from simulators.world.build import World, morning
from simulators.world.onec import base_on
from tests.support.simulated_onec import LOGIN, PASSWORD

DAY = date(2026, 3, 16)


class Line(ODataModel):
    number: int = Field(alias="LineNumber")
    product: str = Field(alias="Номенклатура_Key")
    quantity: Decimal = Field(alias="Количество")


class Order(ODataModel):
    key: str = Field(alias="Ref_Key")
    at: datetime = Field(alias="Date")
    posted: bool = Field(alias="Posted")
    outlet: str = Field(alias="Партнер_Key")
    amount: Decimal = Field(alias="СуммаДокумента")
    lines: list[Line] = Field(alias="Товары")

    nested_models = {"lines": Line}  # noqa: RUF012 (the library's way)


class Orders(OData):
    database = "trade"
    entity_model = Order
    entity_name = "Document_ЗаказКлиента"


class Manager(ODataModel):
    key: str = Field(alias="Ref_Key")
    name: str = Field(alias="Description")


class Partner(ODataModel):
    key: str = Field(alias="Ref_Key")
    name: str = Field(alias="Description")
    manager: Manager = Field(alias="ОсновнойМенеджер")

    nested_models = {"manager": Manager}  # noqa: RUF012


class Partners(OData):
    database = "trade"
    entity_model = Partner
    entity_name = "Catalog_Партнеры"


class OnHand(ODataModel):
    product: str = Field(alias="Номенклатура_Key")
    warehouse: str = Field(alias="Склад_Key")
    quantity: int = Field(alias="ВНаличииBalance")


class Stock(OData):
    database = "trade"
    entity_model = OnHand
    entity_name = f"AccumulationRegister_ТоварыНаСкладах/Balance(Period=datetime'{DAY}T06:00:00')"


@pytest.fixture(scope="module")
def world() -> World:
    return World(7, DAY, outlets=110)


@pytest.fixture(scope="module")
def server(world: World) -> OnecServer:
    return OnecServer(base_on(world, DAY), LOGIN, PASSWORD)


@pytest.fixture(scope="module")
def connection(server: OnecServer, publish: Callable[[OnecServer], str]) -> Iterator[Connection]:
    host = publish(server).removeprefix("http://")
    with Connection(host, "http", HTTPBasicAuth(LOGIN.encode(), PASSWORD.encode())) as opened:  # type: ignore[arg-type]
        yield opened


def test_filters_and_lines(connection: Connection, world: World) -> None:
    outlet = world.outlets[4]
    found = Orders.manager(connection).filter(outlet__eq__guid=outlet.key, posted=True).all()
    known = {o.key: o for o in world.orders if o.outlet is outlet and o.posted and o.known_from <= morning(DAY)}
    assert {order.key for order in found} == known.keys()
    for order in found:
        lines = known[order.key].lines
        assert [(line.number, line.quantity) for line in order.lines] == [
            (number, line.quantity) for number, line in enumerate(lines, start=1)
        ]


def test_dates_alternatives_and_negation(connection: Connection, world: World) -> None:
    since = morning(date(2026, 3, 10))
    recent = Orders.manager(connection).filter(Q(at__ge=since) & ~Q(posted=False)).all()
    known = [o for o in world.orders if o.known_from <= morning(DAY)]
    assert {order.key for order in recent} == {o.key for o in known if o.at >= since and o.posted}
    two = [world.orders[0].key, world.orders[7].key]
    either = Orders.manager(connection).filter(key__in__guid=two).all()
    assert {order.key for order in either} == set(two)


def test_pages_have_every_record_once(connection: Connection, world: World) -> None:
    seen: list[str] = []
    while page := Orders.manager(connection).skip(len(seen)).top(900).all():
        seen += [order.key for order in page]
    assert len(seen) == len(set(seen)) == sum(o.known_from <= morning(DAY) for o in world.orders)


def test_one_record_and_what_it_refers_to(connection: Connection, world: World) -> None:
    order = world.orders[3]
    assert Orders.manager(connection).get(order.key).outlet == order.outlet.key
    client = world.clients[0]
    (found,) = Partners.manager(connection).expand("manager").filter(key__eq__guid=client.key).all()
    assert (found.name, found.manager.name) == (client.name, client.manager.name)


def test_a_virtual_table(connection: Connection, world: World) -> None:
    products = {product.key: number for number, product in enumerate(world.products)}
    found = Stock.manager(connection).filter(quantity__gt=0).all()
    truth = world.ledger.stock(morning(DAY))
    assert sum(row.quantity for row in found) == sum(truth.values())
    assert {products[row.product] for row in found} == {product for _, _, product in truth}


def test_refusals(connection: Connection, server: OnecServer) -> None:
    with pytest.raises(ResponseError, match=r"404.*Экземпляр"):
        Orders.manager(connection).get("11111111-1111-1111-1111-111111111111")
    server.quirks = Quirks(unpublished=["Document_ЗаказКлиента"])
    try:
        with pytest.raises(ResponseError, match=r'404.*"8"'):
            Orders.manager(connection).top(1).all()
    finally:
        server.quirks = Quirks()
