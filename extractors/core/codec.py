"""Pages of JSON -> rows of COPY text, by code generated from an entity spec.

A page is split into its records; each is decoded into a typed struct (unknown fields are skipped, they stay in the
archived original) and formatted by a function written for exactly its columns. What cannot be read is rejected with
its key, a reason and its original bytes; the others go on.

Numbers never pass through binary floating point: their JSON digits are what PostgreSQL gets.
"""

import gc
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import xxhash

from extractors.core import values
from extractors.core.errors import BrokenPage, SpecError
from extractors.core.spec import Entity, EntityMapping, Field, Kind
from extractors.core.values import BadValue
from warehouse.landing import Layout, Record, Rejected

BOM = b"\xef\xbb\xbf"
_PLAIN_NUMBER = b"0123456789.-\t\n"
# Far below the 131072 digits of a numeric, whatever the numbers of one document look like.
_PLAIN_BLOCK = 100_000
_MAX_LINE_NO = (1 << 31) - 1
_CONTROLS = bytes(range(32)), b" " * 32
_ESCAPE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[dD][89a-fA-F][0-9a-fA-F]{2}|\\.", re.S
)
_LONE = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")


@dataclass(frozen=True)
class SystemFields:
    """The fields that every record of a kind of source has."""

    key: str
    version: str
    line_no: str


SYSTEM_FIELDS = {"onec": SystemFields(key="Ref_Key", version="DataVersion", line_no="LineNumber")}
# What a register of 1C has instead of its own key: the document that made its movements.
_RECORDER = ("Recorder", "Recorder_Key")

_STRUCT_TYPES: dict[str, Any] = {
    "ref": str | None,
    "text": str | None,
    "enum": str | None,
    "number": msgspec.Raw,
    "integer": str | int | None,
    "boolean": bool | None,
    "date": str | None,
    "timestamp": str | None,
}
_NO_NUMBER = msgspec.Raw(b"null")
_CONSTANTS: dict[str, Callable[[str], Any]] = {
    "number": lambda constant: msgspec.Raw(constant.encode()),
    "boolean": lambda constant: constant == "true",
}


@dataclass
class Decoded:
    """What a page held, in its order, records that decoded and records that did not."""

    records: list[Record] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)

    @property
    def count(self) -> int:
        return len(self.records) + len(self.rejected)

    @property
    def keys(self) -> list[str]:
        """Keys of all records of the page; a rejected record without a readable key has none."""
        return [record.record_id for record in self.records] + [
            rejected.record_id for rejected in self.rejected if rejected.record_id
        ]


@dataclass(frozen=True)
class Sighted:
    """A record that was not decoded: its key where it stands in front, a hash of its bytes, the bytes."""

    key: str | None
    original_hash: bytes
    original: msgspec.Raw


class Codec:
    """Decodes pages of one entity. Not for use by two threads at once."""

    def __init__(self, entity: Entity, mapping: EntityMapping, zone: ZoneInfo) -> None:
        system = SYSTEM_FIELDS[entity.kind]
        self._key = _RECORDER[0] if entity.read == "movements" else system.key
        self._scope: dict[str, Any] = {
            "NULL": values.NULL,
            "KEY": values.key,
            "TEXT": values.text,
            "REF": values.Converted(values.reference),
            "ENUM": values.Converted(values.text),
            "NUMBER": values.Converted(values.number),
            "INTEGER": values.Converted(values.integer),
            "LINE_NO": values.Converted(_line_no),
            "BOOLEAN": values.BOOLEAN,
            "DATE": values.Converted(values.calendar_day),
            "MOMENT": values.Converted(values.moment_in(zone)),
            "PLAIN": _PLAIN_NUMBER,
            "PLAIN_BLOCK": _PLAIN_BLOCK,
            "BadValue": BadValue,
            "Record": Record,
            "digest": xxhash.xxh3_128_hexdigest,
            "first": _first,
            "first_number": _first_number,
            "tab": b"\t".join,
            "newline": b"\n".join,
        }
        writer = _Writer(entity, mapping, system)
        self._scope |= writer.constants
        self.layout = writer.layout
        self._checks = writer.checks
        # The source is made of names that the spec's schema admits, nothing else.
        source = writer.source()
        exec(compile(source, f"<rows of {entity.name}>", "exec"), self._scope)  # noqa: S102
        self._row: Callable[[Any, bytes], Record] = self._scope["row"]
        # Another mapping makes other rows of the same bytes: it is part of their hash.
        self._seed = xxhash.xxh3_64_intdigest(f"{source}{mapping}{zone}".encode())
        self._first_key = re.compile(rb'\{\s*"%b(?:_Key)?"\s*:\s*"([0-9a-zA-Z-]{1,64})"' % self._key.encode())
        self._members = writer.members
        self._name = entity.name
        self._ordered = False
        self._record = _decoder(self._name, self._members, {})
        self._split: Any = msgspec.json.Decoder(msgspec.defstruct("Split", [("value", list[msgspec.Raw])]))

    def decode(self, body: bytes) -> Decoded:
        """Convert one page. Raises BrokenPage when it is not a JSON collection at all."""
        with _no_collection():
            return self._decode(body)

    def sight(self, body: bytes) -> list[Sighted]:
        """The records of a page, not decoded: to leave out those that have landed byte for byte. Raises BrokenPage."""
        sighted = []
        for original in self._originals(body.removeprefix(BOM)):
            found = self._first_key.match(original)
            sighted.append(Sighted(found[1].decode() if found else None, self._hash(original), original))
        return sighted

    def _hash(self, original: msgspec.Raw | bytes) -> bytes:
        return xxhash.xxh3_128_hexdigest(original, self._seed).encode()

    def _decode(self, body: bytes) -> Decoded:
        originals = self._originals(body.removeprefix(BOM))
        if not self._ordered and originals:
            self._learn_order(originals[0])
        decoded = Decoded()
        keep = decoded.records.append
        decode, row, hash_of = self._record.decode, self._row, self._hash
        # Record by record: the structs of one are gone from the processor's cache before the next needs room.
        for original in originals:
            try:
                keep(row(decode(original), hash_of(original)))
            except (msgspec.DecodeError, BadValue, UnicodeError, RecursionError):
                self._second_try(bytes(original), decoded)
        return decoded

    def _learn_order(self, original: msgspec.Raw) -> None:
        """Structs decode fastest when their fields come in the order in which this base sends them."""
        try:
            sample = msgspec.json.decode(original)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return
        if isinstance(sample, dict):
            self._record = _decoder(self._name, self._members, sample)
            self._ordered = True

    def _second_try(self, original: bytes, decoded: Decoded) -> None:
        """A record that failed: clean it when it is not proper JSON, otherwise say which field is wrong."""
        try:
            struct = self._struct(original)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as problem:
            decoded.rejected.append(self._reject(original, f"does not decode: {problem}"))
            return
        try:
            decoded.records.append(self._row(struct, self._hash(original)))
        except BadValue as problem:
            decoded.rejected.append(self._reject(original, self._explain(struct, problem)))

    def _struct(self, original: bytes) -> Any:
        try:
            return self._record.decode(original)
        except msgspec.ValidationError:
            raise
        except (msgspec.DecodeError, UnicodeError):
            return self._record.decode(cleaned(original))

    def _originals(self, body: bytes) -> list[msgspec.Raw]:
        try:
            return list(self._split.decode(body).value)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            pass
        try:
            return list(self._split.decode(cleaned(body)).value)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as problem:
            raise BrokenPage(
                f"the page is not a JSON collection: {problem}; it begins with {_beginning(body)}"
            ) from None

    def _reject(self, original: bytes, reason: str) -> Rejected:
        found = re.search(rb'"%b"\s*:\s*"([0-9a-zA-Z-]{1,64})"' % self._key.encode(), original)
        return Rejected(found[1].decode() if found else None, reason, original)

    def _explain(self, struct: Any, problem: BadValue) -> str:
        """Name the field that does not convert, without its value."""
        for check in self._checks:
            for part, where in check.parts(struct):
                try:
                    check.convert(self._scope, getattr(part, check.attribute))
                except BadValue as found:
                    return f"{check.column} ({check.source}){where}: {found}"
        return str(problem)


@contextmanager
def _no_collection() -> Iterator[None]:
    """A page makes many objects and no cycles: looking for cycles would cost more than the decoding."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def wrap_single(body: bytes) -> bytes:
    """The answer for one record as a page of one."""
    return b'{"value":[' + body.removeprefix(BOM) + b"]}"


def rows_of(body: bytes, **options: Any) -> list[dict[str, Any]]:
    """Records of a small page as dictionaries, stray bytes in their texts replaced; `options` are those of json.loads.

    Raises BrokenPage when it is not a JSON collection.
    """
    try:
        rows: list[dict[str, Any]] = list(json.loads(cleaned(body.removeprefix(BOM)), **options)["value"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise BrokenPage(f"the page is not a JSON collection; it begins with {_beginning(body)}") from None
    return rows


def cleaned(body: bytes) -> bytes:
    """JSON that a strict parser takes: control characters and broken UTF-8 replaced, lone surrogates -> U+FFFD."""
    body = body.translate(bytes.maketrans(*_CONTROLS))
    body = body.decode("utf-8", "replace").encode()
    return _ESCAPE.sub(lambda found: rb"\ufffd" if _LONE.fullmatch(found[0]) else found[0], body)


def _first(*values: Any) -> Any:
    """The first that is there; None when none is."""
    return next((value for value in values if value is not None), None)


def _first_number(*values: msgspec.Raw) -> msgspec.Raw:
    """The first number that is there; JSON's null when none is."""
    return next((value for value in values if bytes(value) != b"null"), _NO_NUMBER)


def _line_no(value: str | int | None) -> bytes:
    converted = values.integer(value)
    if converted == values.NULL or not 0 <= int(converted) <= _MAX_LINE_NO:
        raise BadValue("line number is missing or out of range")
    return converted


def _beginning(body: bytes) -> str:
    return repr(re.sub(rb"[^\x20-\x7e]+", b"?", body[:40]).decode())


@dataclass(frozen=True)
class _Check:
    """One field, for saying which of them is wrong."""

    column: str
    source: str
    attribute: str
    expression: str
    lines: str | None

    def parts(self, struct: Any) -> list[tuple[Any, str]]:
        if self.lines is None:
            return [(struct, "")]
        return [(line, f" in line {position}") for position, line in enumerate(getattr(struct, self.lines) or (), 1)]

    def convert(self, scope: Mapping[str, Any], value: Any) -> None:
        name = self.expression.split("[")[0].split("(")[0]
        converter = scope[name]
        if name == "NUMBER":
            value = bytes(value)
        converter(value) if callable(converter) else converter[value]


class _Writer:
    """Writes the struct types and the source of the row function for one entity."""

    def __init__(self, entity: Entity, mapping: EntityMapping, system: SystemFields) -> None:
        self._entity = entity
        self._mapping = mapping
        self.checks: list[_Check] = []
        self.constants: dict[str, Any] = {}
        self.members = _key_members(entity, system)
        names = [name for name in entity.columns if name in mapping.fields]
        self._header = dict(zip(names, self._values(names, entity.columns, mapping.fields, None), strict=True))
        self._lines: list[tuple[str, list[tuple[str, str]], list[str]]] = []
        orders: list[tuple[str, ...]] = []
        for position, (child, columns) in enumerate(entity.lines.items()):
            lines = mapping.lines.get(child)
            attribute = f"lines_{position}"
            if lines is None:
                self._lines.append(("", [], []))
                orders.append(("record_id", "line_no"))
                continue
            # Numbers come last, so that those of a whole document can be checked in one go.
            plain = [name for name in columns if name in lines.fields and columns[name] != "number"]
            numbers = [name for name in columns if name in lines.fields and columns[name] == "number"]
            orders.append(("record_id", "line_no", *plain, *numbers))
            line = {"line_no": _Member(system.line_no, str | int)}
            made = self._values(plain + numbers, columns, lines.fields, attribute, line)
            self.members[attribute] = _Member(lines.source, line, () if lines.optional else msgspec.NODEFAULT)
            kinds = [columns[name] for name in plain]
            self._lines.append(
                (attribute, list(zip(made[: len(plain)], kinds, strict=True)), made[len(plain) :]),
            )
        self.layout = Layout(header=("record_id", *names), lines=tuple(orders))

    def _values(
        self,
        names: list[str],
        columns: Mapping[str, Kind],
        fields: Mapping[str, Field],
        lines: str | None,
        members: "dict[str, _Member] | None" = None,
    ) -> list[str]:
        """Per column the expression of its value, as the source sent it, in the struct `r` (of a line: `l`).

        Adds the struct's members; columns of the same source field share one.
        """
        members = self.members if members is None else members
        part = "r" if lines is None else "l"
        by_source = {member.source: attribute for attribute, member in members.items()}
        made = []
        for name in names:
            field, kind = fields[name], columns[name]
            alternatives = []
            for place, source in enumerate(field.names):
                attribute = by_source.setdefault(source, f"c_{name}" if place == 0 else f"c_{name}_{place}")
                members[attribute] = _member(members.get(attribute), source, kind, field, self._entity.name)
                alternatives.append(f"{part}.{attribute}")
                self.checks.append(_Check(name, source, attribute, _expression(kind, "x"), lines))
            if field.constant is not None:
                constant = f"CONSTANT_{len(self.constants)}"
                self.constants[constant] = _CONSTANTS.get(kind, str)(field.constant)
                alternatives.append(constant)
            several = "first_number" if kind == "number" else "first"
            made.append(alternatives[0] if len(alternatives) == 1 else f"{several}({', '.join(alternatives)})")
        return made

    def source(self) -> str:
        out: list[str] = []
        for position, (attribute, plain, numbers) in enumerate(self._lines):
            if attribute:
                out += self._lines_source(position, plain, numbers)
        cells = {name: _expression(self._entity.columns[name], value) for name, value in self._header.items()}
        columns = "".join(f", {cell}" for cell in cells.values())
        lines = "".join(
            f"lines_{position}(key, r.{attribute}), " if attribute else "b'', "
            for position, (attribute, _, _) in enumerate(self._lines)
        )
        dated = cells.get("dated_at")
        # A column of the key that this configuration does not have is null in all its rows.
        key = "".join(f"{cells.get(name, 'NULL')}, " for name in self._entity.key)
        recorded = "first(r.key, r.key_1)" if "key_1" in self.members else "r.key"
        out += [
            "def row(r, original_hash):",
            f"    key = digest(tab(({key}))).encode()" if key else f"    key = KEY({recorded})",
            f"    header = tab((key{columns}))",
            f"    lines = ({lines})",
            "    hashed = digest(b'\\x1e'.join((header, *lines))).encode()",
            f"    dated_at = {dated or 'NULL'}",
            "    return Record(key.decode(), TEXT(r.version), hashed, header, lines,",
            "        None if dated_at == NULL else dated_at, NULL, original_hash)",
        ]
        return "\n".join(out)

    @staticmethod
    def _lines_source(position: int, plain: list[tuple[str, str]], numbers: list[str]) -> list[str]:
        start = "key, LINE_NO[l.line_no]"
        cells = "".join(f", {_expression(kind, value)}" for value, kind in plain)
        out = [
            f"def lines_{position}(key, lines):",
            "    if not lines:",
            "        return b''",
            "    if len({l.line_no for l in lines}) != len(lines):",
            "        raise BadValue('line numbers repeat')",
        ]
        if not numbers:
            return [*out, f"    return newline([tab(({start}{cells})) for l in lines])"]
        raw = "".join(f"{value}, " for value in numbers)
        careful = "".join(f"{_expression('number', value)}, " for value in numbers)
        return [
            *out,
            f"    numbers = [tab(({raw})) for l in lines]",
            "    block = newline(numbers)",
            "    if len(block) > PLAIN_BLOCK or block.translate(None, PLAIN):",
            f"        numbers = [tab(({careful})) for l in lines]",
            f"    return newline([tab(({start}{cells}, n)) for l, n in zip(lines, numbers)])",
        ]


@dataclass(frozen=True)
class _Member:
    """A struct attribute: its source field, its type (or the members of the lines it holds), its default."""

    source: str
    type: Any
    default: Any = msgspec.NODEFAULT


def _key_members(entity: Entity, system: SystemFields) -> dict[str, _Member]:
    """Where a record's key and version are: nowhere, when its columns are the key."""
    version = {"version": _Member(system.version, str | None, None)}
    if entity.key:
        return version
    if entity.read == "movements":
        return {
            name: _Member(source, str | None, None) for name, source in zip(("key", "key_1"), _RECORDER, strict=True)
        } | version
    return {"key": _Member(system.key, str)} | version


def _member(known: _Member | None, source: str, kind: Kind, field: Field, entity: str) -> _Member:
    """The struct member of a source field; only one that nothing stands in for has no default."""
    if known is None:
        required = not (field.optional or field.fallback)
        empty = _NO_NUMBER if kind == "number" else None
        return _Member(source, _STRUCT_TYPES[kind], msgspec.NODEFAULT if required else empty)
    if known.type is str and _STRUCT_TYPES[kind] == str | None:  # the record's own key
        return known
    if known.type != _STRUCT_TYPES[kind]:
        raise SpecError(f"{entity}: {source} feeds columns of different kinds")
    if known.default is msgspec.NODEFAULT or field.optional or field.fallback:
        return known
    return _Member(source, known.type)


def _decoder(name: str, members: Mapping[str, _Member], sample: Mapping[str, Any]) -> Any:
    """Decoder of one record; its struct's fields in the order of the sample record."""
    return msgspec.json.Decoder(_struct(name, members, sample))


def _struct(name: str, members: Mapping[str, _Member], sample: Mapping[str, Any]) -> type[msgspec.Struct]:
    position = {source: place for place, source in enumerate(sample)}
    ordered = sorted(members, key=lambda attribute: position.get(members[attribute].source, len(position)))
    fields: list[tuple[str, Any, Any]] = []
    for attribute in ordered:
        member = members[attribute]
        kind = member.type
        if isinstance(kind, dict):
            lines = sample.get(member.source)
            first = lines[0] if isinstance(lines, list) and lines and isinstance(lines[0], dict) else {}
            line = _struct(f"{name}_{attribute}", kind, first)
            kind = list[line] | None  # type: ignore[valid-type]
        fields.append((attribute, kind, member.default))
    rename = {attribute: member.source for attribute, member in members.items()}
    return msgspec.defstruct(name, fields, rename=rename, kw_only=True, gc=False)


def _expression(kind: str, value: str) -> str:
    """Python expression that turns a struct's attribute into COPY text."""
    if kind == "text":
        return f"TEXT({value})"
    if kind == "number":
        return f"NUMBER[bytes({value})]"
    name = {"ref": "REF", "timestamp": "MOMENT"}.get(kind, kind.upper())
    return f"{name}[{value}]"
