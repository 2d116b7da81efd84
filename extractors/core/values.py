"""One value of a source -> its text in PostgreSQL's COPY format, kind by kind.

Values repeat a great deal (references, prices, dates), so each kind is a dictionary that computes a value once.
What cannot be converted raises BadValue; messages never quote the value, it may be personal data.
"""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Generic, TypeVar
from zoneinfo import ZoneInfo

NULL = b"\\N"
EMPTY_GUID = "00000000-0000-0000-0000-000000000000"
EMPTY_DATE = "0001-01-01"
MAX_TEXT = 1_000_000
MAX_KEY = 100
MAX_DIGITS = 60
_CACHE_SIZE = 50_000
_CACHED_LENGTH = 200

_ESCAPES = str.maketrans({"\x00": None, "\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")
_NUMBER = re.compile(rb"-?\d{1,60}(\.\d{1,60})?")
_INTEGER = re.compile(r"\s*-?[0-9]{1,30}\s*")
_DATE_TIME = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?)?")
Source = TypeVar("Source")


class BadValue(ValueError):
    """A value that its column cannot hold; the message says what is wrong, never what the value was."""


class Converted(dict[Source, bytes], Generic[Source]):
    """Remembers what `convert` made of each value; forgets everything when it grows too big."""

    def __init__(self, convert: Callable[[Source], bytes]) -> None:
        super().__init__()
        self._convert = convert

    def __missing__(self, value: Source) -> bytes:
        if len(self) >= _CACHE_SIZE:
            self.clear()
        converted = self._convert(value)
        if len(converted) <= _CACHED_LENGTH:
            self[value] = converted
        return converted


def text(value: str | None) -> bytes:
    """Trailing padding removed, NUL characters and lone surrogates cleaned; empty becomes null."""
    if value is None:
        return NULL
    value = value.rstrip()
    if not value:
        return NULL
    if len(value) > MAX_TEXT:
        raise BadValue(f"text is longer than {MAX_TEXT} characters")
    if not value.isprintable() or "\\" in value:
        value = _LONE_SURROGATE.sub("\ufffd", value).translate(_ESCAPES)
        if not value:
            return NULL
    return value.encode()


def reference(value: str | None) -> bytes:
    """A guid (or the literal of a composite field); the empty guid becomes null."""
    return NULL if value == EMPTY_GUID else text(value)


def key(value: str) -> bytes:
    """A record's own key: never empty, short enough for an index."""
    converted = reference(value)
    if converted is NULL or converted == NULL:
        raise BadValue("the key is empty")
    if len(converted) > MAX_KEY:
        raise BadValue("the key is too long")
    return converted


def number(raw: bytes) -> bytes:
    """An exact decimal from the JSON bytes of a number, of a string that holds one, or of null."""
    raw = raw.strip()
    if raw == b"null":
        return NULL
    if raw[:1] == b'"' and raw[-1:] == b'"':
        raw = raw[1:-1].strip()
        if not raw:
            return NULL
    if _NUMBER.fullmatch(raw):
        return raw
    try:
        exact = Decimal(raw.decode("ascii"))
    except (InvalidOperation, UnicodeDecodeError):
        raise BadValue("not a number") from None
    if not exact.is_finite() or exact.adjusted() >= MAX_DIGITS or exact.as_tuple().exponent < -MAX_DIGITS:  # type: ignore[operator]
        raise BadValue("number is out of range")
    return format(exact, "f").encode()


def integer(value: str | int | None) -> bytes:
    """A 64-bit integer, also when it comes as a string."""
    if value is None or value == "":
        return NULL
    if isinstance(value, str) and not _INTEGER.fullmatch(value):
        raise BadValue("not an integer")
    exact = int(value)
    if not -(1 << 63) <= exact < 1 << 63:
        raise BadValue("integer is out of range")
    return str(exact).encode()


BOOLEAN: dict[bool | None, bytes] = {True: b"t", False: b"f", None: NULL}


def calendar_day(value: str | None) -> bytes:
    """The day of a 1C date; the empty date becomes null."""
    if value is None or value == "":
        return NULL
    found = _DATE_TIME.fullmatch(value)
    if found is None:
        raise BadValue("not a date")
    day = found[1]
    if day == EMPTY_DATE:
        return NULL
    try:
        date.fromisoformat(day)
    except ValueError:
        raise BadValue("date is out of range") from None
    return day.encode()


def moment_in(zone: ZoneInfo) -> Callable[[str | None], bytes]:
    """Converter of zone-less local times of `zone`; the empty date becomes null."""

    def moment(value: str | None) -> bytes:
        if value is None or value == "":
            return NULL
        if not _DATE_TIME.fullmatch(value):
            raise BadValue("not a date and time")
        if value.startswith(EMPTY_DATE):
            return NULL
        try:
            return to_utc(datetime.fromisoformat(value), zone).isoformat(" ", "microseconds").encode()
        except (ValueError, OverflowError):
            raise BadValue("date and time are out of range") from None

    return moment


def to_utc(local: datetime, zone: ZoneInfo) -> datetime:
    """A zone-less local time as a moment.

    A time that the clocks show twice (they go back) is the first of the two; a time that they skip (they go
    forward) counts by the offset before the change. So the same text always means the same moment.
    """
    return local.replace(tzinfo=zone, fold=0).astimezone(UTC)
