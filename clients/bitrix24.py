"""Bitrix24 REST, by an incoming webhook or OAuth: one call or a batch, limits kept, errors told apart.

Knows addresses, tokens, the envelope and the limits, no paging and no tasks: those belong to the caller.
"""

import json
import logging
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from clients.connection import Connection
from clients.errors import ClientError, Fatal, Retriable, TooLarge, Unknown
from clients.http import HttpSession, Response, retry_after_seconds, with_backoff
from clients.limits import Leaky, Limit, LimitReached, Limits, LocalLimits, wait_for
from clients.tokens import Tokens, TokenStore, fingerprint

log = logging.getLogger(__name__)

BATCH_LIMIT = 50
SERVER_TIME_LIMIT_SECONDS = 60.0
TOKEN_URL = "https://oauth.bitrix.info/oauth/token/"  # noqa: S105
_WEBHOOK_PATH = re.compile(r"^/rest/(\d+)/([^/]+)$")
_OPERATION_PAUSE_SECONDS = 600.0
# A method rests when it has used so much of its working time: the commands under way need the rest.
_OPERATION_SHARE = 0.85
_PERSONAL = re.compile(r"[^\s<>\"']+@[^\s<>\"']+|\+?\d[\d ()-]{8,}\d")
_TOKEN_CODES = ("expired_token", "invalid_token")
_WHAT_TO_DO = {
    "NO_AUTH_FOUND": "the webhook code is wrong or was revoked: create a new incoming webhook and put it in place",
    "expired_token": "the webhook was revoked: create a new incoming webhook and put it in place",
    "invalid_token": "the application was removed from the portal: install it again",
    "INVALID_CREDENTIALS": "the user who owns the webhook has no right to this: give the right or use another user",
    "insufficient_scope": "the webhook lacks a right: tick 'crm', 'task' and 'user' in its settings",
    "ACCESS_DENIED": "the portal's tariff does not include REST",
    "PAYMENT_REQUIRED": "the portal's tariff is not paid",
    "user_access_error": "the owner of the webhook may not use the application",
    "OVERLOAD_LIMIT": "the portal's REST is blocked by its support for overload: ask them",
    "PORTAL_DELETED": "the portal is closed",
    "ERROR_METHOD_NOT_FOUND": "the portal has no such method: is the address really a webhook's?",
}


class _Envelope(msgspec.Struct):
    result: msgspec.Raw | None = None
    error: Any = msgspec.UNSET
    error_description: Any = None
    total: Any = None
    next: Any = None
    time: Any = None


class _BatchResult(msgspec.Struct):
    result: msgspec.Raw
    result_error: Any = None
    result_total: Any = None
    result_next: Any = None
    result_time: Any = None


@dataclass(frozen=True)
class Answer:
    """One method's answer. `total` and `next` come with lists only; no `next` means the last page.

    raw: JSON of the result, as the portal sent it. began: when the portal started to work on the request, aware.
    """

    raw: msgspec.Raw | bytes
    total: int | None = None
    next: int | None = None
    began: datetime | None = None

    @cached_property
    def result(self) -> Any:
        """The result as plain Python values."""
        return json.loads(bytes(self.raw))


class BlockedForLong(Retriable):
    """The portal asks for a pause longer than a call should wait inside."""


class AccessLost(Fatal):
    """The application's tokens do not work any more; a person has to install it anew."""


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


class Bitrix24Client:
    """Calls methods of one portal. Safe for several threads; limits and tokens may be shared by many clients."""

    def __init__(
        self,
        connection: Connection,
        *,
        limits: Limits | None = None,
        tokens: TokenStore | None = None,
        timeout: float = SERVER_TIME_LIMIT_SECONDS,
        attempts: int = 4,
        longest_pause: float = 20.0,
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        """Webhook: `connection.url` is https://portal/rest/<user>/<code>/, or the portal with `password` as code and
        `login` as user id. OAuth: the portal's address and in `extra` client_id, client_secret and the first
        refresh_token; the pairs that follow are kept in `tokens`, which OAuth needs.
        `extra` may also raise the limits of the tariff: `requests_per_second`, `burst` (2 and 50; Enterprise has 5 and
        250) and `operating_seconds` (480). A portal that asks for a pause over `longest_pause` seconds is left alone
        (BlockedForLong, LimitReached). Raises Fatal for an address or settings that cannot work.
        """
        self._sleep = sleep or time.sleep
        self._attempts = attempts
        self._longest_pause = longest_pause
        self._limits = limits or LocalLimits(sleep=self._sleep)
        self._grant = _Grant.of(connection)
        if self._grant is None:
            self._base, user_id, code = _webhook(connection)
            self.user_id: str | None = user_id
            self._secrets: list[str | None] = [code]
        else:
            if tokens is None:
                raise Fatal("Bitrix24's OAuth needs a store for its tokens: each of them works once")
            self._base, self.user_id = self._grant.base, None
            self._secrets = [self._grant.client_secret, self._grant.refresh_token]
        self._tokens = tokens
        self._known: Tokens | None = None
        per_second, burst, self._operating_seconds = _limits(connection.extra)
        self.portal = urlsplit(self._base).netloc
        self.limit = Limit(f"bitrix24:{self.portal}", (Leaky(per_second, burst),))
        self._timeout = timeout
        self._sessions = threading.local()
        self._opened: list[HttpSession] = []
        self._resets_at: dict[str, float] = {}

    def call(self, method: str, params: Mapping[str, Any] | None = None, *, repeatable: bool) -> Answer:
        """Call a method. `repeatable` False: doing it twice would do harm (a new task, a comment).

        Raises Fatal (says what to do), Retriable (nothing was done, or repeating is harmless), TooLarge (the portal
        broke off a repeatable request that took too long) or Unknown (not repeatable and no answer came).
        """
        return self._repeated(method, params or {}, (method,), repeatable)

    def batch(
        self, commands: Mapping[str, tuple[str, Mapping[str, Any]]], *, repeatable: bool
    ) -> dict[str, Answer | ClientError]:
        """Call up to any number of methods, 50 to a request; an answer or an error for every key.

        A command that got neither is an error too (Retriable, or Unknown when not `repeatable`). A value may refer to
        the answer of an earlier command of the same 50 by `reference`. Raises what `call` raises when a whole request
        fails.
        """
        answers: dict[str, Answer | ClientError] = {}
        keys = list(commands)
        for start in range(0, len(keys), BATCH_LIMIT):
            # Names of our own: numeric ones would come back as a list and lose their places.
            names = {command_name(place): key for place, key in enumerate(keys[start : start + BATCH_LIMIT])}
            answers |= self._one_batch(names, commands, repeatable)
        return answers

    def close(self) -> None:
        for session in self._opened:
            session.close()

    # --- inside ---

    def _one_batch(
        self, names: Mapping[str, str], commands: Mapping[str, tuple[str, Mapping[str, Any]]], repeatable: bool
    ) -> dict[str, Answer | ClientError]:
        cmd = {name: f"{commands[key][0]}?{_query(commands[key][1])}" for name, key in names.items()}
        methods = tuple(dict.fromkeys(commands[key][0] for key in names.values()))
        whole = self._repeated("batch", {"halt": 0, "cmd": cmd}, methods, repeatable)
        found = _batch_result(whole)
        results, errors, times = found.results, as_map(found.errors), as_map(found.times)
        totals, following = as_map(found.totals), as_map(found.following)
        answers: dict[str, Answer | ClientError] = {}
        for name, key in names.items():
            method = commands[key][0]
            self._note_operating(method, times.get(name))
            if name in errors:
                answers[key] = self._command_error(method, errors[name])
            elif name in results:
                total, next_ = _integer(totals.get(name)), _integer(following.get(name))
                answers[key] = Answer(results[name], total, next_, whole.began)
            else:
                lost = f"Bitrix24's batch answered nothing for {method}"
                answers[key] = Retriable(lost) if repeatable else Unknown(lost)
        return answers

    def _repeated(self, method: str, params: Mapping[str, Any], counted: Iterable[str], repeatable: bool) -> Answer:
        limits = (self.limit, *(self._method_limit(name) for name in counted))
        return with_backoff(
            lambda: self._once(method, params, limits, repeatable),
            attempts=self._attempts,
            sleep=self._sleep,
            give_up_on=(BlockedForLong, LimitReached, TooLarge),
        )

    def _once(self, method: str, params: Mapping[str, Any], limits: tuple[Limit, ...], repeatable: bool) -> Answer:
        response, envelope = self._send(method, params, limits, repeatable)
        if self._grant is not None and response.status == 401 and _error(envelope)[0] in _TOKEN_CODES:
            # Whatever was asked was not done: the same request with a newer token is safe.
            self._renew()
            response, envelope = self._send(method, params, limits, repeatable)
        if envelope is None or envelope.error is not msgspec.UNSET or envelope.result is None:
            raise self._judge(method, response, envelope, repeatable)
        self._note_operating(method, envelope.time)
        return Answer(bytes(envelope.result), _integer(envelope.total), _integer(envelope.next), _began(envelope.time))

    def _send(
        self, method: str, params: Mapping[str, Any], limits: tuple[Limit, ...], repeatable: bool
    ) -> tuple[Response, _Envelope | None]:
        wait_for(self._limits, *limits, longest=self._longest_pause)
        body = dict(params)
        if self._grant is not None:
            body["auth"] = self._access().access
        url = f"{self._base}{method}.json"
        response = self._http().request("POST", url, json=body, repeatable=repeatable)
        return response, _envelope(response.body)

    def _http(self) -> HttpSession:
        """A session serves one thread."""
        session = getattr(self._sessions, "http", None)
        if session is None:
            session = self._sessions.http = HttpSession(timeout=self._timeout, secrets=self._secrets)
            self._opened.append(session)
        return session

    def _method_limit(self, method: str) -> Limit:
        return Limit(f"{self.limit.key}:{method}")

    def _note_operating(self, method: str, timing: Any) -> None:
        """The portal tells how long a method has worked for us lately: it rests before it would be blocked."""
        if method == "batch" or not isinstance(timing, dict):
            return
        resets_in = _resets_in(timing)
        if resets_in is None:
            return
        self._resets_at[method] = resets_in
        used = timing.get("operating")
        if isinstance(used, (int, float)) and used > _OPERATION_SHARE * self._operating_seconds:
            log.info("%s has worked %.0f s in ten minutes: it rests for %.0f s", method, used, resets_in)
            self._limits.pause(self._method_limit(method), resets_in + 1.0)

    def _judge(self, method: str, response: Response, envelope: _Envelope | None, repeatable: bool) -> ClientError:
        status, asked = response.status, retry_after_seconds(response.headers)
        code, description = _error(envelope)
        if status == 503 and code == "QUERY_LIMIT_EXCEEDED":
            self._limits.pause(self.limit, asked if asked is not None else 1.0)
            return Retriable(f"{method}: too many requests to the portal", status=status, code=code, retry_after=0.0)
        if status == 429 or code == "OPERATION_TIME_LIMIT":
            return self._resting(method, status)
        if code in _WHAT_TO_DO:
            return Fatal(f"{method}: {_WHAT_TO_DO[code]}", status=status, code=code)
        if 300 <= status < 400:
            return Fatal(f"{method}: the portal answers with a redirect: it has moved or needs https", status=status)
        if envelope is not None and code is not None and status < 500:
            return Fatal(f"{method}: {code or status}: {description}", status=status, code=code)
        if status in (401, 403, 404, 405):
            return Fatal(
                f"{method}: HTTP {status} without Bitrix24's envelope: is the address a webhook's?", status=status
            )
        message = f"{method}: HTTP {status}, no answer that can be read" + (f" ({code})" if code else "")
        if not repeatable:
            return Unknown(message, status=status, code=code)
        return (TooLarge if status == 504 else Retriable)(message, status=status, code=code, retry_after=asked)

    def _resting(self, method: str, status: int | None) -> Retriable:
        pause = self._resets_at.get(method, _OPERATION_PAUSE_SECONDS)
        if method != "batch":
            self._limits.pause(self._method_limit(method), pause)
        kind = BlockedForLong if pause > self._longest_pause else Retriable
        message = f"{method}: the portal blocks the method for its working time, for {pause:.0f} s at most"
        return kind(message, status=status, code="OPERATION_TIME_LIMIT", retry_after=pause)

    def _command_error(self, method: str, error: Any) -> ClientError:
        code, description = _code(error)
        if code == "OPERATION_TIME_LIMIT":
            return self._resting(method, None)
        if code == "QUERY_LIMIT_EXCEEDED":
            return Retriable(f"{method}: {code}", code=code, retry_after=1.0)
        return Fatal(f"{method}: {_WHAT_TO_DO.get(code, description or code)}", code=code)

    # --- OAuth ---

    def _access(self) -> Tokens:
        """The pair to use now."""
        if self._grant is None or self._tokens is None:
            raise RuntimeError("a webhook has no tokens")
        if self._known is None:
            stored = self._tokens.get(self._grant.key)
            if stored is None or stored.seed != self._grant.seed:
                stored = self._tokens.rotate(self._grant.key, stored, self._renewal)
            self._known = stored
        return self._known

    def _renew(self) -> None:
        """The token in hand is out of date: take the one that somebody else has got meanwhile, or get a new one."""
        if self._grant is None or self._tokens is None:
            raise RuntimeError("a webhook has no tokens")
        self._known = self._tokens.rotate(self._grant.key, self._known, self._renewal)

    def _renewal(self, stored: Tokens | None) -> Tokens:
        """Ask the vendor for a new pair. Raises AccessLost, Fatal or Retriable."""
        grant, store = self._grant, self._tokens
        if grant is None or store is None:
            raise RuntimeError("a webhook has no tokens")
        refresh = stored.refresh if stored is not None and stored.seed == grant.seed else grant.refresh_token
        form = {
            "grant_type": "refresh_token",
            "client_id": grant.client_id,
            "client_secret": grant.client_secret,
            "refresh_token": refresh,
        }
        response = self._http().request(
            "POST",
            grant.token_url,
            data=urlencode(form).encode(),
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            repeatable=False,
        )
        try:
            body = json.loads(response.body)
        except ValueError:
            body = None
        if isinstance(body, dict) and response.status == 200 and body.get("access_token"):
            log.info("%s: tokens renewed", self.portal)
            lifetime = timedelta(seconds=float(body.get("expires_in") or 3600))
            extra = {"member_id": str(body.get("member_id") or "")}
            return Tokens(
                str(body["access_token"]), str(body["refresh_token"]), store.now() + lifetime, grant.seed, extra
            )
        code = str(body.get("error")) if isinstance(body, dict) else None
        if code == "invalid_grant":
            raise AccessLost(
                "Bitrix24 does not take the refresh token any more: install the application on the portal again and "
                "put the new refresh_token in place",
                status=response.status,
                code=code,
            )
        if code is not None and response.status < 500:
            raise Fatal(f"Bitrix24 gives no token: {_WHAT_TO_DO.get(code, code)}", status=response.status, code=code)
        raise Retriable(f"Bitrix24 gives no token: HTTP {response.status}", status=response.status)


@dataclass(frozen=True)
class _Grant:
    """What a person gave an application."""

    base: str
    client_id: str
    client_secret: str
    refresh_token: str
    token_url: str

    @classmethod
    def of(cls, connection: Connection) -> "_Grant | None":
        """None for a webhook. Raises Fatal when something is missing."""
        extra = connection.extra
        if "client_id" not in extra:
            return None
        parts = urlsplit(connection.url)
        missing = [name for name in ("client_secret", "refresh_token") if not extra.get(name)]
        if missing:
            raise Fatal(f"Bitrix24's OAuth needs {', '.join(missing)} in the connection's extra")
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise Fatal("the Bitrix24 address must be the portal's: https://portal/")
        base = f"{parts.scheme}://{parts.netloc}/rest/"
        return cls(
            base, extra["client_id"], extra["client_secret"], extra["refresh_token"], extra.get("token_url", TOKEN_URL)
        )

    @property
    def key(self) -> str:
        """Under which the pairs are kept."""
        return f"bitrix24:{urlsplit(self.base).netloc}:{self.client_id}"

    @property
    def seed(self) -> str:
        return fingerprint(self.refresh_token)


@dataclass(frozen=True)
class _Commands:
    """What a batch answered, by the names of its commands."""

    results: Mapping[str, msgspec.Raw]
    errors: Any
    totals: Any
    following: Any
    times: Any


def command_name(place: int) -> str:
    """Name of the n-th command of a batch, counted from 0."""
    return f"c{place:02d}"


def reference(place: int, *path: str | int) -> str:
    """A value that stands for part of the answer of the n-th command: reference(0, "items", 49, "id")."""
    return f"$result[{command_name(place)}]" + "".join(f"[{part}]" for part in path)


def _webhook(connection: Connection) -> tuple[str, str, str]:
    parts = urlsplit(connection.url)
    path = parts.path.rstrip("/")
    if not path and connection.login and connection.password:
        path = f"/rest/{connection.login}/{connection.password}"
    found = _WEBHOOK_PATH.match(path)
    if parts.scheme not in ("http", "https") or not parts.netloc or not found:
        raise Fatal("the Bitrix24 address must be an incoming webhook: https://portal/rest/<user id>/<code>/")
    return f"{parts.scheme}://{parts.netloc}{path}/", found[1], found[2]


def _limits(extra: Mapping[str, str]) -> tuple[float, float, float]:
    try:
        return (
            float(extra.get("requests_per_second", 2.0)),
            float(extra.get("burst", 50.0)),
            float(extra.get("operating_seconds", 480.0)),
        )
    except ValueError:
        raise Fatal(
            "requests_per_second, burst and operating_seconds of the Bitrix24 connection must be numbers"
        ) from None


def _envelope(body: bytes) -> _Envelope | None:
    """The answer, its result untouched; None when it is no JSON object."""
    try:
        return msgspec.json.decode(body, type=_Envelope)
    except (msgspec.DecodeError, UnicodeError):
        pass
    try:
        # Text that a strict reader refuses (half a surrogate pair) costs the bytes as they came, not the answer.
        loose = json.loads(body)
    except ValueError:
        return None
    if not isinstance(loose, dict):
        return None
    result = msgspec.Raw(json.dumps(loose.pop("result")).encode()) if loose.get("result") is not None else None
    known = {name: loose[name] for name in _Envelope.__struct_fields__ if name in loose}
    return _Envelope(result=result, **known)


def _batch_result(answer: Answer) -> _Commands:
    try:
        found = msgspec.json.decode(answer.raw, type=_BatchResult)
        inner = memoryview(found.result)
        if inner[0] == ord("["):  # an empty map, as PHP writes it
            results: dict[str, msgspec.Raw] = {}
        else:
            results = msgspec.json.decode(inner, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeError, TypeError):
        raise Retriable("Bitrix24's batch did not answer with a batch") from None
    return _Commands(results, found.result_error, found.result_total, found.result_next, found.result_time)


def _began(timing: Any) -> datetime | None:
    start = timing.get("start") if isinstance(timing, dict) else None
    return datetime.fromtimestamp(start, UTC) if isinstance(start, (int, float)) else None


def _resets_in(timing: Mapping[str, Any]) -> float | None:
    """Seconds until the oldest minute of working time is forgotten; the moment comes as a number or as ISO."""
    at, finish = timing.get("operating_reset_at"), timing.get("finish")
    try:
        if isinstance(at, str):
            at = datetime.fromisoformat(at).timestamp()
        return max(0.0, float(at) - float(finish)) if at and finish else None
    except (TypeError, ValueError):
        return None


def _error(envelope: _Envelope | None) -> tuple[str | None, str]:
    """Code and description; the code may be an empty string or a number. None when there is no error in it."""
    if envelope is None or envelope.error is msgspec.UNSET:
        return None, ""
    return _code({"error": envelope.error, "error_description": envelope.error_description})


def _code(body: Any) -> tuple[str, str]:
    error = body.get("error") if isinstance(body, dict) else body
    if isinstance(error, dict):  # REST 3.0
        return str(error.get("code", "")), _plain(error.get("message"))
    return str(error), _plain(body.get("error_description") if isinstance(body, dict) else "")


def _plain(text: Any) -> str:
    """A description without markup, and without what may be somebody's e-mail or phone."""
    return _PERSONAL.sub("***", re.sub(r"<[^>]*>", " ", str(text or ""))).strip()[:300]


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
