"""Tasks in amoCRM, written by two workers that die and are started again while the portal fails: each exactly once.

POLKA_TEST_TASKS says how many (60 by default; the figure that counts was taken with 1000).
"""

import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from alerts.channels.amocrm import AmocrmChannel
from alerts.deliver import DeliveryUnfinished, deliver
from alerts.freeze import freeze
from alerts.withdraw import withdraw_answered
from clients.amocrm import AmocrmClient, marked_followup
from simulators.amocrm import Fault
from simulators.amocrm.faults import Kind
from tests.faults.test_delivery_crashes import Crash, CrashingConnection, Fuse
from tests.support.amocrm import Account, employ, running_account
from tests.support.delivery import AS_OF, INSTANCE, REPS, SOUTH, Go, build_marts, follow_up, lapse_leases, states
from warehouse.db import connect
from warehouse.settings import get_settings

TASKS = int(os.environ.get("POLKA_TEST_TASKS", "60"))
ROUNDS = 400
TIMEOUT = 0.6
INDEX_LAG = 0.3
LOOK_AGAIN = 2.0
WRITING: tuple[Kind, ...] = (
    "timeout_after_acting", "timeout_before_acting", "reset_after_acting", "reset_before_acting", "internal_error",
    "bad_gateway", "unauthorized",
)  # fmt: skip
READING: tuple[Kind, ...] = ("internal_error", "bad_gateway", "reset_before_acting", "timeout_before_acting")


@pytest.fixture(autouse=True)
def only_amocrm(isolated_environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLKA_BUSINESS_DATE", AS_OF.isoformat())
    monkeypatch.setenv("POLKA_CHANNELS", '["amocrm"]')
    monkeypatch.setenv("POLKA_LIST_CAP", "100000")
    get_settings.cache_clear()


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    with running_account(tmp_path, index_lag=INDEX_LAG) as running:
        employ(running, REPS)
        yield running


def impatient(connection: Any, **options: Any) -> AmocrmClient:
    return AmocrmClient(connection, **{**options, "timeout": TIMEOUT, "sleep": lambda seconds: None})


def fail_often(account: Account, rng: Random, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Every seventh creation and every fifteenth look-up goes wrong, each in a way of its own."""
    happened: Counter[str] = Counter()

    def next_for(request: str) -> Fault | None:
        writing = request.startswith("POST tasks")
        if rng.random() > (0.15 if writing else 0.07):
            return None
        kind: Kind = rng.choice(WRITING if writing else READING)
        happened[f"{request.split()[0]} {kind}"] += 1
        return Fault(kind, seconds=TIMEOUT * 1.2)

    monkeypatch.setattr(account.app.faults, "next_for", next_for)
    return happened


def test_each_task_is_there_exactly_once(database: str, account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = Random(4)
    monkeypatch.setattr("alerts.channels.amocrm.AmocrmClient", impatient)
    happened = fail_often(account, rng, monkeypatch)
    build_marts(database, [follow_up(number, rep=REPS[number % 3]) for number in range(1, TASKS + 1)])
    freeze(AS_OF, [Go()], database_url=database)
    fuses = threading.local()
    crashes = 0

    def crashing(url: str | None = None, **options: Any) -> Any:
        real = connect(url, **options)
        return real if options.get("autocommit") else CrashingConnection(real, fuses.fuse)

    monkeypatch.setattr("alerts.deliver.connect", crashing)

    def work(dies_at: int, after: bool) -> None:
        nonlocal crashes
        fuses.fuse = Fuse(dies_at, after=after)
        try:
            deliver(
                AS_OF, SOUTH, {"amocrm": account.connection()}, rehearsal=False, database_url=database,
                patience_seconds=2 * LOOK_AGAIN, look_again_seconds=LOOK_AGAIN,
            )  # fmt: skip
        except Crash:
            crashes += 1
        except DeliveryUnfinished:
            pass

    for _ in range(ROUNDS):
        workers = [
            threading.Thread(target=work, args=(rng.randrange(5, 12 + TASKS // 2), rng.random() < 0.5))
            for _ in range(2)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        time.sleep(INDEX_LAG * 1.5)  # a lease is far longer than the portal needs to show a new task
        lapse_leases(database)
        if set(states(database, "amocrm").values()) == {"sent"}:
            break
    found = Counter(marked_followup(task["text"]) for task in account.tasks())
    assert found == Counter({f"{number:032x}": 1 for number in range(1, TASKS + 1)})
    assert Counter(states(database, "amocrm").values()) == {"sent": TASKS}
    assert crashes >= 3
    assert {name.split()[1] for name in happened if name.startswith("POST")} >= {
        "timeout_after_acting",
        "reset_after_acting",
    }
    assert [task["responsible_user_id"] for task in account.tasks()].count(11) == TASKS // 3


def test_answered_tasks_are_closed_once_with_a_result(
    database: str, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alerts.channels.amocrm.AmocrmClient", impatient)
    account.app.portal.set_lag(0)
    build_marts(database, [follow_up(number) for number in range(1, 4)])
    connections = {"amocrm": account.connection()}
    freeze(AS_OF, [Go()], database_url=database)
    deliver(AS_OF, SOUTH, connections, rehearsal=False, database_url=database)
    by_key = {marked_followup(task["text"]): task["id"] for task in account.tasks()}
    # The first client orders; the second one's task was closed by the rep himself, with his own words.
    with connect(database) as conn:
        for number in (1, 2):
            conn.execute(
                "insert into marts.fct_order_occasion values (%s, %s, %s, 1, 17900)",
                [INSTANCE, f"outlet-{number}", AS_OF],
            )
    account.app.portal.change("tasks", by_key[f"{2:032x}"], {"is_completed": True, "result": "Уже заказали"}, by=11)
    account.plan(Fault("reset_after_acting", "PATCH tasks/*"), Fault("internal_error", "PATCH tasks/*"))
    assert withdraw_answered(AS_OF, connections, rehearsal=False, database_url=database) == 2
    results = {marked_followup(task["text"]): (task["is_completed"], task["result"]) for task in account.tasks()}
    assert results[f"{1:032x}"][0] is True
    assert results[f"{1:032x}"][1].startswith("Снято: заказ поступил")
    assert results[f"{2:032x}"] == (True, "Уже заказали")
    assert results[f"{3:032x}"] == (False, "")
    from alerts.render import Renderer

    channel = AmocrmChannel(account.connection(), Renderer())
    outcome = channel.outcome(str(by_key[f"{2:032x}"]))
    assert outcome is not None
    assert (outcome.is_done, outcome.result) == (True, "Уже заказали")
    assert channel.outcome("1") is None
