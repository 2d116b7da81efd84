"""Recorded messages of a real base: its field names, its types, its documents."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import pytest

from extractors.core.codec import Codec
from extractors.core.spec import load_configuration, load_entities
from extractors.onec.metadata import parse

DATA = "{http://schemas.microsoft.com/ado/2007/08/dataservices}"
ATOM = "{http://www.w3.org/2005/Atom}"
META = "{http://schemas.microsoft.com/ado/2007/08/dataservices/metadata}"
Types = dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def recorded(shared_dir: Path) -> Path:
    return shared_dir / "samples" / "1c_odata" / "cdc-1c_trade_demo"


@pytest.fixture(scope="module")
def types(recorded: Path) -> Types:
    return parse((recorded / "msg001_metadata.xml").read_bytes())


@pytest.mark.parametrize("name", ["legal_entity", "product", "order", "shipment"])
def test_every_mapped_field_exists_in_the_real_base(types: Types, name: str) -> None:
    mapping = load_configuration("onec", "ut11").entities[name]
    fields = types[mapping.source_set]
    assert {field.source for field in mapping.fields.values() if not field.optional} <= set(fields)
    for lines in mapping.lines.values():
        row_type = fields[lines.source].removeprefix("Collection(StandardODATA.").removesuffix(")")
        assert {field.source for field in lines.fields.values() if not field.optional} <= set(types[row_type])


def test_kinds_agree_with_the_real_types(types: Types) -> None:
    allowed = {
        "number": {"Edm.Double"},
        "integer": {"Edm.Int64", "Edm.Int32", "Edm.Int16"},
        "boolean": {"Edm.Boolean"},
        "date": {"Edm.DateTime"},
        "timestamp": {"Edm.DateTime"},
        "ref": {"Edm.Guid", "Edm.String"},
        "text": {"Edm.String"},
        "enum": {"Edm.String"},
    }
    entities = load_entities("onec")
    for name, mapping in load_configuration("onec", "ut11").entities.items():
        fields = types.get(mapping.source_set, {})
        for column, field in mapping.fields.items():
            if field.source in fields:
                assert fields[field.source] in allowed[entities[name].columns[column]], f"{name}.{column}"


def test_real_shipments_decode_to_what_their_xml_says(recorded: Path, types: Types) -> None:
    feed = ElementTree.fromstring((recorded / "msg006_realizatsiya.xml").read_text(encoding="utf-8"))
    source_set = "Document_РеализацияТоваровУслуг"
    documents = [
        entry.find(f"{ATOM}content/{META}properties")
        for entry in feed.iter(f"{ATOM}entry")
        if (category := entry.find(f"{ATOM}category")) is not None
        and category.get("term") == f"StandardODATA.{source_set}"
    ]
    assert documents
    body = json.dumps({"value": [as_json(document, source_set, types) for document in documents]}, ensure_ascii=False)
    codec = Codec(
        load_entities("onec")["shipment"],
        load_configuration("onec", "ut11").entities["shipment"],
        ZoneInfo("Europe/Moscow"),
    )
    decoded = codec.decode(body.encode())
    assert decoded.rejected == []
    for document, record in zip(documents, decoded.records, strict=True):
        assert document is not None
        goods = document.findall(f"{DATA}Товары/{DATA}element")
        rows = [dict(zip(codec.layout.lines[0], row.decode().split("\t"), strict=True))
                for row in record.lines[0].split(b"\n") if row]  # fmt: skip
        assert len(rows) == len(goods)
        assert sum(Decimal(row["amount_with_vat"]) for row in rows) == sum(
            Decimal(line.findtext(f"{DATA}СуммаСНДС") or "0") for line in goods
        )
        assert {row["order_id"] for row in rows} <= {line.findtext(f"{DATA}ЗаказКлиента") for line in goods} | {r"\N"}


def as_json(element: ElementTree.Element | None, type_name: str, types: Types) -> dict[str, Any]:
    """An Atom entry as the base would send it in JSON: Int64 as strings, doubles as numbers."""
    assert element is not None
    out: dict[str, Any] = {}
    for name, kind in types[type_name].items():
        child = element.find(f"{DATA}{name}")
        text = "" if child is None else child.text or ""
        if kind.startswith("Collection("):
            row_type = kind.removeprefix("Collection(StandardODATA.").removesuffix(")")
            rows = [] if child is None else child.findall(f"{DATA}element")
            out[name] = [as_json(row, row_type, types) for row in rows]
        elif kind == "Edm.Double":
            out[name] = float(text or 0)
        elif kind == "Edm.Boolean":
            out[name] = text == "true"
        elif kind in ("Edm.Int16", "Edm.Int32"):
            out[name] = int(text or 0)
        else:
            out[name] = text
    return out
