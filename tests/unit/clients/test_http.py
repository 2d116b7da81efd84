"""HTTP: pauses, redaction, what is safe to repeat."""

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from clients.errors import Fatal, Retriable, TimedOut, Unknown
from clients.http import HttpSession, redact, retry_after_seconds, with_backoff


@pytest.fixture
def silent_server() -> Iterator[int]:
    """Accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def cutting_server() -> Iterator[str]:
    """Promises 100 bytes, sends 10 and hangs up."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "100")
            self.end_headers()
            self.wfile.write(b"0123456789")

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "Sun, 22 Nov 2026 10:00:30 GMT", "Date": "Sun, 22 Nov 2026 10:00:00 GMT"}, 30.0),
        ({"Retry-After": "Sun, 22 Nov 2026 09:00:00 GMT", "Date": "Sun, 22 Nov 2026 10:00:00 GMT"}, 0.0),
        ({"Retry-After": "Sun, 22 Nov 2026 10:00:30 GMT"}, None),
    ],
)
def test_retry_after_in_both_forms(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_seconds(headers) == seconds


def test_backoff_keeps_to_the_pause_that_was_asked_for_and_raises_the_last_error() -> None:
    pauses: list[float] = []

    def always() -> None:
        raise Retriable("busy", retry_after=3.0)

    with pytest.raises(Retriable, match="busy"):
        with_backoff(always, attempts=3, sleep=pauses.append)
    assert pauses == [3.0, 3.0]


def test_backoff_does_not_repeat_what_cannot_help() -> None:
    calls: list[int] = []

    def fatal() -> None:
        calls.append(1)
        raise Fatal("no rights")

    with pytest.raises(Fatal):
        with_backoff(fatal, sleep=lambda _: None)
    assert len(calls) == 1


def test_nothing_secret_survives_redaction() -> None:
    text = redact(
        "GET http://user:hunter2@h/rest/1/abcdef123/tasks?auth=tok&x=1 Authorization: Basic 0J/QvtC70LrQsA== pass-1",
        ["pass-1"],
    )
    for secret in ("hunter2", "abcdef123", "tok&", "0J/QvtC70LrQsA", "pass-1"):
        assert secret not in text
    assert "x=1" in text


def test_silence_is_harmless_for_a_read_and_unknown_for_a_write(silent_server: int) -> None:
    session = HttpSession(timeout=0.2)
    url = f"http://127.0.0.1:{silent_server}/"
    with pytest.raises(TimedOut):
        session.request("GET", url)
    with pytest.raises(Unknown):
        session.request("POST", url, json={})


def test_refused_connection_never_left() -> None:
    with pytest.raises(Retriable):
        HttpSession(timeout=1).request("POST", f"http://127.0.0.1:{free_port()}/", json={})


def test_a_body_that_ends_early_is_an_error(cutting_server: str) -> None:
    with pytest.raises(Retriable):
        HttpSession(timeout=2).request("GET", cutting_server)


def test_this_machine_is_reached_without_the_proxy_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, cutting_server: str
) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, nobody)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for host in ("127.0.0.1", "localhost"):
        with pytest.raises(Retriable) as hung_up:  # by the server itself: through the proxy nothing would have come
            HttpSession().request("GET", cutting_server.replace("127.0.0.1", host))
        assert hung_up.value.cause != "refused", host
    with pytest.raises(Retriable) as refused:
        HttpSession().request("GET", "http://onec.example/")
    assert refused.value.cause == "proxy"  # any other machine is
