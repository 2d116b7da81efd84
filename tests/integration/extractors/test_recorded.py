"""Recorded messages of a real base: its field names, its types, its documents."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import pytest

from extractors.core.codec import Codec
from extractors.core.feed import page
from extractors.core.outcome import LoadOutcome
from extractors.core.spec import Entity, EntityMapping, Field, load_configuration, load_entities
from extractors.onec.atom import Changed, changes
from extractors.onec.metadata import Published, parse
from tests.support.small_onec import SmallOnec
from warehouse.landing import decompress

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


MESSAGES = ("msg002_nomenklatura.xml", "msg006_realizatsiya.xml")
# What the messages also hold and no entity wants; it stays in the archive.
UNWANTED = {
    "InformationRegister_СуммыДокументовВВалютахУчета",
    "AccumulationRegister_ЗаказыКлиентов",
    "AccumulationRegister_ТоварыОрганизаций",
    "AccumulationRegister_СебестоимостьТоваров",
}
MOSCOW = ZoneInfo("Europe/Moscow")


def entries(message: Path) -> list[tuple[str, ElementTree.Element]]:
    """Set and properties of every entry of a recorded message, by a parser of its own."""
    found = []
    for entry in ElementTree.fromstring(message.read_text(encoding="utf-8")).iter(f"{ATOM}entry"):
        category, properties = entry.find(f"{ATOM}category"), entry.find(f"{ATOM}content/{META}properties")
        assert category is not None
        assert properties is not None
        found.append((str(category.get("term")).removeprefix("StandardODATA."), properties))
    return found


def wanted(source_set: str) -> tuple[Entity, EntityMapping] | None:
    """The entity that the mapping feeds from records of a set (not from its virtual tables)."""
    for name, mapping in load_configuration("onec", "ut11").entities.items():
        if mapping.source_set == source_set and mapping.function is None:
            return load_entities("onec")[name], mapping
    return None


def landed(kind: str, text: str) -> str:
    """What a column of a kind holds after a recorded text, as COPY writes it."""
    text = text.rstrip()
    if kind == "boolean":
        return {"true": "t", "false": "f", "": r"\N"}[text]
    if text == "" or text.startswith("0001-01-01") or text == "00000000-0000-0000-0000-000000000000":
        return r"\N"
    if kind == "date":
        return text[:10]
    if kind == "timestamp":
        moment = datetime.fromisoformat(text).replace(tzinfo=MOSCOW).astimezone(UTC)
        return moment.strftime("%Y-%m-%d %H:%M:%S.000000+00:00")
    if kind in ("number", "integer"):
        return str(Decimal(text).normalize() + 0)
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")


def assert_as_recorded(
    cells: dict[str, str], element: ElementTree.Element, columns: Mapping[str, str], fields: Mapping[str, Field]
) -> None:
    for column, field in fields.items():
        texts = [one.text or "" for name in field.names if (one := element.find(f"{DATA}{name}")) is not None]
        expected = landed(columns[column], texts[0] if texts else "")
        found = cells[column]
        if columns[column] in ("number", "integer") and found != r"\N":
            found = str(Decimal(found).normalize() + 0)
        assert found == expected, f"{column} ({field.source})"


@pytest.mark.parametrize("message", MESSAGES)
def test_every_recorded_message_lands_field_by_field(recorded: Path, types: Types, message: str) -> None:
    base = Published(datetime.now(UTC), types)
    with (recorded / message).open("rb") as feed:
        parts = list(changes(feed, base))
    originals = entries(recorded / message)
    assert [part.source_set for part in parts] == [source_set for source_set, _ in originals]
    compared = 0
    for part, (source_set, original) in zip(parts, originals, strict=True):
        entity_and_mapping = wanted(source_set)
        if entity_and_mapping is None:
            assert source_set in UNWANTED
            continue
        entity, mapping = entity_and_mapping
        assert isinstance(part, Changed)
        codec = Codec(entity, mapping, MOSCOW)
        decoded = codec.decode(page([part.record]))
        assert decoded.rejected == []
        [record] = decoded.records
        cells = dict(zip(codec.layout.header, record.header.decode().split("\t"), strict=True))
        key = original.findtext(f"{DATA}Ref_Key") or original.findtext(f"{DATA}Recorder")
        assert record.record_id == cells["record_id"] == key
        assert_as_recorded(cells, original, entity.columns, mapping.fields)
        for number, (child, columns) in enumerate(entity.lines.items()):
            if child not in mapping.lines:
                continue
            lines = mapping.lines[child]
            elements = original.findall(f"{DATA}{lines.source}/{DATA}element")
            rows = record.lines[number].split(b"\n") if record.lines[number] else []
            assert len(rows) == len(elements), child
            for row, element in zip(rows, elements, strict=True):
                cells = dict(zip(codec.layout.lines[number], row.decode().split("\t"), strict=True))
                assert cells["line_no"] == element.findtext(f"{DATA}LineNumber")
                assert_as_recorded(cells, element, columns, lines.fields)
                compared += len(lines.fields)
        compared += len(mapping.fields)
    assert compared > 50


def test_fields_that_nobody_asked_for_stay_in_the_archive(
    recorded: Path, types: Types, base: SmallOnec, read: Callable[..., LoadOutcome], rows: Callable[..., list[Any]]
) -> None:
    products = [as_json(properties, "Catalog_Номенклатура", types) for _, properties in entries(recorded / MESSAGES[0])]
    base.sets["Catalog_Номенклатура"] = products
    outcome = read("product")
    assert (outcome.rows_inserted, outcome.rows_rejected) == (len(products), 0)
    bodies = [decompress(body) for (body,) in rows("select body from raw.page_archive where entity = 'product'")]
    archived = {
        record["Ref_Key"]: record
        for body in bodies
        for record in json.loads(body.removeprefix(b"\xef\xbb\xbf"))["value"]
    }
    assert archived == {product["Ref_Key"]: product for product in products}
    mapping = load_configuration("onec", "ut11").entities["product"]
    asked_for = {name for field in mapping.fields.values() for name in field.names} | {"Ref_Key", "DataVersion"}
    unknown = set(products[0]) - asked_for
    assert {"ВариантОформленияПродажи", "ДополнительныеРеквизиты", "СкладскаяГруппа_Key"} <= unknown


def test_metadata_of_every_recorded_shape_is_understood(shared_dir: Path) -> None:
    folder = shared_dir / "samples" / "1c_odata" / "hacker-cb_edmx_fixtures"
    parsed = {path.name: parse(path.read_bytes()) for path in sorted(folder.glob("*.xml"))}
    assert len(parsed) == 9
    catalog = Published(datetime.now(UTC), parsed["01-catalog-with-table.xml"])
    for name, fields in parsed.items():
        properties = [
            element.get("Name")
            for element in ElementTree.parse(folder / name).iter()
            if element.tag.endswith("}Property")
        ]
        assert sorted(field for owner in fields.values() for field in owner) == sorted(filter(None, properties)), name
    assert any("_" in name for name in catalog.sets())


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
