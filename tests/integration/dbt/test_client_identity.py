"""Who is who, on the seeded world: its cards with all their mess against the partners of 1C, by its own truth.

The same cards are in a portal of Bitrix24, in an account of amoCRM and in one of HubSpot; each is judged by itself.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest

from clients.connection import Connection
from extractors.core.run import entity_names, extract, register_source
from polka.simulated import Simulated, simulators
from simulators.hubspot.world import hubspot_id
from simulators.world.build import World
from simulators.world.crm import crm_on
from tests.support import amocrm, hubspot
from warehouse import matching
from warehouse.db import connect
from warehouse.dbt_runner import run_dbt
from warehouse.settings import get_settings
from warehouse.sources import SourceConfig

DAY = date(2026, 11, 23)
ONEC = SourceConfig(id="onec_main", kind="onec", connection="onec_main", mapping="ut11", timezone="Europe/Moscow")
CRMS = {
    kind: SourceConfig(id=f"{kind}_main", kind=kind, connection="b24_main", timezone="Europe/Moscow")
    for kind in ("bitrix24", "amocrm", "hubspot")
}
CATALOGS = ("partner", "legal_entity", "manager", "business_region")
CARDS = ("user", "company", "requisite", "contact")
PRECISION, RECALL = 0.995, 0.97


@dataclass
class Judged:
    """Cards of one CRM (client of 1C, outlet), by what we found and by the truth of those that are there today."""

    kind: str
    found: dict[str, tuple[str, str | None]]
    truth: dict[str, tuple[str | None, str | None]]
    mess: dict[str, list[str]]
    listed: dict[str, set[str]]


@pytest.fixture(scope="module")
def landed(module_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, Any]]]:
    """The warehouse with everybody told, and the truth."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("world")
        patch.setenv("POLKA_VAR_DIR", str(folder / "var"))
        get_settings.cache_clear()
        with simulators(folder, as_of=DAY) as running:
            manifest = running.manifest()
            picture = crm_on(World(manifest["seed"], DAY), DAY)
            with (
                amocrm.running_account(tmp_path_factory.mktemp("amocrm"), picture) as amo,
                hubspot.running_account(shown=picture) as hub,
            ):
                _land(module_database, running, amo.connection(), hub.connection())
        with connect(module_database) as conn:
            matching.refresh(conn)
        marts = ["+client_identity", "+client_identity_review"]
        command = ["build", "--exclude-resource-type", "test", "unit_test", "--select", *marts]
        code, tail = run_dbt([*command, "--vars", json.dumps({"as_of": DAY.isoformat()})], module_database)
        assert code == 0, tail
        yield module_database, manifest["crm_identity"]
        get_settings.cache_clear()


@pytest.fixture(params=list(CRMS))
def judged(landed: tuple[str, dict[str, Any]], request: pytest.FixtureRequest) -> Judged:
    database, identity = landed
    with connect(database) as conn:
        rows = conn.execute(
            "select entity_id, client_id, outlet_id from marts.client_identity"
            " where crm = %s and entity_kind = 'company' and method <> 'merged'",
            [request.param],
        ).fetchall()
        listed: dict[str, set[str]] = {}
        for reason, card in conn.execute(
            "select reason, entity_id from marts.client_identity_review where crm_instance = %s",
            [CRMS[request.param].id],
        ):
            listed.setdefault(reason, set()).add(card)
    number = hubspot_id if request.param == "hubspot" else int
    here = [card for card in identity["companies"] if not card["deleted"] and card["merged_into"] is None]
    return Judged(
        request.param,
        {card: (client, outlet) for card, client, outlet in rows},
        {str(number(card["company_id"])): (card["client_id"], card["outlet_id"]) for card in here},
        {str(number(card["company_id"])): card["mess"] for card in here},
        listed,
    )


def test_precision_and_recall(judged: Judged) -> None:
    clients = {card: who for card, (who, _) in judged.truth.items() if who is not None}
    right = [card for card, (who, _) in judged.found.items() if clients.get(card) == who]
    precision, recall = len(right) / len(judged.found), len(right) / len(clients)
    confusion = [
        f"identity, {judged.kind}: precision {precision:.4f}, recall {recall:.4f} of {len(clients)} cards of clients"
    ]
    for card in sorted(judged.found.keys() | clients.keys()):
        found, really = judged.found.get(card, (None, None))[0], clients.get(card)
        if found != really:
            confusion.append(f"  card {card} {judged.mess.get(card)}: found {found}, really {really}")
    sys.stdout.write("\n" + "\n".join(confusion) + "\n")
    assert len(clients) > 200
    assert len(judged.truth) - len(clients) >= 20, "prospects that 1C has never heard of"
    assert precision >= PRECISION
    assert recall >= RECALL


def test_cards_of_single_outlets_are_told_from_cards_of_the_chain(judged: Judged) -> None:
    of_outlets = {card for card, (_, outlet) in judged.truth.items() if outlet is not None}
    assert len(of_outlets) >= 10
    assert {card for card, (_, outlet) in judged.found.items() if outlet is not None} == of_outlets
    assert all(judged.found[card] == judged.truth[card] for card in of_outlets)


def test_nobody_is_merged_silently(judged: Judged) -> None:
    """Two cards of one client, mistyped and foreign tax numbers are all on the list for people."""
    listed = judged.listed
    whole: dict[str, list[str]] = {}
    for card, (client, outlet) in judged.truth.items():
        if client is not None and outlet is None:
            whole.setdefault(client, []).append(card)
    twice = {card for cards in whole.values() if len(cards) > 1 for card in cards}
    assert twice
    assert listed["several_cards"] == twice
    assert listed["unknown_inn"] >= {card for card, mess in judged.mess.items() if "former_legal_entity" in mess}
    mistyped = {card for card, mess in judged.mess.items() if "mistyped_inn" in mess}
    assert mistyped
    # Two swapped digits may by chance be a right number; then it is one that 1C does not have.
    assert listed["wrong_inn"] | listed["unknown_inn"] >= mistyped


def test_people_follow_their_company(landed: tuple[str, dict[str, Any]], judged: Judged) -> None:
    with connect(landed[0]) as conn:
        people = conn.execute(
            f"""
            select count(*) filter (where person.client_id = card.client_id), count(*)
            from marts.client_identity as card
            inner join raw.{judged.kind}_contact as who on card.entity_id = who.company_id
            left join marts.client_identity as person
                on who.record_id = person.entity_id and person.entity_kind = 'contact' and person.crm = card.crm
            where card.entity_kind = 'company' and card.crm = %s and who.deleted_at is null
            """.encode(),
            [judged.kind],
        ).fetchone()
    assert people is not None
    assert people[0] == people[1] > 100


def test_every_client_has_one_main_card(landed: tuple[str, dict[str, Any]]) -> None:
    with connect(landed[0]) as conn:
        cards = conn.execute(
            """
            select count(*) filter (where is_main_card), count(distinct client_id)
            from marts.client_identity where entity_kind = 'company'
            """
        ).fetchone()
    assert cards is not None
    assert cards[0] == cards[1] > 200


def test_texts_that_are_known_are_not_looked_at_again(landed: tuple[str, dict[str, Any]]) -> None:
    with connect(landed[0]) as conn:
        before = conn.execute("select count(*) from ops.match_key").fetchone()
        assert matching.refresh(conn) == {"phone": 0, "name": 0, "compared": 0}
        assert conn.execute("select count(*) from ops.match_key").fetchone() == before
        conn.execute(
            "update raw.bitrix24_company set name = name || ' 2'"
            " where record_id = (select min(record_id) from raw.bitrix24_company)"
        )
        assert matching.refresh(conn)["name"] == 1
        conn.rollback()


def _land(database: str, running: Simulated, amo: Connection, hub: Connection) -> None:
    connections = running.airflow_connections()
    onec, portal = (_connection(connections[f"AIRFLOW_CONN_{name}"]) for name in ("ONEC_MAIN", "B24_MAIN"))
    addresses = {"bitrix24": portal, "amocrm": amo, "hubspot": hub}
    with connect(database) as conn:
        for source in (ONEC, *CRMS.values()):
            register_source(conn, source)
        conn.commit()
    for entity in CATALOGS:
        extract(ONEC, entity, onec, database_url=database)
    for kind, crm in CRMS.items():
        for entity in CARDS:
            if entity in entity_names(crm):
                extract(crm, entity, addresses[kind], database_url=database)


def _connection(text: str) -> Connection:
    said: dict[str, Any] = json.loads(text)
    return Connection(url=said["host"], login=said.get("login"), password=said.get("password"), extra={})
