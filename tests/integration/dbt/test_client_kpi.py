"""The nine KPI and the profit of every client on the seeded world, against pandas on what landed."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from clients.connection import Connection
from extractors.core.run import ensure_tables, extract, register_source
from simulators.onec.server import PUBLICATION, OnecServer
from simulators.world.build import World
from simulators.world.crm import onec_codes
from simulators.world.onec import base_on
from tests.support import kpi_of_landed
from tests.support.serving import serve
from tests.support.simulated_onec import LOGIN, PASSWORD
from warehouse.clock import now
from warehouse.db import connect
from warehouse.dbt_runner import run_dbt
from warehouse.reference import load
from warehouse.reference_file import read
from warehouse.sources import SourceConfig

TODAY = date(2026, 11, 23)
SOURCE = SourceConfig(id="onec_main", kind="onec", connection="onec_main", mapping="ut11", timezone="Europe/Moscow")
ENTITIES = """
    organisation business_region manager partner legal_entity product product_accounting_key partner_accounting_key
    agreement cancellation_reason order shipment return revenue expense_item expense bonus_movement
"""
TOLD = {
    "average_order", "order_frequency", "return_percent", "wholesale_percent", "processing_days", "margin_percent",
    "contribution_percent", "tenure_percent", "acquisition_cost",
}  # fmt: skip
ASKED = {"satisfaction_score", "survey_response_percent"}


@dataclass
class Built:
    database: str
    landed: kpi_of_landed.Landed
    answers: list[tuple[str, date, int]]

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        with connect(self.database) as conn:
            return conn.execute(query.encode(), parameters).fetchall()

    def kpi(self, kind: str, which: str) -> dict[tuple[str, date], Decimal | None]:
        rows = self.rows(
            "select metric, month_start, value from marts.kpi_monthly where slice_kind = %s and slice_id = %s",
            kind,
            which,
        )
        return {(metric, month): value for metric, month, value in rows}


@pytest.fixture(scope="module")
def built(module_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    with connect(module_database, autocommit=True) as conn:
        ensure_tables(conn)
        register_source(conn, SOURCE)
    world = World(7, TODAY, outlets=120)
    with serve(OnecServer(base_on(world, TODAY), LOGIN, PASSWORD)) as root:
        address = Connection(root + PUBLICATION, LOGIN, PASSWORD)
        for entity in ENTITIES.split():
            extract(SOURCE, entity, address, database_url=module_database, triggered_by="test")
    answers = _survey(world)
    _load(module_database, world, answers, tmp_path_factory.mktemp("reference") / "survey.csv")
    as_of = json.dumps({"as_of": TODAY.isoformat()})
    for command in (("seed",), ("run", "--select", "+kpi_monthly")):
        code, tail = run_dbt([*command, "--vars", as_of], module_database)
        assert code == 0, "\n".join(tail)
    with connect(module_database) as conn:
        yield Built(module_database, kpi_of_landed.read(conn, TODAY), answers)


def _survey(world: World) -> list[tuple[str, date, int]]:
    """Client, day, score: some answer twice in a month, some after the business date, a month has too few."""
    answers = []
    for number, client in enumerate(world.clients):
        day = TODAY + timedelta(days=2) - number * 5 % 100 * timedelta(days=1)
        answers.append((client.key, day, 1 + number % 5))
        if number % 3 == 0:
            answers.append((client.key, day - timedelta(days=3), 1 + (number + 2) % 5))
    return [*answers, *((client.key, date(2026, 5, 12), 5) for client in world.clients[:4])]


def _load(database: str, world: World, answers: list[tuple[str, date, int]], path: Path) -> None:
    codes = onec_codes(world)
    lines = [f"{codes[client]},{day},{score}" for client, day, score in answers]
    path.write_text("\n".join(["client_code,answered_on,score", *lines]), encoding="utf-8")
    content = read(path)
    assert content.problems == []
    with connect(database) as conn:
        load(conn, content, now=now())


def test_every_kpi_of_every_month_is_that_of_pandas(built: Built) -> None:
    expected = kpi_of_landed.kpi(built.landed)
    found = built.kpi("all", "all")
    assert {key: value for key, value in found.items() if key[0] in TOLD} == expected
    assert {metric for (metric, _), value in expected.items() if value is not None} == TOLD
    # A year and a half knows no cohort that was watched for more than a year.
    assert {metric for (metric, _), value in found.items() if value is not None} == TOLD | ASKED


def test_satisfaction_is_that_of_the_last_answers(built: Built) -> None:
    expected = kpi_of_landed.satisfaction(built.landed, built.answers)
    found = built.kpi("all", "all")
    assert {key: value for key, value in found.items() if key[0] in ASKED and key in expected} == expected
    assert {value for key, value in found.items() if key[0] in ASKED and key not in expected} == {None}
    assert len([value for value in expected.values() if value is not None]) >= 7
    reasons = built.rows(
        "select month_start, missing_reason from marts.kpi_monthly"
        " where metric = 'satisfaction_score' and slice_kind = 'all' and value is null"
    )
    assert dict(reasons)[date(2026, 5, 1)] == "too_few_answers"
    assert {reason for _, reason in reasons} == {"too_few_answers", "no_survey"}


def test_a_rep_has_the_kpi_of_his_outlets(built: Built) -> None:
    rep = built.landed.outlets["rep"].value_counts().index[0]
    expected = kpi_of_landed.kpi(built.landed, rep)
    found = built.kpi("rep", rep)
    assert {key: found[key] for key in expected} == expected


def test_the_profit_of_every_client_is_that_of_pandas_to_the_kopeck(built: Built) -> None:
    found = {
        (client, month): (revenue, margin)
        for client, month, revenue, margin in built.rows(
            "select client_id, month_start, net_revenue_amount, gross_margin_amount from marts.client_pnl"
        )
    }
    assert found == kpi_of_landed.profits(built.landed)
    assert len(found) > 100


def test_what_the_reps_earned_is_what_was_earned(built: Built) -> None:
    months = built.rows(
        """
        select month_start, sum(numerator) filter (where slice_kind = 'rep'),
            sum(numerator) filter (where slice_kind = 'all')
        from marts.kpi_monthly where metric = 'margin_percent' group by month_start
        """
    )
    assert len(months) > 12
    assert all(of_reps == whole for _, of_reps, whole in months)
