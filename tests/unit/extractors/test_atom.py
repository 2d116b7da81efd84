"""Messages of an exchange plan: recorded ones field by field, and what else may come."""

import io
import json
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import pytest

from extractors.core.errors import ReadError
from extractors.onec.atom import Changed, Gone, changes
from extractors.onec.metadata import Published, parse

D = "{http://schemas.microsoft.com/ado/2007/08/dataservices}"
M = "{http://schemas.microsoft.com/ado/2007/08/dataservices/metadata}"
HEAD = (
    '<feed xmlns="http://www.w3.org/2005/Atom" xmlns:at="http://purl.org/atompub/tombstones/1.0"'
    ' xmlns:d="http://schemas.microsoft.com/ado/2007/08/dataservices"'
    ' xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata">'
)
BASE = Published(
    datetime(2026, 1, 1, tzinfo=UTC),
    {
        "Catalog_Марки": {"Ref_Key": "Edm.Guid", "Description": "Edm.String", "DeletionMark": "Edm.Boolean"},
        "AccumulationRegister_Р": {
            "Recorder": "Edm.String",
            "RecordSet": "Collection(StandardODATA.AccumulationRegister_Р_RowType)",
        },
        "AccumulationRegister_Р_RowType": {"Сумма": "Edm.Double", "LineNumber": "Edm.Int64"},
    },
)
KEY = "fd3520a4-ac4e-11ed-9461-90004ef3f886"


def entry(source_set: str, properties: str) -> str:
    return (
        f'<entry><category term="StandardODATA.{source_set}" scheme="s"/><content type="application/xml">'
        f"<m:properties>{properties}</m:properties></content></entry>"
    )


def read(*entries: str, tail: str = "</feed>") -> list[Changed | Gone]:
    return list(changes(io.BytesIO((HEAD + "".join(entries) + tail).encode()), BASE))


def only(*entries: str) -> dict[str, object]:
    (found,) = read(*entries)
    assert isinstance(found, Changed)
    return dict(json.loads(found.record))


@pytest.mark.parametrize("name", ["msg002_nomenklatura.xml", "msg006_realizatsiya.xml"])
def test_recorded_messages_arrive_field_by_field(shared_dir: Path, name: str) -> None:
    """Against an independent reading of the same XML: every field there, its text unchanged but for its JSON type."""
    folder = shared_dir / "samples" / "1c_odata" / "cdc-1c_trade_demo"
    base = Published(datetime(2026, 1, 1, tzinfo=UTC), parse((folder / "msg001_metadata.xml").read_bytes()))
    with (folder / name).open("rb") as feed:
        found = list(changes(feed, base))
    expected = ElementTree.parse(folder / name).getroot().findall(".//" + M + "properties")
    assert len(found) == len(expected) > 0
    for change, properties in zip(found, expected, strict=True):
        assert isinstance(change, Changed)
        record = json.loads(change.record, parse_float=str, parse_int=str)
        assert list(record) == [field.tag.removeprefix(D) for field in properties]
        for field in properties:
            told = record[field.tag.removeprefix(D)]
            if field.get(M + "type", "").startswith("Collection("):
                assert len(told) == len(field)
                for row, element in zip(told, field, strict=True):
                    assert {name: text_of(value) for name, value in row.items()} == {
                        cell.tag.removeprefix(D): cell.text or "" for cell in element
                    }
            else:
                assert text_of(told) == (field.text or "")
    shipment = [c for c in found if c.source_set == "Document_РеализацияТоваровУслуг"]
    if shipment:
        line = json.loads(shipment[0].record)["Товары"][0]  # type: ignore[union-attr]
        assert (line["СуммаНДС"], line["LineNumber"], line["Цена"]) == (866.67, "1", 5200)


def text_of(value: object) -> str:
    return {True: "true", False: "false"}.get(value, value) if isinstance(value, bool) else str(value)  # type: ignore[return-value]


def test_an_emptied_record_set_is_gone_and_numbers_keep_their_digits() -> None:
    rows = '<d:RecordSet m:type="Collection(StandardODATA.AccumulationRegister_Р_RowType)">'
    element = "<d:element><d:LineNumber>1</d:LineNumber><d:Сумма>1234567890123.10</d:Сумма></d:element>"
    (full,) = read(entry("AccumulationRegister_Р", f"<d:Recorder>{KEY}</d:Recorder>{rows}{element}</d:RecordSet>"))
    assert isinstance(full, Changed)
    assert b'"LineNumber":"1"' in full.record
    assert b"1234567890123.10" in full.record
    emptied = entry("AccumulationRegister_Р", f"<d:Recorder>{KEY}</d:Recorder>{rows}</d:RecordSet>")
    assert read(emptied) == [Gone("AccumulationRegister_Р", KEY)]


def test_deleted_entries_name_set_and_key_also_percent_encoded() -> None:
    plain = f"http://h/b/odata/standard.odata/Document_ЗаказКлиента(guid'{KEY.upper()}')"
    encoded = f"http://h/b/odata/standard.odata/Catalog_%D0%9C%D0%B0%D1%80%D0%BA%D0%B8(guid'{KEY}')"
    assert read(f'<at:deleted-entry ref="{plain}" when="2026-01-01"/>', f'<at:deleted-entry ref="{encoded}"/>') == [
        Gone("Document_ЗаказКлиента", KEY),
        Gone("Catalog_Марки", KEY),
    ]
    with pytest.raises(ReadError, match="names no record"):
        read('<at:deleted-entry ref="http://h/"/>')


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a &lt; b &amp; c", "a < b & c"),
        ("line&#10;two", "line\ntwo"),
        ("bell&#7; and &#x0; and &#xD800;", "bell\ufffd and \ufffd and \ufffd"),
        ("raw\x07control", "raw control"),
        ("&#x41F;олка", "Полка"),
        ("<![CDATA[<b>]]>", "<b>"),
        ("", ""),
    ],
)
@pytest.mark.parametrize("padding", [0, (1 << 18) - 520, (1 << 18) - 480])
def test_texts_arrive_whatever_is_in_them_also_on_the_border_of_two_chunks(
    text: str, expected: str, padding: int
) -> None:
    filler = "x" * padding
    record = only(entry("Catalog_Марки", f"<d:Ref_Key>{filler}</d:Ref_Key><d:Description>{text}</d:Description>"))
    assert record == {"Ref_Key": filler, "Description": expected}


def test_null_boolean_and_what_is_no_boolean() -> None:
    fields = '<d:Description m:null="true"/><d:DeletionMark>true</d:DeletionMark><d:Новое>007</d:Новое>'
    assert only(entry("Catalog_Марки", fields)) == {"Description": None, "DeletionMark": True, "Новое": "007"}
    assert only(entry("Catalog_Марки", "<d:DeletionMark>да</d:DeletionMark>")) == {"DeletionMark": "да"}


@pytest.mark.parametrize(
    "body",
    [
        HEAD + entry("Catalog_Марки", "<d:Description>half"),
        HEAD,
        "",
        "<html><body>Вход</body></html>",
        '<!DOCTYPE feed [<!ENTITY a "b">]>' + HEAD + "</feed>",
    ],
)
def test_what_is_no_whole_feed_is_refused(body: str) -> None:
    with pytest.raises(ReadError):
        list(changes(io.BytesIO(body.encode()), BASE))
