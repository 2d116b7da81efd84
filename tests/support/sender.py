"""A day's delivery in a process of its own, which can be killed as the system kills: without a last word."""

import os
from collections.abc import Mapping
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from typing import Any

from clients.connection import Connection

_CONTEXT = get_context("forkserver")
_CONTEXT.set_forkserver_preload(["alerts.deliver", "alerts.freeze", "tests.support.delivery"])
PORTAL_PATIENCE_SECONDS = 0.4


def start_sender(database: str, environment: Mapping[str, str], connections: Mapping[str, Connection]) -> BaseProcess:
    """Freeze the list of tests.support.delivery and deliver it, as the DAG's tasks do; ends with exit code 0 or 1."""
    sender = _CONTEXT.Process(target=_send, args=(database, dict(environment), dict(connections)))
    sender.start()
    return sender


def _send(database: str, environment: Mapping[str, str], connections: Mapping[str, Connection]) -> None:
    from alerts.channels import bitrix24, telegram
    from alerts.deliver import DeliveryUnfinished, deliver
    from alerts.freeze import freeze
    from clients.bitrix24 import Bitrix24Client
    from clients.telegram import TelegramClient
    from tests.support.delivery import AS_OF, SOUTH, Go
    from warehouse.settings import get_settings

    def impatient_portal(connection: Connection, **options: Any) -> Bitrix24Client:
        return Bitrix24Client(connection, timeout=PORTAL_PATIENCE_SECONDS, sleep=lambda seconds: None, **options)

    def impatient_bot(connection: Connection, **options: Any) -> TelegramClient:
        return TelegramClient(connection, timeout=PORTAL_PATIENCE_SECONDS, **options)

    os.environ.update(environment)
    get_settings.cache_clear()
    bitrix24.Bitrix24Client = impatient_portal  # type: ignore[assignment,misc]
    telegram.TelegramClient = impatient_bot  # type: ignore[assignment,misc]
    try:
        freeze(AS_OF, [Go()], database_url=database)
        deliver(
            AS_OF,
            SOUTH,
            connections,
            rehearsal=False,
            database_url=database,
            patience_seconds=0,
            look_again_seconds=PORTAL_PATIENCE_SECONDS,
        )
    except DeliveryUnfinished:
        os._exit(1)
