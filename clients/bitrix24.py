"""Bitrix24 REST over an incoming webhook: one call or a batch, limits kept, errors told apart.

Knows the envelope and the limits, no paging and no tasks: those belong to the caller.
"""

import json
import logging
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from clients.connection import Connection
from clients.errors import ClientError, Fatal, Retriable, Unknown
from clients.http import HttpSession, Response, with_backoff

log = logging.getLogger(__name__)

BATCH_LIMIT = 50
SERVER_TIME_LIMIT_SECONDS = 60.0
_WEBHOOK_PATH = re.compile(r"^/rest/(\d+)/([^/]+)$")
_OPERATION_PAUSE_SECONDS = 600.0
_WHAT_TO_DO = {
    "NO_AUTH_FOUND": "the webhook code is wrong or was revoked: create a new incoming webhook and put it in place",
    "expired_token": "the webhook was revoked: create a new incoming webhook and put it in place",
    "INVALID_CREDENTIALS": "the user who owns the webhook has no right to this: give the right or use another user",
    "insufficient_scope": "the webhook lacks a right: tick 'task' and 'user' in its settings",
    "ACCESS_DENIED": "the portal's tariff does not include REST",
    "user_access_error": "the owner of the webhook may not use the application",
    "OVERLOAD_LIMIT": "the portal's REST is blocked by its support for overload: ask them",
    "PORTAL_DELETED": "the portal is closed",
    "ERROR_METHOD_NOT_FOUND": "the portal has no such method: is the address really a webhook's?",
}


@dataclass(frozen=True)
class Answer:
    """One method's answer. `total` and `next` come with lists only; no `next` means the last page."""

    result: Any
    total: int | None = None
    next: int | None = None


class BlockedForLong(Retriable):
    """The portal asks for a pause longer than a call should wait inside."""


def as_map(value: Any) -> dict[str, Any]:
    """A map as PHP sends it: an empty one arrives as []. Raises Retriable for anything else that is not a map."""
    if value in ([], None):
        return {}
    if isinstance(value, dict):
        return value
    raise Retriable(f"a map was expected in Bitrix24's answer, not {type(value).__name__}")


def as_list(value: Any) -> list[Any]:
    """A list as PHP sends it: with gaps in its keys it arrives as a map, and an empty one may be {}."""
    if value is None:
        return []
    if isinstance(value, dict):
        return list(value.values())
    if isinstance(value, list):
        return value
    raise Retriable(f"a list was expected in Bitrix24's answer, not {type(value).__name__}")


class RequestLimiter:
    """The portal's leaky bucket, counted on our side: `per_second` go on average, `burst` at once."""

    def __init__(
        self,
        per_second: float = 2.0,
        burst: float = 50.0,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._per_second = per_second
        self._burst = burst
        self._clock = clock
        self._sleep = sleep
        self._level = 0.0
        self._seen = clock()
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Return when one more request may leave."""
        with self._lock:
            self._drain()
            self._level += 1.0
            pause = max(0.0, (self._level - self._burst) / self._per_second)
        if pause:
            self._sleep(pause)

    def overflowed(self) -> None:
        """The portal says the bucket is full: somebody else on this address uses it too."""
        with self._lock:
            self._drain()
            self._level = max(self._level, self._burst)

    def _drain(self) -> None:
        now = self._clock()
        self._level = max(0.0, self._level - (now - self._seen) * self._per_second)
        self._seen = now


class Bitrix24Client:
    """Calls methods of one portal. One client serves one thread at a time; the limiter may be shared."""

    def __init__(
        self,
        connection: Connection,
        *,
        timeout: float = SERVER_TIME_LIMIT_SECONDS,
        attempts: int = 4,
        longest_pause: float = 20.0,
        limiter: RequestLimiter | None = None,
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        """`connection.url` is the webhook: https://portal/rest/<user>/<code>/, or the portal with `password` as
        code and `login` as user id. `extra` may raise the limits of the tariff: `requests_per_second` and `burst`
        (2 and 50; Enterprise has 5 and 250). A portal that asks for a pause over `longest_pause` seconds is left
        alone (BlockedForLong). Raises Fatal for an address that is no webhook.
        """
        sleep = sleep or time.sleep
        base, self.user_id, code = _webhook(connection)
        self._base = base
        self._attempts = attempts
        self._longest_pause = longest_pause
        self._limiter = limiter or RequestLimiter(*_limits(connection.extra), sleep=sleep)
        self._sleep = sleep
        self._http = HttpSession(timeout=timeout, secrets=[code])
        self._resets_at: dict[str, float] = {}

    def call(self, method: str, params: Mapping[str, Any] | None = None, *, repeatable: bool) -> Answer:
        """Call a method. `repeatable` False: doing it twice would do harm (a new task, a comment).

        Raises Fatal (says what to do), Retriable (nothing was done, or repeating is harmless) or Unknown (not
        repeatable and no answer came).
        """
        return with_backoff(
            lambda: self._once(method, params or {}, repeatable),
            attempts=self._attempts,
            sleep=self._sleep,
            give_up_on=(BlockedForLong,),
        )

    def batch(
        self, commands: Mapping[str, tuple[str, Mapping[str, Any]]], *, repeatable: bool
    ) -> dict[str, Answer | ClientError]:
        """Call up to any number of methods, 50 to a request; an answer or an error for every key.

        A command that got neither is an error too (Retriable, or Unknown when not `repeatable`). Raises what
        `call` raises when a whole request fails.
        """
        answers: dict[str, Answer | ClientError] = {}
        keys = list(commands)
        for start in range(0, len(keys), BATCH_LIMIT):
            # Names of our own: numeric ones would come back as a list and lose their places.
            names = {f"c{index:02d}": key for index, key in enumerate(keys[start : start + BATCH_LIMIT])}
            cmd = {name: f"{commands[key][0]}?{_query(commands[key][1])}" for name, key in names.items()}
            result = as_map(self.call("batch", {"halt": 0, "cmd": cmd}, repeatable=repeatable).result)
            results, errors = as_map(result.get("result")), as_map(result.get("result_error"))
            totals, following = as_map(result.get("result_total")), as_map(result.get("result_next"))
            for name, key in names.items():
                if name in errors:
                    answers[key] = _command_error(commands[key][0], errors[name])
                elif name in results:
                    answers[key] = Answer(results[name], _integer(totals.get(name)), _integer(following.get(name)))
                else:
                    lost = f"Bitrix24's batch answered nothing for {commands[key][0]}"
                    answers[key] = Retriable(lost) if repeatable else Unknown(lost)
        return answers

    def close(self) -> None:
        self._http.close()

    def _once(self, method: str, params: Mapping[str, Any], repeatable: bool) -> Answer:
        self._limiter.wait()
        url = f"{self._base}{method}.json"
        response = self._http.request("POST", url, json=dict(params), repeatable=repeatable)
        body = _json(response)
        if body is None or "error" in body or "result" not in body:
            raise self._judge(method, response, body, repeatable)
        timing = body.get("time")
        if isinstance(timing, dict) and timing.get("operating_reset_at"):
            self._resets_at[method] = float(timing["operating_reset_at"]) - float(timing.get("finish") or 0)
        return Answer(body["result"], _integer(body.get("total")), _integer(body.get("next")))

    def _judge(self, method: str, response: Response, body: dict[str, Any] | None, repeatable: bool) -> ClientError:
        status = response.status
        code, description = _error(body)
        if status == 503 and code == "QUERY_LIMIT_EXCEEDED":
            self._limiter.overflowed()
            return Retriable(f"{method}: too many requests to the portal", status=status, code=code, retry_after=1.0)
        if status == 429 or code == "OPERATION_TIME_LIMIT":
            pause = self._resets_at.get(method, _OPERATION_PAUSE_SECONDS)
            kind = BlockedForLong if pause > self._longest_pause else Retriable
            message = f"{method}: the portal blocks the method for its working time, for {pause:.0f} s at most"
            return kind(message, status=status, code=code, retry_after=pause)
        if code in _WHAT_TO_DO:
            return Fatal(f"{method}: {_WHAT_TO_DO[code]}", status=status, code=code)
        if 300 <= status < 400:
            return Fatal(f"{method}: the portal answers with a redirect: it has moved or needs https", status=status)
        if body is not None and code is not None and status < 500:
            return Fatal(f"{method}: {code or status}: {description}", status=status, code=code)
        if status in (401, 403, 404, 405):
            return Fatal(
                f"{method}: HTTP {status} without Bitrix24's envelope: is the address a webhook's?", status=status
            )
        message = f"{method}: HTTP {status}, no answer that can be read" + (f" ({code})" if code else "")
        if repeatable:
            return Retriable(message, status=status, code=code)
        return Unknown(message, status=status, code=code)


def _webhook(connection: Connection) -> tuple[str, str, str]:
    parts = urlsplit(connection.url)
    path = parts.path.rstrip("/")
    if not path and connection.login and connection.password:
        path = f"/rest/{connection.login}/{connection.password}"
    found = _WEBHOOK_PATH.match(path)
    if parts.scheme not in ("http", "https") or not parts.netloc or not found:
        raise Fatal("the Bitrix24 address must be an incoming webhook: https://portal/rest/<user id>/<code>/")
    return f"{parts.scheme}://{parts.netloc}{path}/", found[1], found[2]


def _limits(extra: Mapping[str, str]) -> tuple[float, float]:
    try:
        return float(extra.get("requests_per_second", 2.0)), float(extra.get("burst", 50.0))
    except ValueError:
        raise Fatal("requests_per_second and burst of the Bitrix24 connection must be numbers") from None


def _json(response: Response) -> dict[str, Any] | None:
    try:
        body = json.loads(response.body)
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _error(body: Any) -> tuple[str | None, str]:
    """Code and description; the code may be an empty string or a number. None when there is no error in it."""
    if not isinstance(body, dict) or "error" not in body:
        return None, ""
    error = body["error"]
    if isinstance(error, dict):  # REST 3.0
        return str(error.get("code", "")), _plain(error.get("message"))
    return str(error), _plain(body.get("error_description"))


def _plain(text: Any) -> str:
    return re.sub(r"<[^>]*>", " ", str(text or "")).strip()[:300]


def _command_error(method: str, error: Any) -> ClientError:
    code, description = _error(error if isinstance(error, dict) else {"error": error})
    if code in ("QUERY_LIMIT_EXCEEDED", "OPERATION_TIME_LIMIT"):
        return Retriable(f"{method}: {code}", code=code)
    return Fatal(f"{method}: {_WHAT_TO_DO.get(code or '', description or code)}", code=code)


def _integer(value: Any) -> int | None:
    return int(value) if isinstance(value, (int, float, str)) and str(value).isdigit() else None


def _query(params: Mapping[str, Any]) -> str:
    """PHP's bracketed names, as a batch command wants them."""
    return "&".join(
        f"{name}={quote('' if value is None else str(value), safe='')}" for name, value in _flat(params, "")
    )


def _flat(value: Any, name: str) -> list[tuple[str, Any]]:
    if isinstance(value, Mapping):
        items = [(str(key), item) for key, item in value.items()]
    elif isinstance(value, (list, tuple)):
        items = [(str(index), item) for index, item in enumerate(value)]
    else:
        return [(name, value)]
    pairs: list[tuple[str, Any]] = []
    for key, item in items:
        part = quote(key, safe="")
        pairs += _flat(item, f"{name}[{part}]" if name else part)
    return pairs
