"""Each delivery test: a database with hand-made marts, a portal and a mail server that really listen."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.connection import Connection
from tests.support import hubspot as hubspot_account
from tests.support.amocrm import Account, employ, running_account
from tests.support.delivery import AS_OF, REPS, MailServer, PortalHandle, running_mail_server, running_portal
from tests.support.telegram import Bot, running_bot
from warehouse.settings import get_settings


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
def amocrm(tmp_path: Path) -> Iterator[Account]:
    with running_account(tmp_path / "amocrm") as account:
        employ(account, REPS)
        yield account


@pytest.fixture
def hubspot(tmp_path: Path) -> Iterator[hubspot_account.Account]:
    with hubspot_account.running_account(tmp_path / "hubspot.jsonl") as account:
        hubspot_account.employ(account, REPS)
        yield account


@pytest.fixture
def telegram() -> Iterator[Bot]:
    with running_bot() as bot:
        yield bot


@pytest.fixture
def connections(portal: PortalHandle, mail: MailServer) -> dict[str, Connection]:
    return {"bitrix24": portal.connection(), "email": mail.connection()}
