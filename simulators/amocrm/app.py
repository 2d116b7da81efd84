"""The web side of the account: addresses of API v4, envelopes, limits, tokens, faults and a control door for tests.

Control door (no such thing on a real account): GET /_control/tasks, GET /_control/calls, GET /_control/refused,
POST /_control/faults, POST /_control/lag {"seconds": 5}.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulators.amocrm.access import Access, Integration, Refused
from simulators.amocrm.api import Api, Problem
from simulators.amocrm.faults import Fault
from simulators.amocrm.limits import Gate, Limits
from simulators.amocrm.loading import load_picture
from simulators.amocrm.store import Portal
from simulators.bitrix24.php import lists, nest
from simulators.cut import CutConnection, CuttingApp
from simulators.faults import FaultPlan
from simulators.world.crm import CrmPicture

_NGINX = (
    "<html>\r\n<head><title>{0}</title></head>\r\n<body>\r\n<center><h1>{0}</h1></center>\r\n"
    "<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
)
_PLAIN = {
    "blocked": (403, "403 Forbidden"),
    "too_many": (429, "429 Too Many Requests"),
    "bad_gateway": (502, "502 Bad Gateway"),
    "gateway_timeout": (504, "504 Gateway Time-out"),
}
_SAVED = "amocrm.json"


class AmocrmApp(CuttingApp):
    """A served account. Tests reach into `portal` and `access` to play the people who work there."""

    portal: Portal
    access: Access
    gate: Gate
    faults: FaultPlan[Fault]
    calls: Counter[str]
    show: Callable[[CrmPicture], None]


def build_app(
    state_dir: Path,
    picture: CrmPicture | None = None,
    *,
    integration: Integration | None = None,
    limits: Limits | None = None,
    faults: list[Fault] | None = None,
    index_lag: float = 0.0,
    token_lifetime: float = 86_400.0,
    latency: float = 0.0,
    clock: Callable[[], float] = time.monotonic,
    now: Callable[[], float] = time.time,
) -> AmocrmApp:
    """An account that holds `picture` and what was written to it, at /api/v4/ and /oauth2/access_token.

    What integrations wrote, and the tokens, are kept in `state_dir` and are there again after a restart.
    index_lag: seconds by which lists and filters are behind. latency: seconds that every answer takes at least.
    clock: of limits and the index; now: of the records.
    `app.show(picture)` replaces the picture by a later one; what was written stays.
    """
    portal = Portal(now, clock)
    access = Access(integration or Integration(), now, lifetime=token_lifetime)
    saved = _Saved(state_dir / _SAVED, portal, access)
    desk = _Desk(portal, access, Gate(limits or Limits(), clock), FaultPlan(faults or [], Fault), saved, latency)
    app = AmocrmApp(
        routes=[
            Route("/oauth2/access_token", desk.exchange, methods=["POST"]),
            Route("/api/v4/{path:path}", desk.call, methods=["GET", "POST", "PATCH", "DELETE"]),
            Route("/_control/tasks", desk.show_tasks, methods=["GET"]),
            Route("/_control/calls", desk.show_calls, methods=["GET"]),
            Route("/_control/refused", desk.show_refused, methods=["GET"]),
            Route("/_control/faults", desk.set_faults, methods=["GET", "POST"]),
            Route("/_control/lag", desk.set_lag, methods=["POST"]),
        ]
    )
    app.portal, app.access, app.gate, app.faults, app.calls = portal, access, desk.gate, desk.faults, desk.calls
    app.show = lambda later: load_picture(portal, later)
    if picture is not None:
        load_picture(portal, picture)
    saved.load()
    portal.set_lag(index_lag)
    return app


class _Saved:
    """Written tasks and notes, and tokens, in one file."""

    def __init__(self, path: Path, portal: Portal, access: Access) -> None:
        self._path = path
        self._portal = portal
        self._access = access

    def load(self) -> None:
        if not self._path.exists():
            return
        saved = json.loads(self._path.read_text(encoding="utf-8"))
        self._access.load(saved["access"])
        for kind, records in saved["written"].items():
            for record in records:
                self._portal.add(kind, record, quietly=True)
        self._portal.skip_ids(record["id"] for records in saved["written"].values() for record in records)

    def save(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        records = self._portal.records
        written = {
            kind: [r for r in records[kind].values() if self._portal.is_own(r["id"])] for kind in ("tasks", "notes")
        }
        temporary = self._path.with_suffix(".tmp")
        temporary.write_bytes(orjson.dumps({"access": self._access.dump(), "written": written}))
        temporary.replace(self._path)


class _Desk:
    """Takes requests: limits, tokens, faults, then the API itself."""

    def __init__(
        self, portal: Portal, access: Access, gate: Gate, faults: FaultPlan[Fault], saved: _Saved, latency: float
    ) -> None:
        self.gate = gate
        self.faults = faults
        self.calls: Counter[str] = Counter()
        self._portal = portal
        self._access = access
        self._saved = saved
        self._latency = latency

    async def call(self, request: Request) -> Response:
        path = request.path_params["path"].strip("/")
        return await self._answer(request, f"{request.method} {path}", lambda body: self._api(request, path, body))

    async def exchange(self, request: Request) -> Response:
        return await self._answer(request, "POST oauth2/access_token", self._token, token_needed=False)

    async def _answer(
        self, request: Request, name: str, act: Callable[[Any], Response], *, token_needed: bool = True
    ) -> Response:
        self.calls[name] += 1
        verdict = self.gate.enter(request.client.host if request.client else "")
        if verdict != "ok":
            return _nginx(verdict)
        if self._latency:
            await asyncio.sleep(self._latency)
        fault = self.faults.next_for(name)
        if fault and fault.kind in _PLAIN:
            return _nginx(fault.kind)
        if fault and fault.kind.endswith("before_acting"):
            return await _cut(fault)
        if fault and fault.kind == "internal_error":
            return _problem(500, "Internal Server Error", "")
        if fault and fault.kind == "not_paid":
            return _problem(402, "Payment Required", "Аккаунт не оплачен")
        if fault and fault.kind == "no_rights":
            return _problem(403, "Forbidden", "Недостаточно прав")
        if fault and fault.kind == "nothing":
            return Response(status_code=204)
        admitted = self._access.admits(request.headers.get("authorization", ""))
        if token_needed and (not admitted or (fault and fault.kind == "unauthorized")):
            return _problem(401, "Unauthorized", "Неверный логин или пароль")
        try:
            body = orjson.loads(await request.body() or b"null")
        except orjson.JSONDecodeError:
            return _problem(400, "Bad Request", "Тело запроса не является JSON")
        answer = act(body)
        return await _cut(fault) if fault else answer

    def _api(self, request: Request, path: str, body: Any) -> Response:
        query = nest(request.query_params.multi_items())
        params = {key: lists(value) for key, value in query.items()}
        api = Api(self._portal, str(request.base_url).rstrip("/"))
        try:
            answer = api.answer(request.method, path, params, body)
        except Problem as problem:
            return _problem(problem.status, problem.title, problem.detail, problem.errors)
        if request.method != "GET":
            self._saved.save()
        if answer is None:
            return Response(status_code=204)
        return Response(orjson.dumps(answer), media_type="application/hal+json")

    def _token(self, body: Any) -> Response:
        try:
            pair = self._access.exchange(body if isinstance(body, dict) else {})
        except Refused as refused:
            return JSONResponse(
                {
                    "hint": refused.hint,
                    "title": "Некорректный запрос",
                    "type": "https://developers.amocrm.ru/v3/errors/OAuthProblemJson",
                    "status": refused.status,
                    "detail": "В запросе отсутствует ряд параметров или параметры невалидны",
                },
                refused.status,
                media_type="application/problem+json",
            )
        self._saved.save()
        return JSONResponse(pair)

    # --- control door ---

    async def show_tasks(self, request: Request) -> Response:
        return JSONResponse(list(self._portal.records["tasks"].values()))

    async def show_calls(self, request: Request) -> Response:
        return JSONResponse(dict(self.calls))

    async def show_refused(self, request: Request) -> Response:
        return JSONResponse({"refused": self.gate.refused})

    async def set_faults(self, request: Request) -> Response:
        if request.method == "POST":
            try:
                self.faults.replace_with(await request.json())
            except (TypeError, ValueError) as error:
                return JSONResponse({"error": str(error)}, 400)
        return JSONResponse([vars(fault) for fault in self.faults.faults])

    async def set_lag(self, request: Request) -> Response:
        self._portal.set_lag(float((await request.json())["seconds"]))
        return JSONResponse({})


async def _cut(fault: Fault) -> Response:
    if fault.kind.startswith("timeout"):
        await asyncio.sleep(fault.seconds)
    return CutConnection()


def _nginx(kind: str) -> Response:
    status, title = _PLAIN[kind]
    return Response(_NGINX.format(title), status, media_type="text/html")


def _problem(status: int, title: str, detail: str, errors: list[dict[str, Any]] | None = None) -> Response:
    body: dict[str, Any] = {
        "title": title,
        "type": f"https://httpstatus.es/{status}",
        "status": status,
        "detail": detail,
    }
    if errors:
        body["validation-errors"] = errors
    return JSONResponse(body, status, media_type="application/problem+json")
