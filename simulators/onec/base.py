"""What a simulated base holds: rows kept as ready JSON fragments, so that large reads cost one `%` per line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Any

import orjson

from simulators.onec.schema import EMPTY_JSON, Field, Kind, SetSchema, Table

Scalar = str | bool | Decimal | None
Fragments = tuple[str, ...]
_QUOTED = {"key", "ref", "enum", "date", "composite", "type"}  # never in need of escaping


def fragment(kind: Kind, value: Any) -> str:
    """The JSON text in which 1C sends `value`: Int64 as a string, money exact and without trailing zeros."""
    if value is None:
        return EMPTY_JSON[kind]
    if kind in _QUOTED:
        return f'"{value}"'
    if kind == "boolean":
        return "true" if value else "false"
    if kind == "int64":
        return f'"{value}"'
    if kind in {"double", "int16"}:
        return number_text(value)
    return orjson.dumps(value).decode()


def number_text(value: Decimal | int) -> str:
    """`Decimal("2.50")` -> `2.5`: an exact decimal without exponent and trailing zeros."""
    if isinstance(value, int):
        return str(value)
    text = f"{value:f}"
    return (text.rstrip("0").rstrip(".") or "0") if "." in text else text


def scalar(kind: Kind, text: str) -> Scalar:
    """The comparable value of a JSON fragment; dates, guids and strings stay strings."""
    if text == "null":
        return None
    if kind in {"double", "int16"}:
        return Decimal(text)
    if kind == "int64":
        return Decimal(text.strip('"'))
    if kind == "boolean":
        return text == "true"
    if kind in _QUOTED:
        return text[1:-1]
    loaded: str = orjson.loads(text)
    return loaded


@dataclass(frozen=True)
class LineLayout:
    """How the rows of one tabular section are stored.

    `inherited` fields repeat a header field of the document, `numbered` fields hold the line number, `varying` fields
    come from each row's fragments in this order, all others are the same JSON text in every row.
    """

    table: Table
    varying: tuple[str, ...]
    inherited: Mapping[str, str] = field(default_factory=dict)
    numbered: tuple[str, ...] = ("LineNumber",)
    constants: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def template(self) -> str:
        """Two-stage `%` template: inherited values first, then (line number..., varying...)."""
        parts = ['"Ref_Key":%s']
        parts += [f'"{name}":%s' for name in self.inherited]
        parts += [f'"{name}":"%%d"' for name in self.numbered]
        parts += [f'"{name}":%%s' for name in self.varying]
        done = {"Ref_Key", *self.inherited, *self.numbered, *self.varying}
        for column in self.table.fields:
            if column.name not in done:
                text = self.constants.get(column.name, EMPTY_JSON[column.kind])
                parts.append(f'"{column.name}":{text.replace("%", "%%%%")}')
        return "{" + ",".join(parts) + "}"


class Row:
    """One record: header fragments in the order of its set's `varying`, and the fragments of each tabular section."""

    __slots__ = ("tables", "values")

    def __init__(self, values: Fragments, tables: tuple[Sequence[Fragments], ...] = ()) -> None:
        self.values = values
        self.tables = tables


class EntitySet:
    """A published set: schema, storage layout and rows."""

    def __init__(
        self,
        schema: SetSchema,
        varying: Sequence[str],
        constants: Mapping[str, str] | None = None,
        lines: Sequence[LineLayout] = (),
    ) -> None:
        self.schema = schema
        self.varying = tuple(varying)
        unknown = [name for name in self.varying if name not in schema.by_name]
        if unknown:
            raise ValueError(f"{schema.name} has no fields {unknown}")
        self.constants = {f.name: EMPTY_JSON[f.kind] for f in schema.fields} | dict(constants or {})
        self.layouts = {layout.table.name: layout for layout in lines}
        self._rows: list[Row] | Iterable[Row] = []
        self._position = {name: i for i, name in enumerate(self.varying)}
        self._by_key: dict[str, Row] | None = None

    @property
    def name(self) -> str:
        return self.schema.name

    @property
    def rows(self) -> list[Row]:
        """All records; built when they are first asked for."""
        if not isinstance(self._rows, list):
            self._rows = list(self._rows)
        return self._rows

    def replace_rows(self, rows: Iterable[Row]) -> None:
        """Swap the whole content, as seen by the next request. A generator is run when somebody reads."""
        self._rows = rows
        self._by_key = None

    def text(self, row: Row, name: str) -> str:
        """JSON fragment of one header field."""
        position = self._position.get(name)
        return self.constants[name] if position is None else row.values[position]

    def key(self, row: Row) -> str:
        return self.text(row, "Ref_Key")[1:-1]

    def reader(self, name: str) -> Callable[[Row], Scalar]:
        """A fast accessor of one header field's comparable value."""
        kind = self.schema.by_name[name].kind
        position = self._position.get(name)
        if position is None:
            constant = scalar(kind, self.constants[name])
            return lambda row: constant
        if kind in _QUOTED:
            return lambda row: row.values[position][1:-1]
        return lambda row: scalar(kind, row.values[position])

    def find(self, key: str) -> Row | None:
        """The record with this guid."""
        if self._by_key is None:
            self._by_key = {self.key(row): row for row in self.rows}
        return self._by_key.get(key.lower())

    @cached_property
    def _header_template(self) -> str:
        """Fields in schema order; tabular sections at the end."""
        parts = []
        for column in self.schema.fields:
            if column.name in self._position:
                parts.append(f'"{column.name}":%({column.name})s')
            else:
                parts.append(f'"{column.name}":{self.constants[column.name].replace("%", "%%")}')
        return ",".join(parts)

    def header(self, row: Row, columns: Sequence[Field] | None = None) -> str:
        """`"Name":value,...` of the header, of all fields or of some."""
        if columns is None:
            return self._header_template % dict(zip(self.varying, row.values, strict=True))
        return ",".join(f'"{c.name}":{self.text(row, c.name)}' for c in columns)

    def line_texts(self, row: Row, layout: LineLayout) -> list[str]:
        """JSON objects of one tabular section."""
        position = list(self.layouts).index(layout.table.name)
        if position >= len(row.tables):
            return []
        first = (self.text(row, "Ref_Key"), *(self.text(row, source) for source in layout.inherited.values()))
        template = layout.template % first
        count = len(layout.numbered)
        return [template % ((number,) * count + line) for number, line in enumerate(row.tables[position], start=1)]

    def json(self, row: Row, columns: Sequence[Field] | None = None, tables: Sequence[str] | None = None) -> str:
        """The record as a JSON object without metadata; `tables` None means all of them."""
        parts = [self.header(row, columns)]
        for table in self.schema.tables:
            if tables is not None and table.name not in tables:
                continue
            layout = self.layouts.get(table.name)
            inner = ",".join(self.line_texts(row, layout)) if layout else ""
            parts.append(f'"{table.name}":[{inner}]')
        return "{" + ",".join(part for part in parts if part) + "}"

    def document(self, row: Row) -> dict[str, Any]:
        """The record as Python objects, for the slower paths."""
        loaded: dict[str, Any] = orjson.loads(self.json(row))
        return loaded


class Base:
    """The published sets of one infobase by name."""

    def __init__(self, sets: Iterable[EntitySet]) -> None:
        self.sets = {s.name: s for s in sets}
        self.version = 0

    def touch(self) -> None:
        """Tell the server that rows changed, so that it forgets remembered selections."""
        self.version += 1


def simple_set(schema: SetSchema, records: Iterable[Mapping[str, Any]]) -> EntitySet:
    """A small set from plain dicts: field name -> Python value, table name -> list of dicts."""
    varying = tuple(f.name for f in schema.fields)
    layouts = [LineLayout(t, tuple(f.name for f in t.fields[2:])) for t in schema.tables]
    result = EntitySet(schema, varying, lines=layouts)
    rows = []
    for record in records:
        unknown = set(record) - set(varying) - {t.name for t in schema.tables}
        if unknown:
            raise ValueError(f"{schema.name} has no fields {sorted(unknown)}")
        values = tuple(_padded(f, record.get(f.name)) for f in schema.fields)
        tables = tuple(
            [tuple(_padded(f, line.get(f.name)) for f in table.fields[2:]) for line in record.get(table.name, ())]
            for table in schema.tables
        )
        rows.append(Row(values, tables))
    result.replace_rows(rows)
    return result


def _padded(column: Field, value: Any) -> str:
    if column.kind == "fixed" and value is not None:
        value = str(value).ljust(column.length or 0)
    return fragment(column.kind, value)
