"""A base with an exchange plan: what changed arrives once, whatever gets lost on the way."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from clients.connection import Connection
from clients.errors import Fatal, Retriable
from clients.onec import OnecClient
from extractors.core.run import LoadOutcome, extract, register_source
from simulators.onec.base import Base, simple_set
from simulators.onec.exchange import ExchangePlan
from simulators.onec.server import PUBLICATION, OnecServer
from tests.support.serving import serve
from tests.support.simulated_onec import LOGIN, PASSWORD, SCHEMAS, guid, order, partner
from warehouse.db import connect
from warehouse.sources import ExchangePlan as PlanOption
from warehouse.sources import SourceConfig

ORDERS, BRANDS = "Document_ЗаказКлиента", "Catalog_Марки"
SOURCE = SourceConfig(
    id="onec_main", kind="onec", connection="onec_main", exchange_plan=PlanOption(plan="ДляODATA", node="odata")
)


@dataclass
class Exchange:
    """A base of twelve orders and three brands with a plan, and a warehouse that reads it."""

    base: Base
    server: OnecServer
    connection: Connection
    database: str

    def read(self, entity: str, **options: Any) -> LoadOutcome:
        return extract(SOURCE, entity, self.connection, database_url=self.database, triggered_by="test", **options)

    def rows(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with connect(self.database, autocommit=True) as conn:
            return conn.execute(query, parameters).fetchall()  # type: ignore[arg-type]

    def landed(self) -> dict[str, Decimal]:
        """Orders that are alive: id -> amount."""
        return dict(self.rows("select record_id, amount from raw.onec_order where deleted_at is null"))

    def expected(self) -> dict[str, Decimal]:
        orders = self.base.sets[ORDERS]
        return {orders.key(row): orders.exact(row)["СуммаДокумента"] for row in orders.rows}

    def loads(self) -> int:
        return self.server.requests[ORDERS]

    def prove(self) -> None:
        """First reads, and a first message that brings an order and a brand."""
        assert self.read("order").mode == "cursor"
        assert self.read("brand").mode == "full"
        self.base.edit(ORDERS, guid(1003), {"СуммаДокумента": Decimal("3.33")})
        self.base.edit(BRANDS, guid(901), {"Description": "Новая"})
        assert self.read("order").mode == "exchange_plan"
        assert self.landed() == self.expected()


@pytest.fixture
def exchange(warehouse: str) -> Iterator[Exchange]:
    brands = [{"Ref_Key": guid(900 + n), "Description": f"Марка {n}"} for n in range(3)]
    base = Base(
        [
            simple_set(SCHEMAS[ORDERS], [order(n, n % 4) for n in range(1, 13)]),
            simple_set(SCHEMAS[BRANDS], brands),
            simple_set(SCHEMAS["Catalog_Партнеры"], [partner(n) for n in range(1, 4)]),
        ],
        plan=ExchangePlan(content={ORDERS, BRANDS, "Catalog_Партнеры"}),
    )
    server = OnecServer(base, LOGIN, PASSWORD)
    with connect(warehouse, autocommit=True) as conn:
        register_source(conn, SOURCE)
    with serve(server) as root:
        yield Exchange(base, server, Connection(root + PUBLICATION, LOGIN, PASSWORD), warehouse)


def test_an_entity_is_read_by_the_plan_once_the_plan_has_brought_it(exchange: Exchange) -> None:
    exchange.prove()
    pages = exchange.loads()
    exchange.base.edit(ORDERS, guid(1005), {"Комментарий": "задним числом", "Date": "2020-01-15T10:00:00"})
    exchange.base.remove(ORDERS, guid(1006))
    exchange.base.write(ORDERS, order(50, 2) | {"СуммаДокумента": Decimal("50.00")})
    outcome = exchange.read("order")
    assert (outcome.mode, outcome.rows_inserted, outcome.rows_changed, outcome.rows_deleted) == (
        "exchange_plan",
        1,
        1,
        1,
    )
    assert exchange.landed() == exchange.expected()
    assert exchange.loads() == pages, "the set itself was not asked for"
    assert exchange.read("brand").mode == "exchange_plan"
    assert exchange.rows("select name from raw.onec_brand where record_id = %s", guid(901)) == [("Новая",)]
    assert exchange.read("partner").mode == "full", "the plan has not brought a partner yet"
    assert exchange.rows("select count(*) from raw.exchange_part") == [(0,)]


def test_records_of_the_plan_land_like_those_of_the_set(exchange: Exchange) -> None:
    exchange.prove()
    columns = """
        select o.*, l.* from raw.onec_order as o
        join raw.onec_order_line as l using (instance, record_id) where record_id = %s order by l.line_no
    """
    exchange.base.edit(ORDERS, guid(1001), {"Комментарий": 'O\'Нил & "сыновья" < 5\nвторая строка'})
    exchange.read("order")
    by_plan = exchange.rows(columns, guid(1001))
    assert by_plan
    exchange.read("order", mode="reconcile")
    exchange.rows("delete from ops.exchange_entity returning 1")
    again = exchange.read("order")
    assert again.mode == "cursor"
    assert (again.rows_changed, again.rows_unchanged) == (0, 12), "the same content has the same hash by either way"
    assert exchange.rows(columns, guid(1001)) == by_plan


def test_a_lost_receipt_repeats_the_message_and_nothing_twice(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange.prove()
    for repeats_add in (True, False):
        exchange.base.plan.repeats_add = repeats_add  # type: ignore[union-attr]
        exchange.base.edit(ORDERS, guid(1002), {"СуммаДокумента": Decimal("7.01") + repeats_add})
        with monkeypatch.context() as lost:
            lost.setattr(OnecClient, "notify_changes_received", _lose)
            with pytest.raises(Retriable, match="lost"):
                exchange.read("order")
        # Changed again after the message that 1C believes to be under way.
        exchange.base.edit(ORDERS, guid(1004), {"СуммаДокумента": Decimal("9.01") + repeats_add})
        outcome = exchange.read("order")
        assert outcome.mode == "exchange_plan"
        assert exchange.landed() == exchange.expected()
        assert exchange.read("order").rows_changed == 0
    [(versions,)] = exchange.rows("select count(*) from raw_history.onec_order where record_id = %s", guid(1002))
    assert versions == 2


def test_a_crash_before_the_message_is_stored_loses_nothing(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange.prove()
    exchange.base.edit(ORDERS, guid(1002), {"СуммаДокумента": Decimal("7.02")})
    with monkeypatch.context() as broken:
        broken.setattr("warehouse.exchange.note_entities", _lose)
        with pytest.raises(Retriable, match="lost"):
            exchange.read("order")
    assert exchange.rows("select count(*) from raw.exchange_part where entity = 'order'") == [(0,)]
    assert exchange.read("order").rows_changed == 1
    assert exchange.landed() == exchange.expected()


def test_a_change_that_the_plan_keeps_to_itself_is_found_and_the_plan_is_not_trusted(exchange: Exchange) -> None:
    exchange.prove()
    plan = exchange.base.plan
    assert plan is not None
    outcome = exchange.read("order", mode="reconcile")
    assert (outcome.rows_changed, outcome.rows_inserted, outcome.rows_deleted) == (0, 0, 0)
    assert exchange.read("order").mode == "exchange_plan"
    exchange.base.edit(ORDERS, guid(1007), {"СуммаДокумента": Decimal("1.07")})
    assert exchange.read("order", mode="reconcile").rows_changed == 1
    assert exchange.read("order").mode == "exchange_plan", "the plan had that change under way"
    plan.content = {BRANDS}
    exchange.base.edit(ORDERS, guid(1008), {"СуммаДокумента": Decimal("1.08")})
    assert exchange.read("order").rows_changed == 0
    assert exchange.read("order", mode="reconcile").rows_changed == 1
    assert exchange.read("order").mode == "cursor"
    assert exchange.landed() == exchange.expected()


def test_an_unknown_node_says_which_ones_there_are(exchange: Exchange) -> None:
    exchange.prove()
    other = SOURCE.model_copy(update={"exchange_plan": PlanOption(plan="ДляODATA", node="polka")})
    with pytest.raises(Fatal, match=r"no node 'polka' \(it has: ODATA\)"):
        extract(other, "order", exchange.connection, database_url=exchange.database)


def _lose(*_: object) -> None:
    raise Retriable("the receipt was lost")
