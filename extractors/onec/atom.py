"""The Atom feed of an exchange plan's changes, read as a stream: one entry in memory at a time.

Atom tells no types: numbers and booleans become what 1C's own JSON would hold by the types of `$metadata`, so that the
records decode like those of any other read. Document types, and with them entities, are refused.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO
from urllib.parse import unquote
from xml.parsers.expat import ExpatError, ParserCreate

import msgspec

from extractors.core.errors import ReadError
from extractors.onec.metadata import Published

_ATOM = "http://www.w3.org/2005/Atom"
_TOMBSTONES = "http://purl.org/atompub/tombstones/1.0"
_DATA = "http://schemas.microsoft.com/ado/2007/08/dataservices"
_META = f"{_DATA}/metadata"
_CHUNK = 1 << 18
_NUMBERS = {"Edm.Double", "Edm.Single", "Edm.Decimal", "Edm.Int16", "Edm.Int32", "Edm.Byte", "Edm.SByte"}
_JSON_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_BOOLEANS = {"true": True, "false": False}
_RESOURCE = re.compile(r"([^/(]+)\(([^()]*)\)$")
_GUID = re.compile(r"'([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})'")
# What XML cannot hold and a database of old data does: the parser would refuse the whole message.
_FORBIDDEN = bytes(code for code in range(32) if code not in (9, 10, 13))
_BLANKS = bytes.maketrans(_FORBIDDEN, b" " * len(_FORBIDDEN))
_CHARACTER = re.compile(rb"&#(?:x([0-9a-fA-F]{1,8})|([0-9]{1,10}));")
_LONGEST_REFERENCE = 14


@dataclass(frozen=True)
class Changed:
    """A record as it is now: its set and its JSON, like an element of a collection."""

    source_set: str
    record: bytes


@dataclass(frozen=True)
class Gone:
    """A record that was deleted physically. record_id: its guid."""

    source_set: str
    record_id: str


def changes(feed: BinaryIO, base: Published) -> Iterator[Changed | Gone]:
    """The entries of a feed in their order. Raises ReadError when it is no Atom feed or ends too early."""
    reader = _Reader(base)
    carry = b""
    try:
        while chunk := feed.read(_CHUNK):
            text, carry = _readable(carry + chunk)
            reader.parser.Parse(text, False)
            yield from reader.taken()
        reader.parser.Parse(_readable(carry + b" ")[0] if carry else b"", True)
    except ExpatError as error:
        raise ReadError(f"the message of the exchange plan is not readable XML: {error}") from None
    yield from reader.taken()
    if not reader.is_feed:
        raise ReadError("the answer to SelectChanges is not an Atom feed")


def _readable(text: bytes) -> tuple[bytes, bytes]:
    """`text` without what XML cannot hold, and its tail that may be half a character reference."""
    start = text.rfind(b"&", len(text) - _LONGEST_REFERENCE) if len(text) > _LONGEST_REFERENCE else text.rfind(b"&")
    tail = b""
    if start >= 0 and b";" not in text[start:]:
        text, tail = text[:start], text[start:]
    text = text.translate(_BLANKS)
    if b"&#" in text:
        text = _CHARACTER.sub(_replaced, text)
    return text, tail


def _replaced(found: re.Match[bytes]) -> bytes:
    code = int(found[1], 16) if found[1] else int(found[2])
    held = code in (9, 10, 13) or 32 <= code < 0xD800 or 0xE000 <= code < 0xFFFE or 0x10000 <= code < 0x110000
    return found[0] if held else b"\xef\xbf\xbd"


class _Reader:
    """Collects entries from the parser's events."""

    def __init__(self, base: Published) -> None:
        self.is_feed = False
        self._base = base
        self._done: list[Changed | Gone] = []
        self._path: list[str] = []
        self._source_set = ""
        self._record: dict[str, Any] = {}
        self._types: Mapping[str, str] = {}
        self._lines: list[dict[str, Any]] | None = None
        self._line: dict[str, Any] = {}
        self._line_types: Mapping[str, str] = {}
        self._text: list[str] | None = None
        self._is_null = False
        self.parser = ParserCreate(namespace_separator=" ")
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters
        self.parser.StartDoctypeDeclHandler = self._refuse

    def taken(self) -> list[Changed | Gone]:
        """The entries that are complete since the last call."""
        done, self._done = self._done, []
        return done

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._path.append(tag)
        depth = len(self._path)
        if depth == 1:
            self.is_feed = tag == f"{_ATOM} feed"
        elif depth == 2 and tag == f"{_ATOM} entry":
            self._source_set, self._record, self._lines, self._text = "", {}, None, None
        elif depth == 2 and tag == f"{_TOMBSTONES} deleted-entry":
            self._done.append(_gone(attributes.get("ref", "")))
        elif depth == 3 and tag == f"{_ATOM} category":
            self._source_set = attributes.get("term", "").partition(".")[2]
            self._types = self._base.fields.get(self._source_set, {})
        elif tag.startswith(f"{_DATA} ") and f"{_META} properties" in self._path:
            self._property(tag.partition(" ")[2], attributes)

    def _property(self, name: str, attributes: dict[str, str]) -> None:
        self._is_null = attributes.get(f"{_META} null") == "true"
        inside = len(self._path) - self._path.index(f"{_META} properties") - 1
        if inside == 1 and attributes.get(f"{_META} type", "").startswith("Collection("):
            self._lines = []
            self._line_types = self._base.section(self._source_set, name) or {}
        elif inside == 2 and self._lines is not None:
            self._line = {}
        else:
            self._text = []

    def _end(self, tag: str) -> None:
        self._path.pop()
        depth = len(self._path)
        if depth == 1 and tag == f"{_ATOM} entry":
            self._done.append(self._entry())
        elif tag.startswith(f"{_DATA} ") and f"{_META} properties" in self._path:
            name = tag.partition(" ")[2]
            inside = depth - self._path.index(f"{_META} properties")
            if inside == 1 and self._lines is not None:
                self._record[name], self._lines = self._lines, None
            elif inside == 2 and self._lines is not None:
                self._lines.append(self._line)
            elif self._text is not None:
                owner, types = (
                    (self._line, self._line_types) if self._lines is not None else (self._record, self._types)
                )
                owner[name] = None if self._is_null else _json(types.get(name, ""), "".join(self._text))
                self._text = None

    def _entry(self) -> Changed | Gone:
        """A record set without a record says that the document is not posted there any more."""
        recorder = self._record.get("Recorder") or self._record.get("Recorder_Key")
        if recorder and "RecordSet" in self._record and not self._record["RecordSet"]:
            return Gone(self._source_set, str(recorder).lower())
        return Changed(self._source_set, msgspec.json.encode(self._record))

    def _characters(self, text: str) -> None:
        if self._text is not None:
            self._text.append(text)

    @staticmethod
    def _refuse(*_: object) -> None:
        raise ReadError("the message of the exchange plan declares a document type, which 1C never does")


def _json(edm_type: str, text: str) -> Any:
    if edm_type == "Edm.Boolean":
        return _BOOLEANS.get(text, text)
    if edm_type in _NUMBERS and _JSON_NUMBER.fullmatch(text):
        # As digits: no number passes through binary floating point.
        return msgspec.Raw(text.encode())
    return text


def _gone(reference: str) -> Gone:
    resource = _RESOURCE.search(unquote(reference))
    key = _GUID.search(resource[2]) if resource else None
    if resource is None or key is None:
        raise ReadError("a deleted entry of the exchange plan names no record")
    return Gone(resource[1], key[1].lower())
