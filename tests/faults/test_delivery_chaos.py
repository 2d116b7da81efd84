"""Two schedulers, killed with -9 at any moment, a database that restarts, portals that do not answer: still once.

POLKA_CHAOS_RUNS sets how many days go through it (a full campaign has 200), POLKA_CHAOS_SEED which.
"""

import logging
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import psycopg
import pytest

from clients.connection import Connection
from simulators.bitrix24 import Fault as PortalFault
from simulators.telegram import Fault as BotFault
from tests.support.delivery import (
    AS_OF,
    REPS,
    MailServer,
    PortalHandle,
    build_marts,
    follow_up,
    lapse_leases,
    ledger_rows,
    running_mail_server,
    running_portal,
)
from tests.support.sender import PORTAL_PATIENCE_SECONDS, start_sender
from tests.support.telegram import CHATS, Bot, join, running_bot
from warehouse.db import connect, with_database
from warehouse.embedded import EmbeddedServer
from warehouse.migrate import migrate

log = logging.getLogger(__name__)

RUNS = int(os.environ.get("POLKA_CHAOS_RUNS", "6"))
SEED = int(os.environ.get("POLKA_CHAOS_SEED", "20250610"))
MAX_ROUNDS = 60
CALM_AFTER = 30
CLIENTS = 12
ENVIRONMENT = {
    "POLKA_BUSINESS_DATE": AS_OF.isoformat(),
    "POLKA_CHANNELS": '["bitrix24", "telegram", "email"]',
    "POLKA_EMAIL_FROM": "polka@distributor.example",
    "POLKA_LIST_CAP": "100",
}
PORTAL_FAULTS: tuple[Any, ...] = (
    "timeout_after_acting", "timeout_before_acting", "reset_after_acting", "reset_before_acting", "query_limit",
    "internal_error", "not_json", "gateway_timeout", "lost_commands",
)  # fmt: skip
BOT_FAULTS: tuple[Any, ...] = (
    "timeout_after_acting", "timeout_before_acting", "reset_after_acting", "reset_before_acting", "bad_gateway",
    "internal_error", "error_after_acting",
)  # fmt: skip
MAIL_FAULTS: tuple[Any, ...] = ("lost_after_data", "lost_before_data", "busy")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedServer]:
    """A database server of the test's own, which it may kill."""
    server = EmbeddedServer(tmp_path / "server", settings={"fsync": "off"})
    server.start()
    try:
        yield server
    finally:
        server.remove()


@pytest.mark.timeout(60 + 60 * RUNS)
def test_whatever_dies_a_follow_up_arrives_once(server: EmbeddedServer, tmp_path: Path) -> None:
    template = server.ensure_database("template_of_runs")
    migrate(template)
    build_marts(template, [follow_up(number, rep=REPS[number % 3]) for number in range(1, CLIENTS + 1)])
    happened: Counter[str] = Counter()
    for run in range(RUNS):
        dice = random.Random(SEED + run)
        name = f"run_{run}"
        with connect(with_database(template, "postgres"), autocommit=True) as conn:
            conn.execute(f'create database "{name}" template template_of_runs')
        with (
            running_portal(tmp_path / f"{name}.json") as portal,
            running_mail_server() as mail,
            running_bot() as bot,
        ):
            _one_day(server, with_database(template, name), portal, mail, bot, dice, happened, f"seed {SEED + run}")
        with connect(with_database(template, "postgres"), autocommit=True) as conn:
            conn.execute(f'drop database "{name}" with (force)')
    log.info("%s days: %s", RUNS, dict(happened))
    assert happened["killed"], "nobody was killed: too mild to prove anything"


def _one_day(
    server: EmbeddedServer,
    database: str,
    portal: PortalHandle,
    mail: MailServer,
    bot: Bot,
    dice: random.Random,
    happened: Counter[str],
    which: str,
) -> None:
    join(database)
    connections = {"bitrix24": portal.connection(), "telegram": bot.connection(), "email": mail.connection()}
    for round_number in range(MAX_ROUNDS):
        is_calm = round_number >= CALM_AFTER
        _misbehave(portal, mail, bot, dice, is_calm=is_calm)
        _a_round(server, database, connections, dice, happened, is_calm=is_calm)
        # By now the portal has finished with requests that nobody waits for, and leases of the dead have lapsed.
        time.sleep(PORTAL_PATIENCE_SECONDS)
        lapse_leases(database)
        rows = ledger_rows(database)
        if rows and all(row["state"] == "sent" or row["needs_attention"] for row in rows):
            break
    _judge(ledger_rows(database), portal, mail, bot, happened, which)


def _misbehave(portal: PortalHandle, mail: MailServer, bot: Bot, dice: random.Random, *, is_calm: bool) -> None:
    seconds = 2 * PORTAL_PATIENCE_SECONDS
    if is_calm or dice.random() < 0.3:
        portal.plan()
        bot.plan()
        mail.faults = []
        return
    portal.plan(
        *(
            PortalFault(dice.choice(PORTAL_FAULTS), method, skip=dice.randrange(3), seconds=seconds)
            for method in ("batch", "*")
        )
    )
    bot.plan(BotFault(dice.choice(BOT_FAULTS), "sendMessage", skip=dice.randrange(3), seconds=seconds))
    mail.faults = [dice.choice(MAIL_FAULTS)] if dice.random() < 0.3 else []


def _a_round(
    server: EmbeddedServer,
    database: str,
    connections: Mapping[str, Connection],
    dice: random.Random,
    happened: Counter[str],
    *,
    is_calm: bool,
) -> None:
    """Two senders at once; one or both of them die, or the database does."""
    senders = [start_sender(database, ENVIRONMENT, connections) for _ in range(2)]
    if not is_calm:
        for sender in senders:
            if dice.random() < 0.7:
                time.sleep(dice.random() * 0.4)
                happened["killed"] += _kill(sender)
        if dice.random() < 0.25:
            happened["database killed"] += 1
            os.kill(server.status().pid or 0, dice.choice([signal.SIGQUIT, signal.SIGINT]))
            _restarted(server, database)
    for sender in senders:
        sender.join(60)
        assert sender.exitcode is not None, "a sender does not end"


def _kill(sender: BaseProcess) -> bool:
    was_alive = sender.is_alive()
    sender.kill()
    sender.join()
    return was_alive


def _restarted(server: EmbeddedServer, database: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        server.start()
        try:
            with connect(database):
                return
        except psycopg.OperationalError:
            assert time.monotonic() < deadline, "the database does not come back"
            time.sleep(0.1)


def _judge(
    rows: list[dict[str, Any]],
    portal: PortalHandle,
    mail: MailServer,
    bot: Bot,
    happened: Counter[str],
    which: str,
) -> None:
    assert len(rows) == 3 * CLIENTS, which
    doubtful = [row for row in rows if row["state"] != "sent"]
    assert all(row["state"] == "sending" and row["needs_attention"] and row["reason"] for row in doubtful), which
    happened["sent"] += len(rows) - len(doubtful)
    happened["for a person"] += len(doubtful)

    # What can be looked up: exactly once, and nothing is left to a person.
    tasks = sorted(task["XML_ID"] for task in portal.tasks())
    assert tasks == [f"{number:032x}" for number in range(1, CLIENTS + 1)], which
    assert "bitrix24" not in {row["channel"] for row in doubtful}, which

    # What cannot: at most once, and whoever did not get it is shown to a person.
    got_letter = {rep.manager_id: mail.recipients.count(rep.email or "") for rep in REPS}
    messages = Counter(message["chat_id"] for message in bot.messages())
    got_message = {rep.manager_id: messages[CHATS[rep.manager_id]] for rep in REPS}
    for channel, got in (("email", got_letter), ("telegram", got_message)):
        assert max(got.values()) <= 1, f"{which}: {channel} came twice"
        sent = {row["manager_id"] for row in rows if row["channel"] == channel and row["state"] == "sent"}
        open_ = {row["manager_id"] for row in doubtful if row["channel"] == channel}
        assert sent | open_ == {rep.manager_id for rep in REPS}, f"{which}: {channel} has forgotten a rep"
        assert all(got[manager] == 1 for manager in sent - open_), f"{which}: {channel} is recorded, but did not come"
