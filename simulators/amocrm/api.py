"""API v4 without the web: method, path and parameters in, an envelope or a problem out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from simulators.amocrm.shapes import Shapes
from simulators.amocrm.store import Portal, Record

CARDS = ("leads", "contacts", "companies")
DEFAULT_LIMIT, MAX_LIMIT, MAX_EVENTS, MAX_FIELDS = 50, 250, 100, 50
# What each list can be ordered by; other wishes are ignored.
ORDERS = {
    "leads": {"id", "created_at", "updated_at"}, "contacts": {"id", "updated_at"}, "companies": {"id", "updated_at"},
    "tasks": {"id", "created_at", "complete_till"}, "notes": {"id", "updated_at"},
    "unsorted": {"created_at", "updated_at"},
}  # fmt: skip
_EQUAL = (
    "id", "uid", "pipeline_id", "responsible_user_id", "created_by", "updated_by", "entity_id", "entity_type",
    "task_type", "task_type_id", "note_type", "category", "name",
)  # fmt: skip
_WRITABLE = {
    "leads": {"name", "price", "status_id", "pipeline_id", "responsible_user_id", "loss_reason_id", "closed_at"},
    "contacts": {"name", "first_name", "last_name", "responsible_user_id"},
    "companies": {"name", "responsible_user_id"},
    "tasks": {
        "text", "complete_till", "responsible_user_id", "entity_id", "entity_type", "task_type_id", "duration",
        "is_completed",
    },
}  # fmt: skip


@dataclass
class Problem(Exception):
    """An answer of application/problem+json."""

    status: int
    title: str
    detail: str = ""
    errors: list[Record] = field(default_factory=list)


class Api:
    """One request's view of the portal; `base` begins the links."""

    def __init__(self, portal: Portal, base: str) -> None:
        self._portal = portal
        self._base = base
        self._shapes = Shapes(portal, base)

    def answer(self, method: str, path: str, params: Record, body: Any) -> Record | None:
        """The content of the answer; None is 204. Raises Problem."""
        parts = path.split("/")
        if method == "GET":
            return self._get(parts, path, params)
        if method == "POST":
            return self._post(parts, body)
        if method == "PATCH":
            return self._patch(parts, body)
        raise Problem(405, "Method Not Allowed")

    # --- reading ---

    def _get(self, parts: list[str], path: str, params: Record) -> Record | None:
        match parts:
            case ["account"]:
                portal = self._portal
                return {
                    "id": portal.account_id, "name": "Полка", "subdomain": "example",
                    "current_user_id": portal.integration_user, "country": "RU", "currency": "RUB",
                    "_links": {"self": {"href": f"{self._base}/api/v4/account"}},
                }  # fmt: skip
            case ["users"]:
                return self._page("users", path, params, self._portal.users)
            case ["users", number]:
                return self._one("users", next((u for u in self._portal.users if str(u["id"]) == number), None), params)
            case ["leads", "pipelines"]:
                pipelines = [self._shapes.pipeline(pipeline) for pipeline in self._portal.pipelines]
                return self._all("pipelines", path, pipelines)
            case ["leads", "pipelines", number]:
                return self._shapes.pipeline(self._pipeline(number))
            case ["leads", "pipelines", number, "statuses"]:
                return self._all("statuses", path, [self._shapes.status(s) for s in self._pipeline(number)["statuses"]])
            case ["leads", "loss_reasons"]:
                return self._page("loss_reasons", path, params, self._portal.loss_reasons)
            case ["leads", "unsorted"]:
                return self._list("unsorted", path, params)
            case ["leads", "unsorted", uid]:
                return self._one("unsorted", self._portal.records["unsorted"].get(uid), params)
            case [("leads" | "contacts" | "companies") as kind, "custom_fields"]:
                fields = self._portal.fields[kind]
                write = self._shapes.field
                return self._page("custom_fields", path, params, fields, lambda f: write(kind, f), most=MAX_FIELDS)
            case [("leads" | "contacts" | "companies") as kind, "notes"]:
                return self._list("notes", path, params, lambda note: bool(note["owner"] == kind))
            case [("leads" | "contacts" | "companies") as kind, number, "notes"]:
                wanted = (kind, _number(number))
                return self._list("notes", path, params, lambda note: (note["owner"], note["entity_id"]) == wanted)
            case [("leads" | "contacts" | "companies" | "tasks") as kind]:
                return self._list(kind, path, params)
            case [("leads" | "contacts" | "companies" | "tasks") as kind, number]:
                return self._one(kind, self._portal.records[kind].get(_number(number)), params)
            case ["events"]:
                return self._events(path, params)
            case ["events", number]:
                return self._one("events", next((e for e in self._portal.events if e["id"] == number), None), params)
            case ["catalogs"]:
                return self._page("catalogs", path, params, self._portal.catalogs)
            case ["catalogs", number, "elements"]:
                elements = [e for e in self._portal.elements if e["catalog_id"] == _number(number)]
                ids = _ids(params.get("filter", {}), "id")
                chosen = [e for e in elements if ids is None or e["id"] in ids]
                return self._page("elements", path, params, chosen)
        raise Problem(404, "Not Found")

    def _list(
        self, kind: str, path: str, params: Record, also: Callable[[Record], bool] | None = None
    ) -> Record | None:
        wanted = _words(params.get("with"))
        conditions = params.get("filter") or {}
        if not isinstance(conditions, dict):
            raise _invalid("filter", "InvalidType")
        if "only_deleted" in wanted:
            records: Iterable[Record] = sorted(self._portal.bin[kind].values(), key=lambda record: str(record["id"]))
        else:
            records = self._ordered(kind, params.get("order"), conditions)
            if _ordered_by_modification(kind, params.get("order")):
                conditions = {name: value for name, value in conditions.items() if name != "updated_at"}
        keep = _conditions(conditions, str(params.get("query") or ""))
        if also is not None:
            keep.append(also)
        chosen = [r for r in records if all(test(r) for test in keep)] if keep else list(records)
        return self._page(kind, path, params, chosen)

    def _ordered(self, kind: str, order: Any, conditions: Record) -> list[Record]:
        wish, direction = (
            next(iter(order.items()), ("id", "asc")) if isinstance(order, dict) and order else ("id", "asc")
        )
        if wish not in ORDERS.get(kind, {"id"}):
            wish = "id"
        index = self._portal.index[kind]
        if wish == "updated_at":
            records = index.changed_between(*_span(conditions.get("updated_at")))
        else:
            records = index.by(wish) if wish == "id" else index.by(wish, "id")
        return records[::-1] if direction == "desc" else records

    def _events(self, path: str, params: Record) -> Record | None:
        conditions = params.get("filter") or {}
        types, entities = _ids(conditions, "type"), _ids(conditions, "entity")
        numbers, keys = _ids(conditions, "entity_id"), _ids(conditions, "id")
        first, last = _span(conditions.get("created_at"))
        chosen = [
            event
            for event in reversed(self._portal.events)  # newest first
            if (types is None or event["type"] in types)
            and (keys is None or event["id"] in keys)
            and (entities is None or event["entity_type"] in entities)
            and (numbers is None or event["entity_id"] in numbers)
            and (first is None or event["created_at"] >= first)
            and (last is None or event["created_at"] <= last)
        ]
        return self._page("events", path, params, chosen, most=MAX_EVENTS)

    def _one(self, kind: str, record: Record | None, params: Record) -> Record:
        if record is None:
            raise Problem(404, "Not Found", "Сущность не найдена")
        return self._shapes.write(kind, record, _words(params.get("with")))

    def _pipeline(self, number: str) -> Record:
        found = next((p for p in self._portal.pipelines if str(p["id"]) == number), None)
        if found is None:
            raise Problem(404, "Not Found")
        return found

    def _all(self, name: str, path: str, items: list[Record]) -> Record:
        links = {"self": {"href": f"{self._base}/api/v4/{path}"}}
        return {"_total_items": len(items), "_links": links, "_embedded": {name: items}}

    def _page(
        self, kind: str, path: str, params: Record, records: list[Record],
        write: Callable[[Record], Record] | None = None, *, most: int = MAX_LIMIT,
    ) -> Record | None:  # fmt: skip
        page, limit = _positive(params, "page", 1, None), _positive(params, "limit", min(DEFAULT_LIMIT, most), most)
        shown = records[(page - 1) * limit : page * limit]
        if not shown:
            return None
        numbers = {"self": page}
        if len(records) > page * limit:
            numbers["next"] = page + 1
        if page > 1:
            numbers |= {"first": 1, "prev": page - 1}
        links = {name: {"href": self._address(path, params, limit, number)} for name, number in numbers.items()}
        wanted = _words(params.get("with"))
        items = [write(record) if write else self._shapes.write(kind, record, wanted) for record in shown]
        return self._shapes.listing(kind, path, items, page, links)

    def _address(self, path: str, params: Record, limit: int, page: int) -> str:
        others = {name: value for name, value in params.items() if name not in ("page", "limit")}
        query = "&".join(f"{name}={quote(str(value))}" for name, value in _flat(others, ""))
        return f"{self._base}/api/v4/{path}?{query + '&' if query else ''}limit={limit}&page={page}"

    # --- writing ---

    def _post(self, parts: list[str], body: Any) -> Record | None:
        match parts:
            case [("leads" | "contacts" | "companies" | "tasks") as kind]:
                items = _items(body)
                made = [self._make(kind, item, place) for place, item in enumerate(items)]
                return self._written(kind, [self._portal.add(kind, record) for record in made], items)
            case [("leads" | "contacts" | "companies") as kind, "notes"]:
                return self._add_notes(kind, _items(body))
            case [("leads" | "contacts" | "companies") as kind, number, "notes"]:
                return self._add_notes(kind, [{**item, "entity_id": _number(number)} for item in _items(body)])
        raise Problem(404, "Not Found")

    def _patch(self, parts: list[str], body: Any) -> Record | None:
        match parts:
            case [("leads" | "contacts" | "companies" | "tasks") as kind]:
                items = _items(body)
                for place, item in enumerate(items):
                    if _number(str(item.get("id"))) not in self._portal.records[kind]:
                        raise _invalid("id", "NotFound", place)
                return self._written(kind, [self._change(kind, item["id"], item) for item in items], items)
            case [("leads" | "contacts" | "companies" | "tasks") as kind, number]:
                if _number(number) not in self._portal.records[kind]:
                    raise Problem(404, "Not Found")
                changed = self._change(kind, _number(number), body if isinstance(body, dict) else {})
                link = self._shapes.self_link(f"{kind}/{changed['id']}")
                return {"id": changed["id"], "updated_at": changed["updated_at"], **link}
        raise Problem(404, "Not Found")

    def _make(self, kind: str, item: Record, place: int) -> Record:
        portal = self._portal
        now = portal.now()
        users = {user["id"] for user in portal.users}
        responsible = item.get("responsible_user_id", portal.integration_user)
        if responsible not in users:
            raise _invalid("responsible_user_id", "NotSupportedChoice", place)
        head = {
            "id": portal.new_id(), "created_by": portal.integration_user, "updated_by": portal.integration_user,
            "created_at": now, "updated_at": now, "responsible_user_id": responsible, "group_id": 0,
        }  # fmt: skip
        if kind == "tasks":
            for name in ("text", "complete_till"):
                if not item.get(name):
                    raise _invalid(name, "FieldMissing", place)
            result = item.get("result") or {}
            return {
                **head, "entity_id": item.get("entity_id"), "entity_type": item.get("entity_type"), "duration": 0,
                "is_completed": bool(item.get("is_completed")), "task_type_id": item.get("task_type_id", 1),
                "text": str(item["text"]), "result": str(result.get("text") or ""),
                "complete_till": int(item["complete_till"]),
            }  # fmt: skip
        card = {
            **head, "name": str(item.get("name") or ""), "closest_task_at": None, "is_deleted": False,
            "company_id": _linked(item, "companies"), "custom": self._custom(kind, item, place),
        }  # fmt: skip
        if kind == "contacts":
            return {**card, "first_name": item.get("first_name", ""), "last_name": item.get("last_name", "")}
        if kind == "companies":
            return card
        first = self._portal.pipelines[0] if self._portal.pipelines else {"id": 1, "statuses": [{"id": 1}, {"id": 2}]}
        contacts = [ref["id"] for ref in (item.get("_embedded") or {}).get("contacts", [])]
        return {
            **card, "price": int(item.get("price") or 0),
            "status_id": item.get("status_id", first["statuses"][1]["id"]),
            "pipeline_id": item.get("pipeline_id", first["id"]), "loss_reason_id": None, "source_id": None,
            "closed_at": None, "score": None, "contact_ids": contacts, "elements": [],
        }  # fmt: skip

    def _change(self, kind: str, key: int, item: Record) -> Record:
        changes = {name: value for name, value in item.items() if name in _WRITABLE[kind]}
        if kind == "tasks" and isinstance(item.get("result"), dict):
            changes["result"] = str(item["result"].get("text") or "")
        if kind != "tasks" and item.get("custom_fields_values"):
            changes["custom"] = {**self._portal.records[kind][key]["custom"], **self._custom(kind, item, 0)}
        return self._portal.change(kind, key, changes, by=self._portal.integration_user)

    def _custom(self, kind: str, item: Record, place: int) -> dict[int, list[Record]]:
        fields = {field["id"]: field for field in self._portal.fields[kind]}
        by_code = {field["code"]: field for field in self._portal.fields[kind] if field["code"]}
        custom: dict[int, list[Record]] = {}
        for number, value in enumerate(item.get("custom_fields_values") or []):
            found = fields.get(value.get("field_id", 0)) or by_code.get(value.get("field_code", ""))
            if found is None:
                raise _invalid(f"custom_fields_values.{number}.field_id", "NotSupportedChoice", place)
            custom[found["id"]] = [dict(one) for one in value.get("values") or []]
        return custom

    def _add_notes(self, kind: str, items: list[Record]) -> Record:
        portal, notes = self._portal, []
        for place, item in enumerate(items):
            if item.get("entity_id") not in portal.records[kind]:
                raise _invalid("entity_id", "NotFound", place)
            if not item.get("note_type"):
                raise _invalid("note_type", "FieldMissing", place)
            now = portal.now()
            note = {
                "id": portal.new_id(), "entity_id": item["entity_id"], "created_by": portal.integration_user,
                "updated_by": portal.integration_user, "created_at": now, "updated_at": now,
                "responsible_user_id": portal.integration_user, "group_id": 0, "note_type": item["note_type"],
                "params": item.get("params") or {}, "owner": kind,
            }  # fmt: skip
            notes.append(portal.add("notes", note))
        return self._written("notes", notes, items, path=f"{kind}/notes")

    def _written(self, kind: str, records: list[Record], items: list[Record], path: str | None = None) -> Record:
        shown = []
        for place, (record, item) in enumerate(zip(records, items, strict=True)):
            one: Record = {"id": record["id"]}
            if "id" in item:
                one |= {"updated_at": record["updated_at"]}
            one["request_id"] = str(item.get("request_id", place))
            shown.append({**one, **self._shapes.self_link(f"{path or kind}/{record['id']}")})
        return {"_links": {"self": {"href": f"{self._base}/api/v4/{path or kind}"}}, "_embedded": {kind: shown}}


def _order(kind: str, order: Any) -> tuple[str, str]:
    """Field and direction; what the list cannot be ordered by is ignored."""
    if not isinstance(order, dict) or not order:
        return "id", "asc"
    wish, direction = next(iter(order.items()))
    return (wish if wish in ORDERS.get(kind, {"id"}) else "id"), str(direction).lower()


def _ordered_by_modification(kind: str, order: Any) -> bool:
    return _order(kind, order)[0] == "updated_at"


def _items(body: Any) -> list[Record]:
    if not isinstance(body, list) or not body or not all(isinstance(item, dict) for item in body):
        raise Problem(400, "Bad Request", "Ожидается непустой массив")
    return body


def _invalid(path: str, code: str, place: int = 0) -> Problem:
    error = {"code": code, "path": path, "detail": "The value you selected is not a valid choice."}
    return Problem(400, "Bad Request", "Request validation failed", [{"request_id": str(place), "errors": [error]}])


def _words(value: Any) -> set[str]:
    return {word.strip() for word in str(value or "").split(",") if word.strip()}


def _number(text: str) -> int:
    return int(text) if text.isdigit() else -1


def _positive(params: Record, name: str, default: int, most: int | None) -> int:
    value = str(params.get(name, default))
    if not value.isdigit() or int(value) < 1 or (most is not None and int(value) > most):
        raise _invalid(name, "InvalidRange")
    return int(value)


def _ids(conditions: Record, name: str) -> set[Any] | None:
    """Values of a condition: a list, one value, or several behind commas; None when there is no condition."""
    value = conditions.get(name)
    if value is None:
        return None
    parts = value if isinstance(value, list) else str(value).split(",")
    return {int(part) if str(part).lstrip("-").isdigit() else str(part) for part in parts}


def _span(value: Any) -> tuple[int | None, int | None]:
    """Both ends of a span belong to it."""
    if isinstance(value, dict):
        first, last = value.get("from"), value.get("to")
        return (int(first) if first else None), (int(last) if last else None)
    if isinstance(value, list):
        raise _invalid("filter", "InvalidType")
    return (int(value), None) if value else (None, None)


def _conditions(conditions: Record, query: str) -> list[Callable[[Record], bool]]:
    tests: list[Callable[[Record], bool]] = []
    for name in _EQUAL:
        values = _ids(conditions, name)
        if values is not None:
            tests.append(_one_of("task_type_id" if name == "task_type" else name, values))
    done = _ids(conditions, "is_completed")
    if done is not None:
        tests.append(lambda record: int(record["is_completed"]) in done)
    for name in ("updated_at", "created_at", "closed_at"):
        tests += _within(name, *_span(conditions.get(name)))
    statuses = conditions.get("statuses")
    if isinstance(statuses, list):
        pairs = {(_number(str(s.get("pipeline_id"))), _number(str(s.get("status_id")))) for s in statuses}
        tests.append(lambda record: (record["pipeline_id"], record["status_id"]) in pairs)
    if query:
        tests.append(lambda record: query.lower() in f"{record.get('name')} {record.get('custom')}".lower())
    return tests


def _one_of(column: str, values: set[Any]) -> Callable[[Record], bool]:
    return lambda record: record.get(column) in values


def _within(column: str, first: int | None, last: int | None) -> list[Callable[[Record], bool]]:
    tests: list[Callable[[Record], bool]] = []
    if first is not None:
        tests.append(lambda record: (record.get(column) or 0) >= first)
    if last is not None:
        tests.append(lambda record: (record.get(column) or 0) <= last)
    return tests


def _linked(item: Record, kind: str) -> int | None:
    references = (item.get("_embedded") or {}).get(kind) or []
    return references[0]["id"] if references else None


def _flat(value: Any, name: str) -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return [pair for key, item in value.items() for pair in _flat(item, f"{name}[{key}]" if name else key)]
    if isinstance(value, list):
        return [pair for item in value for pair in _flat(item, f"{name}[]")]
    return [(name, value)]
