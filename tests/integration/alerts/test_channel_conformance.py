"""Every channel keeps these promises. A new channel is appended to CHANNELS and must pass as it is."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from alerts.channels.base import CannotTell, ChannelDown, Delivery, Key, NotFound, Receipt
from alerts.channels.registry import open_channels
from alerts.contacts import Manager
from alerts.deliver import DeliveryUnfinished, deliver
from alerts.followups import follow_up_from_payload
from alerts.freeze import freeze
from alerts.quality import Quality
from alerts.render import Contacts, Renderer
from clients.connection import Connection
from clients.errors import Fatal, Retriable
from tests.support import amocrm as amocrm_account
from tests.support import hubspot as hubspot_account
from tests.support import telegram as telegram_bot
from tests.support.delivery import (
    AS_OF,
    REPS,
    SOUTH,
    Go,
    MailServer,
    PortalHandle,
    build_marts,
    closed_port,
    follow_up,
    states,
)
from warehouse.settings import get_settings


@dataclass(frozen=True)
class Servers:
    """What listens during a test."""

    portal: PortalHandle
    mail: MailServer
    amocrm: amocrm_account.Account
    hubspot: hubspot_account.Account
    telegram: telegram_bot.Bot


@dataclass(frozen=True)
class Case:
    """A channel with a way to count what arrived and an address where nobody listens."""

    name: str
    dead: Callable[[], Connection]
    arrived: Callable[[Servers], int]


CHANNELS = [
    pytest.param(
        Case(
            "bitrix24",
            lambda: Connection(url=f"http://127.0.0.1:{closed_port()}/rest/1/code/"),
            lambda servers: len(servers.portal.tasks()),
        ),
        id="bitrix24",
    ),
    pytest.param(
        Case(
            "email",
            lambda: Connection(url=f"127.0.0.1:{closed_port()}"),
            lambda servers: len(servers.mail.messages),
        ),
        id="email",
    ),
    pytest.param(
        Case(
            "amocrm",
            lambda: Connection(url=f"http://127.0.0.1:{closed_port()}", password="token"),
            lambda servers: len(servers.amocrm.tasks()),
        ),
        id="amocrm",
    ),
    pytest.param(
        Case(
            "hubspot",
            lambda: Connection(url=f"http://127.0.0.1:{closed_port()}", password="token"),
            lambda servers: len(servers.hubspot.tasks()),
        ),
        id="hubspot",
    ),
    pytest.param(
        Case(
            "telegram",
            lambda: Connection(url=f"http://127.0.0.1:{closed_port()}", password=telegram_bot.TOKEN),
            lambda servers: len(servers.telegram.messages()),
        ),
        id="telegram",
    ),
]


@pytest.fixture
def servers(
    portal: PortalHandle,
    mail: MailServer,
    amocrm: amocrm_account.Account,
    hubspot: hubspot_account.Account,
    telegram: telegram_bot.Bot,
) -> Servers:
    return Servers(portal, mail, amocrm, hubspot, telegram)


@pytest.fixture
def connections(connections: dict[str, Connection], servers: Servers) -> dict[str, Connection]:
    return {
        **connections,
        "amocrm": servers.amocrm.connection(),
        "hubspot": servers.hubspot.connection(),
        "telegram": servers.telegram.connection(),
    }


@pytest.fixture(params=CHANNELS)
def case(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Case:
    found: Case = request.param
    monkeypatch.setenv("POLKA_CHANNELS", f'["{found.name}"]')
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    get_settings.cache_clear()
    return found


def delivery(tried_before: bool = False) -> Delivery:
    import json

    row = follow_up_from_payload(json.dumps(follow_up(1), default=str))
    rep = REPS[0]
    chat = telegram_bot.CHATS[rep.manager_id]
    manager = Manager(row.instance, rep.manager_id, rep.name, rep.email, telegram_chat=chat)
    key = Key("0" * 32, datetime(2025, 6, 10, tzinfo=UTC), tried_before)
    return Delivery(key, AS_OF, manager, [row], Contacts({}), Quality())


def test_construction_and_an_empty_list_never_touch_the_network(case: Case, database: str) -> None:
    connections = {case.name: case.dead()}
    channel = open_channels(connections, get_settings(), Renderer())[case.name]
    assert dict(channel.find([])) == {}
    channel.close()
    build_marts(database, [])
    freeze(AS_OF, [Go()], database_url=database)
    outcome = deliver(AS_OF, SOUTH, connections, rehearsal=False, database_url=database)
    assert (outcome.sent, outcome.problems) == (0, [])


def test_delivering_twice_delivers_once(
    case: Case, database: str, connections: dict[str, Connection], servers: Servers
) -> None:
    build_marts(database, [follow_up(1)])
    telegram_bot.join(database)
    for _ in range(2):
        freeze(AS_OF, [Go()], database_url=database)
        deliver(AS_OF, SOUTH, connections, rehearsal=False, database_url=database)
    assert case.arrived(servers) == 1


def test_checking_sends_nothing(case: Case, connections: dict[str, Connection], servers: Servers) -> None:
    channel = open_channels(connections, get_settings(), Renderer())[case.name]
    recipient = channel.check(delivery())
    assert recipient in ("11", "m1")
    assert case.arrived(servers) == 0


def test_what_was_sent_is_found_or_nobody_can_tell(
    case: Case, connections: dict[str, Connection], servers: Servers
) -> None:
    channel = open_channels(connections, get_settings(), Renderer())[case.name]
    fresh = delivery()
    assert isinstance(channel.find([fresh.key])[fresh.key.value], NotFound)
    receipt = channel.send(fresh)
    assert receipt.external_id
    assert "@distributor" not in (receipt.recipient or "")
    tried = delivery(tried_before=True).key
    finding = channel.find([tried])[tried.value]
    assert isinstance(finding, (Receipt, CannotTell))
    if isinstance(finding, Receipt):
        assert finding.external_id == receipt.external_id


def test_nobody_there_is_never_a_failure_of_the_row(case: Case, database: str) -> None:
    build_marts(database, [follow_up(1)])
    telegram_bot.join(database)
    freeze(AS_OF, [Go()], database_url=database)
    with pytest.raises(DeliveryUnfinished):
        deliver(AS_OF, SOUTH, {case.name: case.dead()}, rehearsal=False, database_url=database)
    assert states(database, case.name) == {"client-1": "planned"}


def test_sending_to_nobody_raises_what_the_protocol_says(case: Case) -> None:
    channel = open_channels({case.name: case.dead()}, get_settings(), Renderer())[case.name]
    with pytest.raises((Retriable, ChannelDown)):
        channel.send(delivery())


def test_a_manager_without_an_address_is_fatal_before_the_network(case: Case) -> None:
    channel = open_channels({case.name: case.dead()}, get_settings(), Renderer())[case.name]
    nobody = Delivery(delivery().key, AS_OF, Manager("i", "m", "Имя", None), delivery().rows, Contacts({}), Quality())
    with pytest.raises(Fatal) as fatal:
        channel.send(nobody)
    assert not isinstance(fatal.value, ChannelDown)
