"""A whole run on Bitrix24, with everything going wrong: no token, phone or e-mail in any log, at debug level either."""

import logging
from pathlib import Path
from typing import Any, get_args

import pytest

from alerts.deliver import DeliveryUnfinished, deliver
from alerts.freeze import freeze
from alerts.withdraw import withdraw_answered
from clients.bitrix24 import Bitrix24Client
from clients.connection import Connection
from clients.errors import ClientError
from extractors.core.errors import ReadError
from extractors.core.run import ensure_tables, entity_names, extract, register_source
from simulators.bitrix24 import WEBHOOK_CODE, BitrixUser, Fault, OAuthApplication
from simulators.bitrix24.faults import Kind
from simulators.bitrix24.shapes import COMPANY, CONTACT
from tests.support.bitrix24 import SOURCE, CrmPortal, picture, running_crm
from tests.support.delivery import AS_OF, REPS, SOUTH, Go, build_marts, employees, follow_up, lapse_leases
from warehouse.db import connect
from warehouse.settings import get_settings

CLIENT_PHONE = "+7 900 000-00-01"  # of the hand-made marts
PLANTED = sorted(
    {value for card in (*picture().companies, *picture().contacts) for value in (*card.phones, *card.emails)}
    | {user.email for user in picture().users}
    | {rep.email for rep in REPS if rep.email}
    | {CLIENT_PHONE, "spoiled@shop.example", "+7 911 222-33-44"}
)


def everything_said(database: str, caplog: pytest.LogCaptureFixture, said: list[str]) -> str:
    with connect(database) as conn:
        texts = [
            row[0] or ""
            for query in (
                "select string_agg(error, ' ') from ops.load_run",
                "select string_agg(reason, ' ') from raw.rejected_record",
                "select string_agg(reason, ' ') from ops.delivery_ledger",
            )
            for row in conn.execute(query.encode()).fetchall()
        ]
    return "\n".join([caplog.text, *said, *texts])


def read_everything(
    connection: Connection, portal: CrmPortal, database: str, said: list[str], *, kinds: tuple[Kind, ...] = ()
) -> None:
    def read(entity: str, **options: Any) -> None:
        try:
            extract(SOURCE, entity, connection, database_url=database, **options)
        except (ClientError, ReadError) as error:
            said.append(f"{error} {error!r}")
        with connect(database) as conn:
            conn.execute("delete from ops.request_limit")  # a blocked method rests for minutes; the test has no time

    for entity in entity_names(SOURCE):
        read(entity)
    for kind in kinds:
        portal.plan(Fault(kind, "*", times=3, seconds=0.01))
        read("contact")
        read("company", mode="reconcile")
    portal.plan()


def test_nothing_personal_and_no_secret_is_said(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    monkeypatch.setattr("extractors.bitrix24.source._LONGEST_PAUSE_SECONDS", 1.0)
    for name, value in (("POLKA_BUSINESS_DATE", AS_OF.isoformat()), ("POLKA_CHANNELS", '["bitrix24"]')):
        monkeypatch.setenv(name, value)
    get_settings.cache_clear()
    said: list[str] = []
    application = OAuthApplication()
    secrets = {WEBHOOK_CODE, application.client_secret, application.refresh_token}
    with connect(database, autocommit=True) as conn:
        ensure_tables(conn)
        register_source(conn, SOURCE)
    with running_crm(tmp_path, of_the_world=True, oauth=application) as portal:
        spoiled = portal.crm.add(CONTACT, {"name": "Анна", "birthdate": "звонить +7 911 222-33-44"})
        portal.crm.add(COMPANY, {"title": "x", "createdTime": "spoiled@shop.example"})
        extra = {
            "client_id": application.client_id,
            "client_secret": application.client_secret,
            "refresh_token": application.refresh_token,
            "token_url": f"{portal.address}/oauth/token/",
        }
        by_tokens = Connection(f"{portal.address}/", extra={**portal.connection().extra, **extra})
        read_everything(portal.connection(), portal, database, said, kinds=get_args(Kind))
        read_everything(by_tokens, portal, database, said, kinds=("expired_token", "reset_after_acting"))
        secrets |= {application.refresh_token, *application.access}
        application.access.clear()
        application.refresh_token = "taken away"
        read_everything(by_tokens, portal, database, said)
    with connect(database) as conn:
        rejected = conn.execute("select record_id from raw.rejected_record where entity = 'contact'").fetchall()
    assert (str(spoiled),) in rejected, "the spoiled card was told of"

    with running_crm(
        tmp_path / "tasks", users=[*employees(), BitrixUser("99", PLANTED[0], "Имя", "Фамилия")]
    ) as portal:
        monkeypatch.setattr(
            "alerts.channels.bitrix24.Bitrix24Client",
            lambda address, **options: Bitrix24Client(address, timeout=1.0, sleep=lambda seconds: None, **options),
        )
        build_marts(database, [follow_up(number, rep=REPS[number % 3]) for number in range(1, 7)])
        freeze(AS_OF, [Go()], database_url=database)
        for kind in get_args(Kind):
            portal.plan(Fault(kind, "*", seconds=0.01), Fault(kind, "tasks.task.add", seconds=0.01))
            try:
                deliver(
                    AS_OF,
                    SOUTH,
                    {"bitrix24": portal.connection()},
                    rehearsal=False,
                    database_url=database,
                    patience_seconds=0,
                )
            except (DeliveryUnfinished, ClientError) as error:
                said.append(f"{error} {error!r}")
            lapse_leases(database)
        withdraw_answered(AS_OF, {"bitrix24": portal.connection()}, rehearsal=False, database_url=database)
        assert portal.tasks(), "something was delivered"

    text = everything_said(database, caplog, said)
    assert "/rest/1/***/batch.json" in text, "the HTTP library spoke at debug level, without the code"
    assert said
    assert [value for value in [*PLANTED, *secrets] if value in text] == []
