"""HubSpot's CRM API with a private app's token: one request at a time, limits kept, errors told apart.

Knows addresses, limits and error bodies; paging, objects and properties belong to the caller. What HubSpot writes into
an error's message may quote the record, so only its category and codes are passed on.
"""

import hashlib
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from clients.connection import Connection
from clients.errors import ClientError, Fatal, Retriable, Unknown
from clients.http import HttpSession, Response, is_loopback, redact, retry_after_seconds, with_backoff
from clients.limits import Daily, Limit, LimitReached, Limits, LocalLimits, Window, wait_for

log = logging.getLogger(__name__)

PUBLIC_URL = "https://api.hubapi.com"
# What a Free or Starter account allows; the answers' headers say when it is more.
REQUESTS, INTERVAL_SECONDS = 100, 10.0
REQUESTS_PER_DAY = 250_000
SEARCHES_PER_SECOND = 5
# Of ten seconds less is left to late requests than usual: a refusal costs a short pause here, not the address.
SLACK_SECONDS = 0.6
# The span rolls: some room comes free all the time, all of it within ten seconds and so within a call's attempts.
REFUSED_PAUSE_SECONDS = 2.0
UNIQUE_VALUE_TAKEN = "CONFLICTING_UNIQUE_VALUE"
_LOCKED, _MIGRATING = 423, 477
_WHAT_TO_DO = {
    401: "the token is wrong or was revoked: create or rotate the private app's token and put it in place",
    403: "the private app lacks a scope: tick it in the app's settings",
}


@dataclass(frozen=True)
class Answer:
    """A successful answer: `body` as HubSpot sent it; status 207 says that some of a batch failed."""

    status: int
    body: bytes
    headers: Mapping[str, str]

    def json(self) -> dict[str, Any]:
        """The body as a map. Raises Retriable when it is none (a proxy's page, a cut answer)."""
        try:
            found = json.loads(self.body) if self.body else {}
        except ValueError:
            raise Retriable("HubSpot's answer is not JSON", status=self.status, code="not_json") from None
        if not isinstance(found, dict):
            raise Retriable("a map was expected in HubSpot's answer", status=self.status, code="not_json")
        return found


class HubspotClient:
    """Calls one HubSpot account. Safe for use by several threads."""

    def __init__(
        self,
        connection: Connection,
        *,
        limits: Limits | None = None,
        timeout: float = 60.0,
        attempts: int = 6,
        longest_pause: float = 60.0,
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        """`connection.password` is the private app's token, `url` may stay empty (api.hubapi.com).

        `extra` may name the account (`portal`, so that several apps share one search limit) and its limits:
        `requests_per_10_seconds`, `requests_per_day`, `searches_per_second`. A limit that leaves no room for
        `longest_pause` seconds raises LimitReached. Raises Fatal when there is no token.
        """
        token = connection.password
        if not token:
            raise Fatal("the HubSpot connection has no token: put the private app's token into its password")
        self._base = _base(connection.url)
        self._token = token
        self._timeout = timeout
        self._attempts = attempts
        self._longest_pause = longest_pause
        self._sleep = sleep or time.sleep
        self._limits: Limits = limits or LocalLimits(sleep=self._sleep)
        extra = connection.extra
        app = hashlib.sha256(token.encode()).hexdigest()[:12]
        account = extra.get("portal") or app
        self._burst = Limit(
            f"hubspot:{app}", (_span(int(extra.get("requests_per_10_seconds") or REQUESTS), INTERVAL_SECONDS),)
        )
        self._daily = Limit(f"hubspot:{account}:day", (Daily(int(extra.get("requests_per_day") or REQUESTS_PER_DAY)),))
        self._search = Limit(
            f"hubspot:{account}:search", (Window(int(extra.get("searches_per_second") or SEARCHES_PER_SECOND), 1.0),)
        )
        self._local = threading.local()
        self._sessions: list[HttpSession] = []
        self._lock = threading.Lock()

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Answer:
        """`params` with a list value are joined by commas. Raises ClientError."""
        given = {name: ",".join(value) if isinstance(value, (list, tuple)) else value for name, value in
                 (params or {}).items()}  # fmt: skip
        query = f"?{urlencode(given, quote_via=quote)}" if given else ""
        return self._call("GET", path + query, None, repeatable=True)

    def read(self, path: str, body: Mapping[str, Any]) -> Answer:
        """A POST that only reads (search, batch/read). Raises ClientError."""
        return self._call("POST", path, body, repeatable=True)

    def create(self, path: str, body: Mapping[str, Any]) -> Answer:
        """A POST that creates. Raises Unknown when it may or may not have been carried out."""
        return self._call("POST", path, body, repeatable=False)

    def change(self, path: str, body: Mapping[str, Any]) -> Answer:
        """A PATCH: doing it twice is harmless. Raises ClientError."""
        return self._call("PATCH", path, body, repeatable=True)

    def close(self) -> None:
        with self._lock:
            for session in self._sessions:
                session.close()
            self._sessions.clear()

    # --- inside ---

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None, *, repeatable: bool) -> Answer:
        wanted = [self._burst, self._daily]
        if path.split("?")[0].endswith("/search"):
            wanted.append(self._search)

        def once() -> Answer:
            wait_for(self._limits, *wanted, longest=self._longest_pause)
            response = self._session().request(
                method, self._base + path, json=body, repeatable=repeatable, headers={"Accept": "application/json"}
            )
            self._learn(response.headers)
            return self._judge(response, path, repeatable=repeatable)

        return with_backoff(
            once,
            attempts=self._attempts,
            longest_pause=self._longest_pause,
            sleep=self._sleep,
            give_up_on=(LimitReached,),
        )

    def _session(self) -> HttpSession:
        session: HttpSession | None = getattr(self._local, "session", None)
        if session is None:
            session = HttpSession(timeout=self._timeout, secrets=[self._token], authorization=f"Bearer {self._token}")
            self._local.session = session
            with self._lock:
                self._sessions.append(session)
        return session

    def _learn(self, headers: Mapping[str, str]) -> None:
        """The account's own limit, when an answer names it (a search never does)."""
        try:
            most = int(headers["X-HubSpot-RateLimit-Max"])
            seconds = int(headers["X-HubSpot-RateLimit-Interval-Milliseconds"]) / 1000
        except (KeyError, ValueError):
            return
        rule = _span(most, seconds)
        if most > 0 and seconds > 0 and self._burst.rules != (rule,):
            self._burst = Limit(self._burst.key, (rule,))

    def _judge(self, response: Response, path: str, *, repeatable: bool) -> Answer:
        status = response.status
        if status in {200, 201, 202, 204, 207}:
            if response.body and "json" not in response.content_type:
                raise self._unclear("HubSpot answered without JSON", status, "not_json", repeatable)
            return Answer(status, response.body, response.headers)
        told = _told(response.body)
        code = str(told.get("category") or told.get("errorType") or status)
        if status == 429:
            raise self._limited(told, response.headers, search=path.split("?")[0].endswith("/search"))
        if status in {_LOCKED, _MIGRATING}:
            pause = retry_after_seconds(response.headers) or 2.0
            if pause > self._longest_pause:
                raise LimitReached(f"HubSpot asks to wait {pause:.0f} s", status=status, code=code, retry_after=pause)
            raise Retriable("HubSpot is busy with this record", status=status, code=code, retry_after=pause)
        if status >= 500:
            raise self._unclear(f"HubSpot failed with {status}", status, code, repeatable)
        if UNIQUE_VALUE_TAKEN in str(told.get("message", "")):
            code = UNIQUE_VALUE_TAKEN
        advice = _WHAT_TO_DO.get(status, "")
        scopes = _scopes(told) if status == 403 else ""
        where = redact(f"{path.split('?')[0]}: {status} {code}", [self._token])
        raise Fatal(f"HubSpot refused {where}{'; ' + advice if advice else ''}{scopes}", status=status, code=code)

    def _limited(self, told: Mapping[str, Any], headers: Mapping[str, str], *, search: bool) -> ClientError:
        """429: nothing was done. Everybody who shares the limit pauses; the day's budget is not waited for."""
        policy = str(told.get("policyName") or "")
        asked = retry_after_seconds(headers)
        if policy == "DAILY":
            return LimitReached(
                "HubSpot's requests of this day are used up (all apps of the account together)",
                status=429,
                code=policy,
                retry_after=asked or 3600.0,
            )
        limit = self._search if search else self._burst
        pause = asked if asked is not None else (1.0 if search else REFUSED_PAUSE_SECONDS)
        self._limits.pause(limit, pause)
        return Retriable(f"HubSpot's limit {policy or 'of requests'} is reached", status=429, code=policy or "429",
                         retry_after=pause)  # fmt: skip

    def _unclear(self, message: str, status: int, code: str, repeatable: bool) -> ClientError:
        if repeatable:
            return Retriable(message, status=status, code=code)
        return Unknown(f"{message}, outcome unknown", status=status, code=code)


def _span(most: int, seconds: float) -> Window:
    return Window(most, seconds, slack=min(SLACK_SECONDS, seconds / 10))


def _base(url: str) -> str:
    """The address without a slash at its end; an Airflow connection without a host names the public one."""
    base = url.strip().rstrip("/")
    if base in {"", "http:", "https:"}:
        return PUBLIC_URL
    parts = urlsplit(base)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise Fatal("the HubSpot connection's address is no web address; leave it empty for the public one")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise Fatal("the HubSpot connection's address must begin with https://, or be empty for the public one")
    return base


def _told(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _scopes(told: Mapping[str, Any]) -> str:
    """Names of the scopes that would do."""
    named: list[str] = []
    for error in told.get("errors") or []:
        context = error.get("context") if isinstance(error, dict) else None
        if isinstance(context, dict):
            for key in ("requiredGranularScopes", "requiredScopes"):
                named += [str(scope) for scope in context.get(key) or []]
    return f" ({', '.join(sorted(set(named)))})" if named else ""
