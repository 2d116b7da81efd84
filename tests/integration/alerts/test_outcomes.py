"""What a rep writes into his task is in the warehouse once, and an unreachable portal stops nothing."""

import pytest
import requests

from alerts.deliver import deliver
from alerts.freeze import freeze
from alerts.outcomes import read_outcomes
from clients.amocrm import AmocrmClient
from clients.connection import Connection
from clients.hubspot import HubspotClient
from tests.support import amocrm as amocrm_account
from tests.support import hubspot as hubspot_account
from tests.support.delivery import AS_OF, SOUTH, Go, PortalHandle, build_marts, closed_port, follow_up
from warehouse.db import connect
from warehouse.settings import get_settings


def close_with(portal: PortalHandle, task_id: int, text: str | None) -> None:
    if text is not None:
        answer = requests.post(f"{portal.url}tasks.task.result.add", json={"taskId": task_id, "text": text}, timeout=5)
        answer.raise_for_status()
    requests.post(f"{portal.url}tasks.task.complete", json={"taskId": task_id}, timeout=5).raise_for_status()


def test_outcomes_of_closed_tasks_are_read_once(
    database: str, portal: PortalHandle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POLKA_CHANNELS", '["bitrix24"]')
    get_settings.cache_clear()
    build_marts(database, [follow_up(number) for number in (1, 2, 3, 4)])
    freeze(AS_OF, [Go()], database_url=database)
    connections = {"bitrix24": portal.connection()}
    deliver(AS_OF, SOUTH, connections, rehearsal=False, database_url=database)
    assert read_outcomes(AS_OF, connections, database_url=database) == 0

    client_of = {task["ID"]: int(task["XML_ID"], 16) for task in portal.tasks()}
    task_of = {client: int(task) for task, client in client_of.items()}
    close_with(portal, task_of[1], "Перезвонить 16.06, хозяин в отпуске")
    close_with(portal, task_of[2], None)
    close_with(portal, task_of[3], "Точка закрыта")
    dead = {"bitrix24": Connection(url=f"http://127.0.0.1:{closed_port()}/rest/1/code/")}
    assert read_outcomes(AS_OF, dead, database_url=database) == 0
    assert read_outcomes(AS_OF, connections, database_url=database) == 2
    assert read_outcomes(AS_OF, connections, database_url=database) == 0
    with connect(database) as conn:
        rows = conn.execute(
            "select client_id, outcome, until_on::text, recorded_on from ops.follow_up_outcome order by client_id"
        ).fetchall()
    assert rows == [("client-1", "call_back", "2025-06-16", AS_OF), ("client-3", "outlet_closed", None, AS_OF)]


def test_a_hundred_open_tasks_are_a_few_requests(
    database: str, portal: PortalHandle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POLKA_CHANNELS", '["bitrix24"]')
    monkeypatch.setenv("POLKA_LIST_CAP", "1000")
    get_settings.cache_clear()
    build_marts(database, [follow_up(number) for number in range(1, 121)])
    freeze(AS_OF, [Go()], database_url=database)
    connections = {"bitrix24": portal.connection()}
    deliver(AS_OF, SOUTH, connections, rehearsal=False, database_url=database)
    closed = [int(task["ID"]) for task in portal.tasks()][::2]
    for task_id in closed:
        close_with(portal, task_id, "Закажет завтра")
    requests.post(f"{portal.url}tasks.task.delete", json={"taskId": closed[0] + 1}, timeout=5).raise_for_status()
    before = portal.calls()
    assert read_outcomes(AS_OF, connections, database_url=database) == len(closed)
    after = portal.calls()
    asked = {method: count - before.get(method, 0) for method, count in after.items()}
    assert asked["batch"] == 3 + 2, "fifty commands to a request: 120 tasks, then the words of the 60 closed ones"
    assert asked.get("tasks.task.get", 0) in (0, 120), "none on its own"


def test_outcomes_of_amocrm_and_hubspot_are_read_back_as_those_of_bitrix24(
    database: str, amocrm: amocrm_account.Account, hubspot: hubspot_account.Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POLKA_CHANNELS", '["amocrm", "hubspot"]')
    get_settings.cache_clear()
    build_marts(database, [follow_up(number) for number in (1, 2, 3)])
    freeze(AS_OF, [Go()], database_url=database)
    connections = {"amocrm": amocrm.connection(), "hubspot": hubspot.connection()}
    deliver(AS_OF, SOUTH, connections, rehearsal=False, database_url=database)
    assert read_outcomes(AS_OF, connections, database_url=database) == 0

    with connect(database) as conn:
        tasks = {
            (channel, client): task
            for channel, client, task in conn.execute(
                "select channel, client_id, external_id from ops.delivery_ledger"
            ).fetchall()
        }
    account = AmocrmClient(amocrm.connection())
    said = {"client-1": "Теперь раз в 2 недели", "client-2": "Перезвонить 16.06"}
    for client, text in said.items():
        account.patch(f"tasks/{tasks['amocrm', client]}", {"is_completed": True, "result": {"text": text}})
    account.close()
    portal = HubspotClient(hubspot.connection())
    done = {"hs_task_status": "COMPLETED", "polka_outcome": "Отказ: дорого"}
    portal.change(f"/crm/v3/objects/tasks/{tasks['hubspot', 'client-3']}", {"properties": done})
    portal.close()
    assert read_outcomes(AS_OF, connections, database_url=database) == 3
    assert read_outcomes(AS_OF, connections, database_url=database) == 0
    with connect(database) as conn:
        rows = conn.execute(
            "select channel, client_id, outcome, until_on::text, cadence_days from ops.follow_up_outcome order by 1, 2"
        ).fetchall()
    assert rows == [
        ("amocrm", "client-1", "cadence_changed", None, 14),
        ("amocrm", "client-2", "call_back", "2025-06-16", None),
        ("hubspot", "client-3", "refused_price", None, None),
    ]
