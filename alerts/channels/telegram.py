"""Telegram: the rep's list in one message or a few, with buttons for the outcomes of his calls.

A message has no key by which it could be found again, so one in doubt is shown to a person and never sent again. When
only some of a list's messages went out, the rows of those are settled and the others are not.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import date

from alerts.channels.base import (
    CannotTell,
    ChannelDown,
    Delivery,
    Finding,
    Key,
    NotFound,
    PartlySent,
    Per,
    Receipt,
    unnoticed,
)
from alerts.contacts import Manager
from alerts.digest import Page, notice, pages
from alerts.render import Letter, Renderer
from alerts.telegram_buttons import client_buttons
from alerts.wording import reason
from clients.connection import Connection
from clients.errors import ClientError, Fatal, Retriable
from clients.limits import Limits
from clients.telegram import BLOCKED, GONE, TelegramClient
from warehouse.db import Connection as Database

log = logging.getLogger(__name__)


class TelegramChannel:
    """Messages of one bot."""

    name = "telegram"
    per: Per = "manager"

    def __init__(
        self,
        connection: Connection,
        renderer: Renderer,
        *,
        limits: Limits | None = None,
        database: Callable[[], AbstractContextManager[Database]] | None = None,
        client: TelegramClient | None = None,
        release: Callable[[], None] = lambda: None,
    ) -> None:
        """limits: shared with the other workers. database: knows days off (none are without it) and who has left."""
        self._connection = connection
        self._renderer = renderer
        self._limits = limits
        self._database = database
        self._client = client
        self._release = release

    def find(self, keys: Sequence[Key]) -> Mapping[str, Finding]:
        return {
            key.value: CannotTell("Telegram cannot be asked what it was given") if key.tried_before else NotFound()
            for key in keys
        }

    def check(self, delivery: Delivery) -> str:
        self._chat(delivery.manager)
        self._pages(delivery)
        return delivery.manager.manager_id

    def words(self, delivery: Delivery) -> str:
        return "\n\n".join(page.html for page in self._pages(delivery))

    def send(self, delivery: Delivery, *, leaving: Callable[[], None] = unnoticed) -> Receipt:
        """Raises also PartlySent: some messages of the list are there."""
        chat = self._chat(delivery.manager)
        silent = self._is_day_off(delivery.as_of)
        receipts: dict[str, Receipt] = {}
        found = self._pages(delivery)
        leaving()
        for page in found:
            buttons = client_buttons([(number, row.followup_id) for number, row in page.rows])
            try:
                message_id = self._say(delivery.manager, chat, page.html, buttons, silent=silent)
            except ClientError as error:
                if len(found) == 1:
                    raise
                unsure = [row.followup_id for _, row in page.rows]
                raise PartlySent(receipts, unsure, error) from None
            receipt = Receipt(str(message_id), delivery.manager.manager_id)
            receipts |= {row.followup_id: receipt for _, row in page.rows}
        parts = {key: receipt.external_id for key, receipt in receipts.items()}
        return Receipt(next(iter(parts.values())), delivery.manager.manager_id, parts)

    def knows(self, manager: Manager) -> bool:
        """Whether the rep has started the bot."""
        return manager.telegram_chat is not None

    def send_letter(self, key: str, manager: Manager, letter: Letter) -> Receipt:
        """A notice about no client."""
        message_id = self._say(manager, self._chat(manager), notice(letter), (), silent=False)
        return Receipt(str(message_id), manager.manager_id)

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
        self._release()

    # --- inside ---

    def _pages(self, delivery: Delivery) -> list[Page]:
        notes = delivery.quality.notes(self._renderer.language)
        return pages(delivery.rows, delivery.contacts, self._renderer, supplement=delivery.supplement, notes=notes)

    def _chat(self, manager: Manager) -> int:
        if manager.telegram_chat is None:
            raise Fatal(reason("no_chat", self._renderer.language))
        return manager.telegram_chat

    def _say(
        self, manager: Manager, chat: int, html: str, buttons: Sequence[Sequence[Mapping[str, str]]], *, silent: bool
    ) -> int:
        try:
            return self._bot().send_message(chat, html, keyboard=buttons, silent=silent)
        except Fatal as error:
            if error.code == BLOCKED:
                self._note_blocked(manager)
                raise Fatal(reason("chat_blocked", self._renderer.language), status=error.status) from None
            if error.code == GONE:
                raise Fatal(reason("no_chat", self._renderer.language), status=error.status) from None
            if error.code in ("markup", "length"):
                raise
            raise ChannelDown(str(error), status=error.status, code=error.code) from None
        except Retriable as error:
            if error.status is None:
                raise ChannelDown(str(error), code=error.code) from None
            raise

    def _bot(self) -> TelegramClient:
        if self._client is None:
            try:
                self._client = TelegramClient(self._connection, limits=self._limits)
            except Fatal as error:
                raise ChannelDown(str(error)) from None
        return self._client

    def _is_day_off(self, as_of: date) -> bool:
        """On days off messages come without a sound."""
        if self._database is None:
            return False
        with self._database() as conn:
            row = conn.execute(
                "select not is_working_day from ops.production_calendar where day = %s", [as_of]
            ).fetchone()
        return bool(row and row[0])

    def _note_blocked(self, manager: Manager) -> None:
        if self._database is None:
            return
        with self._database() as conn:
            conn.execute(
                "update ops.telegram_chat set blocked_at = now() where instance = %s and manager_id = %s",
                [manager.instance, manager.manager_id],
            )
