"""What a simulated base holds: rows kept as ready JSON fragments, so that large reads cost one `%` per line."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any

import orjson

from simulators.onec.schema import EMPTY_JSON, Field, Kind, SetSchema, Table

if TYPE_CHECKING:
    from simulators.onec.exchange import ExchangePlan
    from simulators.onec.registers import Register

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
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # half of a surrogate pair: only its escape can be sent
        return json.dumps(value)


def version(number: int) -> str:
    """DataVersion: eight bytes in base64 that change with every write."""
    return base64.b64encode(number.to_bytes(8, "big")).decode()


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
    loaded: str = json.loads(text)
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
    def repeated(self) -> Mapping[str, str]:
        """Fields of a row that repeat a header field: the owner's key and whatever is inherited."""
        owner = {"Ref_Key": "Ref_Key"} if any(f.name == "Ref_Key" for f in self.table.fields) else {}
        return owner | dict(self.inherited)

    @cached_property
    def template(self) -> str:
        """Two-stage `%` template: repeated values first, then (line number..., varying...)."""
        parts = [f'"{name}":%s' for name in self.repeated]
        parts += [f'"{name}":"%%d"' for name in self.numbered]
        parts += [f'"{name}":%%s' for name in self.varying]
        done = {*self.repeated, *self.numbered, *self.varying}
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
        self._building = threading.RLock()  # several requests may be the first ones
        self._position = {name: i for i, name in enumerate(self.varying)}
        self._by_key: dict[str, Row] | None = None

    @property
    def name(self) -> str:
        return self.schema.name

    @property
    def rows(self) -> list[Row]:
        """All records; built when they are first asked for."""
        with self._building:
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
        """The guid of an object; the key values of another record, joined."""
        return "|".join(self.text(row, name).strip('"') for name in self.schema.keys)

    def address(self, row: Row) -> str:
        """`Catalog_X(guid'...')`, `AccumulationRegister_X(Recorder='...', Recorder_Type='...')`"""
        return self.address_of(self.key(row))

    def address_of(self, key: str) -> str:
        """The address of the record with this key, also when there is none any more."""
        if self.schema.keys == ("Ref_Key",):
            return f"{self.name}(guid'{key}')"
        parts = zip(self.schema.keys, key.split("|"), strict=True)
        literals = (f"{name}={_literal(self.schema.by_name[name].kind, value)}" for name, value in parts)
        return f"{self.name}({', '.join(literals)})"

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
            self._by_key = {self.key(row).lower(): row for row in self.rows}
        return self._by_key.get(key.lower())

    def put(self, record: Mapping[str, Any]) -> str:
        """Add a record (field -> Python value, table -> list of dicts) or replace the one with its key; returns it."""
        self._loosen()
        row = _simple_row(self.schema, record)
        key = self.key(row)
        found = self.find(key)
        rows = self.rows
        if found is None:
            rows.append(row)
        else:
            rows[rows.index(found)] = row
        if self._by_key is not None:
            self._by_key[key.lower()] = row
        return key

    def drop(self, key: str) -> bool:
        """Remove the record with this key; False when there is none."""
        found = self.find(key)
        if found is None or self._by_key is None:
            return False
        self.rows.remove(found)
        del self._by_key[key.lower()]
        return True

    def _loosen(self) -> None:
        """Let every field vary, so that single records can be written."""
        names = tuple(f.name for f in self.schema.fields)
        layouts = [_simple_layout(table) for table in self.schema.tables]
        if self.varying == names and all(self.layouts.get(layout.table.name) == layout for layout in layouts):
            return
        documents = [self.exact(row) for row in self.rows]
        self.varying = names
        self._position = {name: i for i, name in enumerate(names)}
        self.layouts = {layout.table.name: layout for layout in layouts}
        self.__dict__.pop("_header_template", None)
        self.replace_rows([_simple_row(self.schema, document) for document in documents])

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
        template = layout.template % tuple(self.text(row, source) for source in layout.repeated.values())
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
        loaded: dict[str, Any] = json.loads(self.json(row))
        return loaded

    def exact(self, row: Row) -> dict[str, Any]:
        """The record as Python objects with exact decimals."""
        loaded: dict[str, Any] = json.loads(self.json(row), parse_float=Decimal)
        return loaded


def _literal(kind: Kind, value: str) -> str:
    if kind == "date":
        return f"datetime'{value}'"
    if kind in {"key", "ref"}:
        return f"guid'{value}'"
    return value if kind == "int64" else f"'{value}'"


def simple_set(schema: SetSchema, records: Iterable[Mapping[str, Any]]) -> EntitySet:
    """A small set from plain dicts: field name -> Python value, table name -> list of dicts."""
    layouts = [_simple_layout(table) for table in schema.tables]
    result = EntitySet(schema, tuple(f.name for f in schema.fields), lines=layouts)
    rows = (_simple_row(schema, record) for record in records)
    result.replace_rows(list(rows) if isinstance(records, Sequence) else rows)
    return result


def _own_fields(table: Table) -> tuple[Field, ...]:
    """Fields of a row that are stored with it."""
    return tuple(f for f in table.fields if f.name not in {"Ref_Key", "LineNumber"})


def _simple_layout(table: Table) -> LineLayout:
    return LineLayout(table, tuple(f.name for f in _own_fields(table)))


def _simple_row(schema: SetSchema, record: Mapping[str, Any]) -> Row:
    unknown = set(record) - set(schema.by_name) - {t.name for t in schema.tables}
    if unknown:
        raise ValueError(f"{schema.name} has no fields {sorted(unknown)}")
    values = tuple(_padded(f, record.get(f.name)) for f in schema.fields)
    tables = tuple(
        [tuple(_padded(f, line.get(f.name)) for f in _own_fields(table)) for line in record.get(table.name, ())]
        for table in schema.tables
    )
    return Row(values, tables)


def _padded(column: Field, value: Any) -> str:
    if column.kind == "fixed" and value is not None:
        value = str(value).ljust(column.length or 0)
    return fragment(column.kind, value)


class Base:
    """The published sets and registers of one infobase by name."""

    def __init__(
        self, sets: Iterable[EntitySet], registers: Iterable[Register] = (), plan: ExchangePlan | None = None
    ) -> None:
        self.sets = {s.name: s for s in sets}
        self.registers = {r.schema.name: r for r in registers}
        self.plan = plan
        self.version = 0
        self._writes = 1 << 32

    @property
    def names(self) -> list[str]:
        """All published entity sets but the tabular sections."""
        registers = [s for r in self.registers.values() for s in {r.schema.name, r.schema.records_name}]
        return sorted([*self.sets, *registers, *([self.plan.set_name] if self.plan else [])])

    def find(self, name: str) -> EntitySet | None:
        """The entity set with this name, also of a register or the exchange plan."""
        found = self.sets.get(name)
        if found is not None:
            return found
        if self.plan is not None and name == self.plan.set_name:
            return self.plan.entity_set()
        for register in self.registers.values():
            if name == register.schema.records_name:
                return register.records
            if name == register.schema.name:
                return register.record_sets
        return None

    def touch(self) -> None:
        """Tell the server that rows changed, so that it forgets remembered selections."""
        self.version += 1

    # writing, as a user's work in the base does it: DataVersion changes, the exchange plan takes note

    def record(self, set_name: str, key: str) -> dict[str, Any] | None:
        """A record as it is now, numbers as exact decimals."""
        entity_set = self.sets[set_name]
        row = entity_set.find(key)
        return None if row is None else entity_set.exact(row)

    def write(self, set_name: str, record: Mapping[str, Any]) -> str:
        """Add or replace a whole record; returns its key."""
        self._writes += 1
        key = self.sets[set_name].put({**record, "DataVersion": version(self._writes)})
        self._changed(set_name, key)
        return key

    def edit(self, set_name: str, key: str, changes: Mapping[str, Any]) -> None:
        """Change fields or whole tabular sections of a record. Raises KeyError when there is none."""
        record = self.record(set_name, key)
        if record is None:
            raise KeyError(f"{set_name} has no {key}")
        self.write(set_name, {**record, **changes})

    def remove(self, set_name: str, key: str) -> bool:
        """Delete a record physically, with its movements; False when there is none."""
        if not self.sets[set_name].drop(key):
            return False
        self.move(set_name, key, {})
        self._changed(set_name, key)
        return True

    def move(self, set_name: str, key: str, movements: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        """Replace the movements of a document in all registers; without any it is unposted there."""
        for register in self.registers.values():
            if register.schema.recorder is None:
                continue
            wanted = movements.get(register.schema.name, ())
            if not register.erase(key) and not wanted:
                continue
            register.write(key, set_name, wanted)
            who = key if register.schema.recorder == "single" else f"{key}|StandardODATA.{set_name}"
            self._changed(register.schema.name, who)

    def _changed(self, set_name: str, key: str) -> None:
        self.touch()
        if self.plan is not None:
            self.plan.register(set_name, key)

    def become(self, other: Base) -> None:
        """Take over another state of the same base. The exchange plan learns what differs, once somebody uses it."""
        if self.plan is not None and any(node.sent for node in self.plan.nodes.values()):
            for change in _differences(self, other):
                self.plan.register(*change)
        self.sets = other.sets
        self.registers = other.registers
        self.touch()


def _differences(old: Base, new: Base) -> Iterable[tuple[str, str]]:
    for name in new.names:
        before, after = old.find(name), new.find(name)
        if after is None or (new.plan is not None and name == new.plan.set_name):
            continue
        if any(name == r.schema.records_name and r.schema.recorder for r in new.registers.values()):
            continue  # its record set says the same
        old_rows = {before.key(row): (row.values, row.tables) for row in before.rows} if before else {}
        for row in after.rows:
            key = after.key(row)
            if old_rows.pop(key, None) != (row.values, row.tables):
                yield name, key
        for key in old_rows:
            yield name, key
