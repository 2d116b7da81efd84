"""One way to speak HTTP: a timeout always, pauses as asked, bodies read as a stream, secrets never shown."""

import logging
import re
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, BinaryIO, TypeVar
from urllib.parse import urlsplit

import requests
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from clients.errors import ClientError, Fatal, NotNow, Retriable, TimedOut, Unknown

log = logging.getLogger(__name__)
Result = TypeVar("Result")

CHUNK_BYTES = 1 << 20
MAX_BODY_BYTES = 1 << 30
MAX_PAUSE_SECONDS = 300.0
_LOOPBACK = {"127.0.0.1", "::1", "localhost"}
_URL_USERINFO = re.compile(r"(?<=://)[^/\s@]+@")
_BITRIX_WEBHOOK = re.compile(r"(/rest/\d+/)[^/\s?]+")
_TELEGRAM_BOT = re.compile(r"(/bot)\d+:[^/\s?\"']+")
_SECRET_PARAMETER = re.compile(r"(?i)\b((?:access_token|refresh_token|auth|password|token|secret|api_key)=)[^&\s\"']+")
_AUTH_HEADER = re.compile(r"(?i)\b(basic|bearer)\s+[A-Za-z0-9+/=._~-]{6,}")


@dataclass(frozen=True)
class Response:
    """A complete answer. `headers` are case-insensitive; `elapsed` is in seconds, to the last byte.

    body: the whole of it, or its first bytes when the rest went to a `sink`.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    elapsed: float

    @property
    def content_type(self) -> str:
        """Media type in lower case, without parameters."""
        return self.headers.get("Content-Type", "").split(";")[0].strip().lower()


def redact(text: str, secrets: Iterable[str | None] = ()) -> str:
    """`text` without the given secrets and without anything that looks like one (URL logins, webhook codes, tokens)."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    text = _URL_USERINFO.sub("***@", text)
    text = _BITRIX_WEBHOOK.sub(r"\1***", text)
    text = _TELEGRAM_BOT.sub(r"\1***", text)
    text = _SECRET_PARAMETER.sub(r"\1***", text)
    return _AUTH_HEADER.sub(r"\1 ***", text)


class _NoSecrets(logging.Filter):
    """The HTTP library tells at debug level which address it asks; some addresses are keys."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redact(record.getMessage()), ()
        return True


logging.getLogger("urllib3.connectionpool").addFilter(_NoSecrets())


def is_loopback(host: str | None) -> bool:
    """Whether a host name means this machine."""
    return host in _LOOPBACK


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """The pause that `Retry-After` asks for, in seconds, never negative; None when absent or unreadable.

    An HTTP date is measured against the server's own `Date`, so that a skewed clock here does not matter.
    """
    value = headers.get("Retry-After", "").strip()
    if not value:
        return None
    try:
        return max(0.0, float(value)) if value.replace(".", "", 1).isdigit() else _until(value, headers.get("Date"))
    except (TypeError, ValueError, OverflowError):
        return None


def _until(moment: str, server_date: str | None) -> float | None:
    if server_date is None:
        return None
    pause = _aware(parsedate_to_datetime(moment)) - _aware(parsedate_to_datetime(server_date))
    return max(0.0, pause.total_seconds())


def server_time(headers: Mapping[str, str]) -> datetime | None:
    """The web server's own clock out of `Date`, aware; None when absent or unreadable."""
    try:
        return _aware(parsedate_to_datetime(headers.get("Date", "")))
    except (TypeError, ValueError, IndexError):
        return None


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def with_backoff(
    call: Callable[[], Result],
    *,
    attempts: int = 5,
    first_pause: float = 1.0,
    longest_pause: float = 60.0,
    sleep: Callable[[float], None] = time.sleep,
    also: tuple[type[ClientError], ...] = (),
    give_up_on: tuple[type[ClientError], ...] = (),
) -> Result:
    """Run `call`, repeating it on Retriable (and on `also`) with growing, jittered pauses.

    A pause that the server asked for is kept to (at most 5 minutes). The last error is raised as it is; errors of
    `give_up_on`, and NotNow, are raised at once.
    """
    own_pause = wait_exponential_jitter(initial=first_pause, max=longest_pause, jitter=first_pause)

    def pause(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after if isinstance(error, Retriable) else None
        return min(asked, MAX_PAUSE_SECONDS) if asked is not None else own_pause(state)

    def note(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        log.warning("attempt %s failed, pausing %.1f s: %s", state.attempt_number, state.upcoming_sleep, error)

    class _Again(retry_if_exception_type):
        def __call__(self, retry_state: RetryCallState) -> bool:
            error = retry_state.outcome.exception() if retry_state.outcome else None
            return isinstance(error, (Retriable, *also)) and not isinstance(error, (NotNow, *give_up_on))

    return Retrying(
        stop=stop_after_attempt(attempts),
        wait=pause,
        retry=_Again(),
        sleep=sleep,
        before_sleep=note,
        reraise=True,
    )(call)


class _Authorization(requests.auth.AuthBase):
    """Keeps `requests` from looking for credentials of its own."""

    def __init__(self, value: str | None) -> None:
        self._value = value

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._value is not None:
            request.headers["Authorization"] = self._value
        return request


class HttpSession:
    """A `requests` session that always has a timeout, reads bodies as a stream and raises only ClientError.

    One session serves one thread at a time. HTTP statuses are not judged here: the client of a system knows what
    they mean there.
    """

    def __init__(
        self,
        *,
        timeout: float = 60.0,
        connect_timeout: float = 10.0,
        secrets: Iterable[str | None] = (),
        headers: Mapping[str, str] | None = None,
        authorization: str | None = None,
    ) -> None:
        """`timeout` bounds the whole answer in seconds; `secrets` are blotted out of every error message.

        authorization: value of the Authorization header. A .netrc file of this machine is never used.
        """
        self._session = requests.Session()
        self._session.auth = _Authorization(authorization)
        self._session.headers.update({"User-Agent": "polka", **(headers or {})})
        self._timeout = timeout
        self._connect_timeout = connect_timeout
        self._secrets = tuple(secrets)

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        data: bytes | None = None,
        json: Any = None,
        repeatable: bool | None = None,
        timeout: float | None = None,
        max_bytes: int = MAX_BODY_BYTES,
        sink: BinaryIO | None = None,
    ) -> Response:
        """Send one request and read its whole answer. Redirects are not followed: they are an answer too.

        repeatable: whether doing it twice is harmless (default: GET, HEAD, OPTIONS).
        sink: an empty file for the body of an answer 200; for those that do not fit into memory.
        Raises Retriable (nothing was sent, or a repeatable request failed on the way), TimedOut (a repeatable
        request took longer than `timeout` seconds), Unknown (a request that must not be repeated got no answer) or
        Fatal (TLS cannot be set up).
        """
        harmless = method.upper() in {"GET", "HEAD", "OPTIONS"} if repeatable is None else repeatable
        limit = self._timeout if timeout is None else timeout
        host = urlsplit(url).hostname
        started = time.monotonic()
        try:
            with self._session.request(
                method,
                url,
                headers=dict(headers) if headers else None,
                data=data,
                json=json,
                timeout=(min(self._connect_timeout, limit), limit),
                # A proxy from the environment must not come between us and this machine; its trusted authorities may.
                proxies={"no_proxy": host} if host and is_loopback(host) else None,
                allow_redirects=False,
                stream=True,
            ) as answer:
                body = self._read(answer, started + limit, max_bytes, sink if answer.status_code == 200 else None)
                return Response(answer.status_code, answer.headers, body, time.monotonic() - started)
        except requests.ConnectTimeout as error:
            raise Retriable(self._say("no connection in time", method, url, error), cause="connect_timeout") from None
        except (requests.Timeout, TimeoutError) as error:
            if harmless:
                raise self._timed_out(limit, method, url, error) from None
            raise Unknown(self._say(f"no answer in {limit:g} s, outcome unknown", method, url, error)) from None
        except requests.exceptions.SSLError as error:
            message = self._say("the server's certificate is not trusted or TLS failed", method, url, error)
            raise Fatal(
                message + "; name the file with its certificate authority in REQUESTS_CA_BUNDLE",
                cause=_tls_cause(error),
            ) from None
        except requests.RequestException as error:
            if harmless and "ReadTimeoutError" in repr(error):  # requests hides a timeout inside the body so
                raise self._timed_out(limit, method, url, error) from None
            if harmless or _never_left(error):
                raise Retriable(
                    self._say("connection failed", method, url, error), cause=_connection_cause(error)
                ) from None
            raise Unknown(self._say("connection lost, outcome unknown", method, url, error)) from None

    def cookie(self, name: str) -> str | None:
        """The value of a cookie that the other side set; None when it did not."""
        return next((cookie.value for cookie in self._session.cookies if cookie.name == name), None)

    def forget_cookies(self) -> None:
        self._session.cookies.clear()

    def close(self) -> None:
        self._session.close()

    def _read(self, answer: requests.Response, deadline: float, max_bytes: int, sink: BinaryIO | None) -> bytes:
        chunks: list[bytes] = []
        size = 0
        if sink is not None:
            # A request that is repeated begins its file anew.
            sink.seek(0)
            sink.truncate()
        for chunk in answer.iter_content(CHUNK_BYTES):
            if sink is None or not chunks:
                chunks.append(chunk)
            if sink is not None:
                sink.write(chunk)
            size += len(chunk)
            if size > max_bytes:
                raise Retriable(f"answer is larger than {max_bytes} bytes", status=answer.status_code, code="too_large")
            if time.monotonic() > deadline:
                raise TimeoutError
        return b"".join(chunks)

    def _timed_out(self, limit: float, method: str, url: str, error: Exception) -> TimedOut:
        return TimedOut(self._say(f"no complete answer in {limit:g} s", method, url, error), cause="timeout")

    def _say(self, what: str, method: str, url: str, error: Exception) -> str:
        return redact(f"{what}: {method} {url.split('?')[0]} ({type(error).__name__})", self._secrets)


def _tls_cause(error: requests.exceptions.SSLError) -> str:
    """What exactly is wrong with TLS; the numbers are OpenSSL's verify codes."""
    reason = getattr(error.args[0], "reason", None) if error.args else None
    inner = reason.args[0] if isinstance(reason, Exception) and reason.args else reason
    if isinstance(inner, ssl.SSLCertVerificationError):
        by_code = {
            10: "tls_expired",
            18: "tls_untrusted",
            19: "tls_untrusted",
            20: "tls_untrusted",
            21: "tls_untrusted",
        }
        return {**by_code, 62: "tls_other_host", 64: "tls_other_host"}.get(inner.verify_code, "tls_certificate")
    if isinstance(inner, ssl.SSLError) and inner.reason in {
        "WRONG_VERSION_NUMBER",
        "HTTP_REQUEST",
        "RECORD_LAYER_FAILURE",
    }:
        return "tls_not_spoken"
    return "tls"


def _connection_cause(error: requests.RequestException) -> str:
    text = repr(error)
    if isinstance(error, requests.exceptions.ProxyError):
        return "proxy"
    if isinstance(error, requests.exceptions.InvalidURL):
        return "bad_address"
    if "NameResolutionError" in text:
        return "unknown_host"
    return "refused" if "NewConnectionError" in text else "broken_off"


def _never_left(error: requests.RequestException) -> bool:
    """Whether the request certainly did not reach the other side."""
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return type(reason).__name__ in {"NewConnectionError", "NameResolutionError"} or isinstance(
        error, (requests.exceptions.InvalidURL, requests.exceptions.MissingSchema, requests.exceptions.ProxyError)
    )
