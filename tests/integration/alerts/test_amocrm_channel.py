"""Tasks in amoCRM: closed with a result when the client has ordered, read back as the rep left them."""

from typing import Any

import pytest

from alerts.channels.amocrm import AmocrmChannel
from alerts.channels.base import Delivery, Key, Receipt, TaskOutcome
from alerts.contacts import Manager
from alerts.deliver import deliver
from alerts.followups import follow_up_from_payload
from alerts.freeze import freeze
from alerts.quality import Quality
from alerts.render import Contacts, Renderer
from alerts.withdraw import withdraw_answered
from clients.amocrm import AmocrmClient, marked_followup
from clients.errors import Fatal
from simulators.amocrm import Fault
from tests.support.amocrm import Account
from tests.support.delivery import AS_OF, INSTANCE, REPS, SOUTH, Go, build_marts, follow_up
from warehouse.clock import now
from warehouse.db import connect
from warehouse.settings import get_settings


@pytest.fixture(autouse=True)
def only_amocrm(today_is_the_lists_day: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLKA_CHANNELS", '["amocrm"]')
    get_settings.cache_clear()


def impatient(connection: Any, **options: Any) -> AmocrmClient:
    return AmocrmClient(connection, **{**options, "timeout": 1.0, "sleep": lambda seconds: None})


def test_answered_tasks_are_closed_once_with_a_result(
    database: str, amocrm: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alerts.channels.amocrm.AmocrmClient", impatient)
    build_marts(database, [follow_up(number) for number in range(1, 4)])
    connections = {"amocrm": amocrm.connection()}
    freeze(AS_OF, [Go()], database_url=database)
    deliver(AS_OF, SOUTH, connections, rehearsal=False, database_url=database)
    by_key = {marked_followup(task["text"]): task["id"] for task in amocrm.tasks()}
    # The first client orders; the second one's task was closed by the rep himself, with his own words.
    with connect(database) as conn:
        for number in (1, 2):
            conn.execute(
                "insert into marts.fct_order_occasion values (%s, %s, %s, 1, 17900)",
                [INSTANCE, f"outlet-{number}", AS_OF],
            )
    amocrm.app.portal.change("tasks", by_key[f"{2:032x}"], {"is_completed": True, "result": "Уже заказали"}, by=11)
    amocrm.plan(Fault("reset_after_acting", "PATCH tasks/*"), Fault("internal_error", "PATCH tasks/*"))
    assert withdraw_answered(AS_OF, connections, rehearsal=False, database_url=database) == 2
    results = {marked_followup(task["text"]): (task["is_completed"], task["result"]) for task in amocrm.tasks()}
    assert results[f"{1:032x}"][0] is True
    assert results[f"{1:032x}"][1].startswith("Снято: заказ поступил")
    assert results[f"{2:032x}"] == (True, "Уже заказали")
    assert results[f"{3:032x}"] == (False, "")
    channel = AmocrmChannel(amocrm.connection(), Renderer())
    second, third = (str(by_key[f"{number:032x}"]) for number in (2, 3))
    outcomes = channel.outcomes([second, third, "1"])
    assert outcomes == {second: TaskOutcome(True, "Уже заказали"), third: TaskOutcome(False, None), "1": None}


def a_delivery(number: int, rep: int = 0) -> Delivery:
    import json

    row = follow_up_from_payload(json.dumps(follow_up(number), default=str))
    manager = Manager(row.instance, REPS[rep].manager_id, REPS[rep].name, REPS[rep].email)
    return Delivery(Key(f"{number:032x}", now(), False), AS_OF, manager, [row], Contacts({}), Quality())


def test_many_tasks_go_with_one_request_and_a_bad_one_does_not_spoil_the_rest(amocrm: Account) -> None:
    channel = AmocrmChannel(amocrm.connection(), Renderer())
    results = channel.send_many([a_delivery(number) for number in range(1, 6)])
    assert all(isinstance(result, Receipt) for result in results.values())
    assert amocrm.app.calls["POST tasks"] == 1
    assert {marked_followup(task["text"]): str(task["id"]) for task in amocrm.tasks()} == {
        key: result.external_id for key, result in results.items() if isinstance(result, Receipt)
    }
    # The second rep leaves between our look at the users and the tasks.
    amocrm.app.portal.users = [user for user in amocrm.app.portal.users if user["id"] != 12]
    channel._users = {rep.email: int(rep.user_id) for rep in REPS if rep.email and rep.user_id}
    results = channel.send_many([a_delivery(6), a_delivery(7, rep=1), a_delivery(8)])
    assert isinstance(results[f"{6:032x}"], Receipt)
    assert isinstance(results[f"{7:032x}"], Fatal)
    assert isinstance(results[f"{8:032x}"], Receipt)
    assert len(amocrm.tasks()) == 7


def test_the_text_is_plain_and_ends_with_the_key(amocrm: Account) -> None:
    channel = AmocrmChannel(amocrm.connection(), Renderer())
    channel.send(a_delivery(1))
    [task] = amocrm.tasks()
    lines = task["text"].splitlines()
    assert "ИП Петрова" in lines[0]
    assert "[B]" not in task["text"]
    assert lines[-1] == f"Polka {1:032x}"
    assert task["complete_till"] == 1_749_567_600  # 10 June 2025, 18:00 in Moscow
    assert task["responsible_user_id"] == 11
