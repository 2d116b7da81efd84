"""What HubSpot's tasks look like, how they are found, closed and told about, and what happens when one is refused."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from alerts.channels.base import ChannelDown, Delivery, Key, Receipt, TaskOutcome
from alerts.channels.hubspot import MARKER, OUTCOME, HubspotChannel
from alerts.contacts import Manager
from alerts.followups import follow_up_from_payload
from alerts.quality import Quality
from alerts.render import Contacts, Renderer
from clients.errors import Fatal, Unknown
from simulators.hubspot import Fault
from tests.support.delivery import AS_OF, REPS, Rep, follow_up
from tests.support.hubspot import Account, running_account


def delivery(number: int, rep: Rep = REPS[0], **changes: Any) -> Delivery:
    row = follow_up_from_payload(json.dumps(follow_up(number, **changes), default=str))
    manager = Manager(row.instance, rep.manager_id, rep.name, rep.email)
    key = Key(f"{number:032x}", datetime(2025, 6, 10, tzinfo=UTC), False)
    return Delivery(key, AS_OF, manager, [row], Contacts({}), Quality())


@pytest.fixture
def channel(hubspot: Account) -> HubspotChannel:
    return HubspotChannel(hubspot.connection(), Renderer())


def test_a_task_says_what_to_do_until_when_and_whose_it_is(channel: HubspotChannel, hubspot: Account) -> None:
    receipt = channel.send(delivery(1))
    [task] = hubspot.tasks()
    assert receipt == Receipt(task["id"], "owner:11")
    assert task[MARKER] == f"{1:032x}"
    assert (task["hubspot_owner_id"], task["hs_task_status"]) == ("11", "NOT_STARTED")
    assert task["hs_timestamp"] == "2025-06-10T18:00:00+03:00"
    assert "Продукты № 1" in task["hs_task_body"]
    assert "[" not in task["hs_task_body"], "markup of another portal"


def test_a_hundred_tasks_are_one_request_and_are_found_at_once(channel: HubspotChannel, hubspot: Account) -> None:
    deliveries = [delivery(number, REPS[number % 3]) for number in range(1, 151)]
    results = channel.send_many(deliveries)
    assert hubspot.requests()["POST /crm/v3/objects/tasks/batch/create"] == 2
    found = channel.find([one.key for one in deliveries])
    assert {key: receipt.external_id for key, receipt in found.items() if isinstance(receipt, Receipt)} == {
        key: receipt.external_id for key, receipt in results.items() if isinstance(receipt, Receipt)
    }
    assert len(found) == len(hubspot.tasks()) == 150


def test_sending_again_gives_the_same_task(channel: HubspotChannel, hubspot: Account) -> None:
    first = channel.send_many([delivery(1), delivery(2)])
    again = channel.send_many([delivery(1), delivery(2), delivery(3)])
    assert {key: again[key] for key in first} == dict(first)
    assert len(hubspot.tasks()) == 3


def test_one_refused_task_does_not_hold_up_the_others(channel: HubspotChannel, hubspot: Account) -> None:
    nobody = Rep("m9", "Никто", "nobody@distributor.example", None)
    results = channel.send_many([delivery(1), delivery(2, nobody), delivery(3)])
    assert isinstance(results[f"{2:032x}"], Fatal)
    assert [task[MARKER] for task in hubspot.tasks()] == [f"{1:032x}", f"{3:032x}"]


def test_an_answer_that_did_not_come_is_unknown_for_all_of_its_tasks(channel: HubspotChannel, hubspot: Account) -> None:
    channel.send(delivery(9))
    hubspot.plan(Fault("error_after_acting", "POST /crm/v3/objects/tasks/batch/create"))
    deliveries = [delivery(1), delivery(2)]
    results = channel.send_many(deliveries)
    assert all(isinstance(result, Unknown) for result in results.values())
    assert all(isinstance(found, Receipt) for found in channel.find([one.key for one in deliveries]).values())


def test_closing_keeps_the_text_adds_the_comment_once_and_outcomes_come_back(
    channel: HubspotChannel, hubspot: Account
) -> None:
    number = channel.send(delivery(1)).external_id
    assert channel.outcomes([number]) == {number: TaskOutcome(is_done=False, result=None)}
    for _ in range(2):
        channel.finish(number, "Клиент заказал на 18 400 ₽")
    [task] = hubspot.tasks()
    assert task["hs_task_body"].count("Клиент заказал") == 1
    assert "Продукты № 1" in task["hs_task_body"]
    hubspot.portal.update("tasks", int(number), {OUTCOME: "Заказ завтра"})
    assert channel.outcomes([number, "1"]) == {number: TaskOutcome(is_done=True, result="Заказ завтра"), "1": None}
    hubspot.portal.archive("tasks", int(number))
    assert channel.is_done(number) is None
    channel.finish(number, None)


def test_a_property_of_that_name_that_is_not_unique_stops_the_channel(hubspot: Account) -> None:
    hubspot.portal.define("tasks", {"name": MARKER, "type": "string"})
    channel = HubspotChannel(hubspot.connection(), Renderer())
    with pytest.raises(ChannelDown, match="must hold unique values"):
        channel.send(delivery(1))
    assert hubspot.tasks() == []


def test_without_the_right_to_tasks_nothing_is_sent() -> None:
    with running_account(scopes_missing=["tasks"]) as account:
        from tests.support.hubspot import employ

        employ(account, REPS)
        channel = HubspotChannel(account.connection(), Renderer())
        with pytest.raises(ChannelDown, match="lacks a scope"):
            channel.send(delivery(1))


def test_two_workers_make_the_property_once(hubspot: Account) -> None:
    first, second = (HubspotChannel(hubspot.connection(), Renderer()) for _ in range(2))
    first.send(delivery(1))
    second.send(delivery(2))
    assert hubspot.requests()["POST /crm/v3/properties/tasks"] == 2
    assert len(hubspot.tasks()) == 2
