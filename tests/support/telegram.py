"""A served Telegram bot for tests: where it is, who joined it, and what arrived."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import requests

from clients.connection import Connection
from simulators.telegram import TOKEN, Fault, Limits, Room, build_app
from tests.support.delivery import INSTANCE, REPS, Rep, serve
from warehouse.db import connect

FREE = Limits(per_second=1_000_000, per_second_of_chat=1_000_000)
CHATS = {rep.manager_id: 1000 + number for number, rep in enumerate(REPS, 1)}


@dataclass
class Bot:
    """A running bot."""

    address: str
    room: Room

    def connection(self, **extra: str) -> Connection:
        often = {"messages_per_second": "1000000", "messages_per_second_of_chat": "1000000"}
        return Connection(url=self.address, password=TOKEN, extra={**often, **extra})

    def messages(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = requests.get(f"{self.address}/_control/messages", timeout=10).json()
        return found

    def answers(self) -> list[str]:
        return [one["text"] for one in requests.get(f"{self.address}/_control/answers", timeout=10).json()]

    def requests(self) -> dict[str, int]:
        found: dict[str, int] = requests.get(f"{self.address}/_control/requests", timeout=10).json()
        return found

    def say(self, chat_id: int, text: str) -> None:
        self._post("say", {"chat_id": chat_id, "text": text})

    def press(self, chat_id: int, message_id: int, data: str) -> None:
        self._post("press", {"chat_id": chat_id, "message_id": message_id, "data": data})

    def block(self, chat_id: int) -> None:
        self._post("block", {"chat_id": chat_id})

    def plan(self, *faults: Fault) -> None:
        self._post("faults", [vars(fault) for fault in faults])

    def _post(self, door: str, body: Any) -> None:
        requests.post(f"{self.address}/_control/{door}", json=body, timeout=10).raise_for_status()


@contextmanager
def running_bot(*, limits: Limits = FREE, reps: Sequence[Rep] = REPS) -> Iterator[Bot]:
    """A bot on a free loopback port, by default without limits; the reps have started it."""
    app = build_app(limits=limits)
    for rep in reps:
        app.state.room.say(CHATS[rep.manager_id], "/start", rep.name)
    app.state.room.updates.clear()
    with serve(app) as address:
        yield Bot(address, app.state.room)


def join(url: str, *reps: Rep) -> None:
    """As if these reps had opened their links."""
    with connect(url) as conn:
        for rep in reps or REPS:
            conn.execute(
                "insert into ops.telegram_chat (instance, manager_id, bot_id, chat_id) values (%s, %s, %s, %s)",
                [INSTANCE, rep.manager_id, int(TOKEN.partition(":")[0]), CHATS[rep.manager_id]],
            )
