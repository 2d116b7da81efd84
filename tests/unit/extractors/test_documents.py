"""Records read as dictionaries: what portals send instead of clean values, and what cannot be read."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from extractors.core.documents import Dialect, DocumentCodec
from extractors.core.errors import BrokenPage
from extractors.core.spec import Entity, EntityMapping, Field, LinesMapping

ZONE = ZoneInfo("Europe/Moscow")
ENTITY = Entity(
    kind="test",
    name="thing",
    read="modified",
    columns={
        "name": "text", "amount": "number", "sort": "integer", "is_open": "boolean", "closed_at": "timestamp",
        "born_on": "date", "owner_id": "ref", "custom": "json",
    },
    lines={"thing_line": {"product": "text", "price": "number"}},
)  # fmt: skip
MAPPING = EntityMapping(
    source_set="things",
    fields={
        "name": Field("TITLE"), "amount": Field("SUM", optional=True), "sort": Field("SORT", optional=True),
        "is_open": Field("OPEN", optional=True), "closed_at": Field("CLOSED", optional=True),
        "born_on": Field("BORN", optional=True), "owner_id": Field("OWNER", optional=True),
        "custom": Field("custom", optional=True),
    },
    lines={
        "thing_line": LinesMapping(
            "LINES", {"product": Field("PRODUCT"), "price": Field("PRICE", optional=True)}, optional=True
        )
    },
)  # fmt: skip


def moment(value: Any, zone: ZoneInfo) -> datetime | None:
    if isinstance(value, int):
        return datetime.fromtimestamp(value, UTC)
    return datetime.fromisoformat(value) if value else None


def flatten(record: dict[str, Any]) -> dict[str, Any]:
    custom = {name: value for name, value in record.items() if name.startswith("UF_")}
    return {**{name: value for name, value in record.items() if name not in custom}, "custom": custom}


CODEC = DocumentCodec(ENTITY, MAPPING, ZONE, Dialect(flatten, "ID", "MODIFIED", "MODIFIED", moment))


def page(*records: object) -> bytes:
    return msgspec.json.encode({"value": records})


def header(**fields: object) -> dict[str, str]:
    """The landed header of one record with the given fields, by column."""
    decoded = CODEC.decode(page({"ID": "7", "TITLE": "x", **fields}))
    assert not decoded.rejected, decoded.rejected
    names = CODEC.layout.header
    return dict(zip(names, decoded.records[0].header.decode().split("\t"), strict=True))


def rejection(**fields: object) -> str:
    decoded = CODEC.decode(page({"ID": "7", "TITLE": "x", **fields}, {"ID": "8", "TITLE": "fine"}))
    assert [record.record_id for record in decoded.records] == ["8"]
    assert decoded.rejected[0].record_id == "7"
    return decoded.rejected[0].reason


@pytest.mark.parametrize("empty", [None, "", [], {}])
def test_every_way_to_say_nothing_is_null(empty: object) -> None:
    landed = header(SUM=empty, SORT=empty, OPEN=empty, CLOSED=empty, BORN=empty, OWNER=empty, UF_A=None)
    assert {landed[name] for name in ("amount", "sort", "is_open", "closed_at", "born_on", "owner_id")} == {r"\N"}


@pytest.mark.parametrize(
    ("sent", "column", "landed"),
    [
        ({"SUM": "1500.50"}, "amount", "1500.50"),
        ({"SUM": 0.1}, "amount", "0.1"),
        ({"SUM": 12345678901234567890}, "amount", "12345678901234567890"),
        ({"SORT": "30"}, "sort", "30"),
        ({"SORT": 30.0}, "sort", "30"),
        ({"OPEN": "Y"}, "is_open", "t"),
        ({"OPEN": "N"}, "is_open", "f"),
        ({"OPEN": 0}, "is_open", "f"),
        ({"OPEN": False}, "is_open", "f"),
        ({"CLOSED": "2026-03-01T10:00:00+03:00"}, "closed_at", "2026-03-01 07:00:00.000000+00:00"),
        ({"CLOSED": 1772348400}, "closed_at", "2026-03-01 07:00:00.000000+00:00"),
        ({"BORN": "1990-05-01T00:00:00+03:00"}, "born_on", "1990-05-01"),
        ({"BORN": 1772323200}, "born_on", "2026-03-01"),
        ({"OWNER": 15}, "owner_id", "15"),
        ({"TITLE": ["a", "b"]}, "name", "a, b"),
        ({"TITLE": "tab\there\\ \x00"}, "name", "tab\\there\\\\ "),
        ({"UF_B": "1", "UF_A": 0.10}, "custom", '{"UF_A":0.1,"UF_B":"1"}'),
        ({"UF_A": 'say "hi"\n'}, "custom", r'{"UF_A":"say \\"hi\\"\\n"}'),
        ({"UF_A": "a\x00b"}, "custom", '{"UF_A":"ab"}'),
    ],
)
def test_values_land_as_they_were_meant(sent: dict[str, object], column: str, landed: str) -> None:
    assert header(**sent)[column] == landed


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ({"SUM": "12 рублей"}, "amount (SUM): not a number"),
        ({"SUM": True}, "amount (SUM): not a number"),
        ({"SORT": 1.5}, "sort (SORT): not an integer"),
        ({"OPEN": "maybe"}, "is_open (OPEN): neither yes nor no"),
        ({"CLOSED": "soon"}, "closed_at (CLOSED): not a date and time"),
        ({"BORN": "2026-02-30"}, "born_on (BORN): date is out of range"),
        ({"TITLE": {"ru": "x"}}, "name (TITLE): not a text"),
        ({"LINES": [{"PRICE": 1}]}, "LINES, line 1: product (PRODUCT): the field is missing"),
    ],
)
def test_a_bad_value_rejects_its_record_and_names_the_field(sent: dict[str, object], said: str) -> None:
    assert rejection(**sent) == said


def test_a_rejection_never_quotes_the_value() -> None:
    assert "secret" not in rejection(SUM="secret")
    assert "secret" not in rejection(LINES="secret")


def test_lines_are_numbered_and_version_and_moment_are_kept() -> None:
    record = {
        "ID": 9,
        "TITLE": "x",
        "MODIFIED": "2026-03-01T10:00:00+03:00",
        "LINES": [{"PRODUCT": "a", "PRICE": "1"}, {"PRODUCT": "b"}],
    }
    landed = CODEC.decode(page(record)).records[0]
    assert landed.lines == (b"9\t1\ta\t1\n9\t2\tb\t\\N",)
    assert landed.modified_at == b"2026-03-01 07:00:00.000000+00:00"
    assert landed.version == b"2026-03-01T10:00:00+03:00"


def test_the_hash_sees_content_only() -> None:
    record = {"ID": 9, "TITLE": "x", "MODIFIED": "2026-03-01T10:00:00+03:00", "UF_B": 1, "UF_A": 2}
    later = {"UF_A": 2, "UF_B": 1, "TITLE": "x", "ID": "9", "MODIFIED": "2026-03-02T10:00:00+03:00"}
    first, second, other = CODEC.decode(page(record, later, {**record, "UF_A": 3})).records
    assert first.row_hash == second.row_hash != other.row_hash


def test_broken_text_is_cleaned() -> None:
    body = b'{"value":[{"ID":"7","TITLE":"half \\ud83d of it"},{"ID":"8","TITLE":"\xff"}]}'
    decoded = CODEC.decode(b"\xef\xbb\xbf" + body)
    assert [record.record_id for record in decoded.records] == ["7", "8"]


@pytest.mark.parametrize("body", [b"<html>", b'{"value": 5}', b'{"value":[{"ID":"7"', b"[]"])
def test_what_is_no_page_is_said(body: bytes) -> None:
    with pytest.raises(BrokenPage):
        CODEC.decode(body)


@pytest.mark.parametrize("key", [None, "", [], "x" * 101])
def test_a_record_without_a_usable_key_is_rejected(key: object) -> None:
    decoded = CODEC.decode(page({"ID": key, "TITLE": "x"}))
    assert not decoded.records
    assert decoded.rejected[0].record_id is None
