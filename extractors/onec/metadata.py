"""What a 1C base publishes: sets and fields out of `$metadata`, cached, because a big base takes long to tell."""

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from xml.parsers.expat import ExpatError, ParserCreate

import msgspec

from clients.errors import Fatal

MAX_AGE = timedelta(hours=24)
_PARSE_CHUNK = 1 << 20


class Published(msgspec.Struct, frozen=True):
    """Fields by set, and for tabular sections by `set.section`. `read_at`: when the base was asked."""

    read_at: datetime
    fields: dict[str, dict[str, str]]

    def has(self, source_set: str) -> bool:
        return source_set in self.fields

    def missing(self, source_set: str, fields: Iterable[str], section: str | None = None) -> list[str]:
        """Those of `fields` that the set (or its tabular section) does not have."""
        known = self.fields.get(source_set) if section is None else self.section(source_set, section)
        return [name for name in fields if name not in (known or {})]

    def section(self, source_set: str, section: str) -> dict[str, str] | None:
        """Fields of the rows of a tabular section; None when the set has no such section."""
        row_type = self.fields.get(source_set, {}).get(section, "")
        if not row_type.startswith("Collection("):
            return None
        return self.fields.get(row_type.removeprefix("Collection(").removesuffix(")").split(".")[-1])

    def sets(self) -> list[str]:
        """Catalogs, documents and other objects; without types of rows, and without their tabular sections."""
        hidden = set()
        for owner, known in self.fields.items():
            for section, type_ in known.items():
                if type_.startswith("Collection("):
                    hidden |= {f"{owner}_{section}", type_.removeprefix("Collection(").removesuffix(")").split(".")[-1]}
        return [name for name in self.fields if "_" in name and name not in hidden]


def published(
    read: Callable[[], bytes],
    var_dir: Path,
    instance: str,
    address: str,
    now: datetime,
    *,
    max_age: timedelta = MAX_AGE,
) -> Published:
    """The base's published sets, from the cache when it is younger than `max_age`, otherwise by `read()`.

    Another address is another base: its cache is not used. Raises what `read` raises, and Fatal on unreadable XML.
    """
    digest = hashlib.sha256(address.encode()).hexdigest()[:12]
    path = var_dir / "metadata" / f"{instance}-{digest}.json"
    try:
        cached = msgspec.json.decode(path.read_bytes(), type=Published)
        if timedelta(0) <= now - cached.read_at < max_age:
            return cached
    except (OSError, msgspec.DecodeError):
        pass
    found = Published(read_at=now, fields=parse(read()))
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    with os.fdopen(handle, "wb") as file:
        file.write(msgspec.json.encode(found))
    Path(name).replace(path)
    return found


def parse(xml: bytes) -> dict[str, dict[str, str]]:
    """Property name -> type, by entity type and complex type. Raises Fatal when this is not metadata."""
    types: dict[str, dict[str, str]] = {}
    current: dict[str, str] | None = None

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal current
        name = tag.split(":")[-1]
        if name in ("EntityType", "ComplexType"):
            current = types.setdefault(attributes.get("Name", ""), {})
        elif name == "Property" and current is not None:
            current[attributes.get("Name", "")] = attributes.get("Type", "")

    def end(tag: str) -> None:
        nonlocal current
        if tag.split(":")[-1] in ("EntityType", "ComplexType"):
            current = None

    def refuse(*_: object) -> None:
        raise Fatal("$metadata declares a document type, which 1C never does: this is not a 1C base")

    parser = ParserCreate()
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.StartDoctypeDeclHandler = refuse
    view = memoryview(xml)
    try:
        for offset in range(0, len(view), _PARSE_CHUNK):
            parser.Parse(bytes(view[offset : offset + _PARSE_CHUNK]), False)
        parser.Parse(b"", True)
    except ExpatError as error:
        raise Fatal(f"$metadata is not readable XML: {error}") from None
    return types
