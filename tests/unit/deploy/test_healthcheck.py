"""The health check looks at heartbeats: a dead scheduler is unhealthy though its row says running."""

import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import healthcheck
import pytest

from warehouse.db import connect


@pytest.fixture
def metadata(empty_database: str, monkeypatch: pytest.MonkeyPatch) -> str:
    with connect(empty_database) as conn:
        conn.execute("create table job (job_type text, hostname text, state text, latest_heartbeat timestamptz)")
    monkeypatch.setenv(
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", empty_database.replace("postgresql://", "postgresql+psycopg2://")
    )
    return empty_database


def beat(url: str, *, age: int, state: str = "running", host: str | None = None) -> None:
    with connect(url) as conn:
        conn.execute(
            "insert into job values ('SchedulerJob', %s, %s, now() - make_interval(secs => %s))",
            [host or socket.gethostname(), state, age],
        )


def test_a_fresh_heartbeat_is_healthy(metadata: str) -> None:
    beat(metadata, age=5)
    assert healthcheck.main(["heartbeat", "SchedulerJob"]) == 0


@pytest.mark.parametrize(
    ("age", "state", "host"), [(120, "running", None), (5, "success", None), (5, "running", "another-container")]
)
def test_no_fresh_heartbeat_of_this_container_is_unhealthy(
    metadata: str, age: int, state: str, host: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    beat(metadata, age=age, state=state, host=host)
    assert healthcheck.main(["heartbeat", "SchedulerJob"]) == 1
    assert "SchedulerJob" in capsys.readouterr().err


def test_a_dead_database_is_unhealthy(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql+psycopg2://polka:hush@127.0.0.1:1/none")
    assert healthcheck.main(["heartbeat", "SchedulerJob"]) == 1
    assert "hush" not in capsys.readouterr().err


@pytest.fixture
def api() -> Iterator[tuple[str, list[bytes]]]:
    answers: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.path == "/api/v2/monitor/health"
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answers[0])

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", answers
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(("status", "code"), [("healthy", 0), ("unhealthy", 1)])
def test_the_api_is_healthy_when_its_database_is(api: tuple[str, list[bytes]], status: str, code: int) -> None:
    address, answers = api
    answers.append(b'{"metadatabase": {"status": "%s"}}' % status.encode())
    assert healthcheck.main(["api", address]) == code


def test_wrong_usage_is_told_apart() -> None:
    assert healthcheck.main([]) == 2
    assert healthcheck.main(["pulse", "SchedulerJob"]) == 2
