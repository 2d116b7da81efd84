"""Recorded and published answers of real portals, field by field into landing rows."""

import json
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from clients.bitrix24 import Answer, _batch_result
from extractors.bitrix24.feeds import archived
from extractors.bitrix24.source import DIALECT
from extractors.core.documents import DocumentCodec
from extractors.core.feed import page
from extractors.core.spec import load_configuration, load_entities

Landed = dict[str, Any]
ZONE = ZoneInfo("Europe/Moscow")


@pytest.fixture(scope="module")
def sample(shared_dir: Path) -> Callable[[str], Any]:
    """The first example of a documentation page, or a recorded response."""

    def read(name: str) -> Any:
        (path,) = (shared_dir / "samples" / "bitrix24").glob(f"*/{name}.json")
        content = json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
        if "examples" in content:
            return next(one for one in content["examples"] if "result" in one)["result"]
        response = content["response"]
        return (response[0] if isinstance(response, list) else response)["result"]

    return read


def landed(entity: str, word: str, *items: Any, **beside: Any) -> list[Landed]:
    """What landing would hold: column -> text as PostgreSQL gets it, None for null; lines by their table."""
    spec = load_entities("bitrix24")[entity]
    mapping = load_configuration("bitrix24", "standard").entities[entity]
    codec = DocumentCodec(spec, mapping, ZONE, DIALECT)
    encode = msgspec.json.Encoder(decimal_format="number").encode
    more = {name: encode(value) for name, value in beside.items()}
    decoded = codec.decode(page(archived(word, encode(item), more) for item in items))
    assert decoded.rejected == []
    rows = []
    for record in decoded.records:
        row = _named(codec.layout.header, record.header)
        row["modified_at"] = _text(record.modified_at or b"\\N")
        for name, order, lines in zip(spec.lines, codec.layout.lines, record.lines, strict=True):
            row[name] = [_named(order, line) for line in lines.split(b"\n")] if lines else []
        rows.append(row)
    return rows


def _named(names: tuple[str, ...], row: bytes) -> Landed:
    return dict(zip(names, (_text(cell) for cell in row.split(b"\t")), strict=True))


def _text(cell: bytes) -> str | None:
    return None if cell == b"\\N" else cell.decode()


def subset(row: Landed, **expected: Any) -> None:
    assert {name: row[name] for name in expected} == expected


def test_a_deal_of_the_older_method(sample: Callable[[str], Any]) -> None:
    (row,) = landed("deal", "deal", sample("crm__deals__crm-deal-get"))
    subset(
        row,
        record_id="410",
        name="New Deal #1",
        pipeline_id="deal:0",
        stage_id="deal:PREPARATION",
        semantics="open",
        amount="1000000.00",
        currency="EUR",
        company_id="9",
        contact_id="84",
        lead_id=None,
        owner_id="1",
        origin="CALLBACK",
        expected_on="2024-09-09",
        closed_at=None,
        created_at="2024-08-30 12:29:00.000000+00:00",
        modified_at="2024-08-30 12:29:00.000000+00:00",
    )
    assert json.loads(row["custom"]) == {"UF_CRM_1721244482250": "Hello world!"}
    assert [(line["contact_id"], line["is_primary"]) for line in row["deal_contact"]] == [("84", "t")]


def test_deals_of_a_list_with_chosen_fields(sample: Callable[[str], Any]) -> None:
    rows = landed("deal", "deal", *sample("crm__deals__crm-deal-list"))
    assert [(row["record_id"], row["stage_id"], row["amount"]) for row in rows][:2] == [
        ("37", "deal:C1:NEW", "19999.99"),
        ("38", "deal:C1:NEW", "20000.00"),
    ]
    assert {row["pipeline_id"] for row in rows} == {"deal:1"}


def test_leads_in_both_spellings(sample: Callable[[str], Any]) -> None:
    (older,) = landed("lead", "lead", sample("crm__leads__crm-lead-get"))
    subset(
        older,
        record_id="123",
        name="Lead #1591",
        stage_id="lead:IN_PROCESS",
        semantics="open",
        amount="0.00",
        company_id=None,
        created_at="2024-05-23 16:18:25.000000+00:00",
        closed_at=None,
    )
    phones = [(line["channel"], line["label"]) for line in older["lead_channel"]]
    assert phones == [("phone", "other"), ("im", "openline")]
    universal = landed("lead", "lead", *sample("crm__universal__crm-item-list")["items"])
    assert [(row["record_id"], row["stage_id"], row["amount"], row["owner_id"]) for row in universal] == [
        ("253", "lead:NEW", "19000", "6"),
        ("255", "lead:NEW", "19600", "1"),
        ("252", "lead:NEW", "12000", "1"),
        ("254", "lead:IN_PROCESS", "19000", "6"),
    ]
    assert [row["person_name"] for row in universal] == ["Admin", "Klaus Weber", "Klaus Schmidt", "Schmidt Schmidt"]


def test_a_contact_with_its_channels(sample: Callable[[str], Any]) -> None:
    (row,) = landed("contact", "contact", sample("crm__contacts__crm-contact-get"))
    subset(
        row,
        record_id="43",
        name="John Doe Smith",
        first_name="John",
        middle_name="Doe",
        last_name="Smith",
        position="Administrator",
        company_id="12",
        owner_id="6",
        birthday=date(2001, 11, 11).isoformat(),
        consent=None,
    )
    assert [(line["channel"], line["label"]) for line in row["contact_channel"]] == [
        ("phone", "work"),
        ("phone", "home"),
        ("email", "mailing"),
        ("email", "work"),
    ]
    assert [line["company_id"] for line in row["contact_company"]] == ["12"]
    for listed in landed("contact", "contact", *sample("crm__contacts__crm-contact-list")):
        assert [line["channel"] for line in listed["contact_channel"]] == ["email"]


def test_a_company(sample: Callable[[str], Any]) -> None:
    (row,) = landed("company", "company", sample("crm__companies__crm-company-get"))
    subset(row, record_id="2909", name="GAZPROM", kind="CUSTOMER", owner_id="139", industry="IT", custom=None, inn=None)
    assert row["modified_at"] == "2024-08-01 15:08:08.000000+00:00"
    (listed,) = landed("company", "company", *sample("crm__companies__crm-company-list"))
    assert [(line["channel"], line["value"]) for line in listed["company_channel"]] == [("phone", "+19998887766")]


def test_product_rows_beside_their_deal(sample: Callable[[str], Any]) -> None:
    lines = sample("crm__universal__product-rows__crm-item-productrow-list")["productRows"]
    (row,) = landed("deal", "deal", {"id": 13142, "title": "x"}, rows=lines)
    shown = [tuple(line[name] for name in ("product_id", "name", "quantity", "unit", "price", "discount", "amount"))
             for line in row["deal_product"]]  # fmt: skip
    assert shown == [
        ("9621", "iphone 14", "3", "pcs", "90000", "10", "270000"),
        ("9623", "iphone 10xs", "1", "m", "5550", "0", "5550"),
    ]


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("crm__crm-stage-history-list", ("deal:35", "21", "deal:0", "deal:NEW", "2024-04-25 14:59:11.000000+00:00")),
        ("stagehistory", ("deal:7365", "523", "deal:0", "deal:UC_KW9988", "2022-01-25 07:18:00.000000+00:00")),
    ],
)
def test_stage_moves_with_numbers_and_with_texts(sample: Callable[[str], Any], name: str, first: Any) -> None:
    rows = landed("stage_history", "deal_history", *sample(name)["items"])
    columns = ("record_id", "entity_id", "pipeline_id", "to_stage_id", "changed_at")
    assert tuple(rows[0][column] for column in columns) == first
    assert {row["entity_kind"] for row in rows} == {"deal"}


def test_funnels_and_stages(sample: Callable[[str], Any]) -> None:
    funnels = landed("pipeline", "pipeline", *sample("crm__universal__category__crm-category-list")["categories"])
    assert [(row["record_id"], row["name"], row["is_default"]) for row in funnels][-2:] == [
        ("deal:11", "Path to Success", "f"),
        ("deal:0", "General", "t"),
    ]
    recorded = landed("pipeline", "pipeline", *sample("crm_category_list")["categories"])
    assert recorded[0]["name"] == "Portal Shop"
    stages = landed("stage", "stage", *sample("crm__status__crm-status-list"))
    assert [(row["record_id"], row["pipeline_id"], row["semantics"]) for row in stages][-3:] == [
        ("deal:WON", "deal:0", "won"),
        ("deal:LOSE", "deal:0", "lost"),
        ("deal:APOLOGY", "deal:0", "lost"),
    ]


def test_custom_fields_with_their_options(sample: Callable[[str], Any]) -> None:
    rows = landed("custom_field", "custom_field", *sample("crm__deals__user-defined-fields__crm-deal-userfield-list"))
    radio = next(row for row in rows if row["code"] == "UF_CRM_1724077760")
    subset(radio, entity_kind="deal", name="Radio", field_type="enumeration", is_multiple="t", is_required="f")
    assert [line["value"] for line in radio["custom_field_option"]][:2] == ["Children's Radio", "Shanson Radio"]
    assert {row["field_type"] for row in rows} >= {"crm_status", "file", "resourcebooking", "string"}


def test_a_call(shared_dir: Path) -> None:
    name = "crm__timeline__activities__activity-base__crm-activity-list.json"
    content = (shared_dir / "samples" / "bitrix24" / "docs_examples" / name).read_text(encoding="utf-8")
    (text,) = [one["_unparsed"] for one in json.loads(content)["examples"] if '"ID": "20"' in one.get("_unparsed", "")]
    item = json.loads(text.split('"result": [')[1].split("},\n")[0] + "}")
    (row,) = landed("activity", "activity", item)
    subset(
        row,
        record_id="20",
        kind="call",
        direction="out",
        subject="Outgoing call Klaus Weber",
        responsible_id="505",
        is_completed="t",
        started_at="2020-09-27 10:25:00.000000+00:00",
        duration_seconds=str(6 * 3600),
        modified_at="2021-03-21 17:28:24.000000+00:00",
    )
    assert [(line["linked_kind"], line["linked_id"]) for line in row["activity_link"]] == [("contact", "15")]


def test_tasks(sample: Callable[[str], Any]) -> None:
    (row,) = landed("task", "task", *sample("tasks__tasks-task-list")["tasks"])
    subset(row, record_id="8017", name="Task Example", status="not_started", is_completed="f", responsible_id="547")
    assert row["deadline_at"] == "2025-10-24 17:00:00.000000+00:00"
    made = sample("tasks__tasks-task-add")["task"]
    results = [
        {"text": "вторая", "createdBy": 503, "createdAt": "2025-07-15T14:30:00+02:00"},
        {"text": "первая", "createdBy": 503, "createdAt": "2025-07-13T14:30:00+02:00"},
    ]
    (new,) = landed("task", "task", {**made, "xmlId": "ab" * 16, "ufCrmTask": ["CO_7", "D_8", "X_9"]}, results=results)
    subset(new, record_id="3711", followup_id="ab" * 16, result="вторая", completed_at=None)
    assert [line["body"] for line in new["task_result"]] == ["первая", "вторая"]
    assert [(line["linked_kind"], line["linked_id"]) for line in new["task_link"]] == [("company", "7"), ("deal", "8")]


def test_employees_with_php_empties(sample: Callable[[str], Any]) -> None:
    rows = landed("user", "user", *sample("user__user-get"))
    assert [(row["record_id"], row["name"], row["is_active"]) for row in rows] == [
        ("1", "Ivanov Ivan", "t"),
        ("3", "Smith John", "t"),
    ]
    assert json.loads(rows[0]["custom"]) == {"UF_DEPARTMENT": [1]}


@pytest.mark.parametrize(
    ("name", "results", "errors"),
    [
        ("batch_list_empty", 1, 0),
        ("crm_company_contact_items_get", 1, 0),
        ("crm_get_batch_mix_success_and_errors", 1, 2),
        ("crm_get_batch_of_two_error", 0, 2),
        ("lists_element_add_batch", 2, 0),
        ("crm_stagehistory_list", 1, 0),
    ],
)
def test_recorded_batches_are_taken_apart(sample: Callable[[str], Any], name: str, results: int, errors: int) -> None:
    recorded = msgspec.json.encode(sample(name))
    found = _batch_result(Answer(recorded))
    assert len(found.results) == results
    assert len(found.errors) == errors
    assert all(json.loads(bytes(raw)) is not None for raw in found.results.values())
