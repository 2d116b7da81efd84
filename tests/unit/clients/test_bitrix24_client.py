"""The client's side of Bitrix24: limits kept, answers judged, secrets hidden."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from clients.bitrix24 import AccessLost, Answer, Bitrix24Client, BlockedForLong, as_list, as_map
from clients.connection import Connection
from clients.errors import ClientError, Fatal, Retriable, TooLarge, Unknown
from clients.limits import LimitReached
from clients.tokens import MemoryTokens
from simulators.bitrix24 import Fault, Limits, OAuthApplication
from tests.support.delivery import PortalHandle, closed_port, running_portal


class Sleeper:
    """Remembers the pauses instead of taking them; can stand in for the clock too."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def clock(self) -> float:
        return self.now


@pytest.fixture
def portal(tmp_path: Path) -> Iterator[PortalHandle]:
    with running_portal(tmp_path / "portal.json") as handle:
        yield handle


@pytest.fixture
def sleeper() -> Sleeper:
    return Sleeper()


@pytest.fixture
def client(portal: PortalHandle, sleeper: Sleeper) -> Bitrix24Client:
    return Bitrix24Client(portal.connection(), sleep=sleeper.sleep, timeout=5.0)


NEW_TASK = {"fields": {"TITLE": "t", "RESPONSIBLE_ID": 11}}


def test_its_limiter_never_meets_the_portals_limit(tmp_path: Path) -> None:
    """Our bucket and the portal's are the same: 80 calls at ten times the speed, not one refusal."""
    with running_portal(tmp_path / "p.json", limits=Limits(drain_per_second=20.0, burst=50.0)) as portal:
        connection = Connection(url=portal.url, extra={"requests_per_second": "20", "burst": "49"})
        client = Bitrix24Client(connection, attempts=1)
        for _ in range(80):
            client.call("server.time", repeatable=True)


@pytest.mark.parametrize("kind", ["query_limit", "internal_error", "not_json", "reset_before_acting"])
def test_a_reading_is_repeated(portal: PortalHandle, client: Bitrix24Client, sleeper: Sleeper, kind: Any) -> None:
    portal.plan(Fault(kind, "user.get"))
    assert client.call("user.get", repeatable=True).total == 4
    assert len([pause for pause in sleeper.pauses if pause > 0.01]) == 1  # the limiter may ask for microseconds


def test_a_writing_is_repeated_only_when_it_was_not_done(portal: PortalHandle, client: Bitrix24Client) -> None:
    portal.plan(Fault("query_limit", "tasks.task.add", times=2))
    client.call("tasks.task.add", NEW_TASK, repeatable=False)
    assert len(portal.tasks()) == 1
    for kind in ("internal_error", "not_json", "reset_before_acting", "reset_after_acting"):
        portal.plan(Fault(kind, "tasks.task.add"))  # type: ignore[arg-type]
        with pytest.raises(Unknown):
            client.call("tasks.task.add", NEW_TASK, repeatable=False)
    assert len(portal.tasks()) == 2  # the one whose answer was cut off


def test_nobody_there_is_retriable_even_for_a_writing(sleeper: Sleeper) -> None:
    client = Bitrix24Client(Connection(url=f"http://127.0.0.1:{closed_port()}/rest/1/code/"), sleep=sleeper.sleep)
    with pytest.raises(Retriable):
        client.call("tasks.task.add", NEW_TASK, repeatable=False)
    assert len(sleeper.pauses) == 3


def test_a_method_rests_before_the_portal_blocks_it(tmp_path: Path, sleeper: Sleeper) -> None:
    limits = Limits(10_000, 100_000, operating_cost=(("tasks.task.list", 150.0),))
    with running_portal(tmp_path / "p.json", limits=limits) as portal:
        client = Bitrix24Client(portal.connection(), sleep=sleeper.sleep)
        for _ in range(3):
            client.call("tasks.task.list", repeatable=True)
        with pytest.raises(LimitReached) as blocked:
            client.call("tasks.task.list", repeatable=True)
        assert client.call("user.get", repeatable=True).total == 4, "other methods go on"
        assert portal.calls() == {"tasks.task.list": 3, "user.get": 1}
    assert blocked.value.retry_after == pytest.approx(600, abs=5)
    assert sleeper.pauses == []


def test_a_long_block_is_not_waited_for(portal: PortalHandle, client: Bitrix24Client, sleeper: Sleeper) -> None:
    portal.plan(Fault("operation_limit", "tasks.task.list"))
    with pytest.raises(BlockedForLong) as blocked:
        client.call("tasks.task.list", repeatable=True)
    assert blocked.value.status == 429
    assert blocked.value.retry_after == pytest.approx(600, abs=5)
    with pytest.raises(LimitReached):
        client.batch({"a": ("tasks.task.list", {})}, repeatable=True)
    assert sleeper.pauses == []


def test_a_block_within_a_batch_concerns_its_method_only(tmp_path: Path, sleeper: Sleeper) -> None:
    limits = Limits(10_000, 100_000, operating_cost=(("tasks.task.list", 300.0),))
    with running_portal(tmp_path / "p.json", limits=limits) as portal:
        client = Bitrix24Client(portal.connection(), sleep=sleeper.sleep)
        lists: dict[str, tuple[str, dict[str, Any]]] = {str(n): ("tasks.task.list", {}) for n in range(4)}
        answers = client.batch({**lists, "me": ("profile", {})}, repeatable=True)
    assert isinstance(answers["me"], Answer)
    assert [isinstance(answers[str(n)], Answer) for n in range(4)] == [True, True, False, False]
    assert isinstance(answers["2"], Retriable)


@pytest.mark.parametrize("kind", ["access_denied", "insufficient_scope"])
def test_refusals_are_fatal_and_told_apart(portal: PortalHandle, client: Bitrix24Client, kind: Any) -> None:
    portal.plan(Fault(kind, "user.get"))
    with pytest.raises(Fatal) as fatal:
        client.call("user.get", repeatable=True)
    assert fatal.value.status == 403
    assert ("tariff" in str(fatal.value)) is (kind == "access_denied")


def test_a_request_that_works_too_long_is_broken_off(tmp_path: Path, sleeper: Sleeper) -> None:
    slow = Limits(10_000, 100_000, operating_cost=(("user.get", 0.2),), workers=1, request_seconds=0.3)
    with running_portal(tmp_path / "p.json", limits=slow) as portal:
        client = Bitrix24Client(portal.connection(), sleep=sleeper.sleep)
        two: dict[str, tuple[str, dict[str, Any]]] = {str(n): ("user.get", {}) for n in range(2)}
        with pytest.raises(TooLarge):
            client.batch(two, repeatable=True)
        with pytest.raises(Unknown):
            client.batch(two, repeatable=False)
        assert sleeper.pauses == []


def test_what_a_batch_lost_is_told(portal: PortalHandle, client: Bitrix24Client) -> None:
    portal.plan(Fault("lost_commands", "batch"))
    answers = client.batch({str(n): ("profile", {}) for n in range(6)}, repeatable=True)
    assert [isinstance(answer, Retriable) for answer in answers.values()] == [False, True, False, False, True, False]


def test_a_description_gives_nobody_away(portal: PortalHandle, client: Bitrix24Client) -> None:
    told = {"error": "", "error_description": "User <b>ivanov@shop.example</b> +7 (900) 123-45-67 has no right 123"}
    error = client._command_error("user.get", told)
    assert str(error).split() == ["user.get:", "User", "***", "***", "has", "no", "right", "123"]


# --- OAuth ---


@pytest.fixture
def application() -> OAuthApplication:
    return OAuthApplication()


@pytest.fixture
def installed(tmp_path: Path, application: OAuthApplication) -> Iterator[PortalHandle]:
    with running_portal(tmp_path / "portal.json", oauth=application) as handle:
        yield handle


def granted(portal: PortalHandle, application: OAuthApplication) -> Connection:
    extra = {
        "client_id": application.client_id,
        "client_secret": application.client_secret,
        "refresh_token": application.refresh_token,
        "token_url": f"{portal.address}/oauth/token/",
        "requests_per_second": "10000",
        "burst": "10000",
    }
    return Connection(url=f"{portal.address}/", extra=extra)


def test_oauth_renews_its_tokens_when_told_to(installed: PortalHandle, application: OAuthApplication) -> None:
    connection, store = granted(installed, application), MemoryTokens(lambda: datetime.now(UTC))
    one, other = (Bitrix24Client(connection, tokens=store) for _ in range(2))
    for client in (one, other, one):
        assert client.call("user.get", repeatable=True).total == 4
    assert application.refreshed == 1, "one pair for both"
    application.expire()
    for client in (one, other, one):
        client.call("tasks.task.add", NEW_TASK, repeatable=False)
    assert application.refreshed == 2, "the second found the pair that the first had got"
    assert len(installed.tasks()) == 3
    another = Bitrix24Client(connection, tokens=store)
    answers = another.batch({"a": ("profile", {})}, repeatable=True)
    assert isinstance(answers["a"], Answer)
    assert application.refreshed == 2, "a new process goes on with the stored pair"


def test_a_spent_refresh_token_needs_a_person(installed: PortalHandle, application: OAuthApplication) -> None:
    connection = granted(installed, application)
    Bitrix24Client(connection, tokens=MemoryTokens(lambda: datetime.now(UTC))).call("profile", repeatable=True)
    forgetful = Bitrix24Client(connection, tokens=MemoryTokens(lambda: datetime.now(UTC)))
    with pytest.raises(AccessLost, match="install the application") as lost:
        forgetful.call("profile", repeatable=True)
    for secret in (connection.extra["refresh_token"], connection.extra["client_secret"]):
        assert secret not in str(lost.value)


def test_oauth_needs_all_of_its_settings() -> None:
    with pytest.raises(Fatal, match="store"):
        Bitrix24Client(
            Connection("https://portal.example/", extra={"client_id": "a", "client_secret": "b", "refresh_token": "c"})
        )
    with pytest.raises(Fatal, match="client_secret, refresh_token"):
        Bitrix24Client(Connection("https://portal.example/", extra={"client_id": "a"}))


def test_errors_say_what_to_do_and_hide_the_code(portal: PortalHandle, client: Bitrix24Client) -> None:
    with pytest.raises(Fatal, match="Task title is not specified") as fatal:
        client.call("tasks.task.add", {"fields": {"RESPONSIBLE_ID": 11}}, repeatable=False)
    assert (fatal.value.status, fatal.value.code) == (400, "ERROR_CORE")
    wrong = Bitrix24Client(Connection(url=f"{portal.address}/rest/1/verysecret/"))
    with pytest.raises(Fatal, match="new incoming webhook") as refused:
        wrong.call("profile", repeatable=True)
    assert "verysecret" not in str(refused.value)
    dead = Connection(url=f"http://127.0.0.1:{closed_port()}/rest/1/verysecret/")
    with pytest.raises(Retriable) as lost:
        Bitrix24Client(dead, sleep=lambda seconds: None).call("profile", repeatable=True)
    assert "verysecret" not in str(lost.value)


def test_a_batch_answers_for_every_key(portal: PortalHandle, client: Bitrix24Client) -> None:
    commands: dict[str, tuple[str, dict[str, Any]]] = {
        str(n): ("user.get", {"FILTER": {"EMAIL": f"x{n}@y"}}) for n in range(120)
    }
    commands["7"] = ("tasks.task.get", {"taskId": "nonsense"})
    commands["100"] = ("user.get", {"FILTER": {"EMAIL": ["orlova@distributor.example", "a&b=c"]}})
    answers = client.batch(commands, repeatable=True)
    assert list(answers) == list(commands)
    assert isinstance(answers["7"], Fatal)
    found = answers["100"]
    assert isinstance(found, Answer)
    assert [user["ID"] for user in found.result] == ["12"]
    assert portal.calls() == {"batch": 3}


def test_a_command_that_a_batch_forgot_is_an_error(client: Bitrix24Client, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = b'{"result":[],"result_error":[],"result_total":[],"result_next":[],"result_time":[]}'
    monkeypatch.setattr(client, "_repeated", lambda *args, **kwargs: Answer(empty))
    assert isinstance(client.batch({"a": ("profile", {})}, repeatable=True)["a"], Retriable)
    assert isinstance(client.batch({"a": ("tasks.task.add", {})}, repeatable=False)["a"], Unknown)


def test_phps_empties() -> None:
    assert as_map([]) == {}
    assert as_map({"a": 1}) == {"a": 1}
    assert as_list({"2": "x", "5": "y"}) == ["x", "y"]
    assert as_list({}) == []
    with pytest.raises(ClientError):
        as_map([1])


@pytest.mark.parametrize(
    "url", ["", "portal.example", "https://portal.example/", "https://portal.example/rest/x/code/", "ftp://p/rest/1/c/"]
)
def test_an_address_that_is_no_webhook_is_refused(url: str) -> None:
    with pytest.raises(Fatal, match="incoming webhook"):
        Bitrix24Client(Connection(url=url))


def test_the_code_may_come_as_the_password() -> None:
    client = Bitrix24Client(Connection(url="https://portal.example", login="7", password="code"))
    assert client.user_id == "7"
