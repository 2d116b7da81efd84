"""What the HubSpot client makes of answers: whom to ask again, whom not, and what it keeps to itself."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from clients.connection import Connection
from clients.errors import Fatal, Retriable, Unknown
from clients.hubspot import HubspotClient
from clients.limits import LimitReached, LocalLimits
from tests.support.delivery import serve

TOKEN = "pat-na1-1111aaaa-2222-bbbb-3333-cccc4444dddd"
FREE = {"requests_per_10_seconds": "100000", "searches_per_second": "100000"}


class Server:
    """Answers what it is told to, in turn; the last answer stays."""

    def __init__(self) -> None:
        self.answers: list[Response] = [JSONResponse({"results": []})]
        self.seen: list[Request] = []

    async def answer(self, request: Request) -> Response:
        self.seen.append(request)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[str, Server]]:
    server = Server()
    every = ["GET", "POST", "PATCH"]
    with serve(Starlette(routes=[Route("/{path:path}", server.answer, methods=every)])) as address:
        yield address, server


@pytest.fixture
def server(running: tuple[str, Server]) -> Server:
    running[1].seen.clear()
    return running[1]


@pytest.fixture
def client(running: tuple[str, Server], server: Server) -> Callable[..., HubspotClient]:
    def make(**options: Any) -> HubspotClient:
        options = {"sleep": lambda seconds: None} | options
        return HubspotClient(Connection(url=running[0], password=TOKEN, extra=FREE), **options)

    return make


def told(status: int, **headers: str) -> Response:
    body = {"status": "error", "message": "Email shop@example.test is invalid", "category": "VALIDATION_ERROR"}
    return JSONResponse(body, status, headers=headers or None)


def limited(policy: str, **headers: str) -> Response:
    body = {"status": "error", "message": "limit", "errorType": "RATE_LIMIT", "policyName": policy}
    return JSONResponse(body, 429, headers=headers or None)


OK = JSONResponse({"results": [1]})


def test_the_token_is_sent_and_lists_are_joined(client: Callable[..., HubspotClient], server: Server) -> None:
    server.answers = [OK]
    client().get("/crm/v3/objects/deals", {"properties": ["a", "b"], "limit": 100})
    assert server.seen[0].headers["authorization"] == f"Bearer {TOKEN}"
    assert dict(server.seen[0].query_params) == {"properties": "a,b", "limit": "100"}


def test_the_recorded_429_is_waited_for(client: Callable[..., HubspotClient], server: Server, shared_dir: Path) -> None:
    recorded = json.loads((shared_dir / "samples/hubspot/rate_limit_429_secondly_issue84.json").read_text())
    server.answers = [JSONResponse(recorded, 429), OK]
    naps: list[float] = []
    assert client(sleep=naps.append).read("/crm/v3/objects/deals/search", {}).json() == {"results": [1]}
    assert any(nap == pytest.approx(1.0, abs=0.2) for nap in naps), "a second limit is over after a second"
    server.answers = [JSONResponse(recorded, 429)]
    with pytest.raises(Retriable) as error:
        client(attempts=2).read("/crm/v3/objects/deals/search", {})
    assert error.value.code == "SECONDLY"


def test_a_pause_is_for_everybody_and_as_long_as_asked(client: Callable[..., HubspotClient], server: Server) -> None:
    naps: list[float] = []
    now = [0.0]

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        now[0] += seconds

    server.answers = [limited("TEN_SECONDLY_ROLLING", **{"Retry-After": "7"}), OK]
    limits = LocalLimits(clock=lambda: now[0], sleep=sleep)
    client(limits=limits, sleep=sleep).get("/crm/v3/owners")
    assert 7.0 in naps
    assert sum(naps) < 8.0, "the limiter and the retry wait for the same seven seconds"


def test_the_budget_of_the_day_is_not_waited_for(client: Callable[..., HubspotClient], server: Server) -> None:
    server.answers = [limited("DAILY")]
    with pytest.raises(LimitReached) as error:
        client().get("/crm/v3/owners")
    assert error.value.code == "DAILY"
    assert len(server.seen) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 504, 524])
def test_a_broken_server_is_asked_again_unless_it_may_have_created(
    client: Callable[..., HubspotClient], server: Server, status: int
) -> None:
    server.answers = [told(status), OK]
    assert client().get("/crm/v3/owners").status == 200
    server.answers = [told(status), OK]
    with pytest.raises(Unknown):
        client().create("/crm/v3/objects/tasks", {})
    assert len(server.seen) == 3


@pytest.mark.parametrize("status", [423, 477])
def test_a_busy_record_is_waited_for(client: Callable[..., HubspotClient], server: Server, status: int) -> None:
    server.answers = [told(status), OK]
    assert client().create("/crm/v3/objects/tasks", {}).status == 200
    server.answers = [told(status, **{"Retry-After": "86400"})]
    with pytest.raises(LimitReached):
        client().create("/crm/v3/objects/tasks", {})


def test_a_refusal_says_what_to_do_and_nothing_of_the_record(
    client: Callable[..., HubspotClient], server: Server
) -> None:
    server.answers = [told(400)]
    with pytest.raises(Fatal) as invalid:
        client().create("/crm/v3/objects/contacts", {})
    assert (invalid.value.status, invalid.value.code) == (400, "VALIDATION_ERROR")
    assert "shop@" not in str(invalid.value)
    server.answers = [told(401)]
    with pytest.raises(Fatal, match="rotate the private app's token"):
        client().get("/crm/v3/owners")
    scopes = {
        "category": "MISSING_SCOPES",
        "errors": [{"context": {"requiredGranularScopes": ["crm.objects.deals.read"]}}],
    }
    server.answers = [JSONResponse(scopes, 403)]
    with pytest.raises(Fatal, match=r"crm\.objects\.deals\.read") as missing:
        client().get("/crm/v3/objects/deals")
    assert TOKEN not in str(missing.value)


def test_a_value_that_is_taken_is_told_by_its_code(client: Callable[..., HubspotClient], server: Server) -> None:
    message = 'Property values were not valid: [{"error": "CONFLICTING_UNIQUE_VALUE", "name": "polka_followup_id"}]'
    server.answers = [JSONResponse({"category": "VALIDATION_ERROR", "message": message}, 400)]
    with pytest.raises(Fatal) as error:
        client().create("/crm/v3/objects/tasks", {})
    assert error.value.code == "CONFLICTING_UNIQUE_VALUE"


def test_the_accounts_own_limit_is_learnt_from_its_answers(
    running: tuple[str, Server], server: Server, client: Callable[..., HubspotClient]
) -> None:
    headers = {"X-HubSpot-RateLimit-Max": "190", "X-HubSpot-RateLimit-Interval-Milliseconds": "10000"}
    server.answers = [JSONResponse({"results": []}, headers=headers)]
    asked: list[float] = []

    class Noting(LocalLimits):
        def admit(self, *limits: Any, longest: float) -> float:
            asked.append(limits[0].rules[0].count)
            return 0.0

    plain = HubspotClient(Connection(url=running[0], password=TOKEN), limits=Noting())
    for _ in range(2):
        plain.get("/crm/v3/owners")
    assert asked == [100, 190]


def test_pages_of_proxies_are_no_answers(client: Callable[..., HubspotClient], server: Server) -> None:
    server.answers = [Response("<html>", 200, media_type="text/html"), OK]
    assert client().get("/crm/v3/owners").json() == {"results": [1]}
    with pytest.raises(Fatal, match="no token"):
        HubspotClient(Connection(url=""))
    for address, problem in (("ftp://x", "no web address"), ("http://api.example", "https")):
        with pytest.raises(Fatal, match=problem):
            HubspotClient(Connection(url=address, password=TOKEN))
    for address in ("", "http://", "https://"):  # as Airflow gives a connection without a host
        assert HubspotClient(Connection(url=address, password=TOKEN))._base == "https://api.hubapi.com"
