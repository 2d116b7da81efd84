"""A HubSpot account over the seeded world lands as what the world holds, and keeps up with what people do there."""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, get_args

import pytest

from alerts.channels.hubspot import HubspotChannel
from alerts.render import Renderer
from clients.errors import ClientError, Fatal
from extractors.core.errors import ReadError
from extractors.core.outcome import LoadOutcome
from extractors.core.run import entity_names, extract, register_source, reland
from simulators.hubspot import TOKEN, Fault, hubspot_id
from simulators.hubspot.faults import Kind
from simulators.hubspot.world import owner_id
from tests.support.hubspot import Account, picture, running_account
from warehouse.db import connect
from warehouse.sources import SourceConfig

SOURCE = SourceConfig(id="hub", kind="hubspot", connection="hub")
ENTITIES = entity_names(SOURCE)


@pytest.fixture
def account() -> Iterator[Account]:
    with running_account(None, picture()) as running:
        yield running


def read(account: Account, database: str, entity: str, **options: Any) -> LoadOutcome:
    return extract(SOURCE, entity, account.connection(), database_url=database, **options)


def rows(database: str, query: str) -> list[tuple[Any, ...]]:
    with connect(database) as conn:
        return conn.execute(query.encode()).fetchall()


def test_everything_of_the_world_lands_field_by_field(account: Account, database: str) -> None:
    outcomes = {entity: read(account, database, entity) for entity in ENTITIES}
    assert {entity: outcome.rows_rejected for entity, outcome in outcomes.items()} == dict.fromkeys(ENTITIES, 0)
    shown = picture()
    companies = {str(hubspot_id(c.id)): c for c in shown.companies if not c.deleted_at and not c.merged_into}
    landed = {
        row[0]: row[1:]
        for row in rows(
            database,
            "select record_id, name, inn, onec_code, outlet_format, survey_score, order_weekdays, city, owner_id, "
            "created_at, survey_on, custom ->> 'inn' from raw.hubspot_company",
        )
    }
    assert landed.keys() == companies.keys()
    for number, company in companies.items():
        custom = company.custom
        inn = custom.get("inn")
        score = Decimal(custom["survey_score"]) if "survey_score" in custom else None
        assert landed[number] == (
            company.name, inn.rstrip() if inn else None, custom.get("onec_code"), custom.get("outlet_format"), score,
            custom.get("agreed_cadence"), company.city, str(owner_id(company.user_id)), company.created_at,
            custom.get("survey_on"), inn,
        )  # fmt: skip
    phones = rows(database, "select record_id, value from raw.hubspot_company_channel where channel = 'phone'")
    assert sorted(phones) == sorted((number, c.phones[0]) for number, c in companies.items() if c.phones)

    deals = {str(hubspot_id(d.id)): d for d in shown.deals if d.deleted_at is None}
    found = {
        row[0]: row[1:]
        for row in rows(
            database,
            "select record_id, name, amount, company_id, contact_id, stage_id, semantics from raw.hubspot_deal",
        )
    }
    survivors = {c.id: c.merged_into or c.id for c in (*shown.companies, *shown.contacts)}
    assert found.keys() == deals.keys()
    for number, deal in deals.items():
        pipeline = shown.pipeline(deal.pipeline_id)
        contacts = sorted(hubspot_id(survivors[contact]) for contact in deal.contact_ids)
        assert found[number] == (
            deal.title,
            Decimal(deal.amount) / 100 if deal.rows else None,
            str(hubspot_id(survivors[deal.company_id or 0])),
            str(contacts[0]) if contacts else None,
            f"deal:{pipeline.code}_{deal.stage}",
            pipeline.stage(deal.stage).outcome,
        )
    lines = rows(database, "select record_id, name, quantity, price, amount from raw.hubspot_deal_product")
    assert sorted(lines) == sorted(
        (number, row.name, Decimal(row.quantity), Decimal(row.price) / 100, Decimal(row.amount) / 100)
        for number, deal in deals.items()
        for row in deal.rows
    )
    moves = rows(database, "select entity_id, to_stage_id, changed_at, author_id from raw.hubspot_stage_history")
    assert sorted(move for move in moves if move[1].startswith("deal:")) == sorted(
        (number, f"deal:{shown.pipeline(deal.pipeline_id).code}_{m.stage}", m.at, str(owner_id(m.user_id)))
        for number, deal in deals.items()
        for m in deal.history
    )
    people = {str(hubspot_id(c.id)): c for c in shown.contacts if not c.deleted_at and not c.merged_into}
    told = rows(database, "select record_id, last_name, position, birthday, consent from raw.hubspot_contact")
    assert sorted(told) == sorted(
        (number, c.surname, c.position or None, c.custom.get("birthday"), c.custom.get("consent"))
        for number, c in people.items()
    )
    talks = rows(database, "select kind, count(*) from raw.hubspot_activity group by 1 order by 1")
    assert talks == [(k, sum(a.kind == k for a in shown.activities)) for k in ("call", "email", "meeting")]
    done = rows(database, "select count(*), count(*) filter (where is_completed) from raw.hubspot_task")
    assert done == [(len(shown.tasks), sum(task.is_done for task in shown.tasks))]
    inactive = rows(database, "select name from raw.hubspot_user where not is_active")
    assert inactive == [(f"{u.name} {u.patronymic} {u.surname}",) for u in shown.users if not u.is_active]
    fields = rows(database, "select count(*) from raw.hubspot_custom_field")
    assert fields == [(len(shown.fields),)]


def test_merges_into_a_new_record_and_restored_ids_are_followed(account: Account, database: str) -> None:
    portal = account.portal
    read(account, database, "company")
    read(account, database, "contact")
    first, second, third, fourth = [record.id for record in portal.records("companies")][:4]
    once = portal.merge("companies", first, second)
    twice = portal.merge("companies", once.id, third)
    portal.archive("companies", fourth)
    outcome = read(account, database, "company")
    assert outcome.rows_inserted == 1
    alive = rows(database, "select record_id from raw.hubspot_company where deleted_at is null")
    assert {int(number) for (number,) in alive} == {record.id for record in portal.records("companies")}
    known = dict(rows(database, "select old_id, new_id from raw.record_redirect where entity = 'company'"))
    assert {known[str(old)] for old in (first, second, once.id, third)} == {str(twice.id)}
    # A merge that was never told, because the survivor went too, is found when ids are compared.
    fifth, sixth = [record.id for record in portal.records("companies") if record.id not in {twice.id}][:2]
    merged = portal.merge("companies", fifth, sixth)
    portal.archive("companies", merged.id, at=datetime(2020, 1, 1, tzinfo=UTC))
    read(account, database, "company", mode="reconcile")
    alive = rows(database, "select record_id from raw.hubspot_company where deleted_at is null")
    assert {int(number) for (number,) in alive} == {record.id for record in portal.records("companies")}


def test_a_late_index_loses_nothing(database: str) -> None:
    clock = [datetime(2025, 6, 10, 9, tzinfo=UTC)]
    with running_account(None, now=lambda: clock[0], index_lag=30.0) as account:
        number = account.portal.create("companies", {"name": "Было"}).id
        read(account, database, "company")
        account.portal.update("companies", number, {"name": "Стало"})
        assert read(account, database, "company").rows_changed == 0, "search does not know yet"
        clock[0] += timedelta(minutes=1)
        other = account.portal.create("companies", {"name": "Другая"}).id
        account.portal.update("companies", other, {"name": "Другая, новее"})
        clock[0] += timedelta(minutes=1)
        read(account, database, "company")
        names = {name for (name,) in rows(database, "select name from raw.hubspot_company")}
        assert names == {"Стало", "Другая, новее"}


def test_windows_of_the_past_and_accounts_beyond_the_cap(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """More results than search gives away: every window is halved until it fits, and the ends meet."""
    monkeypatch.setattr("extractors.hubspot.account.MOST_IN_WINDOW", 20)
    monkeypatch.setattr("extractors.hubspot.account.SEARCH_PAGE", 10)
    monkeypatch.setattr("simulators.hubspot.search.MOST_RESULTS", 40)
    monkeypatch.setattr("simulators.hubspot.search.PAGE", 10)
    start = datetime(2025, 6, 10, 9, tzinfo=UTC)
    clock = [start]
    with running_account(None, now=lambda: clock[0]) as account:
        for number in range(200):
            # Half of them in one moment: a window that cannot be halved is walked by ids.
            clock[0] = start + timedelta(minutes=max(0, number - 100))
            account.portal.create("companies", {"name": f"К{number}"})
        clock[0] += timedelta(days=1)
        window = (start, start + timedelta(minutes=50))
        outcome = read(account, database, "company", mode="window", window=window)
        assert outcome.rows_inserted == sum(max(0, number - 100) < 50 for number in range(200))
        assert outcome.covered_until is None
        read(account, database, "company", mode="window", window=(start, clock[0]))
        assert rows(database, "select count(*) from raw.hubspot_company") == [(200,)]


def test_the_archive_rebuilds_landing(account: Account, database: str) -> None:
    with connect(database, autocommit=True) as conn:
        register_source(conn, SOURCE)
    for entity in ("company", "deal"):
        read(account, database, entity)
    account.portal.merge("companies", *[record.id for record in account.portal.records("companies")][:2])
    read(account, database, "company")
    query = "select record_id, name, inn, row_hash, deleted_at is null from raw.hubspot_company order by 1"
    before = rows(database, query)
    reland("company", "hub", database)
    assert rows(database, query) == before


def test_what_the_token_may_not_read_is_said_or_left_out(database: str) -> None:
    with running_account(None, picture(), scopes_missing=["leads", "line_items", "companies", "emails"]) as account:
        assert not read(account, database, "lead").published
        assert read(account, database, "activity").published
        read(account, database, "deal")
        assert rows(database, "select count(*) from raw.hubspot_deal_product") == [(0,)]
        with pytest.raises(Fatal, match="may not read companies"):
            read(account, database, "company")


def test_nothing_personal_and_no_secret_is_logged(
    account: Account, database: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    monkeypatch.setattr("clients.hubspot.REFUSED_PAUSE_SECONDS", 0.05)  # the pause after a refusal
    caplog.set_level(logging.DEBUG)
    said: list[str] = []
    spoiled = account.portal.records("companies")[0]
    spoiled.values["survey_score"] = "звонить +7 900 555-44-33"
    connection = account.connection()

    def attempt(entity: str) -> None:
        try:
            extract(SOURCE, entity, connection, database_url=database)
        except (ClientError, ReadError) as error:
            said.extend([str(error), repr(error)])

    for entity in ENTITIES:
        attempt(entity)
    for kind in get_args(Kind):
        account.plan(Fault(kind, times=2, seconds=0.01))
        attempt("contact")
    account.plan()
    stranger = type(connection)(url=connection.url, password="pat-na1-wrong", extra=connection.extra)
    channel = HubspotChannel(stranger, Renderer())
    with pytest.raises(ClientError) as refused:
        channel._active_owners()
    said.append(str(refused.value))
    channel = HubspotChannel(connection, Renderer())
    assert channel._active_owners()
    runs = rows(database, "select coalesce(string_agg(error, ' '), '') from ops.load_run")[0][0]
    reasons = rows(database, "select string_agg(reason, ' ') from raw.rejected_record")[0][0]
    text = "\n".join([caplog.text, *said, runs, reasons])
    cards = (*picture().companies, *picture().contacts)
    planted = {value for card in cards for value in (*card.phones, *card.emails)}
    planted |= {user.email for user in picture().users} | {TOKEN, "pat-na1-wrong", "555-44-33"}
    assert "survey_score" in text
    assert "DEBUG" in {record.levelname for record in caplog.records}
    assert [value for value in sorted(planted) if value in text] == []
