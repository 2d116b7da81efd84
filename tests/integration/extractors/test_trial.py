"""`polka doctor` on portals: every entity tried, nothing written, and what is wrong said."""

from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from clients.connection import Connection
from extractors.core.run import entity_names
from extractors.core.trial import EntityTrial, try_entities
from polka.portal_report import portal_payload, show_portal
from tests.support.bitrix24 import SOURCE, running_crm
from warehouse.db import connect
from warehouse.settings import get_settings

Try = Callable[[Connection], list[EntityTrial]]


@pytest.fixture
def tried(database: str) -> Try:
    def run(connection: Connection) -> list[EntityTrial]:
        return list(try_entities(SOURCE, connection, lambda: connect(database, autocommit=True), get_settings()))

    return run


def test_every_entity_of_a_portal_is_tried_and_nothing_is_written(tmp_path: Path, tried: Try, database: str) -> None:
    with running_crm(tmp_path, of_the_world=True) as portal:
        trials = tried(portal.connection())
    assert [trial.entity for trial in trials] == entity_names(SOURCE)
    assert all(trial.is_fit for trial in trials), trials
    assert {trial.entity: trial.records for trial in trials}["stage"] > 5
    with connect(database) as conn:
        for table in ("ops.load_run", "ops.cursor", "raw.bitrix24_company", "raw.page_archive"):
            assert conn.execute(f"select count(*) from {table}".encode()).fetchone() == (0,), table


def test_a_wrong_webhook_is_told_in_words_without_the_secret(tmp_path: Path, tried: Try) -> None:
    with running_crm(tmp_path) as portal:
        wrong = Connection(url=portal.connection().url.replace("polkademo", "wrongcode"))
        trials = tried(wrong)
    assert not any(trial.is_fit for trial in trials)
    assert all(trial.message and "wrongcode" not in trial.message for trial in trials)


def test_a_portal_that_is_not_there_ends_the_trial_at_once(tried: Try) -> None:
    trials = tried(Connection(url="http://127.0.0.1:9/rest/1/abcdefgh12345678/"))
    assert len(trials) == 1
    assert trials[0].state == "trouble"


def test_the_report_never_shows_the_webhook() -> None:
    console = Console(record=True, width=160)
    address = "https://portal.example/rest/1/abcdefgh12345678/"
    trials = (EntityTrial("deal", "read", 0.5, records=3), EntityTrial("lead", "trouble", 0.1, message="no rights"))
    show_portal(console, SOURCE, address, trials, "ru")
    shown = console.export_text()
    assert "abcdefgh12345678" not in shown
    assert "Пока загружать нельзя" in shown
    payload = portal_payload(SOURCE, address, trials)
    assert payload["fit"] is False
    assert "abcdefgh12345678" not in str(payload)
