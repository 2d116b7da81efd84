"""Killed after any statement, with either answer of the network, by one sender or two: never a second message."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from alerts.channels.email import EmailChannel
from alerts.deliver import DeliveryUnfinished, deliver
from alerts.freeze import freeze
from clients.connection import Connection
from simulators.bitrix24 import Fault
from tests.support.delivery import (
    AS_OF,
    REPS,
    SOUTH,
    Go,
    MailServer,
    PortalHandle,
    build_marts,
    follow_up,
    lapse_leases,
    ledger_rows,
    running_mail_server,
    running_portal,
    states,
)
from warehouse.db import connect
from warehouse.settings import get_settings

ROWS = [follow_up(1), follow_up(2), follow_up(3, rep=REPS[1])]
KEYS = {f"{number:032x}" for number in (1, 2, 3)}


class Crash(BaseException):
    """The process dies here: nothing of ours may catch it."""


class CrashingConnection:
    """A connection that dies at the n-th statement or commit, before it or right after it."""

    def __init__(self, real: psycopg.Connection[Any], fuse: "Fuse") -> None:
        self._real = real
        self._fuse = fuse

    def __enter__(self) -> "CrashingConnection":
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None:
            self.commit()
        self._real.close()

    def execute(self, *args: Any, **kwargs: Any) -> Any:
        return self._fuse.burn(lambda: self._real.execute(*args, **kwargs))

    def commit(self) -> None:
        self._fuse.burn(self._real.commit)

    def rollback(self) -> None:
        self._real.rollback()


class Fuse:
    """Counts statements; `at` None never burns through."""

    def __init__(self, at: int | None = None, *, after: bool = False) -> None:
        self.at = at
        self.after = after
        self.count = 0

    def burn(self, step: Any) -> Any:
        self.count += 1
        if self.count == self.at and not self.after:
            raise Crash
        result = step()
        if self.count == self.at:
            raise Crash
        return result


@pytest.fixture(autouse=True)
def today_is_the_lists_day(isolated_environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLKA_BUSINESS_DATE", AS_OF.isoformat())
    monkeypatch.setenv("POLKA_EMAIL_FROM", "polka@distributor.example")
    get_settings.cache_clear()


@pytest.fixture
def portal(tmp_path: Path) -> Iterator[PortalHandle]:
    with running_portal(tmp_path / "portal.json") as handle:
        yield handle


@pytest.fixture
def mail() -> Iterator[MailServer]:
    with running_mail_server() as server:
        yield server


@pytest.fixture
def connections(portal: PortalHandle, mail: MailServer) -> dict[str, Connection]:
    return {"bitrix24": portal.connection(), "email": mail.connection()}


def light(fuse: Fuse, monkeypatch: pytest.MonkeyPatch) -> None:
    def crashing(url: str | None = None, **options: Any) -> CrashingConnection:
        return CrashingConnection(connect(url, **options), fuse)

    for module in ("alerts.deliver", "alerts.freeze", "alerts.notices", "alerts.withdraw"):
        monkeypatch.setattr(f"{module}.connect", crashing)


def reset(database: str, portal: PortalHandle, mail: MailServer) -> None:
    import requests

    with connect(database) as conn:
        conn.execute("truncate ops.delivery_ledger, ops.notice_ledger")
    for task in portal.tasks():
        requests.post(f"{portal.url}tasks.task.delete", json={"taskId": task["ID"]}, timeout=5)
    mail.messages.clear()
    mail.recipients.clear()
    portal.plan()


def freeze_and_deliver(database: str, connections: dict[str, Connection], **options: Any) -> None:
    freeze(AS_OF, [Go()], database_url=database)
    deliver(AS_OF, SOUTH, connections, rehearsal=False, database_url=database, **options)


def statements_of_a_clean_run(
    database: str, connections: dict[str, Connection], monkeypatch: pytest.MonkeyPatch
) -> int:
    fuse = Fuse()
    with monkeypatch.context() as patch:
        light(fuse, patch)
        freeze_and_deliver(database, connections)
    return fuse.count


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_at_every_statement_and_run_again(
    database: str,
    portal: PortalHandle,
    mail: MailServer,
    connections: dict[str, Connection],
    monkeypatch: pytest.MonkeyPatch,
    after: bool,
) -> None:
    build_marts(database, ROWS)
    total = statements_of_a_clean_run(database, connections, monkeypatch)
    assert total > 40
    letters_in_doubt = 0
    for at in range(1, total + 1):
        reset(database, portal, mail)
        with monkeypatch.context() as patch:
            light(Fuse(at, after=after), patch)
            with pytest.raises(Crash):
                freeze_and_deliver(database, connections)
        lapse_leases(database)
        freeze_and_deliver(database, connections, patience_seconds=0)

        tasks = [task["XML_ID"] for task in portal.tasks()]
        assert sorted(tasks) == sorted(KEYS), f"statement {at}: {tasks}"
        assert set(states(database, "bitrix24").values()) == {"sent"}, f"statement {at}"
        assert len(mail.recipients) == len(set(mail.recipients)), f"statement {at}: a letter came twice"
        doubtful = {row["manager_id"] for row in ledger_rows(database, "email") if row["needs_attention"]}
        sent = {row["manager_id"] for row in ledger_rows(database, "email") if row["state"] == "sent"}
        assert sent | doubtful == {"m1", "m2"}, f"statement {at}: a rep was forgotten"
        assert not sent & doubtful
        reached = {rep.manager_id for rep in REPS if rep.email in mail.recipients}
        assert sent <= reached, f"statement {at}: recorded as sent but never arrived"
        letters_in_doubt += len(doubtful)
    # In doubt is only what died between the committed note that a letter leaves and the committed record that it left:
    # three moments of the letter of two rows, two of the letter of one.
    assert letters_in_doubt == 3 + 2


def test_a_sender_that_slept_past_its_lease_drops_the_letter(
    database: str, mail: MailServer, connections: dict[str, Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POLKA_CHANNELS", '["email"]')
    get_settings.cache_clear()
    build_marts(database, ROWS[:2])
    freeze(AS_OF, [Go()], database_url=database)
    original = EmailChannel._workbook
    slept = []

    def sleepy(*args: Any) -> Any:
        if not slept:
            slept.append(True)
            lapse_leases(database)
            deliver(AS_OF, SOUTH, connections, rehearsal=False, database_url=database)
        return original(*args)

    monkeypatch.setattr(EmailChannel, "_workbook", sleepy)
    deliver(AS_OF, SOUTH, connections, rehearsal=False, database_url=database)
    assert len(mail.messages) == 1
    assert set(states(database, "email").values()) == {"sent"}


def test_a_letter_of_a_dead_sender_goes_out_while_another_waits(
    database: str, mail: MailServer, connections: dict[str, Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POLKA_CHANNELS", '["email"]')
    get_settings.cache_clear()
    build_marts(database, ROWS)
    with monkeypatch.context() as patch:

        def die(*args: Any) -> None:
            raise Crash

        patch.setattr(EmailChannel, "_workbook", die)
        with pytest.raises(Crash):
            freeze_and_deliver(database, connections, lease_seconds=1.0)
    outcome = deliver(AS_OF, SOUTH, connections, rehearsal=False, database_url=database, patience_seconds=30.0)
    assert (outcome.sent, outcome.needs_attention, outcome.in_doubt) == (3, 0, 0)
    assert sorted(mail.recipients) == sorted(rep.email for rep in REPS[:2] if rep.email)


@pytest.mark.parametrize(
    "kind",
    [
        "timeout_after_acting",
        "timeout_before_acting",
        "reset_after_acting",
        "reset_before_acting",
        "internal_error",
        "not_json",
    ],
)
@pytest.mark.parametrize("crash", [False, True], ids=["alive", "then_killed"])
def test_no_answer_is_looked_up_never_repeated_on_a_guess(
    database: str,
    portal: PortalHandle,
    mail: MailServer,
    connections: dict[str, Connection],
    monkeypatch: pytest.MonkeyPatch,
    kind: Any,
    crash: bool,
) -> None:
    build_marts(database, ROWS)
    monkeypatch.setattr("clients.bitrix24.SERVER_TIME_LIMIT_SECONDS", 1.0)
    impatient = Connection(url=connections["bitrix24"].url, extra=connections["bitrix24"].extra)
    monkeypatch.setattr(
        "alerts.channels.bitrix24.Bitrix24Client", lambda address, **options: _impatient_client(address)
    )
    connections = {**connections, "bitrix24": impatient}
    portal.plan(Fault(kind, "tasks.task.add", seconds=2.0))
    if crash:
        # Die on the first statement after the answer did not come.
        def die(*args: Any, **kwargs: Any) -> None:
            raise Crash

        with monkeypatch.context() as patch:
            patch.setattr("alerts.deliver._Courier._resolve", die)
            with pytest.raises(Crash):
                freeze_and_deliver(database, connections)
        lapse_leases(database)
    freeze_and_deliver(database, connections, look_again_seconds=2.5, patience_seconds=10)

    assert sorted(task["XML_ID"] for task in portal.tasks()) == sorted(KEYS)
    assert set(states(database, "bitrix24").values()) == {"sent"}


def _impatient_client(address: Connection) -> Any:
    from clients.bitrix24 import Bitrix24Client

    return Bitrix24Client(address, timeout=1.0)


def test_a_doubt_that_cannot_be_resolved_now_is_reported_and_kept(
    database: str, portal: PortalHandle, mail: MailServer, connections: dict[str, Connection]
) -> None:
    build_marts(database, ROWS)
    portal.plan(Fault("reset_before_acting", "tasks.task.add"))
    with pytest.raises(DeliveryUnfinished) as unfinished:
        freeze_and_deliver(database, connections, patience_seconds=0)
    assert unfinished.value.outcome.in_doubt == 3, "the three tasks of one request"
    assert sorted(states(database, "bitrix24").values()) == ["sending"] * 3
    assert portal.tasks() == []
    lapse_leases(database)
    freeze_and_deliver(database, connections)
    assert sorted(task["XML_ID"] for task in portal.tasks()) == sorted(KEYS)


def test_a_letter_without_an_answer_is_shown_to_a_person(
    database: str, mail: MailServer, connections: dict[str, Connection]
) -> None:
    build_marts(database, [follow_up(1)])
    mail.faults = ["lost_after_data"]
    freeze_and_deliver(database, connections)
    outcome = deliver(AS_OF, SOUTH, connections, rehearsal=False, database_url=database)
    assert outcome.needs_attention == 1
    assert len(mail.messages) == 1
    [row] = ledger_rows(database, "email")
    assert (row["state"], row["needs_attention"]) == ("sending", True)
    assert row["reason"] == "отправка прервалась: письмо могло дойти, спросите менеджера"


def test_a_letter_that_was_not_taken_is_sent_by_the_next_run(
    database: str, mail: MailServer, connections: dict[str, Connection]
) -> None:
    build_marts(database, [follow_up(1)])
    mail.faults = ["lost_before_data"]
    with pytest.raises(DeliveryUnfinished) as unfinished:
        freeze_and_deliver(database, connections)
    assert unfinished.value.outcome.waiting == 1
    freeze_and_deliver(database, connections)
    assert len(mail.messages) == 1
    assert states(database, "email") == {"client-1": "sent"}


def test_two_senders_at_once_share_the_work(
    database: str,
    portal: PortalHandle,
    mail: MailServer,
    connections: dict[str, Connection],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("POLKA_LIST_CAP", "100")
    get_settings.cache_clear()
    rows = [follow_up(number, rep=REPS[number % 3]) for number in range(1, 61)]
    build_marts(database, rows)
    freeze(AS_OF, [Go()], database_url=database)
    start = threading.Barrier(3)
    problems: list[BaseException] = []

    def work() -> None:
        start.wait()
        try:
            deliver(AS_OF, SOUTH, connections, rehearsal=False, database_url=database)
        except BaseException as problem:
            problems.append(problem)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)

    assert not [p for p in problems if not isinstance(p, DeliveryUnfinished)], problems
    assert sorted(task["XML_ID"] for task in portal.tasks()) == sorted(f"{number:032x}" for number in range(1, 61))
    assert sorted(mail.recipients) == sorted(rep.email for rep in REPS if rep.email)
    assert {row["state"] for row in ledger_rows(database)} == {"sent"}


def test_a_sender_that_lost_its_row_does_not_send(
    database: str, portal: PortalHandle, connections: dict[str, Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sender sleeps past its lease between looking up and sending; another one has sent meanwhile."""
    monkeypatch.setenv("POLKA_CHANNELS", '["bitrix24"]')
    get_settings.cache_clear()
    build_marts(database, [follow_up(1)])
    freeze(AS_OF, [Go()], database_url=database)
    from alerts import deliver as module

    original = module.read_managers
    slept = []

    def sleepy(*args: Any) -> Any:
        if not slept:
            slept.append(True)
            lapse_leases(database)
            deliver(AS_OF, SOUTH, connections, rehearsal=False, database_url=database)
        return original(*args)

    monkeypatch.setattr(module, "read_managers", sleepy)
    deliver(AS_OF, SOUTH, connections, rehearsal=False, database_url=database)
    assert len(portal.tasks()) == 1
    assert states(database, "bitrix24") == {"client-1": "sent"}
