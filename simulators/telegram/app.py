"""The web side of the Bot API: addresses with the token, parameters in every way Telegram takes them, limits, faults.

Control door (no such thing at Telegram): POST /_control/say, /_control/press, /_control/block, /_control/faults;
GET /_control/messages, /_control/answers, /_control/requests.
"""

import asyncio
import json
import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulators.cut import CutConnection, CuttingApp
from simulators.faults import FaultPlan
from simulators.telegram.faults import Fault
from simulators.telegram.room import ApiError, Limits, Room

TOKEN = "7000000001:AAdemo-simulated_bot_token_0000000000"  # noqa: S105 (of a simulator)
_POLL_STEP_SECONDS = 0.02
_MOST_UPDATES = 100


def build_app(
    *,
    token: str = TOKEN,
    limits: Limits | None = None,
    faults: Sequence[Fault] = (),
    clock: Callable[[], float] = time.monotonic,
) -> Starlette:
    """One bot. `app.state.room` holds its chats and messages."""
    room = Room(int(token.partition(":")[0]), limits or Limits(), clock, lambda: int(time.time()))
    desk = _Desk(room, token, list(faults))
    app = CuttingApp(
        routes=[
            Route("/_control/say", desk.say, methods=["POST"]),
            Route("/_control/press", desk.press, methods=["POST"]),
            Route("/_control/block", desk.block, methods=["POST"]),
            Route("/_control/faults", desk.set_faults, methods=["POST"]),
            Route("/_control/messages", desk.show_messages),
            Route("/_control/answers", desk.show_answers),
            Route("/_control/requests", desk.show_requests),
            Route("/bot{token}/{method}", desk.call, methods=["GET", "POST"]),
        ]
    )
    app.state.room = room
    return app


class _Desk:
    """Takes requests: token, faults, then the work itself."""

    def __init__(self, room: Room, token: str, faults: list[Fault]) -> None:
        self._room = room
        self._token = token
        self._faults = FaultPlan(faults, Fault)
        self._requests: Counter[str] = Counter()
        self._poll = 0

    async def call(self, request: Request) -> Response:
        method = request.path_params["method"]
        self._requests[method] += 1
        if request.path_params["token"] != self._token:
            return _refusal(ApiError(401, "Unauthorized"))
        fault = self._faults.next_for(method)
        if fault is not None and not fault.kind.endswith("after_acting"):
            return await _failing(fault)
        try:
            result = await self._answer(method, await _parameters(request))
            answer: Response = JSONResponse({"ok": True, "result": result})
        except ApiError as error:
            self._requests[f"refused {error.status}"] += 1
            answer = _refusal(error)
        except (KeyError, TypeError, ValueError):
            answer = _refusal(ApiError(400, "Bad Request: wrong parameters"))
        return answer if fault is None else await _failing(fault)

    async def _answer(self, method: str, params: dict[str, Any]) -> Any:
        name = method.lower()
        if name == "getme":
            return {**self._room.bot, "can_join_groups": True, "can_read_all_group_messages": False,
                    "supports_inline_queries": False}  # fmt: skip
        if name == "sendmessage":
            return self._room.send(params)
        if name == "editmessagereplymarkup":
            return self._room.edit_keyboard(params)
        if name == "answercallbackquery":
            return self._room.answer(params)
        if name == "deletewebhook":
            return True
        if name == "getupdates":
            return await self._updates(params)
        raise ApiError(404, "Not Found")

    async def _updates(self, params: dict[str, Any]) -> list[dict[str, Any]]:
        """One reader at a time: a second one ends the first one's waiting."""
        self._poll += 1
        mine = self._poll
        self._room.confirm(int(params["offset"]) if params.get("offset") is not None else None)
        deadline = time.monotonic() + float(params.get("timeout") or 0)
        kinds = params.get("allowed_updates") or []
        most = min(int(params.get("limit") or _MOST_UPDATES), _MOST_UPDATES)
        while True:
            if self._poll != mine:
                raise ApiError(
                    409,
                    "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running",
                )
            found = [update for update in self._room.updates if not kinds or any(kind in update for kind in kinds)]
            if found or time.monotonic() >= deadline:
                return found[:most]
            await asyncio.sleep(_POLL_STEP_SECONDS)

    # --- control door ---

    async def say(self, request: Request) -> Response:
        self._room.say(**await request.json())
        return JSONResponse(True)

    async def press(self, request: Request) -> Response:
        try:
            return JSONResponse(self._room.press(**await request.json()))
        except LookupError as error:
            return JSONResponse(str(error), 404)

    async def block(self, request: Request) -> Response:
        self._room.chats[(await request.json())["chat_id"]].is_blocked = True
        return JSONResponse(True)

    async def set_faults(self, request: Request) -> Response:
        self._faults.replace_with(await request.json())
        return JSONResponse(True)

    async def show_messages(self, request: Request) -> Response:
        return JSONResponse([asdict(message) for message in self._room.messages])

    async def show_answers(self, request: Request) -> Response:
        return JSONResponse(self._room.answers)

    async def show_requests(self, request: Request) -> Response:
        return JSONResponse(self._requests)


async def _parameters(request: Request) -> dict[str, Any]:
    """From the address, a form or JSON; in the first two, what is no text is written as JSON."""
    found: dict[str, Any] = {name: _read(value) for name, value in request.query_params.items()}
    content = request.headers.get("content-type", "")
    if content.startswith("application/json"):
        found |= json.loads(await request.body() or b"{}")
    elif content:
        form = await request.form()
        found |= {name: _read(str(value)) if name != "text" else value for name, value in form.items()}
    return found


def _read(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value


def _refusal(error: ApiError) -> Response:
    told: dict[str, Any] = {"ok": False, "error_code": error.status, "description": error.description}
    if error.retry_after is not None:
        told["parameters"] = {"retry_after": error.retry_after}
    return JSONResponse(told, error.status)


async def _failing(fault: Fault) -> Response:
    if fault.kind == "flood":
        pause = math.ceil(fault.seconds)
        return _refusal(ApiError(429, f"Too Many Requests: retry after {pause}", retry_after=pause))
    if fault.kind in {"internal_error", "error_after_acting"}:
        return _refusal(ApiError(500, "Internal Server Error"))
    if fault.kind == "bad_gateway":
        return Response("<html><body>502 Bad Gateway</body></html>", 502, media_type="text/html")
    if fault.kind.startswith("timeout"):
        await asyncio.sleep(fault.seconds)
    return CutConnection()
