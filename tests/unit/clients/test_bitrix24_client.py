"""The client's side of Bitrix24: limits kept, answers judged, secrets hidden."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clients.bitrix24 import Answer, Bitrix24Client, BlockedForLong, RequestLimiter, as_list, as_map
from clients.connection import Connection
from clients.errors import ClientError, Fatal, Retriable, Unknown
from simulators.bitrix24 import Fault, Limits
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


def test_the_limiter_lets_a_burst_go_and_then_two_a_second(sleeper: Sleeper) -> None:
    limiter = RequestLimiter(clock=sleeper.clock, sleep=sleeper.sleep)
    for _ in range(50):
        limiter.wait()
    assert sleeper.pauses == []
    for _ in range(10):
        limiter.wait()
    assert sum(sleeper.pauses) == pytest.approx(5.0)
    limiter.overflowed()
    limiter.wait()
    assert sleeper.pauses[-1] == pytest.approx(0.5)


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


def test_a_long_block_is_not_waited_for(tmp_path: Path, sleeper: Sleeper) -> None:
    limits = Limits(10_000, 100_000, operating_cost=(("tasks.task.list", 500.0),))
    with running_portal(tmp_path / "p.json", limits=limits) as portal:
        client = Bitrix24Client(portal.connection(), sleep=sleeper.sleep)
        client.call("tasks.task.list", repeatable=True)
        with pytest.raises(BlockedForLong) as blocked:
            client.call("tasks.task.list", repeatable=True)
    assert blocked.value.status == 429
    assert blocked.value.retry_after == pytest.approx(600, abs=5)
    assert sleeper.pauses == []


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
    empty = Answer({"result": [], "result_error": [], "result_total": [], "result_next": [], "result_time": []})
    monkeypatch.setattr(client, "call", lambda *args, **kwargs: empty)
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
