"""1C:Enterprise by its standard OData: how to ask and what its answers and refusals mean.

Knows nothing of paging, entities or landing. Changes nothing in the base; the one exception is the receipt for the
changes of an exchange plan (`notify_changes_received`).
"""

import base64
import json
import math
import re
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO
from urllib.parse import quote, urlsplit

from clients.connection import Connection
from clients.errors import ClientError, Fatal, Retriable, TimedOut, TooLarge
from clients.http import HttpSession, Response, redact, retry_after_seconds, server_time, with_backoff
from clients.onec_sessions import Seats

BOM = b"\xef\xbb\xbf"
JSON_FORMAT = "application/json;odata=nometadata"
_SAFE_IN_PATH = "$()'/,="
_SAFE_IN_QUERY = "'(),:*/"
_ONE_KEY = {"$top": "1", "$select": "Ref_Key", "allowedOnly": "true", "$format": JSON_FORMAT}
_TOO_LARGE = re.compile(r"device is full|no space left|not enough memory|недостаточно памяти|application error", re.I)
_TITLE = re.compile(r"<title[^>]*>([^<]{1,120})", re.I)
_XML_CODE = re.compile(r"<(?:\w+:)?code[^>]*>([^<]*)<")
_XML_MESSAGE = re.compile(r"<(?:\w+:)?message[^>]*>([^<]*)<")


class NotFound(Fatal):
    """There is no record with that key."""


@dataclass(frozen=True)
class Greeting:
    """A base's first answer: its published sets, its web server's clock (aware) if it told, seconds it took."""

    sets: tuple[str, ...]
    server_time: datetime | None
    elapsed: float


class Pace:
    """How many requests to have under way so that the base works on a given number of them at once.

    On a long way some are always on the road, there or back, and the base would wait for them. By the time that the
    way takes and the time that answers take it is known how many.
    """

    def __init__(self) -> None:
        self.way = 0.0
        self._seconds: float | None = None

    def note(self, seconds: float) -> None:
        """An answer took so long, the way included."""
        self._seconds = seconds if self._seconds is None else 0.8 * self._seconds + 0.2 * seconds

    def under_way(self, at_work: int) -> int:
        """So many requests, for the base to work on `at_work` of them; at most twice as many."""
        if not self._seconds or self.way <= 0:
            return at_work
        work = max(self._seconds - self.way, self._seconds / 2)
        return min(2 * at_work, math.ceil(at_work * self._seconds / work - 0.1))


class OnecClient:
    """Reads one publication. May be used by several threads; requests at the same time have a session each."""

    def __init__(
        self,
        connection: Connection,
        *,
        timeout: float = 600.0,
        attempts: int = 5,
        first_pause: float = 1.0,
        slot: Callable[[], AbstractContextManager[object]] = nullcontext,
    ):
        """connection.url is the root, ending in `/odata/standard.odata`; timeout in seconds, per request.

        slot: entered around each request; waits while too many others ask the same base.
        """
        if urlsplit(connection.url).scheme not in {"http", "https"}:
            raise Fatal(
                f"the address of 1C must begin with http:// or https://, not '{redact(connection.url)[:80]}'",
                cause="bad_address",
            )
        self._root = connection.url.rstrip("/")
        self._timeout = timeout
        self._attempts = attempts
        self._first_pause = first_pause
        self._secrets = [connection.password]
        self._authorization: str | None = None
        if connection.login is not None:
            # Cyrillic logins work only as UTF-8.
            pair = f"{connection.login}:{connection.password or ''}".encode()
            token = base64.b64encode(pair).decode()
            self._secrets.append(token)
            self._authorization = f"Basic {token}"
        self._slot = slot
        self.pace = Pace()
        self._seats = Seats(self._connect)
        self._goodbye = ""
        self._leaving: list[threading.Thread] = []

    def __enter__(self) -> "OnecClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def rest(self, *, but: int = 0) -> None:
        """End the sessions, but so many, without waiting for it. The client may be used again."""
        thread = threading.Thread(target=self._leave, args=(but,), name="goodbye")
        self._leaving.append(thread)
        thread.start()

    def close(self) -> None:
        """End the sessions. The client may be used again, it then begins new ones."""
        while self._leaving:
            self._leaving.pop().join()
        self._leave(0)

    def _leave(self, but: int) -> None:
        self._seats.close(f"{self._root}/{self._goodbye}", self._slot, but=but)

    def greet(self) -> Greeting:
        """Ask the root of the publication, once: does it answer, does it let us in, what is published.

        Raises ClientError; its `cause` tells what is in the way.
        """
        url = f"{self._root}/{query({'$format': JSON_FORMAT})}"
        answer = self._send("GET", url, "application/json", max_bytes=1 << 26)
        problem = judge(answer, "the list of published sets", secrets=self._secrets)
        if problem is not None:
            raise problem
        try:
            listed = json.loads(answer.body.decode("utf-8-sig"))["value"]
            names = tuple(str(item["url"]) for item in listed)
        except (KeyError, ValueError, TypeError):
            raise Fatal(
                "the answer is JSON, but no list of 1C's published sets", status=200, cause="no_odata"
            ) from None
        return Greeting(names, server_time(answer.headers), answer.elapsed)

    def collection(
        self, source_set: str, options: Mapping[str, str], *, retry: bool = True, last: bool = False
    ) -> bytes:
        """One answer of a set as JSON bytes (a collection under "value"), exactly as sent.

        options: OData options by their names ($top, $filter, allowedOnly, ...), not encoded. last: the session that
        serves it ends with it.
        Raises ClientError; TooLarge and TimedOut are never repeated here, the caller asks for less instead.
        """
        return self._read(source_set, {**options, "$format": JSON_FORMAT}, source_set, retry, last=last)

    def record(self, source_set: str, record_id: str) -> bytes | None:
        """One record as JSON bytes (fields at the top level), or None when there is none with that key."""
        try:
            return self._read(f"{source_set}(guid'{record_id}')", {"$format": JSON_FORMAT}, source_set, True)
        except NotFound:
            return None

    def count(self, source_set: str, options: Mapping[str, str], *, last: bool = False) -> int | None:
        """How many records a filter selects, by 1C itself; None when this base cannot count.

        last: nothing else is going to be asked, the session ends with it.
        """
        try:
            counted = self._read(f"{source_set}/$count", options, source_set, True, shape="text", last=last)
            answer = counted.removeprefix(BOM)
            return int(answer.strip())
        except ValueError:
            pass
        except Fatal as error:
            if error.status not in (400, 404, 405, 501) or error.code == "8":
                raise
        return self._inline_count(source_set, options)

    def call(self, source_set: str, function: str, arguments: Mapping[str, str], options: Mapping[str, str]) -> bytes:
        """A virtual table of a register (`Balance`, `Turnovers`, `SliceLast`, ...) as JSON bytes, as sent.

        arguments: by name, as OData literals. options: as in `collection`. Raises ClientError.
        """
        named = ",".join(f"{name}={value}" for name, value in arguments.items())
        options = {**options, "$format": JSON_FORMAT}
        return self._read(f"{source_set}/{function}({named})", options, source_set, True)

    def select_changes(self, plan: str, node: str, message_no: int, sink: BinaryIO) -> int:
        """Write the Atom feed of what changed for a node of an exchange plan into `sink`; returns its bytes.

        plan: name without prefix; node: guid of the node. Asking again for the same number repeats the message.
        1C builds the whole message in its memory, whatever is asked for. Raises ClientError.
        """

        def once() -> None:
            url = self._exchange("SelectChanges", plan, node, message_no)
            answer = self._send("POST", url, "application/atom+xml", max_bytes=1 << 33, sink=sink)
            problem = judge(answer, f"ExchangePlan_{plan}", shape="xml", secrets=self._secrets)
            if problem is not None:
                raise problem

        with_backoff(once, attempts=self._attempts, first_pause=self._first_pause, give_up_on=(TooLarge, TimedOut))
        return sink.tell()

    def notify_changes_received(self, plan: str, node: str, message_no: int) -> None:
        """The receipt: 1C forgets the changes up to this message. Harmless when repeated. Raises ClientError."""

        def once() -> None:
            url = self._exchange("NotifyChangesReceived", plan, node, message_no)
            answer = self._send("POST", url, "application/json", max_bytes=1 << 20)
            if answer.status // 100 == 2 and b"<html" not in answer.body[:512].lower():
                return
            problem = judge(answer, f"ExchangePlan_{plan}", shape="text", secrets=self._secrets)
            if problem is not None:
                raise problem

        with_backoff(once, attempts=self._attempts, first_pause=self._first_pause)

    def _exchange(self, function: str, plan: str, node: str, message_no: int) -> str:
        point = f"'{self._root}/ExchangePlan_{plan}(guid'{node}')'"
        options = {"DataExchangePoint": point, "MessageNo": str(message_no)}
        return f"{self._root}/{function}{query(options)}"

    def metadata(self) -> bytes:
        """The XML of `$metadata`: megabytes, and the better part of a minute on a big configuration."""
        return self._read("$metadata", {}, "$metadata", True, shape="xml")

    def _inline_count(self, source_set: str, options: Mapping[str, str]) -> int | None:
        """By `$inlinecount` on an empty page. Bases that ignore $top beside it would send everything: 1 MB at most."""
        asked = {**options, "$top": "0", "$inlinecount": "allpages", "$format": JSON_FORMAT}
        try:
            body = self._read(source_set, asked, source_set, True, max_bytes=1 << 20)
            return int(json.loads(body.decode("utf-8-sig"))["odata.count"])
        except (KeyError, ValueError, TypeError):
            return None
        except Retriable as error:
            if error.code == "too_large":
                return None
            raise

    def _read(
        self,
        path: str,
        options: Mapping[str, str],
        source_set: str,
        retry: bool,
        *,
        shape: str = "json",
        max_bytes: int = 1 << 29,
        last: bool = False,
    ) -> bytes:
        url = f"{self._root}/{quote(path, safe=_SAFE_IN_PATH)}{query(options)}"

        def once() -> bytes:
            accept = "application/json" if shape == "json" else "*/*"
            answer = self._send("GET", url, accept, max_bytes=max_bytes, last=last)
            problem = judge(answer, source_set, shape=shape, secrets=self._secrets)
            if problem is not None:
                raise problem
            return answer.body

        if not retry:
            return once()
        body = with_backoff(
            once, attempts=self._attempts, first_pause=self._first_pause, give_up_on=(TooLarge, TimedOut)
        )
        if shape == "json":
            self._goodbye = f"{quote(source_set)}{query(_ONE_KEY)}"
        return body

    def _send(
        self,
        method: str,
        url: str,
        accept: str,
        *,
        max_bytes: int,
        sink: BinaryIO | None = None,
        last: bool = False,
    ) -> Response:
        def request(http: HttpSession, extra: dict[str, str]) -> Response:
            headers = {"Accept": accept, **extra}
            # Nothing that we ask of 1C does more when it is done twice.
            return http.request(method, url, headers=headers, max_bytes=max_bytes, sink=sink, repeatable=True)

        with self._slot():
            answer = self._seats.send(request, last=last)
        if answer.status == 200:
            self.pace.note(answer.elapsed)
        return answer

    def measure_way(self) -> float:
        """Seconds there and back, by two requests that the web server answers without 1C; 0 when it cannot be told."""
        address = urlsplit(self._root)
        http = HttpSession(timeout=10.0)
        try:
            # The first one also pays for the connection.
            answers = [http.request("HEAD", f"{address.scheme}://{address.netloc}/") for _ in range(2)]
            self.pace.way = min(answer.elapsed for answer in answers)
        except ClientError:
            self.pace.way = 0.0
        finally:
            http.close()
        return self.pace.way

    def _connect(self) -> HttpSession:
        return HttpSession(timeout=self._timeout, secrets=self._secrets, authorization=self._authorization)


def query(options: Mapping[str, str]) -> str:
    """`?name=value&...` as 1C wants it: spaces as %20, never '+'; empty for no options."""
    if not options:
        return ""
    return "?" + "&".join(f"{name}={quote(value, safe=_SAFE_IN_QUERY)}" for name, value in options.items())


def guid(value: str) -> str:
    """A guid as an OData literal."""
    return f"guid'{value}'"


def local_time(value: str) -> str:
    """A zone-less ISO time as an OData literal."""
    return f"datetime'{value}'"


def judge(
    answer: Response, source_set: str, *, shape: str = "json", secrets: list[str | None] | None = None
) -> ClientError | None:
    """None when the answer is what was asked for; otherwise the error, in words that say what to do."""
    start = answer.body[:512].removeprefix(BOM).lstrip()
    is_html = start[:1] == b"<" and (b"<html" in start.lower() or b"<!doctype html" in start.lower())
    if answer.status == 200 and not is_html:
        wanted = {"json": b"{", "xml": b"<"}.get(shape)
        refusal = start.startswith((b'{"odata.error"', b'{"#exception"'))
        if not refusal and (wanted is None or start[:1] == wanted):
            return None
        if start[:1] == b"<" and shape == "json":
            return Fatal(
                "1C answered with XML although JSON was asked for: OData speaks JSON from platform 8.3.6 on",
                status=200,
                cause="only_xml",
            )
    details = _details(answer.body, is_html)
    said = redact(details.message, secrets or [])[:300]
    return _explain(answer, source_set, details.code, said, is_html)


class _Details:
    def __init__(self, code: str | None, message: str) -> None:
        self.code = code
        self.message = message


def _details(body: bytes, is_html: bool) -> _Details:
    text = body[: 1 << 16].decode("utf-8-sig", "replace").strip()
    if is_html:
        title = _TITLE.search(text)
        return _Details(
            None, (title[1].strip() if title else "") + (" " + found[0] if (found := _TOO_LARGE.search(text)) else "")
        )
    if text.startswith("{"):
        try:
            return _from_json(json.loads(text))
        except (ValueError, TypeError, AttributeError):
            return _Details(None, "")
    code, message = _XML_CODE.search(text), _XML_MESSAGE.search(text)
    return _Details(code[1].strip() if code else None, message[1].strip() if message else "")


def _from_json(content: Any) -> _Details:
    error = content.get("odata.error")
    if isinstance(error, dict):
        message = error.get("message")
        value = message.get("value") if isinstance(message, dict) else message
        return _Details(str(error.get("code", "")) or None, str(value or ""))
    exception = content.get("exception")
    deepest = ""
    while isinstance(exception, dict):
        deepest = str(exception.get("descr") or deepest)
        exception = exception.get("inner")
    return _Details(None, deepest)


def _explain(answer: Response, source_set: str, code: str | None, said: str, is_html: bool) -> ClientError:
    status = answer.status
    quoted = f" 1C says: «{said}»" if said else ""
    tail = f" [HTTP {status}{f', code {code}' if code else ''}]{quoted}"

    def fatal(words: str, cause: str | None = None) -> Fatal:
        return Fatal(words + tail, status=status, code=code, cause=cause)

    pause = retry_after_seconds(answer.headers)
    if status == 200:
        if is_html:
            return fatal(
                "got a web page instead of data: the address leads to a login page or a site, not to OData; "
                "use the address that ends in /odata/standard.odata and switch single sign-on off for it",
                "web_page",
            )
        return fatal(f"the answer for {source_set} is not a collection of records")
    if 300 <= status < 400:
        target = urlsplit(answer.headers.get("Location", ""))
        return fatal(
            f"1C redirects to {target.scheme}://{target.hostname}{target.path[:80]}: "
            "put the final address into the connection",
            "redirect",
        )
    if status == 401 and code == "20":
        return fatal(
            f"the user may not read {source_set}: give it a role with the right to read this object "
            "(a read-only profile for Polka) or take the entity out of the mapping",
            "no_rights",
        )
    schemes = answer.headers.get("WWW-Authenticate", "").lower()
    if status == 401 and schemes and "basic" not in schemes:
        return fatal(
            "the web server asks for Windows sign-in: switch «Basic» authentication on for the publication, "
            "or anonymous access, so that 1C itself asks for login and password",
            "login_scheme",
        )
    if status == 401:
        return fatal(
            "1C did not accept the login: check login and password of the connection, that the user may sign in "
            "by 1C:Enterprise authentication, and that it is not switched off",
            "login",
        )
    if status == 403 and is_html:
        return fatal(
            "the web server before 1C forbids the request: allow this machine and the path /odata there",
            "forbidden",
        )
    if status == 403:
        return fatal(
            "1C refuses to start a session: sessions may be locked for maintenance, or the user may not use "
            "external access; ask the 1C administrator, then run again",
            "session_refused",
        )
    if status == 404 and code == "9":
        return NotFound(f"no such record in {source_set}" + tail, status=status, code=code)
    if status == 404 and code == "8":
        return fatal(
            f"{source_set} is not published: tick it in the list of the standard OData interface "
            "(«Настройка состава стандартного интерфейса OData») or take the entity out of the mapping",
            "not_published",
        )
    if status == 404:
        return fatal(
            "there is no OData here: check the address and that the publication has OData switched on", "no_odata"
        )
    if status == 406:
        return Retriable(
            "1C has no free licence or session for us: free one, or let Polka read when fewer people work" + tail,
            status=status,
            code=code,
            cause="no_licence",
            retry_after=pause,
        )
    if status == 400 and code in ("6", "10", "14"):
        return fatal(
            f"1C does not understand the request for {source_set}: a field or an option is unknown to this base"
        )
    if status == 413 or (status == 500 and is_html):
        return TooLarge(
            f"1C could not build the answer for {source_set}: the page is too large for the server; "
            "fewer records are asked for now" + tail,
            status=status,
            code=code,
            cause="too_large",
        )
    if status in (400, 405, 501):
        return fatal(f"1C cannot serve the request for {source_set}")
    if status == 429 or status >= 500:
        return Retriable(
            f"1C failed for a moment while reading {source_set}" + tail,
            status=status,
            code=code,
            cause="server_error",
            retry_after=pause,
        )
    return fatal(f"unexpected answer while reading {source_set}")
