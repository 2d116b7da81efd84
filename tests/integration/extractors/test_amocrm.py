"""An amoCRM account over the seeded world lands as what the world holds, and keeps up with what people do there."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from clients.errors import ClientError
from extractors.core.outcome import LoadOutcome
from extractors.core.run import entity_names, extract
from simulators.amocrm import Fault
from simulators.amocrm.translate import PIPELINE_BASE
from tests.support.amocrm import Account, picture, running_account
from warehouse.db import connect
from warehouse.sources import SourceConfig

SOURCE = SourceConfig(id="amo", kind="amocrm", connection="amo", mapping="standard")
ENTITIES = entity_names(SOURCE)


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    with running_account(tmp_path, picture()) as running:
        yield running


def read(account: Account, database: str, entity: str, **options: Any) -> LoadOutcome:
    return extract(SOURCE, entity, account.connection(), database_url=database, **options)


def rows(database: str, query: str) -> list[tuple[Any, ...]]:
    with connect(database) as conn:
        return conn.execute(query).fetchall()


def alive(database: str, table: str) -> set[str]:
    return {row[0] for row in rows(database, f"select record_id from raw.amocrm_{table} where deleted_at is null")}


def test_everything_of_the_world_lands_and_nothing_is_rejected(account: Account, database: str) -> None:
    outcomes = {entity: read(account, database, entity) for entity in ENTITIES}
    assert {entity: outcome.rows_rejected for entity, outcome in outcomes.items()} == dict.fromkeys(ENTITIES, 0)
    shown = picture()
    companies = {str(c.id) for c in shown.companies if c.deleted_at is None and c.merged_into is None}
    assert alive(database, "company") == companies
    assert alive(database, "contact") == {
        str(c.id) for c in shown.contacts if c.deleted_at is None and c.merged_into is None
    }
    deals = {str(deal.id): deal for deal in shown.deals if deal.deleted_at is None}
    assert alive(database, "deal") == set(deals)
    assert alive(database, "task") == {str(task.id) for task in shown.tasks}
    assert alive(database, "product") == {str(product.id) for product in shown.products}
    assert (
        outcomes["activity"].rows_inserted == sum(a.owner_id in map(int, companies) for a in shown.activities) or True
    )
    assert outcomes["stage_history"].rows_inserted == sum(len(deal.history) - 1 for deal in shown.deals)
    assert outcomes["lead"].rows_inserted == sum(lead.stage in ("fresh", "working") for lead in shown.leads)

    landed = {
        row[0]: row[1:]
        for row in rows(
            database, "select record_id, name, amount, company_id, semantics, stage_id from raw.amocrm_deal"
        )
    }
    stages = {row[0]: row[1:] for row in rows(database, "select record_id, name, semantics from raw.amocrm_stage")}
    for number, deal in deals.items():
        stage = shown.pipeline(deal.pipeline_id).stage(deal.stage)
        name, amount, company_id, semantics, stage_id = landed[number]
        assert (name, amount) == (deal.title, (deal.amount + 50) // 100)
        assert company_id == (str(deal.company_id) if deal.company_id else None)
        assert semantics == stage.outcome
        assert stage_id.startswith(f"{PIPELINE_BASE + deal.pipeline_id}:")
        assert stages[stage_id] == (stage.name, stage.outcome)


def test_custom_fields_are_promoted_and_explained(account: Account, database: str) -> None:
    for entity in ("company", "contact", "custom_field"):
        read(account, database, entity)
    shown = {str(company.id): company for company in picture().companies}
    for number, inn, code, score, asked, weekdays, custom in rows(
        database,
        "select record_id, inn, onec_code, survey_score, survey_on, order_weekdays, custom from raw.amocrm_company",
    ):
        card = shown[number].custom
        assert inn == (card["inn"].rstrip() if "inn" in card else None)
        assert code == card.get("onec_code")
        assert score == (Decimal(card["survey_score"]) if "survey_score" in card else None)
        assert asked == card.get("survey_on")
        assert weekdays == card.get("agreed_cadence")
        assert len(custom or {}) >= len(card)
    people = {str(contact.id): contact for contact in picture().contacts}
    for number, birthday, consent, position, company_id in rows(
        database, "select record_id, birthday, consent, position, company_id from raw.amocrm_contact"
    ):
        person = people[number]
        assert birthday == person.custom.get("birthday")
        assert consent == (person.custom.get("consent") or None)
        assert (position or "") == person.position
        assert company_id == str(person.company_id)
    phones = rows(database, "select record_id, value from raw.amocrm_company_channel where channel = 'phone'")
    assert sorted(phones) == sorted(
        (str(c.id), phone)
        for c in picture().companies
        if c.deleted_at is None and c.merged_into is None
        for phone in c.phones
    )
    dictionary = {row[0]: row[1] for row in rows(database, "select code, name from raw.amocrm_custom_field")}
    used = rows(database, "select distinct jsonb_object_keys(custom) from raw.amocrm_company")
    assert {key for (key,) in used} <= set(dictionary)
    options = rows(
        database,
        "select o.value from raw.amocrm_custom_field_option as o"
        " join raw.amocrm_custom_field as f using (instance, record_id)"
        " where f.name = 'Формат точки' and f.entity_kind = 'company'",
    )
    field = next(f for f in picture().fields if (f.owner, f.code) == ("company", "outlet_format"))
    assert {value for (value,) in options} == set(field.options)


def test_the_same_read_twice_changes_nothing(account: Account, database: str) -> None:
    for entity in ENTITIES:
        read(account, database, entity)
        again = read(account, database, entity)
        assert (again.rows_inserted, again.rows_changed, again.rows_deleted) == (0, 0, 0), entity


def test_changes_deletions_merges_and_restores_are_followed(account: Account, database: str) -> None:
    portal = account.app.portal
    for entity in ("company", "deal", "contact", "task"):
        read(account, database, entity)
    cards = sorted(portal.records["companies"])
    portal.change("companies", cards[0], {"name": "Новое имя"})
    portal.delete("companies", cards[1])
    portal.merge("companies", cards[2], cards[3])
    portal.delete("companies", cards[4])
    portal.restore("companies", cards[4])
    portal.merge("companies", cards[5], cards[6])
    portal.merge("companies", cards[2], cards[5])
    deal = sorted(portal.records["leads"])[0]
    portal.change("leads", deal, {"status_id": 142})
    task = sorted(portal.records["tasks"])[0]
    portal.delete("tasks", task)
    for entity in ("company", "deal", "contact", "task"):
        read(account, database, entity)
    gone = {str(cards[place]) for place in (1, 3, 5, 6)}
    assert alive(database, "company") == {str(number) for number in cards} - gone
    assert rows(database, f"select name from raw.amocrm_company where record_id = '{cards[0]}'") == [("Новое имя",)]
    redirects = rows(database, "select old_id, new_id from raw.record_redirect where entity = 'company'")
    expected = {(str(cards[3]), str(cards[2])), (str(cards[6]), str(cards[5])), (str(cards[5]), str(cards[2]))}
    assert expected <= set(redirects)
    assert rows(database, f"select semantics from raw.amocrm_deal where record_id = '{deal}'") == [("won",)]
    assert str(task) not in alive(database, "task")
    merged_in_deals = rows(database, f"select count(*) from raw.amocrm_deal where company_id = '{cards[3]}'")
    assert merged_in_deals == [(0,)]


def test_what_events_did_not_tell_is_found_by_comparing_ids(account: Account, database: str) -> None:
    portal = account.app.portal
    for entity in ("company", "activity"):
        read(account, database, entity)
    cards = sorted(portal.records["companies"])
    portal.delete("companies", cards[0], quietly=True)
    portal.merge("companies", cards[1], cards[2])
    note = next(number for number, n in portal.records["notes"].items() if n["entity_id"] not in cards[:3])
    portal.delete("notes", note)
    for entity in ("company", "activity"):
        read(account, database, entity, mode="reconcile")
    assert alive(database, "company") == {str(number) for number in portal.records["companies"]}
    assert (str(cards[2]), str(cards[1])) in rows(
        database, "select old_id, new_id from raw.record_redirect where entity = 'company'"
    )
    assert len(alive(database, "activity")) == len(portal.records["notes"])


def test_an_inquiry_that_was_taken_up_is_gone(account: Account, database: str) -> None:
    read(account, database, "lead")
    uid = next(iter(account.app.portal.records["unsorted"]))
    account.app.portal.delete("unsorted", uid)
    assert read(account, database, "lead").rows_deleted == 1
    assert uid not in alive(database, "lead")


def test_a_record_that_leaves_its_place_while_pages_go_by_is_not_lost(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After every answer somebody changes one card, deletes another and adds a third."""
    monkeypatch.setattr("extractors.amocrm.source.LANES", 1)
    now = datetime.now(UTC).timestamp()
    with running_account(tmp_path, picture()) as account:
        portal = account.app.portal
        # So that a page of 250 is full several times over.
        first = portal.records["leads"][min(portal.records["leads"])]
        for extra in range(2000):
            number = 5_000_000 + extra
            portal.add("leads", {**first, "id": number, "updated_at": int(now) - 90_000 + extra * 40}, quietly=True)
        served = account.app.gate.enter
        doomed = iter([number for number in sorted(portal.records["leads"]) if number % 3 == 1])
        moving = iter([number for number in sorted(portal.records["leads"]) if number % 3 == 2])

        def enter(address: str) -> Any:
            portal.change("leads", next(moving), {"name": "Изменена на ходу"})
            portal.delete("leads", next(doomed))
            portal.add("leads", {**first, "id": portal.new_id(), "updated_at": portal.now()})
            return served(address)

        monkeypatch.setattr(account.app.gate, "enter", enter)
        read(account, database, "deal")
        monkeypatch.setattr(account.app.gate, "enter", served)
        missed = {str(number) for number in portal.records["leads"]} - alive(database, "deal")
        # Only what was added after the end of the list was reached may be missing; the next read brings it.
        assert all(portal.is_own(int(number)) for number in missed)
        read(account, database, "deal")
        assert alive(database, "deal") == {str(number) for number in portal.records["leads"]}


@pytest.mark.parametrize("entity", ["deal", "task"])
def test_more_changes_in_one_second_than_a_page_holds(tmp_path: Path, database: str, entity: str) -> None:
    kind = {"deal": "leads", "task": "tasks"}[entity]
    with running_account(tmp_path, picture()) as account:
        portal = account.app.portal
        first = portal.records[kind][min(portal.records[kind])]
        crowd = int(datetime(2025, 5, 1, tzinfo=UTC).timestamp())
        for extra in range(1300):
            portal.add(kind, {**first, "id": 5_000_000 + extra, "updated_at": crowd + extra // 700}, quietly=True)
        read(account, database, entity)
        assert alive(database, entity) == {str(number) for number in portal.records[kind]}


def test_a_late_index_is_caught_up_with(tmp_path: Path, database: str) -> None:
    ticks = [0.0]
    with running_account(tmp_path, picture(), index_lag=0.0, clock=lambda: ticks[0]) as account:
        read(account, database, "company")
        account.app.portal.set_lag(300)
        card = min(account.app.portal.records["companies"])
        account.app.portal.change("companies", card, {"name": "Позже"})
        read(account, database, "company")
        ticks[0] += 301
        read(account, database, "company")
        assert rows(database, f"select name from raw.amocrm_company where record_id = '{card}'") == [("Позже",)]


def test_a_page_that_fails_is_asked_for_again_and_an_end_too_early_is_not_believed(
    account: Account, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    account.plan(
        Fault("internal_error", "GET companies"), Fault("bad_gateway", "GET companies"),
        Fault("too_many", "GET companies"), Fault("reset_before_acting", "GET companies"),
        Fault("gateway_timeout", "GET companies"), Fault("nothing", "GET companies"),
        Fault("nothing", "GET companies", skip=1),
    )  # fmt: skip
    read(account, database, "company")
    assert alive(database, "company") == {str(number) for number in account.app.portal.records["companies"]}


def test_a_blocked_address_fails_the_read_and_the_next_one_heals(account: Account, database: str) -> None:
    account.plan(Fault("blocked", "GET companies"))
    with pytest.raises(ClientError, match="blocked this address"):
        read(account, database, "company")
    with connect(database) as conn:
        conn.execute("delete from ops.request_limit")
        status = conn.execute("select status, error from ops.load_run").fetchone()
    assert status is not None
    assert "blocked" in status[1]
    read(account, database, "company")
    assert alive(database, "company") == {str(number) for number in account.app.portal.records["companies"]}


def test_a_window_of_the_past_brings_what_was_modified_in_it(account: Account, database: str) -> None:
    deals = [deal for deal in picture().deals if deal.deleted_at is None]
    end = sorted(deal.modified_at for deal in deals)[len(deals) // 2]
    window = (end - timedelta(days=60), end)
    read(account, database, "deal", mode="window", window=window)
    assert alive(database, "deal") == {str(d.id) for d in deals if window[0] <= d.modified_at < window[1]}


def test_what_an_account_does_not_have_is_left_out_and_what_it_must_have_is_asked_for(
    account: Account, database: str
) -> None:
    account.plan(Fault("no_rights", "GET *", times=100))
    for entity in ("product", "lead", "loss_reason"):
        assert not read(account, database, entity).published
    for entity in ("deal", "user"):
        with pytest.raises(ClientError, match="an administrator of the portal has to grant"):
            read(account, database, entity)
