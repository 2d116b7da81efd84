"""The web side of the portal: webhook addresses, envelopes, batch, limits, faults and a control door for tests.

Control door (no such thing on a real portal): GET /_control/tasks, GET /_control/calls, POST /_control/faults.
"""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulators.bitrix24.crm import Crm, Method
from simulators.bitrix24.faults import Fault
from simulators.bitrix24.limits import LeakyBucket, Limits, OperatingTime
from simulators.bitrix24.oauth import OAuthApplication
from simulators.bitrix24.php import array, by_name, lists, nest, parse_query
from simulators.bitrix24.portal import BitrixUser, Page, Portal, PortalError
from simulators.cut import CutConnection, CuttingApp
from simulators.faults import FaultPlan

WEBHOOK_USER = "1"
WEBHOOK_CODE = "polkademo1234567"
BATCH_LIMIT = 50
_REFERENCE = re.compile(r"\$result((?:\[[^\]]+\])+)")
_ERRORS = {
    "query_limit": (503, "QUERY_LIMIT_EXCEEDED", "Too many requests"),
    "operation_limit": (429, "OPERATION_TIME_LIMIT", "Method is blocked due to operation time limit."),
    "overload": (503, "OVERLOAD_LIMIT", "REST API is blocked due to overload"),
    "internal_error": (500, "INTERNAL_SERVER_ERROR", "Internal server error"),
    "expired_token": (401, "expired_token", "The access token provided has expired."),
    "access_denied": (403, "ACCESS_DENIED", "REST is available only on commercial plans."),
    "insufficient_scope": (403, "insufficient_scope", "The request requires higher privileges"),
}
_HTML = {"not_json": (502, "502 Bad Gateway"), "gateway_timeout": (504, "504 Gateway Time-out")}


def build_app(
    state: Path,
    users: list[BitrixUser],
    *,
    webhook_code: str = WEBHOOK_CODE,
    limits: Limits | None = None,
    faults: list[Fault] | None = None,
    time_zone: str = "Europe/Moscow",
    clock: Callable[[], float] = time.monotonic,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    crm: Crm | None = None,
    tasks: Callable[[Portal], None] | None = None,
    oauth: OAuthApplication | None = None,
) -> Starlette:
    """A portal whose tasks live in the JSON file `state`, reached at /rest/1/<webhook_code>/<method>[.json].

    The webhook belongs to user 1, who is added when `users` has none of that id. crm: what is in its CRM (default:
    nothing). tasks: fills a portal that has no state yet. oauth: an application that calls /rest/<method> with the
    parameter `auth`, its tokens come from /oauth/token/. clock counts limits, now dates records.
    """
    everyone = list(users)
    if not any(user.id == WEBHOOK_USER for user in everyone):
        everyone.insert(0, BitrixUser(WEBHOOK_USER, "integration@portal.example", "Интеграция", ""))
    portal = Portal(state, everyone, time_zone, now=now)
    if portal.is_new and tasks is not None:
        tasks(portal)
    methods = {**portal.methods(), **(crm or Crm(time_zone, now)).methods()}
    desk = _Desk(portal, methods, webhook_code, limits or Limits(), faults or [], clock, oauth)
    app = CuttingApp(
        routes=[
            Route("/rest/{user}/{code}/{method}", desk.call, methods=["GET", "POST"]),
            Route("/rest/{method}", desk.call, methods=["GET", "POST"]),
            Route("/oauth/token/", desk.token, methods=["GET", "POST"]),
            Route("/_control/tasks", desk.show_tasks, methods=["GET"]),
            Route("/_control/calls", desk.show_calls, methods=["GET"]),
            Route("/_control/faults", desk.set_faults, methods=["GET", "POST"]),
        ]
    )
    app.state.methods = methods  # name -> function; tests may put their own in
    return app


class _Desk:
    """Takes calls: webhook, limits, faults, then the method itself."""

    def __init__(
        self,
        portal: Portal,
        methods: dict[str, Method],
        code: str,
        limits: Limits,
        faults: list[Fault],
        clock: Callable[[], float],
        oauth: OAuthApplication | None,
    ) -> None:
        self._portal = portal
        self._methods = methods
        self._code = code
        self._oauth = oauth
        self._limits = limits
        self._workers = asyncio.Semaphore(limits.workers) if limits.workers else None
        self._bucket = LeakyBucket(limits, clock)
        self._operating = OperatingTime(limits, clock)
        self._faults = FaultPlan(faults, Fault)
        self._calls: Counter[str] = Counter()

    async def call(self, request: Request) -> Response:
        started = self._portal.timestamp()
        method = request.path_params["method"].lower().removesuffix(".json")
        self._calls[method] += 1
        if not self._bucket.admit(request.client.host if request.client else ""):
            self._calls["_refused"] += 1
            return _error(*_ERRORS["query_limit"])
        params = await _parameters(request)
        refusal = self._refusal(request, params)
        if refusal is not None:
            return _error(*refusal)
        fault = self._faults.next_for(method, *_inner_methods(params) if method == "batch" else ())
        if fault and fault.kind in _ERRORS:
            return _error(*_ERRORS[fault.kind])
        if fault and fault.kind in _HTML:
            return _html(*_HTML[fault.kind])
        if fault and fault.kind.endswith("before_acting"):
            return await _cut(fault)
        work = _Work()
        answer = self._answer(method, params, started, work, lost=fault is not None and fault.kind == "lost_commands")
        if self._workers is not None and work.seconds:
            async with self._workers:
                await asyncio.sleep(min(work.seconds, self._limits.request_seconds))
            if work.seconds > self._limits.request_seconds:
                return _html(*_HTML["gateway_timeout"])
        if fault and fault.kind != "lost_commands":
            return await _cut(fault)
        return answer

    async def token(self, request: Request) -> Response:
        """The token endpoint of the vendor's authorization server."""
        if self._oauth is None:
            return _html(404, "404 Not Found")
        self._calls["oauth.token"] += 1
        fault = self._faults.next_for("oauth.token")
        if fault and fault.kind.endswith("before_acting"):
            return await _cut(fault)
        base = f"{request.url.scheme}://{request.url.netloc}/rest/"
        status, body = self._oauth.token(await _parameters(request), base)
        return await _cut(fault) if fault else _json(body, status)

    def _refusal(self, request: Request, params: dict[str, Any]) -> tuple[int, str, str] | None:
        if "code" in request.path_params:
            path = request.path_params
            known = (path["user"], path["code"]) == (WEBHOOK_USER, self._code)
            return None if known else (401, "NO_AUTH_FOUND", "Wrong authorization data")
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        token = str(params.get("auth") or bearer)
        if self._oauth is None or not token:
            return 401, "NO_AUTH_FOUND", "Wrong authorization data"
        return self._oauth.authorise(token)

    def _answer(
        self, method: str, params: dict[str, Any], started: float, work: "_Work", *, lost: bool = False
    ) -> Response:
        try:
            page = self._batch(params, work, lost=lost) if method == "batch" else self._run(method, params, work)
        except PortalError as error:
            return _error(error.status, error.code, error.description)
        body: dict[str, Any] = {"result": page.result}
        if page.next is not None:
            body["next"] = page.next
        if page.total is not None:
            body["total"] = page.total
        body["time"] = self._time(method, started)
        return _json(body)

    def _run(self, method: str, params: dict[str, Any], work: "_Work") -> Page:
        function = self._methods.get(method)
        if function is None:
            raise PortalError(404, "ERROR_METHOD_NOT_FOUND", "Method not found!")
        if self._operating.blocked(method):
            raise PortalError(*_ERRORS["operation_limit"])
        began = time.perf_counter()
        work.seconds += self._operating.cost(method)
        try:
            return function(params, WEBHOOK_USER)
        finally:
            self._operating.add(method, time.perf_counter() - began)

    def _batch(self, params: dict[str, Any], work: "_Work", *, lost: bool) -> Page:
        commands = by_name(params, "cmd") or {}
        if isinstance(commands, list):
            commands = {str(index): command for index, command in enumerate(commands)}
        if len(commands) > BATCH_LIMIT:
            raise PortalError(400, "ERROR_BATCH_LENGTH_EXCEEDED", "Max batch length exceeded")
        halt = str(by_name(params, "halt", 0)).lower() in ("1", "true", "y")
        parts: dict[str, dict[str, Any]] = {name: {} for name in ("result", "error", "total", "next", "time")}
        for place, (key, command) in enumerate(commands.items()):
            if lost and place % 3 == 1:
                continue
            method, _, query = str(command).partition("?")
            method = method.lower().removesuffix(".json")
            began = self._portal.timestamp()
            try:
                if method == "batch":
                    raise PortalError(405, "ERROR_BATCH_METHOD_NOT_ALLOWED", "Method is not allowed for batch usage")
                page = self._run(method, _with_references(parse_query(query), parts["result"]), work)
            except PortalError as error:
                parts["error"][key] = {"error": error.code, "error_description": error.description}
                if halt:
                    break
                continue
            parts["result"][key] = page.result
            parts["time"][key] = self._time(method, began)
            if page.total is not None:
                parts["total"][key] = page.total
            if page.next is not None:
                parts["next"][key] = page.next
        return Page(
            {
                "result": array(parts["result"]),
                "result_error": array(parts["error"]),
                "result_total": array(parts["total"]),
                "result_next": array(parts["next"]),
                "result_time": array(parts["time"]),
            }
        )

    def _time(self, method: str, started: float) -> dict[str, Any]:
        finished = self._portal.timestamp()
        return {
            "start": started,
            "finish": finished,
            "duration": finished - started,
            "processing": finished - started,
            "date_start": self._portal.moment(),
            "date_finish": self._portal.moment(),
            "operating_reset_at": int(finished + self._operating.resets_in(method)),
            "operating": self._operating.spent(method),
        }

    # --- control door ---

    async def show_tasks(self, request: Request) -> Response:
        comments: dict[str, list[str]] = {}
        for comment in self._portal.comments:
            comments.setdefault(comment["TASK_ID"], []).append(comment["POST_MESSAGE"])
        return JSONResponse(
            [{**task, "comments": comments.get(task["ID"], [])} for task in self._portal.tasks.values()]
        )

    async def show_calls(self, request: Request) -> Response:
        return JSONResponse(dict(self._calls))

    async def set_faults(self, request: Request) -> Response:
        if request.method == "POST":
            try:
                self._faults.replace_with(await request.json())
            except (TypeError, ValueError) as error:
                return JSONResponse({"error": str(error)}, 400)
        return JSONResponse(self._faults.left())


@dataclass
class _Work:
    """Pretended working seconds of one request."""

    seconds: float = 0.0


async def _cut(fault: Fault) -> Response:
    if fault.kind.startswith("timeout"):
        await asyncio.sleep(fault.seconds)
    return CutConnection()


async def _parameters(request: Request) -> dict[str, Any]:
    params = parse_query(request.url.query)
    if request.method == "POST":
        body = await request.body()
        if "json" in request.headers.get("content-type", ""):
            try:
                sent = orjson.loads(body) if body else {}
            except orjson.JSONDecodeError:
                sent = {}
            params.update({key: lists(value) for key, value in sent.items()} if isinstance(sent, dict) else {})
        else:
            params.update(nest((key, value) for key, value in (await request.form()).items()))
    return params


def _inner_methods(params: dict[str, Any]) -> set[str]:
    commands = by_name(params, "cmd") or {}
    texts = commands.values() if isinstance(commands, dict) else commands
    return {str(text).partition("?")[0].lower().removesuffix(".json") for text in texts}


def _with_references(params: Any, results: dict[str, Any]) -> Any:
    """`$result[key][0][ID]` in a value is replaced by what that command answered."""
    if isinstance(params, dict):
        return {key: _with_references(value, results) for key, value in params.items()}
    if isinstance(params, list):
        return [_with_references(value, results) for value in params]
    if isinstance(params, str):
        return _REFERENCE.sub(lambda found: str(_look_up(results, re.findall(r"\[([^\]]+)\]", found[1]))), params)
    return params


def _look_up(value: Any, path: list[str]) -> Any:
    for part in path:
        if isinstance(value, dict):
            value = value.get(part, "")
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return ""
    return value


def _json(body: Any, status: int = 200) -> Response:
    # The real server writes angle brackets as \u003C: its descriptions hold <br>.
    text = orjson.dumps(body).replace(b"<", b"\\u003C").replace(b">", b"\\u003E")
    return Response(text, status, media_type="application/json; charset=utf-8")


def _html(status: int, title: str) -> Response:
    return Response(f"<html><body>{title}</body></html>", status, media_type="text/html")


def _error(status: int, code: str, description: str) -> Response:
    return _json({"error": code, "error_description": description}, status)
