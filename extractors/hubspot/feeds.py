"""The entities of an account as feeds: objects with their associations, stage history, and the short lists."""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import msgspec

from clients.errors import Fatal
from extractors.core.feed import Batch, page
from extractors.core.spec import EntityMapping
from extractors.hubspot.account import Account, Found, with_added
from extractors.hubspot.objects import DEALS, LEADS, LINE_ITEMS, STAGED, WITH_OWN_PROPERTIES, ObjectType

log = logging.getLogger(__name__)

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode
Rows = Iterator[dict[str, Any]]
Finished = tuple[datetime | None, Batch]  # the newest modification of a page, and the page ready to land


def newest_of(records: Sequence[Found]) -> datetime | None:
    """The newest modification among records."""
    return max((record.modified for record in records if record.modified is not None), default=None)


class _Position:
    """How far a feed has come: the newest modification, but never beyond HubSpot's clock when the read began.

    What is modified while the pages are read may be missed by them; it lies behind that moment and comes next time.
    """

    def __init__(self, account: Account) -> None:
        self._account = account
        self._newest: datetime | None = None

    def note(self, newest: datetime | None) -> None:
        if newest is not None and (self._newest is None or newest > self._newest):
            self._newest = newest

    def value(self) -> datetime | None:
        if self._newest is None or self._account.started_at is None:
            return self._newest
        return min(self._newest, self._account.started_at)


class ObjectFeed:
    """One landing entity of one or several kinds of object."""

    mode = "modified"

    def __init__(self, account: Account, kinds: Sequence[ObjectType], mapping: EntityMapping) -> None:
        self._account = account
        self._kinds = kinds
        self._mapping = mapping
        self._position = _Position(account)
        self._names: dict[str, list[str]] = {}
        self._line_items: list[str] | None = None
        self._lock = threading.Lock()

    def is_published(self) -> bool:
        found = False
        for kind in self._kinds:
            names = property_names(self._account, kind, self._mapping)
            if names is None:
                log.warning("the token may not read %s, or the account has none", kind.name)
                continue
            self._names[kind.name] = names
            found = True
        if not found and not self._mapping.optional:
            objects = ", ".join(kind.name for kind in self._kinds)
            raise Fatal(f"the private app may not read {objects}: tick their scopes in its settings")
        return found

    def batches(self, since: datetime | None, until: datetime | None) -> Iterator[Batch]:
        for kind in self._readable():
            names = self._names[kind.name]
            finish = partial(self._finished, kind)
            if since is None:
                batches = self._account.listed(kind, names, finish)
            else:
                batches = self._account.changed(kind, names, since, until, finish)
            for newest, batch in batches:
                self._position.note(newest)
                yield batch
            if until is None:
                for gone in self._account.archived(kind, since):
                    if gone:
                        yield Batch(deleted=tuple(kind.key(record.id) for record in gone), merged=_merges(kind, gone))

    def position(self) -> datetime | None:
        return self._position.value()

    def committed(self) -> None:
        """Nothing to confirm."""

    def ids(self) -> Iterator[Sequence[str]] | None:
        return (
            [kind.key(number) for number in numbers] for kind in self._readable() for numbers in self._account.ids(kind)
        )

    def records(self, ids: Sequence[str]) -> Iterator[Batch]:
        for kind in self._readable():
            own = [number.removeprefix(kind.prefix) for number in ids if number.startswith(kind.prefix)]
            if not own:
                continue
            found, gone, moved = self._account.read(kind, own, self._names[kind.name])
            batch = self._batch(kind, found)
            yield Batch(
                batch.body,
                deleted=tuple(kind.key(number) for number in gone),
                merged=tuple(dict.fromkeys((*batch.merged, *((kind.key(a), kind.key(b)) for a, b in moved)))),
            )

    # --- inside ---

    def _readable(self) -> Iterator[ObjectType]:
        """Kinds that the token may read; asks when nobody has yet."""
        if not self._names:
            self.is_published()
        return (kind for kind in self._kinds if kind.name in self._names)

    def _finished(self, kind: ObjectType, records: Sequence[Found]) -> Finished:
        """A page made whole; called by several threads."""
        return newest_of(records), self._batch(kind, records)

    def _batch(self, kind: ObjectType, records: Sequence[Found]) -> Batch:
        return Batch(page(self._complete(kind, records)) if records else None, merged=_merges(kind, records))

    def _complete(self, kind: ObjectType, records: Sequence[Found]) -> list[bytes]:
        """The records with their associations, and deals with their product rows."""
        added: dict[str, dict[str, Any]] = {record.id: {} for record in records}
        unknown = [record.id for record in records if not record.links_told]
        if unknown and kind.links:
            self._associate(kind, unknown, added)
        if kind is DEALS:
            self._add_line_items(records, added)
        return [with_added(record, added[record.id]) if added[record.id] else record.raw for record in records]

    def _associate(self, kind: ObjectType, ids: Sequence[str], added: dict[str, dict[str, Any]]) -> None:
        for number in ids:
            added[number]["associations"] = {}
        for to_kind in kind.links:
            for number, links in self._account.associations(kind, to_kind, ids).items():
                if number in added:
                    added[number]["associations"][to_kind] = links

    def _add_line_items(self, records: Sequence[Found], added: dict[str, dict[str, Any]]) -> None:
        wanted: dict[str, list[str]] = {}
        for record in records:
            told = added[record.id].get("associations")
            items = [number for number, _ in told.get("line_items", ())] if told is not None else record.line_items
            if items:
                wanted[record.id] = list(items)
        numbers = list(dict.fromkeys(number for items in wanted.values() for number in items))
        if not numbers:
            return
        names = self._line_item_names()
        if not names:
            return
        found, _, _ = self._account.read(LINE_ITEMS, numbers, names)
        rows = {record.id: msgspec.Raw(record.raw) for record in found}
        for deal, items in wanted.items():
            added[deal]["line_items"] = [rows[number] for number in items if number in rows]

    def _line_item_names(self) -> list[str]:
        with self._lock:
            if self._line_items is None:
                self._line_items = property_names(self._account, LINE_ITEMS, None) or []
                if not self._line_items:
                    log.warning("the private app may not read line_items: deals come without their products")
            return self._line_items


class StageHistoryFeed:
    """Every stage that a deal or lead has entered: one row per version of its stage property."""

    mode = "modified"

    def __init__(self, account: Account, mapping: EntityMapping) -> None:
        self._account = account
        self._mapping = mapping
        self._position = _Position(account)
        self._kinds: list[ObjectType] | None = None
        self._pipeline_of: dict[str, str] = {}
        self._owner_of_user: dict[int, str] = {}

    def is_published(self) -> bool:
        return bool(self._readable())

    def batches(self, since: datetime | None, until: datetime | None) -> Iterator[Batch]:
        for kind in self._readable():
            stage = STAGED[kind.name]
            if since is None:
                batches = self._account.listed(
                    kind, [stage], partial(self._finished, kind), history=[stage], links=False
                )
            else:
                finish = partial(self._finished_from_search, kind)
                batches = self._account.changed(kind, [stage], since, until, finish)
            for newest, batch in batches:
                self._position.note(newest)
                yield batch
            if until is None:
                for gone in self._account.archived(kind, since):
                    ids = [record.id for record in gone]
                    found, _, _ = self._account.read(kind, ids, [stage], history=[stage], archived=True)
                    keys = tuple(row["id"] for record in found for row in self._rows(kind, record))
                    if keys:
                        yield Batch(deleted=keys)

    def position(self) -> datetime | None:
        return self._position.value()

    def committed(self) -> None:
        """Nothing to confirm."""

    def ids(self) -> Iterator[Sequence[str]] | None:
        return (
            keys
            for kind in self._readable()
            for keys in self._account.listed(
                kind,
                [STAGED[kind.name]],
                lambda records, kind=kind: [row["id"] for record in records for row in self._rows(kind, record)],  # type: ignore[misc]
                history=[STAGED[kind.name]],
                links=False,
            )
        )

    def records(self, ids: Sequence[str]) -> Iterator[Batch]:
        left = set(ids)
        for kind in self._readable():
            owners = list(dict.fromkeys(key.split(":")[1] for key in ids if key.startswith(f"{kind.word}:")))
            stage = STAGED[kind.name]
            found, _, _ = self._account.read(kind, owners, [stage], history=[stage])
            batch = self._batch(kind, found)
            left -= {row["id"] for record in found for row in self._rows(kind, record)}
            if batch.body is not None:
                yield batch
        if left:
            yield Batch(deleted=tuple(sorted(left)))

    # --- inside ---

    def _readable(self) -> list[ObjectType]:
        if self._kinds is None:
            self._kinds = [kind for kind in (DEALS, LEADS) if self._account.properties(kind) is not None]
            for kind in self._kinds:
                for pipeline in pipelines(self._account, kind):
                    for stage in pipeline["stages"]:
                        self._pipeline_of[f"{kind.word}:{stage['id']}"] = f"{kind.word}:{pipeline['id']}"
            self._owner_of_user = {
                int(owner["userId"]): str(owner["id"]) for owner in owners(self._account) if owner.get("userId")
            }
        return self._kinds

    def _finished(self, kind: ObjectType, records: Sequence[Found]) -> Finished:
        """A page with its history; called by several threads."""
        return newest_of(records), self._batch(kind, records)

    def _finished_from_search(self, kind: ObjectType, records: Sequence[Found]) -> Finished:
        """Search tells no history: it is asked for."""
        stage = STAGED[kind.name]
        found, _, _ = self._account.read(kind, [record.id for record in records], [stage], history=[stage])
        return newest_of(records), self._batch(kind, found)

    def _batch(self, kind: ObjectType, records: Sequence[Found]) -> Batch:
        rows = [_encode(row) for record in records for row in self._rows(kind, record)]
        return Batch(page(rows) if rows else None)

    def _rows(self, kind: ObjectType, record: Found) -> list[dict[str, Any]]:
        told = _decode(record.raw)
        versions = (told.get("propertiesWithHistory") or {}).get(STAGED[kind.name]) or []
        rows: list[dict[str, Any]] = []
        before: str | None = None
        seen: set[str] = set()
        for version in reversed(versions):
            stage = f"{kind.word}:{version['value']}" if version.get("value") else None
            key = f"{kind.word}:{record.id}:{version['timestamp']}"
            while key in seen:  # two moves within a millisecond
                key += "+"
            seen.add(key)
            author = version.get("updatedByUserId")
            rows.append(
                {
                    "id": key,
                    "modified": version["timestamp"],
                    "entity_kind": kind.word,
                    "entity_id": record.id,
                    "pipeline_id": self._pipeline_of.get(stage or ""),
                    "from_stage_id": before,
                    "to_stage_id": stage,
                    "changed_at": version["timestamp"],
                    "author_id": self._owner_of_user.get(int(author)) if author else None,
                    "source_type": version.get("sourceType"),
                }
            )
            before = stage
        return rows


class ListFeed:
    """A short list that is read whole every time."""

    mode = "full"

    def __init__(self, account: Account, rows: Callable[[Account], Rows]) -> None:
        self._account = account
        self._rows = rows

    def is_published(self) -> bool:
        return True

    def batches(self, since: datetime | None, until: datetime | None) -> Iterator[Batch]:
        rows = [_encode(row) for row in self._rows(self._account)]
        if rows:
            yield Batch(page(rows))

    def position(self) -> datetime | None:
        return None

    def committed(self) -> None:
        """Nothing to confirm."""

    def ids(self) -> Iterator[Sequence[str]] | None:
        return iter([[str(row["id"]) for row in self._rows(self._account)]])

    def records(self, ids: Sequence[str]) -> Iterator[Batch]:
        wanted = set(ids)
        rows = {str(row["id"]): _encode(row) for row in self._rows(self._account) if str(row["id"]) in wanted}
        yield Batch(page(rows.values()) if rows else None, deleted=tuple(sorted(wanted - rows.keys())))


def _merges(kind: ObjectType, records: Sequence[Found]) -> tuple[tuple[str, str], ...]:
    """Who lives on as whom, as the survivors tell it."""
    return tuple((kind.key(old), kind.key(record.id)) for record in records for old in record.merged)


def property_names(account: Account, kind: ObjectType, mapping: EntityMapping | None) -> list[str] | None:
    """Properties worth asking for: the standard ones, the mapped ones, and all that the account made itself."""
    definitions = account.properties(kind)
    if definitions is None:
        return None
    wanted = {*kind.properties, kind.modified}
    if mapping is not None:
        wanted.update(name for field in mapping.fields.values() for name in field.names)
    return [d["name"] for d in definitions if d["name"] in wanted or not d.get("hubspotDefined", False)]


def owners(account: Account) -> Rows:
    """Users, those who left included, with flat fields."""
    for archived in ("false", "true"):
        after: str | None = None
        while True:
            params = {"limit": 100, "archived": archived} | ({"after": after} if after else {})
            answer = account.get("/crm/v3/owners", params)
            for owner in answer["results"]:
                name = " ".join(part for part in (owner.get("firstName"), owner.get("lastName")) if part)
                yield {**owner, "name": name or None, "isActive": archived == "false", "modified": None}
            after = ((answer.get("paging") or {}).get("next") or {}).get("after")
            if not after:
                break


def pipelines(account: Account, kind: ObjectType) -> list[dict[str, Any]]:
    """Pipelines of deals or leads as HubSpot tells them; none where the account has no such object."""
    try:
        found: list[dict[str, Any]] = account.get(f"/crm/v3/pipelines/{kind.name}")["results"]
    except Fatal as error:
        if error.status in {400, 403, 404} and kind is not DEALS:
            return []
        raise
    return found


def pipeline_rows(account: Account) -> Rows:
    for kind in (DEALS, LEADS):
        for order, pipeline in enumerate(sorted(pipelines(account, kind), key=lambda p: p.get("displayOrder", 0))):
            yield {
                "id": f"{kind.word}:{pipeline['id']}",
                "name": pipeline["label"],
                "entity_kind": kind.word,
                "sort": order,
                "is_default": pipeline["id"] == "default",
                "is_archived": pipeline.get("archived", False),
            }


def stage_rows(account: Account) -> Rows:
    for kind in (DEALS, LEADS):
        for pipeline in pipelines(account, kind):
            for stage in pipeline["stages"]:
                metadata = stage.get("metadata") or {}
                yield {
                    "id": f"{kind.word}:{stage['id']}",
                    "name": stage["label"],
                    "entity_kind": kind.word,
                    "pipeline_id": f"{kind.word}:{pipeline['id']}",
                    "sort": stage.get("displayOrder"),
                    "semantics": _semantics(metadata),
                    "probability": _percent(metadata.get("probability")),
                }


def custom_field_rows(account: Account) -> Rows:
    """Properties that the account made itself."""
    for kind in WITH_OWN_PROPERTIES:
        for definition in account.properties(kind) or []:
            if definition.get("hubspotDefined", False):
                continue
            yield {
                "id": f"{kind.word}.{definition['name']}",
                "entity_kind": kind.word,
                "code": definition["name"],
                "name": definition.get("label"),
                "field_type": definition.get("type"),
                "is_multiple": definition.get("fieldType") == "checkbox",
                "is_required": False,
                "options": [
                    {"option_id": option["value"], "value": option.get("label"), "sort": option.get("displayOrder")}
                    for option in definition.get("options") or []
                ],
            }


def _semantics(metadata: dict[str, Any]) -> str:
    state = metadata.get("leadState")
    if state:
        return {"QUALIFIED": "won", "UNQUALIFIED": "lost"}.get(state, "open")
    if str(metadata.get("isClosed", "false")).lower() != "true":
        return "open"
    return "won" if float(metadata.get("probability") or 0) > 0 else "lost"


def _percent(probability: Any) -> float | None:
    return round(float(probability) * 100, 2) if probability not in (None, "") else None
