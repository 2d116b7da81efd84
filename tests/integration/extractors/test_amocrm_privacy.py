"""Whatever goes wrong while amoCRM is read and written: no token, phone or e-mail is in a log, an error or a run."""

import logging
from pathlib import Path
from typing import get_args

import pytest

from alerts.channels.amocrm import AmocrmChannel
from alerts.render import Renderer
from clients.errors import ClientError
from extractors.core.errors import ReadError
from extractors.core.run import entity_names, extract
from simulators.amocrm import Fault
from simulators.amocrm.faults import Kind
from tests.support.amocrm import INTEGRATION, Account, picture, running_account
from warehouse.db import connect
from warehouse.sources import SourceConfig

SOURCE = SourceConfig(id="amo", kind="amocrm", connection="amo", mapping="standard")
# What people typed into the portal, and must not be read anywhere but in the warehouse's own tables.
PLANTED = sorted(
    {value for card in (*picture().companies, *picture().contacts) for value in (*card.phones, *card.emails)}
    | {user.email for user in picture().users}
)


def everything_said(database: str, caplog: pytest.LogCaptureFixture, said: list[str]) -> str:
    with connect(database) as conn:
        runs = conn.execute("select coalesce(string_agg(error, ' '), '') from ops.load_run").fetchone()
        rejected = conn.execute("select coalesce(string_agg(reason, ' '), '') from raw.rejected_record").fetchone()
    assert runs is not None
    assert rejected is not None
    return "\n".join([caplog.text, *said, runs[0], rejected[0]])


def test_nothing_personal_and_no_secret_is_logged(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    caplog.set_level(logging.DEBUG)
    said: list[str] = []
    with running_account(tmp_path, picture()) as account:
        spoiled = min(account.app.portal.records["companies"])
        account.app.portal.change("companies", spoiled, {"created_at": "вчера, звонить +7 900 555-44-33"})
        for entity in entity_names(SOURCE):
            read(account, database, entity, said)
        for kind in get_args(Kind):
            account.plan(Fault(kind, "GET *", times=2, seconds=0.01))
            read(account, database, "contact", said)
            lift_the_pause(database)
        account.plan()
        account.app.access.revoke()
        read(account, database, "contact", said)
        channel = AmocrmChannel(account.connection(), Renderer())
        said += [str(finding) for finding in channel.find([]).values()]
    assert "DEBUG" in {record.levelname for record in caplog.records}
    text = everything_said(database, caplog, said)
    assert said
    assert "created_at" in text  # the spoiled card was told of, by its column
    assert [value for value in [*PLANTED, "555-44-33", INTEGRATION.long_lived_token] if value in text] == []


def read(account: Account, database: str, entity: str, said: list[str]) -> None:
    try:
        extract(SOURCE, entity, account.connection(), database_url=database)
    except (ClientError, ReadError) as error:
        said += [str(error), repr(error)]


def lift_the_pause(database: str) -> None:
    """A blocked address is left alone for minutes; the test has no time."""
    with connect(database) as conn:
        conn.execute("delete from ops.request_limit")
