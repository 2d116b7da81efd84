"""amoCRM (Kommo) API v4: one request at a time within the shared limit, tokens renewed safely, errors told apart.

Knows addresses, tokens, limits and envelopes; no paging and no entities: those belong to the caller.
"""

import json
import logging
import re
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, urlsplit

from clients.connection import Connection
from clients.errors import ClientError, Fatal, Retriable, TooLarge, Unknown
from clients.http import HttpSession, Response, is_loopback, retry_after_seconds, with_backoff
from clients.limits import Limit, LimitReached, Limits, LocalLimits, Window, wait_for
from clients.tokens import Tokens, TokenStore, fingerprint

log = logging.getLogger(__name__)

SERVER_TIME_LIMIT_SECONDS = 60.0
PAGE_LIMIT = 250
EVENTS_PAGE_LIMIT = 100
REQUESTS_PER_SECOND = 7
# Left to requests that come late. A rare refusal costs less than more of it would, and does no harm.
SLACK_SECONDS = 0.06
# A refusal looks back one second; permits that follow are spread anyway.
REFUSED_PAUSE_SECONDS = 0.5
# A whole address is blocked after too many refusals; asking again keeps the block alive.
BLOCKED_PAUSE_SECONDS = 900.0
# Renewed long before the end: if the renewal fails or its answer is lost, there is time to grant access anew.
RENEW_BEFORE = timedelta(hours=6)
_MARGIN = timedelta(minutes=2)
_API = "/api/v4/"
_MARKER = re.compile(r"\bPolka ([0-9a-f]{32})\b")


class BlockedForLong(Retriable):
    """The portal blocks this address; nothing leaves for a while."""


class NoSuchRecord(Fatal):
    """The portal has no such record (any more), or hides it from this user."""


class AccessLost(Fatal):
    """The token does not work any more; a person has to grant access anew."""


def task_marker(followup_id: str) -> str:
    """The line in a task's text by which it is found again; amoCRM has no field for a foreign id."""
    return f"Polka {followup_id}"


def marked_followup(text: str | None) -> str | None:
    """The followup_id out of a task's text; None when it has none."""
    found = _MARKER.search(text or "")
    return found[1] if found else None


class AmocrmClient:
    """Talks to one portal. One client serves one thread at a time; limits and tokens may be shared by many."""

    def __init__(
        self,
        connection: Connection,
        *,
        limits: Limits | None = None,
        tokens: TokenStore | None = None,
        timeout: float = SERVER_TIME_LIMIT_SECONDS,
        attempts: int = 5,
        longest_wait: float = 120.0,
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        """`connection.url`: https://<name>.amocrm.ru (or kommo.com). A private integration gives its long-lived token
        as `password`. OAuth gives `extra`: client_id, client_secret, redirect_uri and, once, the `code` (lives 20
        minutes) or a `refresh_token`; the pairs that follow are kept in `tokens`, which OAuth needs.
        `extra["requests_per_second"]` changes the limit (7). `longest_wait`: seconds to wait for a place inside it.
        Raises Fatal for settings that cannot work.
        """
        self._base = _base(connection.url)
        self.host = urlsplit(self._base).netloc
        self._sleep = sleep or time.sleep
        self._attempts = attempts
        self._longest_wait = longest_wait
        self._limits = limits or LocalLimits(sleep=self._sleep)
        self.limit = Limit(f"amocrm:{self.host}", (Window(_rate(connection.extra), 1.0, slack=SLACK_SECONDS),))
        secrets = [connection.password, *(connection.extra.get(name) for name in _SECRETS)]
        self._http = HttpSession(timeout=timeout, secrets=secrets, headers={"Accept": "application/hal+json"})
        self._grant = _Grant.of(connection)
        self._long_lived = connection.password if self._grant is None else None
        if self._grant is not None and tokens is None:
            raise Fatal("amoCRM's OAuth needs a store for its tokens: each of them works once")
        self._tokens = tokens
        self._known: Tokens | None = None
        self._renew_at: datetime | None = None

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> bytes | None:
        """The body of an answer; None when the portal has nothing to show (204).

        path: below /api/v4/. params: nested as PHP reads them, {"filter": {"id": [1, 2]}}.
        Raises Fatal (says what to do), TooLarge (ask for a shorter page), Retriable.
        """
        return self._call("GET", path + _query(params or {}), None, repeatable=True)

    def post(self, path: str, content: Any, *, repeatable: bool = False) -> dict[str, Any]:
        """Create. Raises what `get` raises, and Unknown when no answer came and doing it twice would do harm."""
        return _parsed(self._call("POST", path, content, repeatable=repeatable), path)

    def patch(self, path: str, content: Any) -> dict[str, Any]:
        """Change to what is given; doing it twice is harmless."""
        return _parsed(self._call("PATCH", path, content, repeatable=True), path)

    def close(self) -> None:
        self._http.close()

    # --- requests ---

    def _call(self, method: str, path: str, content: Any, *, repeatable: bool) -> bytes | None:
        return with_backoff(
            lambda: self._once(method, path, content, repeatable),
            attempts=self._attempts,
            sleep=self._sleep,
            give_up_on=(BlockedForLong, TooLarge, LimitReached),
        )

    def _once(self, method: str, path: str, content: Any, repeatable: bool) -> bytes | None:
        token = self._access()
        response = self._send(method, self._base + _API + path, content, token, repeatable)
        if response.status == 401 and self._grant is not None:
            # Whatever was asked was not done: the same request with a newer token is safe.
            response = self._send(method, self._base + _API + path, content, self._renewed(), repeatable)
        name = f"{method} {path.partition('?')[0]}"
        if response.status == 204:
            return None
        if response.status in (200, 201, 202) and _is_json(response):
            return response.body
        raise self._judge(name, response, repeatable)

    def _send(self, method: str, url: str, content: Any, token: str, repeatable: bool) -> Response:
        wait_for(self._limits, self.limit, longest=self._longest_wait)
        headers = {"Authorization": f"Bearer {token}"}
        return self._http.request(method, url, headers=headers, json=content, repeatable=repeatable)

    def _judge(self, name: str, response: Response, repeatable: bool) -> ClientError:
        status = response.status
        if status == 429:
            pause = retry_after_seconds(response.headers) or REFUSED_PAUSE_SECONDS
            self._limits.pause(self.limit, pause)
            return Retriable(f"{name}: too many requests to the portal", status=status, retry_after=pause)
        if status == 403 and not _is_json(response):
            self._limits.pause(self.limit, BLOCKED_PAUSE_SECONDS)
            return BlockedForLong(
                f"{name}: the portal has blocked this address for too many requests; nothing is sent for "
                f"{BLOCKED_PAUSE_SECONDS / 60:.0f} minutes",
                status=status,
                cause="blocked",
                retry_after=BLOCKED_PAUSE_SECONDS,
            )
        if status == 401:
            return AccessLost(f"{name}: {_ACCESS_LOST[self._grant is not None]}", status=status, cause="login")
        if status == 402:
            return Fatal(f"{name}: the portal is not paid for: its API is closed until it is", status=status)
        if status == 403:
            return Fatal(
                f"{name}: the user of the integration may not do this: an administrator of the portal has to grant "
                "access, or the tariff does not include it",
                status=status,
                cause="no_rights",
            )
        if 300 <= status < 400:
            return Fatal(f"{name}: the portal has moved: put its new address into the connection", status=status)
        if status == 404:
            return NoSuchRecord(f"{name}: the portal has no such record or address", status=status)
        if status in (200, 201, 202):
            message = f"{name}: HTTP {status} without the JSON that was asked for"
        elif status < 500:
            return Fatal(f"{name}: HTTP {status}{_complaints(response.body)}", status=status)
        elif status == 504 and repeatable:
            return TooLarge(f"{name}: the portal could not answer in time", status=status, cause="too_large")
        else:
            message = f"{name}: HTTP {status}, no answer that can be read"
        if repeatable:
            return Retriable(message, status=status, retry_after=retry_after_seconds(response.headers))
        return Unknown(message, status=status)

    # --- tokens ---

    def _access(self) -> str:
        """A token that works, renewed early. A renewal that fails early costs nothing but a warning."""
        if self._grant is None or self._tokens is None:
            return self._long_lived or ""
        if self._known is None:
            self._known = self._tokens.get(self._grant.key(self.host))
        known, now = self._known, self._tokens.now()
        if known is None or not self._grant.gave(known):
            return self._renewed()
        if now < (self._renew_at or known.expires_at - _early(known)):
            return known.access
        try:
            return self._renewed()
        except ClientError as error:
            if now >= known.expires_at - _MARGIN:
                raise
            log.warning("the token of %s could not be renewed before its time: %s", self.host, error)
            self._renew_at = known.expires_at - _MARGIN
            return known.access

    def _renewed(self) -> str:
        """The access token that follows the one we know: somebody else's renewal, or our own."""
        grant, tokens = self._grant, self._tokens
        assert grant is not None and tokens is not None  # noqa: S101, PT018
        key = grant.key(self.host)
        self._known = tokens.rotate(key, self._known, lambda stored: self._ask(grant, tokens, stored))
        self._renew_at = None
        return self._known.access

    def _ask(self, grant: "_Grant", tokens: TokenStore, stored: Tokens | None) -> Tokens:
        """Exchange the stored refresh token, or the code of the connection, for a new pair.

        Repeated when no answer came: the same token again is refused at worst, and then nothing is lost by it.
        """
        continues = stored is not None and grant.gave(stored)
        body = grant.refresh_body(stored.refresh) if stored is not None and continues else grant.first_body()
        seed = stored.seed if stored is not None and continues else grant.seed
        return with_backoff(
            lambda: self._exchange(body, seed, tokens), attempts=self._attempts, sleep=self._sleep, also=(Unknown,)
        )

    def _exchange(self, body: dict[str, str], seed: str, tokens: TokenStore) -> Tokens:
        wait_for(self._limits, self.limit, longest=self._longest_wait)
        response = self._http.request("POST", f"{self._base}/oauth2/access_token", json=body, repeatable=False)
        given = _object(response)
        try:
            if response.status == 200 and given is not None:
                return Tokens(
                    access=str(given["access_token"]),
                    refresh=str(given["refresh_token"]),
                    expires_at=tokens.now() + timedelta(seconds=float(given["expires_in"])),
                    seed=seed,
                    extra={"lifetime": str(given["expires_in"])},
                )
        except (KeyError, TypeError, ValueError):
            raise Fatal("the portal's answer to the renewal of its token cannot be read") from None
        if given is not None and response.status in (400, 401, 403):
            raise AccessLost(
                "the portal refuses to renew the token (it was used before, has expired, or access was withdrawn): "
                "grant access anew and put the new code into the connection",
                status=response.status,
                cause="login",
            )
        raise self._judge("POST oauth2/access_token", response, repeatable=True)


class _Grant:
    """What OAuth needs besides the tokens themselves."""

    def __init__(self, extra: Mapping[str, str]) -> None:
        missing = [name for name in ("client_id", "client_secret", "redirect_uri") if not extra.get(name)]
        if missing:
            raise Fatal(f"the amoCRM connection lacks {', '.join(missing)} in its extra")
        self._application = {name: extra[name] for name in ("client_id", "client_secret", "redirect_uri")}
        self._code, self._refresh = extra.get("code"), extra.get("refresh_token")
        self.seed = fingerprint(self._code or self._refresh or "")

    @classmethod
    def of(cls, connection: Connection) -> "_Grant | None":
        if connection.extra.get("client_id"):
            return cls(connection.extra)
        if not connection.password:
            raise Fatal("the amoCRM connection has neither a long-lived token as password nor client_id in its extra")
        return None

    def gave(self, tokens: Tokens) -> bool:
        """Whether the pair goes back to what the connection holds; a connection without code goes on with any."""
        return tokens.seed == self.seed or not (self._code or self._refresh)

    def key(self, host: str) -> str:
        return f"amocrm:{host}:{self._application['client_id']}"

    def refresh_body(self, refresh: str) -> dict[str, str]:
        return {**self._application, "grant_type": "refresh_token", "refresh_token": refresh}

    def first_body(self) -> dict[str, str]:
        if self._code:
            return {**self._application, "grant_type": "authorization_code", "code": self._code}
        if self._refresh:
            return self.refresh_body(self._refresh)
        raise AccessLost("no token is stored and the connection has no code: grant access and put the code there")


_SECRETS = ("client_secret", "code", "refresh_token")
_ACCESS_LOST = {
    False: "the long-lived token is wrong, has expired or was revoked: make a new one in the integration's settings",
    True: "the portal does not accept a fresh token: the integration was switched off or removed, grant access anew",
}


def _early(tokens: Tokens) -> timedelta:
    """How long before its end a pair is renewed: short-lived ones later than RENEW_BEFORE."""
    return min(RENEW_BEFORE, timedelta(seconds=float(tokens.extra.get("lifetime", 86400)) / 4))


def _base(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") not in ("", "api/v4"):
        raise Fatal("the amoCRM address must be the portal's: https://<name>.amocrm.ru")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise Fatal("the amoCRM token would travel in the clear: the address must begin with https")
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _rate(extra: Mapping[str, str]) -> int:
    try:
        return max(1, int(extra.get("requests_per_second", REQUESTS_PER_SECOND)))
    except ValueError:
        raise Fatal("requests_per_second of the amoCRM connection must be a whole number") from None


def _is_json(response: Response) -> bool:
    return response.body[:64].lstrip()[:1] in (b"{", b"[")


def _object(response: Response) -> dict[str, Any] | None:
    try:
        body = json.loads(response.body)
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _parsed(body: bytes | None, path: str) -> dict[str, Any]:
    try:
        content = json.loads(body or b"null")
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise Unknown(f"{path}: the portal took the request and its answer cannot be read")
    return content


def _complaints(body: bytes) -> str:
    """What amoCRM did not like: codes and places only, its sentences may repeat personal data."""
    try:
        problems = json.loads(body).get("validation-errors", [])
        found = [
            f"{error.get('path', '?')}: {error.get('code', '?')}"
            for part in problems
            for error in part.get("errors", [])
        ]
    except (ValueError, AttributeError, TypeError):
        return ""
    return f" ({'; '.join(found[:5])})" if found else ""


def _query(params: Mapping[str, Any]) -> str:
    """PHP's bracketed names, the brackets left readable; empty for no parameters."""
    pairs = [f"{name}={quote(str(value), safe=',')}" for name, value in _flat(params, "")]
    return "?" + "&".join(pairs) if pairs else ""


def _flat(value: Any, name: str) -> list[tuple[str, Any]]:
    if isinstance(value, Mapping):
        return [pair for key, item in value.items() for pair in _flat(item, f"{name}[{key}]" if name else str(key))]
    if isinstance(value, (list, tuple)):
        return [pair for index, item in enumerate(value) for pair in _flat(item, f"{name}[{index}]")]
    return [] if value is None else [(name, value)]
