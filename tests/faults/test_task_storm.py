"""Many tasks through many mishaps end as exactly so many: lost answers, 5xx, limits, crashes, two senders at once.

POLKA_STORM_TASKS sets how many (a full campaign has 1,000).
"""

import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from alerts.deliver import DeliveryUnfinished, deliver
from alerts.freeze import freeze
from clients.amocrm import AmocrmClient, marked_followup
from clients.bitrix24 import Bitrix24Client
from clients.connection import Connection
from clients.hubspot import HubspotClient
from simulators.amocrm import Fault as AmocrmFault
from simulators.bitrix24 import Fault as BitrixFault
from simulators.hubspot import Fault as HubspotFault
from tests.support import amocrm, hubspot
from tests.support.delivery import (
    AS_OF,
    REPS,
    SOUTH,
    Go,
    build_marts,
    follow_up,
    lapse_leases,
    ledger_rows,
    running_portal,
)
from warehouse.db import connect
from warehouse.settings import get_settings

TASKS = int(os.environ.get("POLKA_STORM_TASKS", "60"))
ROUNDS = 200


class Crash(BaseException):
    """The process dies here: nothing of ours may catch it."""


class DoomedConnection:
    """A connection to the ledger whose process dies at some statement or commit, before it or right after it."""

    def __init__(self, real: psycopg.Connection[Any], chance: Callable[[], bool]) -> None:
        self._real = real
        self._chance = chance

    def __enter__(self) -> "DoomedConnection":
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        try:
            if kind is None:
                self.commit()
        finally:
            self._real.close()

    def execute(self, *args: Any, **kwargs: Any) -> Any:
        return self._doomed(lambda: self._real.execute(*args, **kwargs))

    def commit(self) -> None:
        self._doomed(self._real.commit)

    def rollback(self) -> None:
        self._real.rollback()

    def _doomed(self, step: Callable[[], Any]) -> Any:
        if self._chance():
            raise Crash
        result = step()
        if self._chance():
            raise Crash
        return result


@dataclass
class Stage:
    """A portal for the storm: what its tasks are marked with, and how to make it misbehave."""

    connection: Connection
    keys: Callable[[], list[str]]
    misbehave: Callable[[random.Random], None]
    behave: Callable[[], None]


@contextmanager
def hubspot_stage(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[Stage]:
    kinds: Sequence[Any] = (
        "timeout_after_acting", "timeout_before_acting", "reset_after_acting", "reset_before_acting", "bad_gateway",
        "internal_error", "error_after_acting", "ten_secondly", "locked",
    )  # fmt: skip

    def impatient(connection: Connection, **options: Any) -> HubspotClient:
        return HubspotClient(connection, timeout=0.3, sleep=lambda seconds: None, **options)

    patch.setattr("alerts.channels.hubspot.HubspotClient", impatient)
    patch.setattr("clients.hubspot.REFUSED_PAUSE_SECONDS", 0.05)  # the pause after a refusal
    with hubspot.running_account(folder / "account.jsonl") as account:
        hubspot.employ(account, REPS)

        def misbehave(dice: random.Random) -> None:
            account.plan(
                *(
                    HubspotFault(dice.choice(kinds), path, skip=dice.randrange(6), seconds=0.5)
                    for path in ("POST /crm/v3/objects/tasks", "POST /crm/v3/objects/tasks", "")
                )
            )

        yield Stage(
            account.connection(),
            lambda: [task["polka_followup_id"] for task in account.tasks()],
            misbehave,
            account.plan,
        )


@contextmanager
def bitrix24_stage(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[Stage]:
    kinds: Sequence[Any] = (
        "timeout_after_acting", "timeout_before_acting", "reset_after_acting", "reset_before_acting", "query_limit",
        "internal_error", "not_json", "gateway_timeout", "lost_commands",
    )  # fmt: skip

    def impatient(connection: Connection, **options: Any) -> Bitrix24Client:
        return Bitrix24Client(connection, timeout=0.3, sleep=lambda seconds: None, **options)

    patch.setattr("alerts.channels.bitrix24.Bitrix24Client", impatient)
    with running_portal(folder / "portal.json") as portal:

        def misbehave(dice: random.Random) -> None:
            # A batch creates tasks, or looks for them: both may fail, before and after the portal has acted.
            portal.plan(
                *(
                    BitrixFault(dice.choice(kinds), method, skip=dice.randrange(4), seconds=0.5)
                    for method in ("batch", "batch", "*")
                )
            )

        yield Stage(portal.connection(), lambda: [task["XML_ID"] for task in portal.tasks()], misbehave, portal.plan)


@contextmanager
def amocrm_stage(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[Stage]:
    kinds: Sequence[Any] = (
        "timeout_after_acting", "timeout_before_acting", "reset_after_acting", "reset_before_acting", "too_many",
        "internal_error", "bad_gateway", "gateway_timeout", "unauthorized",
    )  # fmt: skip
    index_lag = 0.2

    def impatient(connection: Connection, **options: Any) -> AmocrmClient:
        return AmocrmClient(connection, **{**options, "timeout": 0.3, "sleep": lambda seconds: None})

    patch.setattr("alerts.channels.amocrm.AmocrmClient", impatient)
    patch.setattr("alerts.channels.amocrm.TASKS_OF_REQUEST", 7)
    with amocrm.running_account(folder, index_lag=index_lag) as account:
        amocrm.employ(account, REPS)

        def misbehave(dice: random.Random) -> None:
            account.plan(
                *(
                    AmocrmFault(dice.choice(kinds), request, skip=dice.randrange(4), seconds=0.5)
                    for request in ("POST tasks", "POST tasks", "*")
                )
            )

        def keys() -> list[str]:
            time.sleep(2 * index_lag)  # lists show a task late; a lease lasts far longer than that
            return [marked_followup(task["text"]) or "" for task in account.tasks()]

        yield Stage(account.connection(), keys, misbehave, account.plan)


STAGES: dict[str, Callable[[Path, pytest.MonkeyPatch], AbstractContextManager[Stage]]] = {
    "amocrm": amocrm_stage,
    "bitrix24": bitrix24_stage,
    "hubspot": hubspot_stage,
}


@pytest.mark.parametrize("channel", STAGES)
def test_a_storm_leaves_exactly_one_task_per_row(
    channel: str, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (
        ("POLKA_BUSINESS_DATE", AS_OF.isoformat()),
        ("POLKA_CHANNELS", f'["{channel}"]'),
        ("POLKA_LIST_CAP", "100000"),
    ):
        monkeypatch.setenv(name, value)
    get_settings.cache_clear()
    dice = random.Random(20250610)
    build_marts(database, [follow_up(number, rep=REPS[number % 3]) for number in range(1, TASKS + 1)])
    freeze(AS_OF, [Go()], database_url=database)
    crashes: list[str] = []
    with STAGES[channel](tmp_path, monkeypatch) as stage:
        for round_number in range(ROUNDS):
            stage.misbehave(dice)
            _two_senders(database, channel, stage.connection, random.Random(dice.random()), monkeypatch, crashes)
            keys = stage.keys()
            assert len(keys) == len(set(keys)), f"round {round_number}: a task came twice"
            lapse_leases(database)
            if {row["state"] for row in ledger_rows(database)} == {"sent"}:
                break
        stage.behave()
        deliver(AS_OF, SOUTH, {channel: stage.connection}, rehearsal=False, database_url=database, patience_seconds=0)
        assert sorted(stage.keys()) == sorted(f"{number:032x}" for number in range(1, TASKS + 1))
    assert {row["state"] for row in ledger_rows(database)} == {"sent"}
    assert crashes, "nobody has crashed: the storm was too mild to prove anything"


def _two_senders(
    database: str,
    channel: str,
    connection: Connection,
    dice: random.Random,
    monkeypatch: pytest.MonkeyPatch,
    crashes: list[str],
) -> None:
    lock = threading.Lock()

    def chance() -> bool:
        with lock:
            return dice.random() < 0.01

    def doomed(url: str | None = None, **options: Any) -> Any:
        real = connect(url, **options)
        return real if options.get("autocommit") else DoomedConnection(real, chance)

    problems: list[BaseException] = []

    def work() -> None:
        try:
            deliver(
                AS_OF,
                SOUTH,
                {channel: connection},
                rehearsal=False,
                database_url=database,
                patience_seconds=0,
                look_again_seconds=0.6,
            )
        except Crash:
            crashes.append("crashed")
        except DeliveryUnfinished:
            pass
        except BaseException as problem:
            problems.append(problem)

    with monkeypatch.context() as patch:
        patch.setattr("alerts.deliver.connect", doomed)
        senders = [threading.Thread(target=work) for _ in range(2)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join(300)
    assert not problems, problems
