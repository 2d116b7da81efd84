"""The contract above the CRMs: one picture of any number of portals of any kind, or of none."""

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from psycopg import sql
from psycopg.types.json import Jsonb

from extractors.core.run import ensure_tables, entity_names, extract
from tests.support import amocrm, bitrix24, hubspot
from warehouse.db import Connection, connect
from warehouse.dbt_runner import build
from warehouse.settings import get_settings
from warehouse.sources import SourceConfig

KINDS = ("amocrm", "bitrix24", "hubspot")
LANDED_AT = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)
VIEWS = (
    "user", "pipeline", "stage", "loss_reason", "custom_field", "custom_field_option", "custom_value", "product",
    "company", "company_channel", "requisite", "contact", "contact_channel", "contact_company", "lead", "lead_channel",
    "deal", "deal_contact", "deal_product", "stage_history", "activity", "activity_link", "task", "task_link",
    "task_result", "redirect",
)  # fmt: skip


@pytest.fixture(scope="module")
def staged(module_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Landing tables without a row, and the staging views over them."""
    with pytest.MonkeyPatch.context() as patch, connect(module_database, autocommit=True) as conn:
        patch.setenv("POLKA_VAR_DIR", str(tmp_path_factory.mktemp("var")))
        get_settings.cache_clear()
        ensure_tables(conn)
        build(date(2026, 11, 20), select="path:models/staging/crm", triggered_by="test", database_url=module_database)
        yield module_database


@pytest.fixture
def warehouse(staged: str) -> Iterator[Connection]:
    with connect(staged, autocommit=True) as conn:
        yield conn


def record(conn: Connection, table: str, instance: str, record_id: str, **columns: Any) -> None:
    put(
        conn,
        table,
        instance=instance,
        record_id=record_id,
        row_hash=b"",
        loaded_at=LANDED_AT,
        load_id=1,
        **columns,
    )


def put(conn: Connection, table: str, **columns: Any) -> None:
    statement = sql.SQL("insert into raw.{} ({}) values ({})").format(
        sql.Identifier(table),
        sql.SQL(", ").join(map(sql.Identifier, columns)),
        sql.SQL(", ").join([sql.Placeholder()] * len(columns)),
    )
    conn.execute(statement, [Jsonb(value) if isinstance(value, dict) else value for value in columns.values()])


def redirect(conn: Connection, instance: str, entity: str, old: str, new: str) -> None:
    put(
        conn,
        "record_redirect",
        instance=instance,
        entity=entity,
        old_id=old,
        new_id=new,
        load_id=1,
        seen_at=LANDED_AT,
    )


def rows(conn: Connection, view: str, columns: str, order: str = "1, 2, 3") -> list[tuple[Any, ...]]:
    statement = f"select {columns} from staging.stg_crm__{view} order by {order}"
    return list(conn.execute(statement.encode()).fetchall())


def test_portals_are_united_cleaned_and_followed_through_merges(warehouse: Connection) -> None:
    # A distributor without CRM has the same views, without a row.
    for view in VIEWS:
        assert warehouse.execute(f"select count(*) from staging.stg_crm__{view}".encode()).fetchone() == (0,), view

    # Two portals of one kind have the same ids and stay apart; a third is of another kind, a fourth of the last.
    for instance, inn in (("b24_main", "4345 001234"), ("b24_south", None)):
        record(
            warehouse, "bitrix24_company", instance, "1", name=f"Берёзка {instance}", inn=inn, onec_code=" 00-01 ",
            custom={"UF_CRM_1": ["44", "45"], "UF_CRM_2": "да"},
        )  # fmt: skip
    record(warehouse, "bitrix24_requisite", "b24_south", "20", company_id="1", inn="6154000000", is_active=False)
    record(warehouse, "bitrix24_requisite", "b24_south", "3", company_id="1", inn="6154111111", kpp="615401001")
    record(warehouse, "amocrm_company", "amo", "1", name="Парус")
    record(warehouse, "hubspot_company", "hub", "1", name="Уют", inn="")
    record(warehouse, "hubspot_company", "hub", "2", name="Её больше нет", deleted_at=LANDED_AT)
    assert rows(warehouse, "company", "crm, instance, company_id, name, inn, kpp, onec_code") == [
        ("amocrm", "amo", "1", "Парус", None, None, None),
        ("bitrix24", "b24_main", "1", "Берёзка b24_main", "4345001234", None, "00-01"),
        # The legal details in force come before older ones that are not.
        ("bitrix24", "b24_south", "1", "Берёзка b24_south", "6154111111", "615401001", "00-01"),
        ("hubspot", "hub", "1", "Уют", None, None, None),
    ]

    # Own fields: the dictionary gives names, and words for the options of lists.
    record(warehouse, "bitrix24_custom_field", "b24_main", "7", entity_kind="company", code="UF_CRM_1", name="Формат")
    for line, (option, value) in enumerate([("44", "кафе"), ("45", "магазин")], start=1):
        put(
            warehouse, "bitrix24_custom_field_option", instance="b24_main", record_id="7", line_no=line, load_id=1,
            option_id=option, value=value,
        )  # fmt: skip
    shown = rows(warehouse, "custom_value", "instance, code, line_no, name, value, shown_value")
    assert shown == [
        ("b24_main", "UF_CRM_1", 1, "Формат", "44", "кафе"),
        ("b24_main", "UF_CRM_1", 2, "Формат", "45", "магазин"),
        ("b24_main", "UF_CRM_2", 1, None, "да", "да"),
        ("b24_south", "UF_CRM_1", 1, None, "44", "44"),
        ("b24_south", "UF_CRM_1", 2, None, "45", "45"),
        ("b24_south", "UF_CRM_2", 1, None, "да", "да"),
    ]

    # Merges: any number of steps, in this portal only, wherever the old id is written.
    redirect(warehouse, "hub", "company", "8", "9")
    redirect(warehouse, "hub", "company", "9", "1")
    redirect(warehouse, "hub", "contact", "5", "6")
    redirect(warehouse, "hub", "deal", "100", "101")
    # A circle, as no portal should tell one, must not hang the build.
    redirect(warehouse, "amo", "company", "70", "71")
    redirect(warehouse, "amo", "company", "71", "70")
    assert rows(warehouse, "redirect", "instance, old_id, new_id")[2:] == [
        ("hub", "100", "101"),
        ("hub", "5", "6"),
        ("hub", "8", "1"),
        ("hub", "9", "1"),
    ]
    record(warehouse, "hubspot_deal", "hub", "101", name="Ввод сыров", company_id="8", contact_id="5", semantics="won")
    record(warehouse, "bitrix24_deal", "b24_main", "101", company_id="8", contact_id="5", stage_id="C1:WON")
    record(warehouse, "amocrm_deal", "amo", "101", loss_reason_id="3", stage_id="no such stage")
    record(warehouse, "bitrix24_stage", "b24_main", "C1:WON", semantics="won")
    record(warehouse, "bitrix24_stage", "b24_south", "C1:WON", semantics="lost")
    record(warehouse, "amocrm_loss_reason", "amo", "3", name="Дорого")
    deals = rows(warehouse, "deal", "crm, deal_id, company_id, contact_id, semantics, loss_reason")
    assert deals == [
        ("amocrm", "101", None, None, "open", "Дорого"),
        ("bitrix24", "101", "8", "5", "won", None),
        ("hubspot", "101", "1", "6", "won", None),
    ]
    record(
        warehouse, "hubspot_stage_history", "hub", "m1", entity_kind="deal", entity_id="100", to_stage_id="deal:won",
        changed_at=LANDED_AT,
    )  # fmt: skip
    record(warehouse, "hubspot_task", "hub", "t1", followup_id="abc", is_completed=True, result="Заказал")
    put(
        warehouse, "hubspot_task_link", instance="hub", record_id="t1", line_no=1, load_id=1, linked_kind="company",
        linked_id="9",
    )  # fmt: skip
    assert rows(warehouse, "stage_history", "entity_kind, entity_id, to_semantics") == [("deal", "101", "open")]
    assert rows(warehouse, "task", "followup_id, is_completed, result") == [("abc", True, "Заказал")]
    assert rows(warehouse, "task_link", "task_id, linked_kind, linked_id") == [("t1", "company", "1")]

    # The lines of a record that is gone are gone with it.
    warehouse.execute("update raw.hubspot_task set deleted_at = now()")
    assert rows(warehouse, "task", "1, 2, 3") == []
    assert rows(warehouse, "task_link", "1, 2, 3") == []


def test_three_portals_over_one_world_tell_the_same(warehouse: Connection, staged: str, tmp_path: Path) -> None:
    """The same company in three CRMs: what the contract says about it does not depend on which one it is."""
    with (
        bitrix24.running_crm(tmp_path / "b24", of_the_world=True) as portal,
        amocrm.running_account(tmp_path / "amo", amocrm.picture()) as account,
        hubspot.running_account(None, hubspot.picture()) as other,
    ):
        for kind, connection in (
            ("bitrix24", portal.connection()),
            ("amocrm", account.connection()),
            ("hubspot", other.connection()),
        ):
            source = SourceConfig(id=f"world_{kind}", kind=kind, connection=kind)  # type: ignore[arg-type]
            for entity in entity_names(source):
                extract(source, entity, connection, database_url=staged)
    shown = hubspot.picture()
    assert shown == amocrm.picture() == bitrix24.picture()

    def told(view: str, columns: str) -> dict[str, list[tuple[Any, ...]]]:
        found: dict[str, list[tuple[Any, ...]]] = {}
        query = f"select crm, {columns} from staging.stg_crm__{view} where instance like 'world_%'"
        for crm, *values in warehouse.execute(query.encode()).fetchall():
            found.setdefault(crm, []).append(tuple(values))
        return {crm: sorted(values, key=repr) for crm, values in sorted(found.items())}

    def everywhere(values: Iterable[tuple[Any, ...]]) -> dict[str, list[tuple[Any, ...]]]:
        expected = sorted(values, key=repr)
        return dict.fromkeys(("amocrm", "bitrix24", "hubspot"), expected)

    alive = [c for c in shown.companies if c.merged_into is None and c.deleted_at is None]
    inns = {c.id: "".join(filter(str.isdigit, c.custom.get("inn", ""))) or None for c in alive}
    assert told("company", "name, inn, onec_code, outlet_format") == everywhere(
        (c.name, inns[c.id], c.custom.get("onec_code"), c.custom.get("outlet_format")) for c in alive
    )
    people = [c for c in shown.contacts if c.merged_into is None and c.deleted_at is None]
    assert told("contact", "birthday, consent is true") == everywhere(
        (c.custom.get("birthday"), bool(c.custom.get("consent"))) for c in people
    )
    deals = [d for d in shown.deals if d.deleted_at is None]
    outcome = {d.id: shown.pipeline(d.pipeline_id).stage(d.stage) for d in deals}
    assert told("deal", "name, semantics, company_id is not null") == everywhere(
        (d.title, outcome[d.id].outcome, d.company_id is not None) for d in deals
    )
    stages = """
        stage.name from staging.stg_crm__deal as deal
        inner join staging.stg_crm__stage as stage using (crm, instance, stage_id) where deal.instance like 'world_%'
    """
    named = warehouse.execute(f"select deal.crm, {stages}".encode()).fetchall()
    assert sorted(named) == sorted(
        (crm, outcome[d.id].name) for d in deals for crm in ("amocrm", "bitrix24", "hubspot")
    )
    assert told("task", "is_completed") == everywhere((task.is_done,) for task in shown.tasks)
    # Every own field that is filled has its name from the dictionary.
    nameless = warehouse.execute(
        "select crm, code from staging.stg_crm__custom_value where instance like 'world_%' and name is null"
    )
    assert nameless.fetchall() == []
    formats = told("custom_value", "shown_value, entity_kind, name")
    wanted = sorted(
        (c.custom["outlet_format"], "company", "Формат точки") for c in alive if "outlet_format" in c.custom
    )
    for crm, values in formats.items():
        assert [v for v in values if v[1:] == ("company", "Формат точки")] == wanted, crm
