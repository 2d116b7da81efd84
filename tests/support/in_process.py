"""Talking to a simulator without a socket: requests of this process go straight into the application.

Much faster than HTTP, so that thousands of short stories can be told; what a network does to an answer is imitated.
"""

import asyncio
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

import requests
from requests.structures import CaseInsensitiveDict
from starlette.types import ASGIApp

ADDRESS = "http://localhost:9"  # this machine, so that nobody asks the environment for a proxy; nobody listens
_loops = threading.local()


class InProcess(requests.adapters.BaseAdapter):
    """A transport adapter; `app` may be another one for every story. `patience`: seconds until a read timeout."""

    def __init__(self, patience: float = 0.02) -> None:
        super().__init__()
        self.app: ASGIApp | None = None
        self.patience = patience

    def send(  # type: ignore[override]
        self, request: requests.PreparedRequest, *arguments: Any, **options: Any
    ) -> requests.Response:
        messages, broken = _loop().run_until_complete(self._call(request))
        if broken or not messages or messages[-1].get("more_body"):
            raise requests.ConnectionError("the connection was broken off")
        start = messages[0]
        response = requests.Response()
        response.status_code = start["status"]
        response.headers = CaseInsensitiveDict({k.decode("latin-1"): v.decode("latin-1") for k, v in start["headers"]})
        response.raw = io.BytesIO(b"".join(m.get("body", b"") for m in messages[1:]))
        response.url = str(request.url)
        response.request = request
        return response

    async def _call(self, request: requests.PreparedRequest) -> tuple[list[dict[str, Any]], bool]:
        assert self.app is not None
        parts = urlsplit(str(request.url))
        body = request.body.encode() if isinstance(request.body, str) else request.body or b""
        scope: dict[str, Any] = {
            "type": "http",
            "http_version": "1.1",
            "method": request.method,
            "scheme": parts.scheme,
            "path": unquote(parts.path),
            "raw_path": parts.path.encode(),
            "query_string": parts.query.encode(),
            "root_path": "",
            "headers": [(b"host", parts.netloc.encode())]
            + [(str(k).lower().encode(), str(v).encode()) for k, v in request.headers.items()],
            "client": None,
            "server": (parts.hostname, parts.port or 80),
        }
        messages: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            messages.append(message)

        try:
            await asyncio.wait_for(self.app(scope, receive, send), self.patience)
        except TimeoutError:
            raise requests.ReadTimeout("no answer in time") from None
        return messages, bool(scope.get("aborted"))

    def close(self) -> None:
        pass


def _loop() -> asyncio.AbstractEventLoop:
    loop: asyncio.AbstractEventLoop | None = getattr(_loops, "loop", None)
    if loop is None:
        loop = _loops.loop = asyncio.new_event_loop()
    return loop


@contextmanager
def in_process() -> Iterator[InProcess]:
    """While inside, every `requests` session reaches the adapter's application at ADDRESS."""
    adapter = InProcess()
    usual = requests.Session.get_adapter

    def chosen(session: requests.Session, url: str) -> requests.adapters.BaseAdapter:
        return adapter if url.startswith(ADDRESS) else usual(session, url)

    requests.Session.get_adapter = chosen  # type: ignore[method-assign, assignment]
    try:
        yield adapter
    finally:
        requests.Session.get_adapter = usual  # type: ignore[method-assign]
