"""The records of one HubSpot account: objects, associations, merges, and a search index that lags behind them."""

from __future__ import annotations

import json
from bisect import bisect_right, insort
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from simulators.hubspot.standard import (
    ASSOCIATION_TYPES,
    BY_ID,
    MERGEABLE,
    OBJECTS,
    REQUIRED,
    WITH_HISTORY,
    Property,
    standard_properties,
)

Values = dict[str, str | None]
_FIRST_NEW_ID = 90_000_000_000


class HubspotError(Exception):
    """An error body: HTTP status, category, message and details."""

    def __init__(
        self, status: int, category: str, message: str, *, context: Mapping[str, Any] | None = None, sub: str = ""
    ) -> None:
        super().__init__(message)
        self.status = status
        self.category = category
        self.message = message
        self.context = dict(context or {})
        self.sub = sub


@dataclass(frozen=True)
class Version:
    """One value that a property had from `at` on."""

    value: str | None
    at: datetime
    source: str
    user_id: int | None

    def as_json(self) -> dict[str, Any]:
        told = {"value": self.value or "", "timestamp": stamp(self.at), "sourceType": self.source}
        return told | ({"updatedByUserId": self.user_id} if self.user_id else {})


@dataclass(slots=True)
class Record:
    """One record; values are texts as HubSpot keeps them."""

    id: int
    values: Values
    created_at: datetime
    updated_at: datetime
    archived_at: datetime | None = None
    history: dict[str, list[Version]] = field(default_factory=dict)
    links: dict[str, dict[int, set[int]]] = field(default_factory=dict)
    indexed: Values | None = None  # what search knows; None: the values themselves
    index_due: datetime | None = None


@dataclass(frozen=True)
class Seeded:
    """A record of the world, ready to be shown. `links`: (object type, id, is it the primary one)."""

    kind: str
    id: int
    values: Values
    created_at: datetime
    updated_at: datetime
    history: Mapping[str, Sequence[Version]] = field(default_factory=dict)
    links: Sequence[tuple[str, int, bool]] = ()
    archived_at: datetime | None = None
    merged_into: int | None = None


@dataclass(frozen=True)
class Owner:
    """A user who can own records. `id` is an owner's, `user_id` the user's."""

    id: int
    user_id: int
    email: str
    first_name: str
    last_name: str
    is_active: bool

    def as_json(self) -> dict[str, Any]:
        return {
            "id": str(self.id),
            "email": self.email,
            "type": "PERSON",
            "firstName": self.first_name,
            "lastName": self.last_name,
            "userId": self.user_id,
            "userIdIncludingInactive": self.user_id,
            "createdAt": "2024-01-09T08:00:00.000Z",
            "updatedAt": "2024-01-09T08:00:00.000Z",
            "archived": not self.is_active,
        }


class Portal:
    """One account. Changes made through it are kept in the journal file and survive a restart."""

    def __init__(
        self, journal: Path | None = None, *, now: Callable[[], datetime] | None = None, index_lag: float = 2.0
    ) -> None:
        """`index_lag`: seconds after which a change can be found by search."""
        self.now = now or (lambda: datetime.now(UTC))
        self.index_lag = timedelta(seconds=index_lag)
        self.owners: list[Owner] = []
        self.pipelines: dict[str, list[dict[str, Any]]] = {"deals": [], "leads": []}
        self.properties = {kind: standard_properties(kind) for kind in OBJECTS}
        self._records: dict[str, dict[int, Record]] = {kind: {} for kind in OBJECTS}
        self._ids: dict[str, list[int]] = {kind: [] for kind in OBJECTS}
        self._aliases: dict[str, dict[int, int]] = {kind: {} for kind in OBJECTS}
        self._unique: dict[tuple[str, str], dict[str, int]] = {}
        self._unindexed: dict[str, set[int]] = {kind: set() for kind in OBJECTS}
        self._seeded: dict[tuple[str, int], Values] = {}
        self._next_id = _FIRST_NEW_ID
        self._journal = journal

    # --- the world ---

    def show(self, seeded: Iterable[Seeded]) -> None:
        """Bring the records of the world to the state of a morning; what was made through the interface stays."""
        for item in seeded:
            record = self._records[item.kind].get(item.id)
            before = self._seeded.get((item.kind, item.id), {})
            self._seeded[item.kind, item.id] = item.values
            if record is None:
                record = Record(item.id, {}, item.created_at, item.updated_at)
                self._add(item.kind, record)
            news = {name: value for name, value in item.values.items() if before.get(name, ...) != value}
            if news and item.id not in self._aliases[item.kind]:
                record.values |= news
                record.history |= {name: list(versions) for name, versions in item.history.items()}
                record.updated_at = max(record.updated_at, item.updated_at)
                self._system_values(item.kind, record)
                for kind, other, primary in item.links:
                    self._link(item.kind, item.id, kind, other, primary=primary)
            self._end(item, record)

    def _end(self, item: Seeded, record: Record) -> None:
        if item.archived_at is not None:
            record.archived_at = item.archived_at
        if item.merged_into is not None and item.id not in self._aliases[item.kind]:
            survivor = self._records[item.kind][item.merged_into]
            self._swallow(item.kind, survivor, record)

    def replay_journal(self) -> None:
        """Repeat what was done through the interface before a restart."""
        if self._journal is None or not self._journal.exists():
            return
        journal, self._journal = self._journal, None
        for line in journal.read_text(encoding="utf-8").splitlines():
            step = json.loads(line)
            at = datetime.fromisoformat(step["at"])
            match step["do"]:
                case "create":
                    self.create(step["kind"], step["values"], step["links"], at=at)
                case "update":
                    self.update(step["kind"], step["id"], step["values"], at=at)
                case "archive":
                    self.archive(step["kind"], step["id"], at=at)
                case "merge":
                    self.merge(step["kind"], step["id"], step["other"], at=at, keep_id=step["keep_id"])
                case "property" if step["definition"]["name"] not in self.properties[step["kind"]]:
                    self.define(step["kind"], step["definition"])
        self._journal = journal

    # --- reading ---

    def kind(self, name: str) -> str:
        """Object type by its name, singular or id. Raises HubspotError."""
        name = BY_ID.get(name, name.lower())
        for candidate in (name, f"{name}s", f"{name[:-1]}ies" if name.endswith("y") else name):
            if candidate in OBJECTS:
                return candidate
        raise HubspotError(400, "VALIDATION_ERROR", f"Unable to infer object type from: {name}")

    def find(self, kind: str, record_id: str, id_property: str | None = None) -> Record | None:
        """The record, followed through merges; archived ones are found too."""
        if id_property and id_property != "hs_object_id":
            definition = self.properties[kind].get(id_property)
            if definition is None or not (definition.unique or (kind, id_property) == ("contacts", "email")):
                raise HubspotError(400, "VALIDATION_ERROR", f"Property {id_property} is not a unique property")
            number = self._unique.get((kind, id_property), {}).get(record_id.lower())
        else:
            number = int(record_id) if record_id.isdigit() else None
        while number in self._aliases[kind]:
            number = self._aliases[kind][number]
        return self._records[kind].get(number) if number is not None else None

    def page(self, kind: str, after: int, limit: int, *, archived: bool) -> tuple[list[Record], int | None]:
        """Records with ids over `after`, and where the next page begins (None: there is none)."""
        ids, records = self._ids[kind], self._records[kind]
        found: list[Record] = []
        for number in ids[bisect_right(ids, after) :]:
            record = records[number]
            if (record.archived_at is not None) is archived and number not in self._aliases[kind]:
                if len(found) == limit:
                    return found, found[-1].id
                found.append(record)
        return found, None

    def searchable(self, kind: str) -> Iterable[tuple[Record, Values]]:
        """Live records as the index knows them."""
        now = self.now()
        waiting = self._unindexed[kind]
        for number in list(waiting):
            record = self._records[kind][number]
            if record.index_due is not None and record.index_due <= now:
                record.indexed = record.index_due = None
                waiting.discard(number)
        for record in self._records[kind].values():
            if record.archived_at is not None:
                continue
            values = record.values if record.indexed is None else record.indexed
            if values:
                yield record, values

    def records(self, kind: str) -> list[Record]:
        """Live records."""
        return [record for record in self._records[kind].values() if record.archived_at is None]

    # --- writing ---

    def create(
        self,
        kind: str,
        values: Mapping[str, Any],
        links: Sequence[Sequence[Any]] = (),
        *,
        at: datetime | None = None,
        user_id: int | None = None,
    ) -> Record:
        """A new record; `links`: (object type, id, is it the primary one). Raises HubspotError."""
        given = {name: _text(value) for name, value in values.items()}
        self._check(kind, given, None)
        if (needed := REQUIRED.get(kind)) and not given.get(needed):
            raise HubspotError(
                400, "VALIDATION_ERROR", f"Error creating {kind}. Some required properties were not set.",
                context={"properties": [needed]}, sub="OBJECTS_MISSING_REQUIRED_PROPERTIES",
            )  # fmt: skip
        for to_kind, other, _ in links:
            if self.find(to_kind, str(other)) is None:
                raise HubspotError(400, "VALIDATION_ERROR", f"{to_kind}={other} is not valid")
        moment = at or self.now()
        self._write("create", kind, moment, values=given, links=[list(link) for link in links])
        record = Record(self._next_id, {}, moment, moment)
        self._next_id += 1
        self._add(kind, record)
        record.indexed = {}
        self._set(kind, record, given, moment, user_id)
        for to_kind, other, primary in links:
            self._link(kind, record.id, to_kind, int(other), primary=bool(primary))
        return record

    def update(
        self,
        kind: str,
        record_id: int,
        values: Mapping[str, Any],
        *,
        at: datetime | None = None,
        user_id: int | None = None,
    ) -> Record:
        record = self._alive(kind, str(record_id))
        given = {name: _text(value) for name, value in values.items()}
        self._check(kind, given, record.id)
        moment = at or self.now()
        self._write("update", kind, moment, id=record.id, values=given)
        self._set(kind, record, given, moment, user_id)
        return record

    def archive(self, kind: str, record_id: int, *, at: datetime | None = None) -> None:
        """Into the recycle bin; one that is there already stays."""
        record = self.find(kind, str(record_id))
        if record is None or record.archived_at is not None:
            return
        moment = at or self.now()
        self._write("archive", kind, moment, id=record.id)
        record.archived_at = moment
        for (owner, name), numbers in self._unique.items():
            if owner == kind and record.values.get(name):
                numbers.pop(str(record.values[name]).lower(), None)

    def merge(
        self, kind: str, primary_id: int, other_id: int, *, at: datetime | None = None, keep_id: bool = False
    ) -> Record:
        """Both records live on as a new one with an id of its own; with `keep_id` as the primary one, as formerly."""
        if kind not in MERGEABLE:
            raise HubspotError(400, "VALIDATION_ERROR", f"{kind} cannot be merged")
        primary, other = self._alive(kind, str(primary_id)), self._alive(kind, str(other_id))
        if primary is other:
            raise HubspotError(400, "VALIDATION_ERROR", "Cannot merge a record with itself")
        moment = at or self.now()
        self._write("merge", kind, moment, id=primary.id, other=other.id, keep_id=keep_id)
        if keep_id:
            inherited: Values = {
                name: value for name, value in other.values.items() if value and not primary.values.get(name)
            }
            self._set(kind, primary, inherited, moment, None, check=False)
            self._swallow(kind, primary, other)
            return primary
        record = Record(self._next_id, {}, min(primary.created_at, other.created_at), moment)
        self._next_id += 1
        self._add(kind, record)
        record.indexed = {}
        swallowed = [
            *_merged_ids(primary.values), str(primary.id), *_merged_ids(other.values), str(other.id)
        ]  # fmt: skip
        record.history = {name: list(versions) for name, versions in primary.history.items()}
        values: Values = {name: value for old in (other, primary) for name, value in old.values.items() if value}
        for old in (primary, other):
            self._aliases[kind][old.id] = record.id
            self._move_links(kind, old, record)
        values["hs_merged_object_ids"] = ";".join(swallowed)
        self._set(kind, record, values, moment, None, check=False)
        return record

    def define(self, kind: str, definition: Mapping[str, Any], *, of_the_world: bool = False) -> Property:
        """A property of the account's own; the world's are not kept in the journal. Raises HubspotError when there is
        one of that name.
        """
        name = str(definition["name"])
        if name in self.properties[kind]:
            raise HubspotError(409, "OBJECT_ALREADY_EXISTS", f"A property named '{name}' already exists.")
        options = tuple((str(option["value"]), str(option["label"])) for option in definition.get("options") or ())
        made = Property(
            name,
            str(definition.get("label", name)),
            str(definition.get("type", "string")),
            str(definition.get("fieldType", "text")),
            options,
            own=True,
            unique=bool(definition.get("hasUniqueValue", False)),
        )
        self.properties[kind][name] = made
        if not of_the_world:
            self._write("property", kind, self.now(), definition=dict(definition))
        return made

    def link(self, kind: str, record_id: int, to_kind: str, other: int, *, primary: bool = False) -> None:
        self._link(kind, record_id, to_kind, other, primary=primary)

    # --- inside ---

    def _alive(self, kind: str, record_id: str) -> Record:
        record = self.find(kind, record_id)
        if record is None or record.archived_at is not None:
            raise HubspotError(404, "OBJECT_NOT_FOUND", "Object not found.  objectId are usually numeric.")
        return record

    def _add(self, kind: str, record: Record) -> None:
        self._records[kind][record.id] = record
        insort(self._ids[kind], record.id)

    def _check(self, kind: str, values: Values, own_id: int | None) -> None:
        known = self.properties[kind]
        for name, value in values.items():
            definition = known.get(name)
            if definition is None:
                raise _invalid(f'Property \\"{name}\\" does not exist', "PROPERTY_DOESNT_EXIST", name)
            if value and definition.options and value not in {option for option, _ in definition.options}:
                raise _invalid(f"{value} was not one of the allowed options", "INVALID_OPTION", name)
            taken = self._unique.get((kind, name), {}).get(str(value).lower()) if value else None
            if taken is None or taken == own_id:
                continue
            if (kind, name) == ("contacts", "email"):
                raise HubspotError(409, "CONFLICT", f"Contact already exists. Existing ID: {taken}")
            raise _invalid(f"{taken} already has that value.", "CONFLICTING_UNIQUE_VALUE", name)

    def _set(
        self, kind: str, record: Record, values: Values, at: datetime, user_id: int | None, *, check: bool = True
    ) -> None:
        if record.indexed is None:
            record.indexed = dict(record.values)
        record.index_due = at + self.index_lag if self.index_lag else at
        self._unindexed[kind].add(record.id)
        for name, value in values.items():
            definition = self.properties[kind].get(name)
            if definition is not None and (definition.unique or (kind, name) == ("contacts", "email")):
                taken = self._unique.setdefault((kind, name), {})
                taken.pop(str(record.values.get(name) or "").lower(), None)
                if value:
                    taken[value.lower()] = record.id
            if name in WITH_HISTORY and record.values.get(name) != value and check:
                record.history.setdefault(name, []).insert(0, Version(value, at, "INTEGRATION", user_id))
        record.values |= values
        if kind == "tasks" and values.get("hs_task_status") == "COMPLETED":
            record.values["hs_task_completion_date"] = stamp(at)
        # Two changes within one millisecond carry one time: that is how HubSpot stamps them too.
        record.updated_at = max(record.updated_at, at)
        self._system_values(kind, record)

    def _system_values(self, kind: str, record: Record) -> None:
        _, modified, created = OBJECTS[kind]
        record.values["hs_object_id"] = str(record.id)
        record.values[modified] = stamp(record.updated_at)
        record.values[created] = stamp(record.created_at)

    def _swallow(self, kind: str, survivor: Record, other: Record) -> None:
        """A merge of the old manner: the survivor keeps its id."""
        self._aliases[kind][other.id] = survivor.id
        self._move_links(kind, other, survivor)
        survivor.values["hs_merged_object_ids"] = ";".join([*_merged_ids(survivor.values), str(other.id)])
        survivor.updated_at = max(survivor.updated_at, other.updated_at)
        self._system_values(kind, survivor)

    def _link(self, kind: str, number: int, to_kind: str, other: int, *, primary: bool) -> None:
        for (a, a_id), (b, b_id) in (((kind, number), (to_kind, other)), ((to_kind, other), (kind, number))):
            record = self._records[a].get(a_id)
            if record is None:
                continue
            unlabelled, first = ASSOCIATION_TYPES[a, b]
            types = record.links.setdefault(b, {}).setdefault(b_id, set())
            types.add(unlabelled)
            if primary and first is not None:
                types.add(first)
        if kind == "contacts" and to_kind == "companies" and primary:
            self._records[kind][number].values["associatedcompanyid"] = str(other)

    def _move_links(self, kind: str, old: Record, new: Record) -> None:
        old.archived_at = old.archived_at or new.updated_at
        for to_kind, others in old.links.items():
            for other, types in others.items():
                new.links.setdefault(to_kind, {}).setdefault(other, set()).update(types)
                back = self._records[to_kind].get(other)
                if back is not None and kind in back.links:
                    back_types = back.links[kind].pop(old.id, set())
                    back.links[kind].setdefault(new.id, set()).update(back_types)
                    if to_kind == "contacts" and back.values.get("associatedcompanyid") == str(old.id):
                        back.values["associatedcompanyid"] = str(new.id)
        old.links = {}

    def _write(self, do: str, kind: str, at: datetime, **rest: Any) -> None:
        if self._journal is not None:
            with self._journal.open("a", encoding="utf-8") as file:
                line = {"do": do, "kind": kind, "at": at.isoformat(), **rest}
                file.write(json.dumps(line, ensure_ascii=False) + "\n")


def stamp(moment: datetime) -> str:
    """`2026-11-22T19:05:04.123Z`"""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _text(value: Any) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _merged_ids(values: Values) -> list[str]:
    return [part for part in (values.get("hs_merged_object_ids") or "").split(";") if part]


def _invalid(message: str, code: str, name: str) -> HubspotError:
    detail = json.dumps([{"isValid": False, "message": message, "error": code, "name": name}])
    return HubspotError(400, "VALIDATION_ERROR", f"Property values were not valid: {detail}")
