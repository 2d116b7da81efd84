"""Entity specs: the landing tables of a kind of source, joined with the field mapping of one configuration."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml
from jsonschema import Draft202012Validator

from extractors.core.errors import SpecError
from warehouse.landing import ChildTable, Column, LandingTable

EXTRACTORS = Path(__file__).resolve().parents[1]
Kind = Literal["ref", "text", "enum", "number", "integer", "boolean", "date", "timestamp", "json"]

_POSTGRES_TYPES: dict[str, str] = {
    "ref": "text",
    "text": "text",
    "enum": "text",
    "number": "numeric",
    "integer": "bigint",
    "boolean": "boolean",
    "date": "date",
    "timestamp": "timestamp with time zone",
    "json": "jsonb",
}
# Kinds of source that share their entities: the landing tables are still each kind's own, ...
_ENTITIES_OF = {"bitrix24": "crm", "amocrm": "crm", "hubspot": "crm", "file": "onec"}
# ... except where they are the same objects that arrive by another road.
_TABLES_OF = {"file": "onec"}


@dataclass(frozen=True)
class Entity:
    """One landing entity, whatever the configuration. `columns` and each of `lines` map column -> kind.

    kind: the prefix of its tables. key: the columns that identify a row, where the source has no id of its own.
    without: language -> what stands in when a source does not have the entity.
    """

    kind: str
    name: str
    read: Literal["full", "window", "modified", "slice", "movements"]
    columns: Mapping[str, Kind]
    lines: Mapping[str, Mapping[str, Kind]]
    key: tuple[str, ...] = ()
    without: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """Whether every read reads all of it: there are no windows and no history to compare."""
        return self.read in ("full", "slice")

    def table(self) -> LandingTable:
        """The landing table, as the warehouse creates and fills it."""
        return LandingTable(
            name=f"{self.kind}_{self.name}",
            entity=self.name,
            columns=_postgres(self.columns),
            children=tuple(
                ChildTable(name=f"{self.kind}_{name}", columns=_postgres(columns))
                for name, columns in self.lines.items()
            ),
        )


@dataclass(frozen=True)
class Field:
    """Where a column comes from: the first of `names` that a record has, otherwise `constant`.

    An optional field may be missing from the base: its column is then null. `source` is empty when the column only
    has a constant (text; true and false for booleans).
    """

    source: str
    optional: bool = False
    fallback: tuple[str, ...] = ()
    constant: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the field, best first."""
        return (self.source, *self.fallback) if self.source else ()


@dataclass(frozen=True)
class LinesMapping:
    source: str
    fields: Mapping[str, Field]
    optional: bool = False


@dataclass(frozen=True)
class EntityMapping:
    """How one configuration names an entity: its set, its fields, its tabular sections.

    instead: sets that are read when `source_set` is not published, best first. function: the virtual table of a
    register that is read (`Balance`, `SliceLast`, ...). only: a condition on the records, in the source's own words.
    """

    source_set: str
    fields: Mapping[str, Field]
    lines: Mapping[str, LinesMapping]
    optional: bool = False
    instead: tuple[str, ...] = ()
    function: str | None = None
    only: str | None = None


@dataclass(frozen=True)
class Configuration:
    """A validated mapping file."""

    kind: str
    name: str
    title: str
    outlet: str
    entities: Mapping[str, EntityMapping]


@cache
def load_entities(kind: str) -> dict[str, Entity]:
    """Entities of a kind of source by name, in the order of their `entities.yml`. Raises SpecError."""
    path = EXTRACTORS / _ENTITIES_OF.get(kind, kind) / "entities.yml"
    content = _load(path, "entities")
    entities = {
        name: Entity(
            kind=_TABLES_OF.get(kind, kind),
            name=name,
            read=body["read"],
            columns=body["columns"],
            lines={child: lines["columns"] for child, lines in body.get("lines", {}).items()},
            key=tuple(body.get("key", ())),
            without=body.get("without", {}),
        )
        for name, body in content["entities"].items()
    }
    tables = list(entities) + [child for entity in entities.values() for child in entity.lines]
    if len(set(tables)) != len(tables):
        raise SpecError(f"{path}: two tables share a name")
    for entity in entities.values():
        if entity.read == "window" and entity.columns.get("dated_at") != "timestamp":
            raise SpecError(f"{path}: entity '{entity.name}' is read by window and so needs dated_at: timestamp")
        if (entity.read == "slice") != bool(entity.key):
            raise SpecError(f"{path}: entity '{entity.name}': a key belongs to what is read by slice, and only to it")
        if not set(entity.key) <= set(entity.columns):
            raise SpecError(f"{path}: the key of entity '{entity.name}' names columns that it does not have")
    return entities


@cache
def load_configuration(kind: str, name: str) -> Configuration:
    """The mapping `extractors/mappings/<kind>/<name>.yml`, checked against the entities. Raises SpecError."""
    path = EXTRACTORS / "mappings" / kind / f"{name}.yml"
    if not path.is_file():
        known = sorted(found.stem for found in path.parent.glob("*.yml"))
        raise SpecError(f"there is no mapping '{name}' for {kind}; known: {', '.join(known) or 'none'}")
    content = _load(path, "mapping")
    entities = load_entities(kind)
    mapped: dict[str, EntityMapping] = {}
    for entity_name, body in content["entities"].items():
        entity = entities.get(entity_name)
        if entity is None:
            raise SpecError(f"{path}: entity '{entity_name}' is not among the entities of {kind}")
        _known_columns(path, entity_name, body["fields"], entity.columns)
        for child, lines in body.get("lines", {}).items():
            if child not in entity.lines:
                raise SpecError(f"{path}: '{entity_name}' has no lines '{child}'")
            _known_columns(path, child, lines["fields"], entity.lines[child])
        if entity.read == "window" and "dated_at" not in body["fields"]:
            raise SpecError(f"{path}: '{entity_name}' is read by window and so must map dated_at")
        mapped[entity_name] = EntityMapping(
            source_set=body["set"],
            fields=_fields(body["fields"]),
            lines={
                child: LinesMapping(lines["source"], _fields(lines["fields"]), lines.get("optional", False))
                for child, lines in body.get("lines", {}).items()
            },
            optional=body.get("optional", False),
            instead=tuple(body.get("instead", ())),
            function=body.get("function"),
            only=body.get("only"),
        )
    return Configuration(
        kind=kind,
        name=content["configuration"],
        title=content["title"],
        outlet=content.get("outlet", "sub_partner"),
        entities={name: mapped[name] for name in entities if name in mapped},
    )


def _fields(raw: Mapping[str, Any]) -> dict[str, Field]:
    return {column: _field(source) for column, source in raw.items()}


def _field(raw: str | Mapping[str, Any]) -> Field:
    if isinstance(raw, str):
        return Field(raw)
    constant = raw.get("constant")
    if isinstance(constant, bool):
        constant = "true" if constant else "false"
    return Field(
        source=raw.get("source", ""),
        optional=raw.get("optional", False) or constant is not None,
        fallback=tuple(raw.get("fallback", ())),
        constant=None if constant is None else str(constant),
    )


def _known_columns(path: Path, where: str, fields: Mapping[str, Any], columns: Mapping[str, Kind]) -> None:
    unknown = sorted(set(fields) - set(columns))
    if unknown:
        raise SpecError(f"{path}: '{where}' maps columns that the entity does not have: {', '.join(unknown)}")


def _postgres(columns: Mapping[str, Kind]) -> tuple[Column, ...]:
    return tuple(Column(name, _POSTGRES_TYPES[kind]) for name, kind in columns.items())


def _load(path: Path, schema: str) -> dict[str, Any]:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    rules = json.loads((EXTRACTORS / "schemas" / f"{schema}.schema.json").read_text(encoding="utf-8"))
    problems = [
        f"{'/'.join(str(part) for part in problem.absolute_path) or 'top level'}: {problem.message}"
        for problem in Draft202012Validator(rules).iter_errors(content)
    ]
    if problems:
        raise SpecError(f"{path}: " + "; ".join(problems[:5]))
    loaded: dict[str, Any] = content
    return loaded
