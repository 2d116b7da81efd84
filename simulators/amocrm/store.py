"""What a portal holds: records of each kind, their bin, events, and a search index that may lag behind.

Records are plain maps of amoCRM's own scalar fields plus the links that `shapes` turns into `_embedded`; a change
always makes a new map, so that the index can go on showing an old one.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Record = dict[str, Any]
KINDS = ("leads", "contacts", "companies", "tasks", "notes", "unsorted")
EVENT_PREFIX = {"leads": "lead", "contacts": "contact", "companies": "company", "tasks": "task", "notes": "note"}
FIRST_OWN_ID = 9_000_001


class Index:
    """The records of one kind as lists and filters see them, `lag` seconds late."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.lag = 0.0
        self._clock = clock
        self._shown: dict[Any, Record] = {}
        self._coming: deque[tuple[float, Any, Record | None]] = deque()
        self._sorted: dict[tuple[str, ...], list[Record]] = {}

    def put(self, key: Any, record: Record | None) -> None:
        """A record as it is now; None: it is gone."""
        self._coming.append((self._clock() + self.lag, key, record))

    def shown(self) -> dict[Any, Record]:
        now = self._clock()
        while self._coming and self._coming[0][0] <= now:
            _, key, record = self._coming.popleft()
            if record is None:
                self._shown.pop(key, None)
            else:
                self._shown[key] = record
            self._sorted.clear()
        return self._shown

    def by(self, *fields: str) -> list[Record]:
        """All shown records in the order of the fields."""
        records = self.shown().values()
        if fields not in self._sorted:
            self._sorted[fields] = sorted(records, key=lambda record: tuple(record[name] or 0 for name in fields))
        return self._sorted[fields]

    def changed_between(self, first: int | None, last: int | None) -> list[Record]:
        """Records by their modification time (both ends belong to it), oldest first."""
        ordered = self.by("updated_at", "id")
        start = 0 if first is None else bisect_left(ordered, first, key=lambda record: record["updated_at"])
        end = len(ordered) if last is None else bisect_right(ordered, last, key=lambda record: record["updated_at"])
        return ordered[start:end]


class Portal:
    """One account. Moments are epoch seconds, as amoCRM writes them."""

    def __init__(self, now: Callable[[], float], clock: Callable[[], float]) -> None:
        self._now = now
        self.account_id = 31337007
        self.integration_user = 504141
        self.records: dict[str, dict[Any, Record]] = {kind: {} for kind in KINDS}
        self.bin: dict[str, dict[Any, Record]] = {kind: {} for kind in KINDS}
        self.index = {kind: Index(clock) for kind in KINDS}
        self.events: list[Record] = []
        rights = {"is_admin": True, "is_free": False, "is_active": True, "group_id": None, "role_id": None}
        me = {"id": self.integration_user, "name": "Интеграция", "email": "integration@portal.example", "lang": "ru"}
        self.users: list[Record] = [{**me, "phone_number": None, "rights": rights}]
        self.pipelines: list[Record] = []
        self.loss_reasons: list[Record] = []
        self.fields: dict[str, list[Record]] = {"leads": [], "contacts": [], "companies": []}
        self.catalogs: list[Record] = []
        self.elements: list[Record] = []
        self._ids = itertools.count(FIRST_OWN_ID)
        self._event_ids = itertools.count(1)

    def now(self) -> int:
        return int(self._now())

    def set_lag(self, seconds: float) -> None:
        """How late lists and filters show what has changed; a record asked for by its id is always as it is."""
        for index in self.index.values():
            index.lag = seconds

    def new_id(self) -> int:
        return next(self._ids)

    def is_own(self, key: Any) -> bool:
        """Whether the id was given here, to something that was written through the API."""
        return isinstance(key, int) and key >= FIRST_OWN_ID

    def skip_ids(self, used: Iterable[int]) -> None:
        self._ids = itertools.count(max([FIRST_OWN_ID - 1, *used]) + 1)

    # --- changes, as people and integrations make them ---

    def add(self, kind: str, record: Record, *, quietly: bool = False) -> Record:
        """Put a new record; `quietly` leaves no event, for what was there before."""
        key = record["uid"] if kind == "unsorted" else record["id"]
        self.records[kind][key] = record
        self.index[kind].put(key, record)
        if not quietly and kind in ("leads", "contacts", "companies", "tasks"):
            self.note_event(f"{EVENT_PREFIX[kind]}_added", kind, key, at=record["created_at"])
        return record

    def change(self, kind: str, key: Any, changes: Mapping[str, Any], *, by: int | None = None) -> Record:
        """Change fields; the modification time follows. A move between stages leaves its event."""
        old = self.records[kind][key]
        at = changes.get("updated_at") or max(self.now(), old.get("updated_at") or 0)
        new = {**old, **changes, "updated_at": at}
        if by is not None:
            new["updated_by"] = by
        self.records[kind][key] = new
        self.index[kind].put(key, new)
        if kind == "leads" and (old["status_id"], old["pipeline_id"]) != (new["status_id"], new["pipeline_id"]):
            self.note_event(
                "lead_status_changed", kind, key,
                before=[{"lead_status": {"id": old["status_id"], "pipeline_id": old["pipeline_id"]}}],
                after=[{"lead_status": {"id": new["status_id"], "pipeline_id": new["pipeline_id"]}}],
                at=at, by=by or 0,
            )  # fmt: skip
        if kind == "tasks" and new["is_completed"] and not old["is_completed"]:
            self.note_event("task_completed", kind, key, at=at, by=by or 0)
        return new

    def delete(self, kind: str, key: Any, *, at: int | None = None, quietly: bool = False) -> None:
        """Into the bin. What the bin holds is shown only to those who ask for deleted records."""
        record = self.records[kind].pop(key)
        at = at or self.now()
        self.bin[kind][key] = {**record, "is_deleted": True, "updated_at": max(at, record.get("updated_at") or 0)}
        self.index[kind].put(key, None)
        if not quietly and kind in EVENT_PREFIX and kind != "notes":
            self.note_event(f"{EVENT_PREFIX[kind]}_deleted", kind, key, at=at)
        if kind in ("leads", "contacts", "companies"):
            for note in [n for n in self.records["notes"].values() if (n["owner"], n["entity_id"]) == (kind, key)]:
                self.delete("notes", note["id"], at=at)

    def restore(self, kind: str, key: Any) -> None:
        """Out of the bin again."""
        record = self.bin[kind].pop(key)
        back = {**record, "is_deleted": False, "updated_at": self.now()}
        self.records[kind][key] = back
        self.index[kind].put(key, back)
        self.note_event(f"{EVENT_PREFIX[kind]}_restored", kind, key, at=back["updated_at"])

    def merge(self, kind: str, survivor: int, swallowed: int) -> None:
        """Two cards become one: links go over, the swallowed card is gone, one event tells of it."""
        at = self.now()
        other = "companies" if kind == "contacts" else "contacts"
        column = {"companies": "company_id", "contacts": "contact_ids"}.get(kind)
        for where in ("leads", other) if column else ():
            for record in list(self.records[where].values()):
                value = record.get(column or "")
                if value == swallowed:
                    self.change(where, record["id"], {column or "": survivor})
                elif isinstance(value, list) and swallowed in value:
                    kept = list(dict.fromkeys(survivor if one == swallowed else one for one in value))
                    self.change(where, record["id"], {column or "": kept})
        for task in list(self.records["tasks"].values()):
            if (task["entity_type"], task["entity_id"]) == (kind, swallowed):
                self.change("tasks", task["id"], {"entity_id": survivor})
        for note in list(self.records["notes"].values()):
            if (note["owner"], note["entity_id"]) == (kind, swallowed):
                self.change("notes", note["id"], {"entity_id": survivor})
        self.change(kind, survivor, {})
        self.delete(kind, swallowed, at=at, quietly=True)
        self.note_merge(kind, survivor, swallowed, at)

    def note_merge(self, kind: str, survivor: int, swallowed: int, at: int) -> None:
        told = [{"entity": {"id": swallowed, "type": EVENT_PREFIX[kind]}}]
        self.note_event("entity_merged", kind, survivor, before=told, at=at)

    def note_event(
        self, type_: str, kind: str, key: Any, *, at: int,
        before: list[Any] | None = None, after: list[Any] | None = None, by: int = 0,
    ) -> None:  # fmt: skip
        number = next(self._event_ids)
        self.events.append(
            {
                "id": f"01e{at:011x}{number:012x}",
                "type": type_,
                "entity_id": key,
                "entity_type": EVENT_PREFIX.get(kind, kind),
                "created_by": by,
                "created_at": at,
                "value_after": after or [],
                "value_before": before or [],
                "account_id": self.account_id,
            }
        )
