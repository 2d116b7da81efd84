"""Pages of JSON -> rows of COPY text for sources whose records are read as dictionaries: CRMs and files.

The source's dialect makes every record flat; the mapping picks its fields by name. Values may come as JSON of any
shape (numbers as strings, 'Y' and 'N', empty strings and empty lists instead of null); what a column cannot hold
rejects the record with its key, a reason and its original bytes, and the others go on.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import xxhash

from extractors.core import values
from extractors.core.codec import BOM, Decoded, cleaned
from extractors.core.errors import BrokenPage
from extractors.core.spec import Entity, EntityMapping, Field, Kind
from extractors.core.values import NULL, BadValue
from warehouse.landing import Layout, Record, Rejected

_WORDS = {
    "Y": b"t", "N": b"f", "1": b"t", "0": b"f", "true": b"t", "false": b"f", "": NULL,
}  # fmt: skip
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_NUL = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")
_exact = msgspec.json.Encoder(decimal_format="number", order="sorted")
Moment = Callable[[Any, ZoneInfo], datetime | None]
_Convert = Callable[[Any], bytes]


@dataclass(frozen=True)
class Dialect:
    """How one kind of source writes its records.

    flatten: one record -> {source field name: value}; tenant-defined fields together under "custom" as a dict, lines
    as lists of flat dicts. Raises ValueError for a record it cannot understand.
    key, version, modified: flat names of the record's id, version and modification time (None: it has none).
    moment: a timestamp of this source as an aware moment, None when it is empty; raises ValueError.
    """

    flatten: Callable[[dict[str, Any]], Mapping[str, Any]]
    key: str
    version: str | None
    modified: str | None
    moment: Moment


class DocumentCodec:
    """Decodes pages of one entity: `{"value": [record, ...]}`."""

    def __init__(self, entity: Entity, mapping: EntityMapping, zone: ZoneInfo, dialect: Dialect) -> None:
        self._dialect = dialect
        self._zone = zone
        self._header = self._columns(entity.columns, mapping.fields)
        self._lines: list[tuple[str, bool, list[_Column]]] = []
        orders: list[tuple[str, ...]] = []
        for child, columns in entity.lines.items():
            lines = mapping.lines.get(child)
            made = self._columns(columns, lines.fields) if lines else []
            self._lines.append((lines.source, lines.optional, made) if lines else ("", True, []))
            orders.append(("record_id", "line_no", *(column.name for column in made)))
        self.layout = Layout(
            header=("record_id", *(column.name for column in self._header)), lines=tuple(orders), modified=True
        )
        self._moment = _moment(dialect.moment, zone)
        self._split: Any = msgspec.json.Decoder(msgspec.defstruct("Split", [("value", list[msgspec.Raw])]))
        self._record: Any = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)

    def decode(self, body: bytes) -> Decoded:
        """Convert one page. Raises BrokenPage when it is not a JSON collection at all."""
        decoded = Decoded()
        for original in self._originals(body.removeprefix(BOM)):
            known: Mapping[str, Any] = {}
            try:
                known = record = self._parse(original)
                known = self._dialect.flatten(record)
                decoded.records.append(self._row(known))
            except (ValueError, KeyError, TypeError, AttributeError, UnicodeError, RecursionError) as problem:
                reason = str(problem) if isinstance(problem, BadValue) else f"not understood: {type(problem).__name__}"
                decoded.rejected.append(Rejected(self._key_of(known), reason, bytes(original)))
        return decoded

    def _originals(self, body: bytes) -> Sequence[msgspec.Raw]:
        for attempt in (body, cleaned(body)):
            try:
                found: list[msgspec.Raw] = self._split.decode(attempt).value
            except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
                problem = error
            else:
                return found
        raise BrokenPage(f"the page is not a JSON collection: {problem}")

    def _parse(self, original: msgspec.Raw) -> dict[str, Any]:
        try:
            parsed: dict[str, Any] = self._record.decode(original)
        except msgspec.ValidationError as problem:
            raise BadValue(f"does not decode: {problem}") from None
        except (msgspec.DecodeError, UnicodeError):
            try:
                parsed = self._record.decode(cleaned(bytes(original)))
            except (msgspec.DecodeError, UnicodeError) as problem:
                raise BadValue(f"does not decode: {problem}") from None
        return parsed

    def _key_of(self, known: Mapping[str, Any]) -> str | None:
        """The id in what is known of a record: its flat fields, or itself when it could not be made flat."""
        for name in (self._dialect.key, "id", "ID"):
            value = known.get(name)
            if isinstance(value, (str, int)) and not isinstance(value, bool) and 0 < len(str(value)) <= values.MAX_KEY:
                return str(value)
        return None

    def _row(self, flat: Mapping[str, Any]) -> Record:
        key = values.key(_plain(flat.get(self._dialect.key)) or "")
        header = b"\t".join([key, *(_cell(column, flat) for column in self._header)])
        lines = tuple(self._block(key, flat, *child) for child in self._lines)
        modified = self._told(self._dialect.modified, flat, self._moment)
        version = self._told(self._dialect.version, flat, _text)
        hashed = xxhash.xxh3_128_hexdigest(b"\x1e".join((header, *lines))).encode()
        return Record(key.decode(), version, hashed, header, lines, None, modified)

    def _told(self, name: str | None, flat: Mapping[str, Any], convert: _Convert) -> bytes:
        if name is None:
            return NULL
        try:
            return convert(flat.get(name))
        except ValueError as problem:
            raise BadValue(f"{name}: {problem}") from None

    def _block(
        self, key: bytes, flat: Mapping[str, Any], source: str, optional: bool, columns: "list[_Column]"
    ) -> bytes:
        if not source:
            return b""
        lines = flat.get(source)
        if lines is None and not optional and source not in flat:
            raise BadValue(f"{source}: the lines are missing")
        rows: list[bytes] = []
        for position, line in enumerate(lines or (), start=1):
            try:
                rows.append(b"\t".join([key, b"%d" % position, *(_cell(column, line) for column in columns)]))
            except BadValue as problem:
                raise BadValue(f"{source}, line {position}: {problem}") from None
        return b"\n".join(rows)

    def _columns(self, kinds: Mapping[str, Kind], fields: Mapping[str, Field]) -> "list[_Column]":
        return [
            _Column(name, fields[name].source, fields[name].optional, self._converter(kind))
            for name, kind in kinds.items()
            if name in fields
        ]

    def _converter(self, kind: Kind) -> _Convert:
        if kind == "timestamp":
            return _moment(self._dialect.moment, self._zone)
        if kind == "date":
            return _day(self._dialect.moment, self._zone)
        return {
            "ref": _text, "text": _text, "enum": _text, "number": _number, "integer": _integer,
            "boolean": _boolean, "json": _json,
        }[kind]  # fmt: skip


@dataclass(frozen=True)
class _Column:
    name: str
    source: str
    optional: bool
    convert: _Convert


_MISSING = object()


def _cell(column: _Column, flat: Mapping[str, Any]) -> bytes:
    value = flat.get(column.source, _MISSING)
    if value is _MISSING:
        if column.optional:
            return NULL
        raise BadValue(f"{column.name} ({column.source}): the field is missing")
    try:
        return column.convert(value)
    except BadValue as problem:
        raise BadValue(f"{column.name} ({column.source}): {problem}") from None


def _is_empty(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, (list, dict)) and not value)


def _plain(value: Any) -> str | None:
    """A scalar as text; a list of scalars joined by a comma; empty -> None."""
    if _is_empty(value):
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, int):
        return str(value)
    if isinstance(value, list):
        return ", ".join(part for part in map(_plain, value) if part)
    raise BadValue("not a text")


def _text(value: Any) -> bytes:
    return values.reference(_plain(value))


def _number(value: Any) -> bytes:
    if isinstance(value, bool):
        raise BadValue("not a number")
    plain = _plain(value)
    return NULL if plain is None or not plain.strip() else values.number(plain.encode("utf-8", "replace"))


def _integer(value: Any) -> bytes:
    if isinstance(value, bool):
        raise BadValue("not an integer")
    if isinstance(value, Decimal):
        if value != value.to_integral_value():
            raise BadValue("not an integer")
        value = int(value)
    return values.integer(_plain(value))


def _boolean(value: Any) -> bytes:
    if isinstance(value, str):
        value = value.strip()
    plain = _plain(value)
    if plain is None:
        return NULL
    try:
        return _WORDS[plain]
    except KeyError:
        raise BadValue("neither yes nor no") from None


def _json(value: Any) -> bytes:
    if _is_empty(value):
        return NULL
    encoded = _NUL.sub(rb"\1", _exact.encode(value))
    if len(encoded) > values.MAX_TEXT:
        raise BadValue(f"tenant-defined fields are longer than {values.MAX_TEXT} bytes")
    return encoded.replace(b"\\", b"\\\\")


def _moment(moment: Moment, zone: ZoneInfo) -> _Convert:
    def convert(value: Any) -> bytes:
        try:
            found = moment(value, zone)
            return NULL if found is None else found.astimezone(UTC).isoformat(" ", "microseconds").encode()
        except (ValueError, OverflowError, TypeError):
            raise BadValue("not a date and time") from None

    known = values.Converted(convert)
    # Lists and dictionaries cannot be remembered, and are no moments anyway.
    return lambda value: NULL if _is_empty(value) else known[value] if isinstance(value, (str, int)) else convert(value)


def _day(moment: Moment, zone: ZoneInfo) -> _Convert:
    def convert(value: Any) -> bytes:
        if _is_empty(value):
            return NULL
        # A written day is that day, whatever midnight and zone stand beside it.
        if isinstance(value, str) and (written := _DAY.match(value)):
            return values.calendar_day(written[0])
        try:
            found = moment(value, zone)
        except (ValueError, OverflowError, TypeError):
            raise BadValue("not a date") from None
        return NULL if found is None else found.astimezone(zone).date().isoformat().encode()

    return convert
