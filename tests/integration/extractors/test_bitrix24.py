"""A Bitrix24 portal read into landing: whole, by what changed, and by ids; compared with the world and the portal."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from clients.errors import Fatal
from clients.limits import LimitReached
from extractors.core.errors import ReadError
from extractors.core.run import LoadOutcome, ensure_tables, entity_names, extract, register_source, reland
from simulators.bitrix24 import Fault, Limits
from simulators.bitrix24.shapes import COMPANY, CONTACT, DEAL, LEAD
from tests.support.bitrix24 import SOURCE, CrmPortal, picture, running_crm
from warehouse.db import connect

Read = Callable[..., LoadOutcome]
Rows = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def portal(tmp_path: Path) -> Iterator[CrmPortal]:
    with running_crm(tmp_path) as running:
        yield running


@pytest.fixture
def world_portal(tmp_path: Path) -> Iterator[CrmPortal]:
    with running_crm(tmp_path, of_the_world=True) as running:
        yield running


@pytest.fixture
def warehouse(database: str) -> str:
    with connect(database, autocommit=True) as conn:
        ensure_tables(conn)
        register_source(conn, SOURCE)
    return database


@pytest.fixture
def rows(warehouse: str) -> Rows:
    def run(query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with connect(warehouse, autocommit=True) as conn:
            return conn.execute(query.encode(), parameters).fetchall()

    return run


def reader(portal: CrmPortal, warehouse: str) -> Read:
    def run(entity: str, **options: Any) -> LoadOutcome:
        return extract(SOURCE, entity, portal.connection(), database_url=warehouse, triggered_by="test", **options)

    return run


@pytest.fixture
def read(portal: CrmPortal, warehouse: str) -> Read:
    return reader(portal, warehouse)


def add_deals(portal: CrmPortal, count: int, *, every: int = 1) -> None:
    """Deals with ids 1, 1 + every, 1 + 2 * every, ..."""
    for number in range(count):
        fields = {"title": f"Сделка {number}", "opportunity": number + 0.5}
        portal.crm.add(DEAL, fields, item_id=1 + number * every)


# --- the whole portal ---


def test_everything_of_the_world_lands(world_portal: CrmPortal, warehouse: str, rows: Rows) -> None:
    read = reader(world_portal, warehouse)
    outcomes = {entity: read(entity) for entity in entity_names(SOURCE)}
    assert {entity: outcome.rows_rejected for entity, outcome in outcomes.items() if outcome.rows_rejected} == {}
    world = picture()
    users = {user.id: user for user in world.users}
    alive = [company for company in world.companies if company.merged_into is None and company.deleted_at is None]
    landed = rows(
        "select record_id, name, owner_id, inn, outlet_format, survey_score, survey_on from raw.bitrix24_company"
    )
    assert sorted(landed) == sorted(
        (
            str(company.id),
            company.name,
            str(company.user_id),
            company.custom.get("inn") or None,
            company.custom.get("outlet_format"),
            company.custom.get("survey_score"),
            company.custom.get("survey_on"),
        )
        for company in alive
    )
    phones = rows("select record_id, value from raw.bitrix24_company_channel where channel = 'phone'")
    assert sorted(phones) == sorted((str(company.id), phone) for company in alive for phone in company.phones)
    people = [person for person in world.contacts if person.merged_into is None and person.deleted_at is None]
    contacts = rows("select record_id, last_name, first_name, company_id, birthday, consent from raw.bitrix24_contact")
    assert sorted(contacts) == sorted(
        (
            str(person.id),
            person.surname,
            person.name,
            str(person.company_id),
            person.custom.get("birthday"),
            person.custom.get("consent"),
        )
        for person in people
    )
    deals = [deal for deal in world.deals if deal.deleted_at is None]
    stages = {(p.id, s.code): s for p in world.pipelines for s in p.stages}
    landed_deals = rows("select record_id, semantics, amount, closed_at from raw.bitrix24_deal")
    assert sorted(landed_deals) == sorted(
        (
            str(deal.id),
            stages[deal.pipeline_id, deal.stage].outcome,
            Decimal(deal.amount) / 100,
            deal.closed_at,
        )
        for deal in deals
    )
    products = rows("select record_id, product_id, quantity, amount from raw.bitrix24_deal_product")
    assert sorted(row[:3] for row in products) == sorted(
        (str(deal.id), str(row.product_id), row.quantity) for deal in deals for row in deal.rows
    )
    moves = rows("select entity_kind, entity_id, changed_at from raw.bitrix24_stage_history")
    assert sorted(moves) == sorted(
        (kind, str(record.id), move.at)
        for kind, records in (("deal", deals), ("lead", world.leads))
        for record in records
        for move in record.history
    )
    # Every stage that a record or a move names is in the dictionary of stages.
    unknown = rows(
        """
        select stage_id from raw.bitrix24_deal union select stage_id from raw.bitrix24_lead
        union select to_stage_id from raw.bitrix24_stage_history
        except select record_id from raw.bitrix24_stage
        """
    )
    assert unknown == []
    fields = rows("select entity_kind, code, name from raw.bitrix24_custom_field")
    assert sorted(fields) == sorted((f.owner, f"UF_CRM_{f.code.upper()}", f.name) for f in world.fields)
    options = rows("select value from raw.bitrix24_custom_field_option")
    assert sorted(value for (value,) in options) == sorted(text for f in world.fields for text in f.options)
    tasks = rows("select record_id, is_completed, result, responsible_id from raw.bitrix24_task")
    assert sorted(tasks) == sorted(
        (str(task.id), task.is_done, task.result or None, str(task.user_id)) for task in world.tasks
    )
    bound = rows("select linked_kind, linked_id from raw.bitrix24_task_link")
    assert sorted(bound) == sorted((task.owner_kind, str(task.owner_id)) for task in world.tasks)
    calls = rows("select kind, count(*) from raw.bitrix24_activity group by 1")
    owners = {("company", company.id) for company in alive}
    kinds = [act.kind for act in world.activities if (act.owner_kind, act.owner_id) in owners]
    assert dict(calls) == {kind: kinds.count(kind) for kind in set(kinds)}
    assert len(rows("select 1 from raw.bitrix24_user where email <> '' and record_id <> '1'")) == len(users)


def test_what_landed_can_be_landed_again_from_the_archive(world_portal: CrmPortal, warehouse: str, rows: Rows) -> None:
    read = reader(world_portal, warehouse)
    for entity in ("deal", "task"):
        read(entity)
        columns = "record_id, row_hash, source_modified_at, deleted_at"
        before = rows(f"select {columns} from raw.bitrix24_{entity} order by 1")
        reland(entity, SOURCE.id, warehouse)
        assert rows(f"select {columns} from raw.bitrix24_{entity} order by 1") == before
        assert before


# --- reading by ranges of ids ---


def test_a_list_of_any_length_is_read_whole(portal: CrmPortal, warehouse: str, rows: Rows) -> None:
    lengths = [(0, 1), (1, 1), (49, 1), (50, 1), (51, 1), (100, 7), (101, 1), (7001, 3)]
    for place, (count, every) in enumerate(lengths):
        source = SOURCE.model_copy(update={"id": f"b24_{place}"})
        portal.crm.clear()
        add_deals(portal, count, every=every)
        outcome = extract(source, "deal", portal.connection(), database_url=warehouse)
        assert (outcome.rows_inserted, outcome.rows_changed) == (count, 0)
        landed = rows("select count(*), sum(amount) from raw.bitrix24_deal where instance = %s", source.id)
        assert landed == [(count, sum(n + 0.5 for n in range(count)) if count else None)]
    again = extract(source, "deal", portal.connection(), database_url=warehouse, mode="reconcile")
    assert (again.rows_seen, again.rows_deleted) == (7001, 0)


def test_a_batch_brings_two_and_a_half_thousand_rows(portal: CrmPortal, read: Read) -> None:
    add_deals(portal, 10_000)
    for row in portal.crm.items[DEAL.number].rows.values():
        row["hasProducts"] = "N"
    read("deal")
    assert portal.calls()["batch"] <= 2 + 6, "the texts of list fields, a probe, and what lies between in six ranges"


def test_ids_with_a_large_gap_cost_no_rows(portal: CrmPortal, read: Read, rows: Rows) -> None:
    add_deals(portal, 300)
    for number in range(300):
        portal.crm.add(DEAL, {"title": f"Новая {number}"}, item_id=5_000_000 + number * 13)
    read("deal")
    assert rows("select count(*) from raw.bitrix24_deal") == [(600,)]
    assert portal.calls()["batch"] < 30


def test_product_rows_beyond_a_page_are_read(portal: CrmPortal, read: Read, rows: Rows) -> None:
    add_deals(portal, 60)
    for owner in (3, 4, 60):
        lines = [{"productId": n, "productName": f"Товар {n}", "price": 1.1, "quantity": n} for n in range(1, 71)]
        portal.crm.set_product_rows(DEAL, owner, lines)
    read("deal")
    assert rows("select record_id, count(*), sum(quantity) from raw.bitrix24_deal_product group by 1 order by 1") == [
        ("3", 70, 2485),
        ("4", 70, 2485),
        ("60", 70, 2485),
    ]


# --- what changed ---


def test_only_what_changed_is_asked_for_again(portal: CrmPortal, read: Read, rows: Rows) -> None:
    add_deals(portal, 500)
    portal.clock.pass_by(days=1)
    read("deal")
    portal.clock.pass_by(days=1)
    for number in (7, 333):
        portal.crm.update(DEAL, number, {"title": f"Изменена {number}", "stageId": "WON"})
    outcome = read("deal")
    assert (outcome.mode, outcome.rows_seen, outcome.rows_changed) == ("modified", 2, 2)
    assert rows("select record_id from raw.bitrix24_deal where name like 'Изменена%%' order by 1") == [("333",), ("7",)]
    for seen in (2, 0):  # once more because of the overlap
        portal.clock.pass_by(days=1)
        assert read("deal").rows_seen == seen


def test_the_cursor_stands_where_the_read_began_on_the_portals_clock(portal: CrmPortal, read: Read, rows: Rows) -> None:
    add_deals(portal, 3)
    portal.clock.pass_by(days=30)
    began = portal.clock.now
    read("deal")
    ((position,),) = rows("select position from ops.cursor where entity = 'deal'")
    assert position == began - timedelta(seconds=1)


def test_a_record_that_changes_while_we_page_is_not_lost(portal: CrmPortal, read: Read, rows: Rows) -> None:
    add_deals(portal, 3000)
    read("deal")
    portal.clock.pass_by(days=1)
    for number in range(1, 3001, 2):
        portal.crm.update(DEAL, number, {"title": f"Первая правка {number}"})
    portal.clock.pass_by(hours=1)
    batches = {"left": 2}
    original = portal.crm_methods["crm.item.list"]

    def meddling(params: Any, user: str) -> Any:
        answer = original(params, user)
        batches["left"] -= 1
        if batches["left"] == 0:
            # Somebody works while we read: edits before and after the place where the reader is, adds and deletes.
            portal.clock.pass_by(minutes=90)
            for number in (1, 2, 2999, 3000):
                portal.crm.update(DEAL, number, {"title": "Вторая правка"})
            portal.crm.add(DEAL, {"title": "Появилась"})
            portal.crm.delete(DEAL, 1501)
        return answer

    portal.crm_methods["crm.item.list"] = meddling
    read("deal")
    portal.clock.pass_by(minutes=5)
    read("deal")
    names = dict(rows("select record_id, name from raw.bitrix24_deal where deleted_at is null"))
    del names["1501"]
    assert names == {str(number): row["title"] for number, row in portal.crm.items[DEAL.number].rows.items()}, (
        "after the next read everything is as on the portal"
    )
    read("deal", mode="reconcile")
    assert rows("select record_id from raw.bitrix24_deal where deleted_at is not null") == [("1501",)]


def test_a_requisite_that_nobody_changed_has_no_modification_time(portal: CrmPortal, read: Read, rows: Rows) -> None:
    company = portal.crm.add(COMPANY, {"title": "Ромашка"})
    portal.crm.add_requisite(COMPANY, company, {"RQ_INN": "4345873500", "RQ_KPP": "434501001"})
    read("requisite")
    portal.clock.pass_by(days=2)
    portal.crm.add_requisite(COMPANY, company, {"RQ_INN": "7707083893", "RQ_OGRNIP": "304500116000157"})
    read("requisite")
    assert rows("select company_id, inn, kpp, ogrn from raw.bitrix24_requisite order by record_id") == [
        (str(company), "4345873500", "434501001", None),
        (str(company), "7707083893", None, "304500116000157"),
    ]


def test_a_window_reads_what_was_modified_in_it(portal: CrmPortal, read: Read, rows: Rows) -> None:
    moments = []
    for number in range(5):
        moments.append(portal.clock.now)
        portal.crm.add(DEAL, {"title": f"День {number}"})
        portal.clock.pass_by(days=1)
    outcome = read("deal", mode="window", window=(moments[1], moments[3]))
    assert (outcome.rows_inserted, outcome.covered_until) == (2, None)
    assert rows("select name from raw.bitrix24_deal order by 1") == [("День 1",), ("День 2",)]


# --- deletions and merges ---


def test_deletions_are_found_by_ids(portal: CrmPortal, read: Read, rows: Rows) -> None:
    add_deals(portal, 200)
    read("deal")
    for number in (5, 150):
        portal.crm.delete(DEAL, number)
    extra = portal.crm.add(DEAL, {"title": "Ещё одна"})
    assert read("deal").rows_deleted == 0, "a list does not tell"
    outcome = read("deal", mode="reconcile")
    assert (outcome.rows_deleted, outcome.rows_seen) == (2, 199)
    assert rows("select record_id from raw.bitrix24_deal where deleted_at is not null order by 1") == [("150",), ("5",)]
    assert rows("select name from raw.bitrix24_deal where record_id = %s", str(extra)) == [("Ещё одна",)]


def test_an_emptied_portal_is_more_likely_a_lost_right(portal: CrmPortal, read: Read, rows: Rows) -> None:
    add_deals(portal, 10)
    read("deal")
    portal.crm.clear()
    with pytest.raises(ReadError, match="rights"):
        read("deal", mode="reconcile")
    assert rows("select count(*) from raw.bitrix24_deal where deleted_at is null") == [(10,)]


def test_a_merged_company_lives_on_as_the_one_that_got_its_belongings(
    portal: CrmPortal, read: Read, rows: Rows
) -> None:
    main, twin, other, lonely = (portal.crm.add(COMPANY, {"title": name}) for name in ("А", "А-копия", "Б", "В"))
    portal.crm.add(DEAL, {"title": "Сделка копии", "companyId": twin})
    portal.crm.add(CONTACT, {"name": "Анна", "companyId": twin})
    portal.crm.add_activity({"OWNER_ID": str(twin), "OWNER_TYPE_ID": "4"})
    portal.crm.add_requisite(COMPANY, twin, {"RQ_INN": "4345873500"})
    portal.crm.add(DEAL, {"title": "Сделка Б", "companyId": other})
    for entity in ("company", "contact", "deal", "activity", "requisite"):
        read(entity)
    portal.clock.pass_by(days=1)
    portal.crm.merge(COMPANY, main, [twin])
    portal.crm.delete(COMPANY, other)
    portal.crm.delete(COMPANY, lonely)
    outcome = read("company", mode="reconcile")
    assert outcome.rows_deleted == 3
    assert rows("select old_id, new_id from raw.record_redirect where entity = 'company'") == [(str(twin), str(main))]


def test_belongings_that_went_different_ways_prove_nothing(portal: CrmPortal, read: Read, rows: Rows) -> None:
    first, second, gone = (portal.crm.add(COMPANY, {"title": name}) for name in "АБВ")
    deals = [portal.crm.add(DEAL, {"title": f"Сделка {n}", "companyId": gone}) for n in range(2)]
    for entity in ("company", "deal"):
        read(entity)
    portal.clock.pass_by(days=1)
    portal.crm.update(DEAL, deals[0], {"companyId": first})
    portal.crm.update(DEAL, deals[1], {"companyId": second})
    portal.crm.delete(COMPANY, gone)
    read("deal")
    assert read("company", mode="reconcile").rows_deleted == 1
    assert rows("select 1 from raw.record_redirect") == []


@pytest.mark.parametrize("kind", [LEAD, DEAL, CONTACT])
def test_other_records_merge_too(portal: CrmPortal, read: Read, rows: Rows, kind: Any) -> None:
    main, twin = (portal.crm.add(kind, {"title": name, "name": name}) for name in "АБ")
    portal.crm.add_activity({"OWNER_ID": str(twin), "OWNER_TYPE_ID": str(kind.number)})
    read(kind.name)
    read("activity")
    portal.clock.pass_by(days=1)
    portal.crm.merge(kind, main, [twin])
    read("activity")  # the letter's link has moved before we ask
    read(kind.name, mode="reconcile")
    assert rows("select entity, old_id, new_id from raw.record_redirect") == [(kind.name, str(twin), str(main))]


# --- a portal in trouble ---


@pytest.mark.parametrize(
    "kind", ["query_limit", "internal_error", "not_json", "reset_before_acting", "reset_after_acting", "lost_commands"]
)
def test_a_portal_that_stumbles_is_read_whole(
    portal: CrmPortal, read: Read, rows: Rows, monkeypatch: pytest.MonkeyPatch, kind: Any
) -> None:
    sleep = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: sleep(min(seconds, 0.02)))
    add_deals(portal, 3000)
    portal.plan(*(Fault(kind, "batch", skip=skip) for skip in (0, 1, 2)))
    read("deal")
    assert rows("select count(*) from raw.bitrix24_deal") == [(3000,)]


def test_requests_that_take_too_long_become_smaller(tmp_path: Path, warehouse: str, rows: Rows) -> None:
    slow = Limits(10_000, 100_000, operating_cost=(("crm.item.list", 0.02),), workers=8, request_seconds=0.45)
    with running_crm(tmp_path, limits=slow) as portal:
        add_deals(portal, 3000)
        reader(portal, warehouse)("deal")
    assert rows("select count(*) from raw.bitrix24_deal") == [(3000,)]


def test_lost_rights_are_said_and_nothing_moves(portal: CrmPortal, read: Read, rows: Rows) -> None:
    portal.plan(Fault("insufficient_scope", "*", times=10))
    with pytest.raises(Fatal, match="tick 'crm'"):
        read("deal")
    assert rows("select count(*) from ops.cursor") == [(0,)]
    assert rows("select status from ops.load_run") == [("failed",)]


def test_an_ignored_filter_is_noticed(portal: CrmPortal, read: Read) -> None:
    add_deals(portal, 500)
    original = portal.crm_methods["crm.item.list"]
    portal.crm_methods["crm.item.list"] = lambda params, user: original(
        {name: value for name, value in params.items() if name != "filter"}, user
    )
    with pytest.raises(ReadError, match="honour"):
        read("deal")


def test_all_workers_keep_to_one_limit(tmp_path: Path, warehouse: str) -> None:
    """A portal that counts: a full read of several entities meets no refusal."""
    with running_crm(tmp_path, limits=Limits(drain_per_second=5.0, burst=8.0)) as portal:
        add_deals(portal, 10_000)
        connection = portal.connection(requests_per_second="5", burst="8")
        for entity in ("deal", "company", "stage", "user"):
            extract(SOURCE, entity, connection, database_url=warehouse)
        assert "_refused" not in portal.calls()


@contextmanager
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("extractors.bitrix24.source._LONGEST_PAUSE_SECONDS", 1.0)
    yield


def test_a_method_that_used_up_its_time_rests(tmp_path: Path, warehouse: str, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = Limits(10_000, 100_000, operating_cost=(("crm.item.list", 4.0),))
    with no_waiting(monkeypatch), running_crm(tmp_path, limits=limits) as portal:
        add_deals(portal, 30_000)
        with pytest.raises(LimitReached):
            reader(portal, warehouse)("deal")
        assert reader(portal, warehouse)("user").rows_inserted == 4, "other methods go on"
