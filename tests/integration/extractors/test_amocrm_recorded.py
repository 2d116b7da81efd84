"""Recorded answers of amoCRM decode into landing rows field by field; the simulator writes the same fields."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from extractors.amocrm.feeds import records_of
from extractors.amocrm.flat import DIALECT, moment
from extractors.amocrm.pages import records_in
from extractors.core.documents import DocumentCodec
from extractors.core.feed import Batch, page
from extractors.core.spec import load_configuration, load_entities
from simulators.amocrm.api import Api
from simulators.amocrm.loading import load_picture
from simulators.amocrm.store import Portal
from tests.support.amocrm import picture
from warehouse.landing import Landing

ZONE = ZoneInfo("Europe/Moscow")


@pytest.fixture(scope="module")
def recorded(shared_dir: Path) -> Path:
    return shared_dir / "samples" / "amocrm"


def land(database: str, entity: str, body: bytes) -> dict[str, dict[str, Any]]:
    """The page through the real codec into the real table; rows by record_id, with their lines."""
    from warehouse.clock import now
    from warehouse.coverage import start_run
    from warehouse.db import connect
    from warehouse.landing import Page, ensure_tables

    spec = load_entities("amocrm")[entity]
    codec = DocumentCodec(spec, load_configuration("amocrm", "standard").entities[entity], ZONE, DIALECT)
    decoded = codec.decode(body)
    assert decoded.rejected == []
    with connect(database, autocommit=True) as conn:
        ensure_tables(conn, [spec.table()])
        load_id = start_run(
            conn, instance="amo", entity=entity, mode="modified", window=(None, None), started_at=now(),
            triggered_by="test",
        )  # fmt: skip
        landing = Landing(conn, spec.table(), "amo", codec.layout)
        landing.land(Page(1, body, decoded.records, decoded.rejected), load_id=load_id, loaded_at=now())
        found: dict[str, dict[str, Any]] = {}
        for table in [entity, *spec.lines]:
            cursor = conn.execute(f"select * from raw.amocrm_{table} order by 2, 3")
            names = [column.name for column in cursor.description or ()]
            for row in cursor.fetchall():
                values = dict(zip(names, row, strict=True))
                if table == entity:
                    found[values["record_id"]] = values
                else:
                    found[values["record_id"]].setdefault(table, []).append(values)
    return found


def at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def taken(row: dict[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(row[name] for name in names)


def test_leads_land_as_deals(recorded: Path, database: str) -> None:
    records, has_next = records_in((recorded / "leads_list_page2.json").read_bytes(), "leads")
    assert has_next
    rows = land(database, "deal", page(records))
    assert set(rows) == {"19619", "14460"}
    row = rows["19619"]
    assert taken(row, "name", "amount", "pipeline_id", "stage_id", "semantics", "owner_id") == (
        "Сделка для примера", Decimal(46333), "1300", "1300:142", "won", "123321",
    )  # fmt: skip
    assert taken(row, "created_at", "closed_at", "source_modified_at") == (
        at(1453279607), at(1483005931), at(1502193501),
    )  # fmt: skip
    assert taken(row, "company_id", "contact_id", "loss_reason_id", "custom") == (None, None, None, None)


def test_a_lead_with_its_reason_company_and_goods(recorded: Path, database: str) -> None:
    body = (recorded / "lead_by_id_with_loss_reason_catalog_elements.json").read_bytes()
    row = land(database, "deal", page([body]))["3912171"]
    assert taken(row, "amount", "semantics", "loss_reason_id", "company_id") == (
        Decimal(12), "lost", "4203748", "10971463",
    )  # fmt: skip
    [goods] = row["deal_product"]
    assert taken(goods, "product_id", "quantity") == ("525439", Decimal(1))
    assert "deal_contact" not in row


def test_contacts_without_and_with_fields(recorded: Path, database: str) -> None:
    records, _ = records_in((recorded / "contacts_list.json").read_bytes(), "contacts")
    body = (recorded / "contact_by_id_phone_field.json").read_bytes()
    rows = land(database, "contact", page([*map(bytes, records), body]))
    assert set(rows) == {"7143599", "7767065", "3"}
    assert taken(rows["7143599"], "name", "first_name", "company_id", "custom") == ("1", None, None, None)
    ivan = rows["3"]
    assert taken(ivan, "name", "first_name", "last_name", "company_id", "owner_id") == (
        "Иван Иванов", "Иван", "Иванов", "1", "504141",
    )  # fmt: skip
    assert ivan["custom"] == {"3": "+79123"}
    # An old body says `enum` where newer ones say `enum_code`.
    [phone] = ivan["contact_channel"]
    assert taken(phone, "channel", "value", "label") == ("phone", "+79123", "WORK")
    assert [line["company_id"] for line in ivan["contact_company"]] == ["1"]


def test_tasks_with_what_they_belong_to(recorded: Path, database: str) -> None:
    records, has_next = records_in((recorded / "tasks_list.json").read_bytes(), "tasks")
    assert has_next
    rows = land(database, "task", page(records))
    row = rows["7087"]
    assert taken(row, "name", "status", "is_completed", "responsible_id", "author_id") == (
        "Пригласить на бесплатную тренировку", "completed", True, "123123", "3987910",
    )  # fmt: skip
    assert taken(row, "created_at", "deadline_at", "completed_at", "result", "followup_id") == (
        at(1575364000), at(1575665940), at(1575364851), None, None,
    )  # fmt: skip
    assert [taken(link, "linked_kind", "linked_id") for link in row["task_link"]] == [("deal", "167353")]


def test_pipelines_and_their_stages(recorded: Path, database: str) -> None:
    records, _ = records_in((recorded / "pipelines_list.json").read_bytes(), "pipelines")
    [pipeline] = land(database, "pipeline", page(records)).values()
    assert taken(pipeline, "record_id", "name", "sort", "is_default", "is_archived", "entity_kind") == (
        "3177727", "Воронка", 1, True, False, "deal",
    )  # fmt: skip
    statuses, _ = records_in(bytes(records[0]), "statuses")
    stages = land(database, "stage", page(statuses))
    assert {key: (row["name"], row["semantics"]) for key, row in stages.items()} == {
        "3177727:32392156": ("Неразобранное", "open"),
        "3177727:32392159": ("Первичный контакт", "open"),
        "3177727:32392165": ("Принимают решение", "open"),
        "3177727:142": ("Успешно реализовано", "won"),
        "3177727:143": ("Закрыто и не реализовано", "lost"),
    }


def test_a_record_whose_link_is_missing_is_rejected_and_the_others_land() -> None:
    spec = load_entities("amocrm")["deal"]
    codec = DocumentCodec(spec, load_configuration("amocrm", "standard").entities["deal"], ZONE, DIALECT)
    decoded = codec.decode(page([b'{"id": 5, "name": "x"}']))
    assert (decoded.records, [rejected.record_id for rejected in decoded.rejected]) == ([], ["5"])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, None), (1453279607, at(1453279607)), ("1453279607", at(1453279607)), (-86400, at(-86400)),
        ("2024-05-01 10:00:00", datetime(2024, 5, 1, 7, tzinfo=UTC)),
    ],
)  # fmt: skip
def test_moments(value: Any, expected: datetime | None) -> None:
    assert moment(value, ZONE) == expected


def test_an_empty_batch_has_no_records() -> None:
    assert records_of(Batch(deleted=("1",))) == []


# --- the simulator writes what was recorded ---


def fields(value: Any) -> Any:
    """The skeleton of JSON: names all the way down, of lists their first element."""
    if isinstance(value, dict):
        return {name: fields(item) for name, item in value.items()}
    if isinstance(value, list):
        return [fields(value[0])] if value else []
    return None


def test_the_simulator_writes_the_recorded_fields(recorded: Path) -> None:
    portal = Portal(lambda: 1_750_000_000.0, lambda: 0.0)
    load_picture(portal, picture())
    api = Api(portal, "https://example.amocrm.ru")

    def served(path: str, params: dict[str, Any]) -> Any:
        return api.answer("GET", path, params, None)

    for name, answer, kind in (
        ("leads_list_page2", served("leads", {"limit": "2", "page": "2"}), "leads"),
        ("contacts_list", served("contacts", {"limit": "2", "page": "1"}), "contacts"),
        ("tasks_list", served("tasks", {"limit": "2", "page": "1"}), "tasks"),
        ("pipelines_list", served("leads/pipelines", {}), "pipelines"),
    ):
        sample = json.loads((recorded / f"{name}.json").read_text(encoding="utf-8"))
        assert set(answer) == set(sample), name
        assert set(answer["_links"]) == set(sample["_links"]), name
        ours, theirs = answer["_embedded"][kind][0], sample["_embedded"][kind][0]
        missing = set(theirs) - set(ours)
        assert missing == set(), name
        assert set(ours) - set(theirs) <= {"is_deleted", "result"}, name
        assert set(theirs.get("_embedded", {})) <= set(ours.get("_embedded", {})), name
        assert isinstance(ours["_links"]["self"]["href"], str)
    made = api.answer("POST", "leads", {}, json.loads((recorded / "leads_add_request.json").read_text())[1:])
    sample = json.loads((recorded / "leads_add_response.json").read_text(encoding="utf-8"))
    assert made is not None
    assert fields(made) == fields(sample)
