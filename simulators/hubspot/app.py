"""The web side of the account: addresses, token, limits, bodies and a control door for tests.

Control door (no such thing on a real account): GET /_control/tasks, GET /_control/requests, POST /_control/faults.
"""

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulators.cut import CutConnection, CuttingApp
from simulators.faults import FaultPlan
from simulators.hubspot.faults import Fault
from simulators.hubspot.limits import Limits, RollingWindow
from simulators.hubspot.portal import HubspotError, Portal, Record, stamp
from simulators.hubspot.search import search
from simulators.hubspot.standard import ASSOCIATION_TYPES, OBJECTS, association_name
from simulators.hubspot.world import fill
from simulators.world.crm import CrmPicture

TOKEN = "pat-na1-00000000-0000-4000-8000-00000000demo"  # noqa: S105 (of a simulator)
_LIST_PAGE, _HISTORY_PAGE, _BATCH, _ASSOCIATION_BATCH, _ASSOCIATIONS = 100, 50, 100, 1000, 500
_DEFAULT = {
    "contacts": "createdate email firstname hs_object_id lastmodifieddate lastname",
    "companies": "createdate domain hs_lastmodifieddate hs_object_id name",
    "deals": "amount closedate createdate dealname dealstage hs_lastmodifieddate hs_object_id pipeline",
    "products": "createdate description hs_lastmodifieddate hs_object_id name price",
    "line_items": "amount createdate hs_lastmodifieddate hs_object_id hs_product_id price quantity",
}


def build_app(
    state: Path | None,
    picture: CrmPicture | None = None,
    *,
    token: str = TOKEN,
    limits: Limits | None = None,
    faults: list[Fault] | None = None,
    index_lag: float = 2.0,
    clock: Callable[[], float] = time.monotonic,
    now: Callable[[], datetime] | None = None,
    scopes_missing: Sequence[str] = (),
    latency: float = 0.0,
) -> Starlette:
    """An account that shows `picture` and keeps what is written to it in the file `state`.

    `app.state.portal` is the account itself (`fill(portal, picture)` moves it to another morning). `index_lag`:
    seconds by which search is late. `scopes_missing`: object types that the token may not touch. `latency`: seconds
    that every answer takes.
    """
    portal = Portal(state, now=now, index_lag=index_lag)
    if picture is not None:
        fill(portal, picture)
    portal.replay_journal()
    desk = _Desk(portal, token, limits or Limits(), faults or [], clock, frozenset(scopes_missing), latency)
    every = ["GET", "POST", "PATCH", "PUT", "DELETE"]
    app = CuttingApp(
        routes=[
            Route("/_control/tasks", desk.show_tasks, methods=["GET"]),
            Route("/_control/requests", desk.show_requests, methods=["GET"]),
            Route("/_control/faults", desk.set_faults, methods=["GET", "POST"]),
            Route("/{path:path}", desk.call, methods=every),
        ]
    )
    app.state.portal = portal
    app.state.requests = desk.requests
    return app


class _Desk:
    """Takes requests: token, limits, faults, then the work itself."""

    def __init__(
        self,
        portal: Portal,
        token: str,
        limits: Limits,
        faults: list[Fault],
        clock: Callable[[], float],
        missing: frozenset[str],
        latency: float,
    ) -> None:
        self.requests: Counter[str] = Counter()
        self._portal = portal
        self._token = token
        self._limits = limits
        self._burst = RollingWindow(limits.requests, limits.seconds, clock)
        self._searches = RollingWindow(limits.searches_per_second, 1.0, clock)
        self._day = RollingWindow(limits.per_day, 86_400.0, clock)
        self._faults = FaultPlan(faults, Fault)
        self._missing = missing
        self._latency = latency

    async def call(self, request: Request) -> Response:
        path = "/" + request.path_params["path"].strip("/")
        name = f"{request.method} {path}"
        self.requests[name if not path.rsplit("/", 1)[-1].isdigit() else name.rsplit("/", 1)[0] + "/{id}"] += 1
        if request.headers.get("authorization") != f"Bearer {self._token}":
            return _error(HubspotError(401, "INVALID_AUTHENTICATION", "Authentication credentials not found."))
        is_search = path.endswith("/search")
        refused = self._refusal(is_search)
        if refused is not None:
            self.requests["refused"] += 1
            return refused
        if self._latency:
            await asyncio.sleep(self._latency)
        body = await request.body()
        fault = self._faults.next_for(name)
        if fault is not None and not fault.kind.endswith("after_acting"):
            return await _failing(fault)
        try:
            answer = self._answer(request.method, path.split("/")[1:], request.query_params, body)
        except HubspotError as error:
            answer = _error(error)
        except (KeyError, TypeError, ValueError, IndexError):
            answer = _error(HubspotError(400, "VALIDATION_ERROR", "Invalid input JSON"))
        if fault is not None:
            return await _failing(fault)
        if not is_search:
            answer.headers.update(self._limit_headers())
        return answer

    def _refusal(self, is_search: bool) -> Response | None:
        if not self._day.admit():
            return _limited("DAILY", "You have reached your daily limit.")
        if is_search:
            return None if self._searches.admit() else _limited("SECONDLY", "You have reached your secondly limit.")
        if not self._burst.admit():
            return _limited("TEN_SECONDLY_ROLLING", "You have reached your ten_secondly_rolling limit.")
        return None

    def _limit_headers(self) -> dict[str, str]:
        return {
            "X-HubSpot-RateLimit-Daily": str(self._limits.per_day),
            "X-HubSpot-RateLimit-Daily-Remaining": str(self._day.left),
            "X-HubSpot-RateLimit-Interval-Milliseconds": str(int(self._limits.seconds * 1000)),
            "X-HubSpot-RateLimit-Max": str(self._limits.requests),
            "X-HubSpot-RateLimit-Remaining": str(self._burst.left),
        }

    # --- addresses ---

    def _answer(self, method: str, parts: list[str], query: Mapping[str, str], raw: bytes) -> Response:
        body: dict[str, Any] = orjson.loads(raw) if raw else {}
        match [method, *parts]:
            case ["GET", "crm", "v3", "owners"]:
                return self._owners(query)
            case ["GET", "crm", "v3", "owners", number]:
                owner = next((o for o in self._portal.owners if str(o.id) == number), None)
                if owner is None:
                    raise HubspotError(404, "OBJECT_NOT_FOUND", "Owner not found")
                return _json(owner.as_json())
            case ["GET", "crm", "v3", "pipelines", kind]:
                return _json({"results": self._portal.pipelines.get(self._kind(kind), [])})
            case ["GET", "crm", "v3", "properties", kind]:
                known = self._portal.properties[self._kind(kind)].values()
                return _json({"results": [definition.as_json() for definition in known]})
            case ["GET", "crm", "v3", "properties", kind, name]:
                definition = self._portal.properties[self._kind(kind)].get(name)
                if definition is None:
                    raise HubspotError(404, "OBJECT_NOT_FOUND", f"Property with name {name} does not exist")
                return _json(definition.as_json())
            case ["POST", "crm", "v3", "properties", kind]:
                return _json(self._portal.define(self._kind(kind), body).as_json(), 201)
            case ["POST", "crm", "v4", "associations", kind, to_kind, "batch", "read"]:
                return self._associations(self._kind(kind), self._kind(to_kind), body)
            case ["PUT", "crm", "v4", "objects", kind, number, "associations", "default", to_kind, other]:
                self._portal.link(self._kind(kind), int(number), self._kind(to_kind), int(other))
                return _json({"status": "COMPLETE", "results": []})
            case [_, "crm", "v3", "objects", kind, *rest]:
                return self._objects(method, self._kind(kind), rest, query, body)
        raise HubspotError(404, "OBJECT_NOT_FOUND", "resource not found")

    def _kind(self, name: str) -> str:
        kind = self._portal.kind(name)
        if kind in self._missing:
            raise HubspotError(
                403,
                "MISSING_SCOPES",
                "This app hasn't been granted all required scopes to make this call.",
                context={"requiredGranularScopes": [f"crm.objects.{kind}.read"]},
            )
        return kind

    def _objects(
        self, method: str, kind: str, rest: list[str], query: Mapping[str, str], body: dict[str, Any]
    ) -> Response:
        portal = self._portal
        match [method, *rest]:
            case ["GET"]:
                return self._list(kind, query)
            case ["POST"]:
                return _json(self._shown(kind, self._create(kind, body), list(body["properties"])), 201)
            case ["POST", "search"]:
                total, page, following = search(portal, kind, body)
                # Results show what the index knows, not what the records have become since.
                results = [
                    self._shown(kind, record, body.get("properties"), values=record.indexed or record.values)
                    for record in page
                ]
                return _json({"total": total, "results": results} | _paging(following))
            case ["POST", "merge"]:
                primary, other = int(body["primaryObjectId"]), int(body["objectIdToMerge"])
                return _json(self._shown(kind, portal.merge(kind, primary, other), None))
            case ["POST", "batch", "read"]:
                return self._batch_read(kind, query, body)
            case ["POST", "batch", "create"]:
                made = [self._create(kind, item) for item in self._inputs(body, _BATCH)]
                return _batch([self._shown(kind, record, list(record.values)) for record in made], status=201)
            case ["POST", "batch", "update"]:
                changed = [
                    self._update(kind, item["id"], item["properties"], item.get("idProperty"))
                    for item in self._inputs(body, _BATCH)
                ]
                return _batch([self._shown(kind, record, None) for record in changed])
            case ["POST", "batch", "archive"]:
                for item in self._inputs(body, _BATCH):
                    portal.archive(kind, int(item["id"]))
                return Response(status_code=204)
            case ["GET", number]:
                archived = _archived(query)
                record = portal.find(kind, number, query.get("idProperty"))
                if record is None or (record.archived_at is not None) is not archived:
                    raise HubspotError(404, "OBJECT_NOT_FOUND", "Object not found.  objectId are usually numeric.")
                return _json(self._shown(kind, record, _names(query, "properties"), **_wanted(query)))
            case ["PATCH", number]:
                record = self._update(kind, number, body["properties"], query.get("idProperty"))
                return _json(self._shown(kind, record, list(body["properties"])))
            case ["DELETE", number]:
                portal.archive(kind, int(number))
                return Response(status_code=204)
        raise HubspotError(405, "METHOD_NOT_ALLOWED", "HTTP method not allowed")

    # --- reading ---

    def _list(self, kind: str, query: Mapping[str, str]) -> Response:
        most = _HISTORY_PAGE if query.get("propertiesWithHistory") else _LIST_PAGE
        limit = int(query.get("limit", "10"))
        if limit > most:
            raise HubspotError(400, "VALIDATION_ERROR", f"limit must be at most {most}")
        after = int(query.get("after") or 0)
        page, following = self._portal.page(kind, after, limit, archived=_archived(query))
        names = _names(query, "properties")
        shown = [self._shown(kind, record, names, **_wanted(query)) for record in page]
        return _json({"results": shown} | _paging(following))

    def _batch_read(self, kind: str, query: Mapping[str, str], body: dict[str, Any]) -> Response:
        history = body.get("propertiesWithHistory") or []
        archived = _archived(query)
        shown: list[dict[str, Any]] = []
        missing: list[str] = []
        seen: set[int] = set()
        for item in self._inputs(body, _HISTORY_PAGE if history else _BATCH):
            record = self._portal.find(kind, str(item["id"]), body.get("idProperty"))
            if record is None or (record.archived_at is not None) is not archived:
                missing.append(str(item["id"]))
            elif record.id not in seen:
                seen.add(record.id)
                shown.append(self._shown(kind, record, body.get("properties"), history=history))
        if not missing:
            return _batch(shown)
        name = OBJECTS[kind][0]
        message = f"Could not get some {name} objects, they may be deleted or not exist. Check that ids are valid."
        problem = {
            "status": "error",
            "category": "OBJECT_NOT_FOUND",
            "message": message,
            "context": {"ids": missing},
        }
        return _batch(shown, errors=[problem])

    def _associations(self, kind: str, to_kind: str, body: dict[str, Any]) -> Response:
        results: list[dict[str, Any]] = []
        errors: list[dict[str, Any]] = []
        for item in self._inputs(body, _ASSOCIATION_BATCH):
            record = self._portal.find(kind, str(item["id"]))
            links = sorted((record.links.get(to_kind) or {}).items()) if record and not record.archived_at else []
            start = int(item.get("after") or 0)
            page = [(other, types) for other, types in links if other > start][: _ASSOCIATIONS + 1]
            if not page:
                errors.append(
                    {
                        "status": "error",
                        "category": "OBJECT_NOT_FOUND",
                        "subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND",
                        "message": f"No {to_kind} is associated with {kind} {item['id']}.",
                        "context": {"fromObjectId": [str(item["id"])]},
                    }
                )
                continue
            more = len(page) > _ASSOCIATIONS
            page = page[:_ASSOCIATIONS]
            result: dict[str, Any] = {
                "from": {"id": str(item["id"])},
                "to": [
                    {
                        "toObjectId": other,
                        "associationTypes": [
                            {
                                "category": "HUBSPOT_DEFINED",
                                "typeId": number,
                                "label": None if number == ASSOCIATION_TYPES[kind, to_kind][0] else "Primary",
                            }
                            for number in sorted(types)
                        ],
                    }
                    for other, types in page
                ],
            }
            results.append(result | (_paging(page[-1][0]) if more else {}))
        return _batch(results, errors=errors)

    def _owners(self, query: Mapping[str, str]) -> Response:
        active = not _archived(query)
        after, limit = int(query.get("after") or 0), int(query.get("limit") or 100)
        owners = sorted((o for o in self._portal.owners if o.is_active is active and o.id > after), key=lambda o: o.id)
        if query.get("email"):
            owners = [owner for owner in owners if owner.email == query["email"]]
        page = owners[:limit]
        return _json(
            {"results": [owner.as_json() for owner in page]} | _paging(page[-1].id if len(owners) > limit else None)
        )

    def _shown(
        self,
        kind: str,
        record: Record,
        names: Sequence[str] | None,
        *,
        history: Sequence[str] = (),
        links: Sequence[str] = (),
        values: Mapping[str, str | None] | None = None,
    ) -> dict[str, Any]:
        values = record.values if values is None else values
        _, modified, created = OBJECTS[kind]
        wanted = names or _DEFAULT.get(kind, f"{created} {modified} hs_object_id").split()
        known = self._portal.properties[kind]
        shown = {name: values.get(name) for name in (*wanted, created, modified, "hs_object_id") if name in known}
        told: dict[str, Any] = {
            "id": str(record.id),
            "properties": shown,
            "createdAt": values.get(created),
            "updatedAt": values.get(modified),
            "archived": record.archived_at is not None,
        }
        if record.archived_at is not None:
            told["archivedAt"] = stamp(record.archived_at)
        if history:
            told["propertiesWithHistory"] = {
                name: [version.as_json() for version in record.history.get(name, [])] for name in history
            }
        found = {to_kind: record.links.get(to_kind) for to_kind in links if record.links.get(to_kind)}
        if found:
            told["associations"] = {
                to_kind: {
                    "results": [
                        {"id": str(other), "type": association_name(kind, to_kind, number)}
                        for other, types in sorted((others or {}).items())
                        for number in sorted(types)
                    ]
                }
                for to_kind, others in found.items()
            }
        return told

    # --- writing ---

    def _create(self, kind: str, body: dict[str, Any]) -> Record:
        links: list[tuple[str, int, bool]] = []
        for association in body.get("associations") or []:
            for given in association["types"]:
                number = int(given["associationTypeId"])
                to_kind, primary = self._meant(kind, number)
                links.append((to_kind, int(association["to"]["id"]), primary))
        return self._portal.create(kind, body["properties"], links)

    def _meant(self, kind: str, number: int) -> tuple[str, bool]:
        for (from_kind, to_kind), (unlabelled, primary) in ASSOCIATION_TYPES.items():
            if from_kind == kind and number in {unlabelled, primary}:
                return to_kind, number == primary
        raise HubspotError(400, "VALIDATION_ERROR", f"{number} is no association type of {kind}")

    def _update(self, kind: str, number: str, values: Mapping[str, Any], id_property: str | None) -> Record:
        record = self._portal.find(kind, str(number), id_property)
        if record is None:
            raise HubspotError(404, "OBJECT_NOT_FOUND", "Object not found.  objectId are usually numeric.")
        return self._portal.update(kind, record.id, values)

    @staticmethod
    def _inputs(body: dict[str, Any], most: int) -> list[dict[str, Any]]:
        inputs: list[dict[str, Any]] = body["inputs"]
        if len(inputs) > most:
            raise HubspotError(400, "VALIDATION_ERROR", f"inputs may hold at most {most} entries")
        return inputs

    # --- control door ---

    async def show_tasks(self, request: Request) -> Response:
        tasks = self._portal.records("tasks")
        return JSONResponse([{"id": str(task.id), **task.values} for task in tasks])

    async def show_requests(self, request: Request) -> Response:
        return JSONResponse(dict(self.requests))

    async def set_faults(self, request: Request) -> Response:
        if request.method == "POST":
            try:
                self._faults.replace_with(await request.json())
            except (TypeError, ValueError) as error:
                return JSONResponse({"error": str(error)}, 400)
        return JSONResponse(self._faults.left())


async def _failing(fault: Fault) -> Response:
    if fault.kind == "ten_secondly":
        return _limited("TEN_SECONDLY_ROLLING", "You have reached your ten_secondly_rolling limit.")
    if fault.kind == "daily":
        return _limited("DAILY", "You have reached your daily limit.")
    if fault.kind in {"internal_error", "error_after_acting"}:
        return _error(HubspotError(500, "INTERNAL_ERROR", "internal error"))
    if fault.kind == "bad_gateway":
        return Response("<html><body>502 Bad Gateway</body></html>", 502, media_type="text/html")
    if fault.kind == "locked":
        return _error(HubspotError(423, "LOCKED", "The resource is locked"))
    if fault.kind.startswith("timeout"):
        await asyncio.sleep(fault.seconds)
    return CutConnection()


def _archived(query: Mapping[str, str]) -> bool:
    return query.get("archived", "").lower() == "true"


def _names(query: Mapping[str, str], key: str) -> list[str]:
    """Comma separated, repeated, or both."""
    values = query.getlist(key) if hasattr(query, "getlist") else [query[key]] if key in query else []
    return [name.strip() for value in values for name in value.split(",") if name.strip()]


def _wanted(query: Mapping[str, str]) -> dict[str, Any]:
    return {"history": _names(query, "propertiesWithHistory"), "links": _names(query, "associations")}


def _paging(following: int | None) -> dict[str, Any]:
    return {} if following is None else {"paging": {"next": {"after": str(following), "link": ""}}}


def _batch(results: list[dict[str, Any]], *, errors: Sequence[Any] = (), status: int = 200) -> Response:
    moment = stamp(datetime.now(UTC))
    body: dict[str, Any] = {"status": "COMPLETE", "results": results, "startedAt": moment, "completedAt": moment}
    if errors:
        body |= {"numErrors": len(errors), "errors": list(errors)}
    return _json(body, 207 if errors else status)


def _json(body: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(body), status, media_type="application/json;charset=utf-8")


def _error(error: HubspotError) -> Response:
    body: dict[str, Any] = {
        "status": "error",
        "message": error.message,
        "correlationId": str(uuid.uuid4()),
        "category": error.category,
    }
    if error.sub:
        body["subCategory"] = error.sub
    if error.context:
        body["errors"] = [{"message": error.message, "context": error.context}]
    return _json(body, error.status)


def _limited(policy: str, message: str) -> Response:
    body = {
        "status": "error",
        "message": message,
        "errorType": "RATE_LIMIT",
        "correlationId": str(uuid.uuid4()),
        "policyName": policy,
        "requestId": uuid.uuid4().hex,
    }
    return _json(body, 429)
