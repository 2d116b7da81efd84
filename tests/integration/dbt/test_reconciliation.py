"""The seeded distributor against its own registers: every kopeck, and the one that was put there."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from clients.connection import Connection
from expectations.run import run_suite
from expectations.suite import load_suite
from extractors.core.run import ensure_tables, extract, register_source
from extractors.onec import control_totals
from simulators.onec.base import Base
from simulators.onec.server import PUBLICATION, OnecServer
from simulators.world.build import World, morning
from simulators.world.onec import base_on
from tests.support.serving import serve
from tests.support.simulated_onec import LOGIN, PASSWORD
from warehouse import clock
from warehouse.control_totals import differing_days
from warehouse.db import connect
from warehouse.dbt_runner import run_dbt
from warehouse.sources import SourceConfig

TODAY = date(2026, 9, 14)
DAYS = [TODAY - timedelta(days=back) for back in range(14, 0, -1)]
SOURCE = SourceConfig(id="onec_main", kind="onec", connection="onec_main", branches="by_organization")
REVENUE = "AccumulationRegister_ВыручкаИСебестоимостьПродаж"
SHIPMENTS = "Document_РеализацияТоваровУслуг"
ENTITIES = """
    organisation partner legal_entity agreement product brand manager shipment return shipment_correction stock
"""


@dataclass
class Books:
    """A base, what of it has landed, and the marts built from that."""

    world: World
    base: Base
    connection: Connection
    database: str

    def open(self) -> Any:
        return connect(self.database, autocommit=True)

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        with self.open() as conn:
            return conn.execute(query, parameters).fetchall()  # type: ignore[no-any-return]

    def read(self, *entities: str) -> None:
        for entity in entities:
            extract(SOURCE, entity, self.connection, database_url=self.database, triggered_by="test")

    def take(self) -> control_totals.Outcome:
        return control_totals.take(SOURCE, self.connection, DAYS, self.open)

    def explain(self) -> int:
        with self.open() as conn:
            days = differing_days(conn, SOURCE.id)
        return control_totals.explain(SOURCE, self.connection, days, self.open)

    def build(self) -> None:
        as_of = json.dumps({"as_of": TODAY.isoformat()})
        only = ["--select", "+reconciliation", "--exclude-resource-type", "test", "unit_test"]
        code, tail = run_dbt(["build", "--vars", as_of, *only], self.database)
        assert code == 0, "\n".join(tail)

    def statuses(self) -> dict[str, int]:
        return dict(self.rows("select status, count(*) from marts.reconciliation group by status"))

    def held(self) -> dict[str, str]:
        """Branches that the gate's comparison holds, with the reason."""
        suite = load_suite("list")
        wanted = [e for e in suite.expectations if e.batch == "reconciliation"]
        only = suite.model_copy(
            update={"batches": {"reconciliation": suite.batches["reconciliation"]}, "expectations": wanted}
        )
        parameters = {
            "instance": SOURCE.id,
            "as_of": TODAY,
            "now": clock.now(),
            "time_zone": "Europe/Moscow",
            "coverage_max_age_hours": 6.0,
            "branches": SOURCE.branches,
            "branch_ids": list(self.world.organisations),
        }
        (result,) = run_suite(only, self.database, parameters)
        assert result.evaluated
        return {row["branch_id"]: f"{row['days']} {row['total']} {row['documents']}" for row in result.rows}


@pytest.fixture
def books(database: str) -> Iterator[Books]:
    world = World(7, TODAY, outlets=60)
    base = base_on(world, TODAY)
    with connect(database, autocommit=True) as conn:
        ensure_tables(conn)
        register_source(conn, SOURCE)
    with serve(OnecServer(base, LOGIN, PASSWORD)) as root:
        made = Books(world, base, Connection(root + PUBLICATION, LOGIN, PASSWORD), database)
        made.read(*ENTITIES.split())
        yield made


def test_every_kopeck_agrees_and_the_planted_one_is_named_and_holds_its_branch(books: Books) -> None:
    outcome = books.take()
    assert outcome.missing == []
    books.build()
    truth = books.world.ledger.revenue(morning(TODAY))
    expected = {
        (day, books.world.organisations[branch]): Decimal(kopecks) / 100
        for (day, branch), kopecks in truth.items()
        if day in DAYS
    }
    found = {
        (day, organisation): (ours, theirs)
        for day, organisation, ours, theirs in books.rows(
            "select accounted_on, organisation_id, warehouse_amount, onec_amount from marts.reconciliation"
        )
    }
    assert {place: (amount, amount) for place, amount in expected.items()} == found
    assert set(books.statuses()) == {"agrees"}
    assert books.held() == {}
    balances_are_those_of_the_plan(books)

    day, document, number, branch = planted(books, Decimal("0.01"))
    books.take()
    assert books.statuses()["differs"] == 1
    assert books.explain() > 1
    [(differing, difference)] = books.rows(
        "select differing_documents, difference_amount from marts.reconciliation"
        " where accounted_on = %s and organisation_id = %s",
        day,
        branch,
    )
    assert difference == Decimal("0.01")
    assert len(differing) == 1
    assert number in differing[0]
    assert list(books.held()) == [branch]
    assert number in books.held()[branch]

    # Written anew in 1C but not read yet: that is no discrepancy. Then it lands, and the day agrees.
    register = books.base.registers[REVENUE]
    books.base.edit(SHIPMENTS, document, {"Комментарий": "перепроведён"})
    books.explain()
    assert books.held() == {}
    [(changed,)] = books.rows("select sum(documents_changed) from marts.reconciliation")
    assert changed == 1
    move_revenue(register, document, Decimal("-0.01"))
    books.base.touch()
    books.read("shipment")
    books.build()
    books.take()
    assert set(books.statuses()) == {"agrees"}


def balances_are_those_of_the_plan(books: Books) -> None:
    moment = morning(TODAY)
    debts = {legal: Decimal(net) / 100 for legal, (net, _) in books.world.ledger.debts(moment).items() if net}
    taken = books.rows("select subject_id, sum(amount) from ops.control_total where measure = 'settlement' group by 1")
    assert dict(taken) == debts
    stock = dict(books.rows("select subject_id, amount from ops.control_total where measure = 'stock'"))
    assert stock == dict(books.rows("select warehouse_id, sum(on_hand) from raw.onec_stock group by 1"))
    assert sum(stock.values()) == sum(books.world.ledger.stock(moment).values())


def planted(books: Books, amount: Decimal) -> tuple[date, str, str, str]:
    """Let the register say a little more than a shipment: its day, id, number and branch."""
    shipment = next(s for s in books.world.shipments if s.at.date() in DAYS)
    move_revenue(books.base.registers[REVENUE], shipment.key, amount)
    books.base.touch()
    organisation = books.world.organisations[shipment.order.outlet.client.branch]
    return shipment.at.date(), shipment.key, shipment.number, organisation


def move_revenue(register: Any, document: str, amount: Decimal) -> None:
    records = register.records
    rows = [records.exact(row) for row in records.rows if records.text(row, "Recorder") == f'"{document}"']
    rows[0]["СуммаВыручки"] += amount
    own = [{k: v for k, v in row.items() if k not in ("Recorder", "Recorder_Type")} for row in rows]
    register.write(document, SHIPMENTS, own)
