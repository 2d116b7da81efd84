"""E-mail: one letter per rep with his whole list, and the same list as a workbook.

A mail server cannot be asked what it was given, so a letter in doubt is shown to a person and never sent again.
"""

from collections.abc import Callable, Mapping, Sequence
from email.message import EmailMessage
from email.utils import format_datetime, formataddr, parseaddr

from alerts.channels.base import CannotTell, ChannelDown, Delivery, Finding, Key, NotFound, Per, Receipt, unnoticed
from alerts.contacts import Manager
from alerts.render import Letter, Renderer, clean
from alerts.wording import reason
from alerts.workbook import build_workbook
from clients.connection import Connection
from clients.errors import Fatal, Retriable
from clients.smtp import SmtpClient
from warehouse.clock import company_time

XLSX = ("application", "vnd.openxmlformats-officedocument.spreadsheetml.sheet")
_SENDER_NAME = {"ru": "Полка", "en": "Polka"}
_RECIPIENT_STATUSES = {550, 551, 552, 553, 554}


class EmailChannel:
    """Letters through one mail server."""

    name = "email"
    per: Per = "manager"

    def __init__(self, connection: Connection, renderer: Renderer, *, sender: str) -> None:
        self._connection = connection
        self._renderer = renderer
        self._sender = sender

    def find(self, keys: Sequence[Key]) -> Mapping[str, Finding]:
        return {
            key.value: CannotTell("a mail server cannot be asked") if key.tried_before else NotFound() for key in keys
        }

    def check(self, delivery: Delivery) -> str:
        self._address(delivery.manager)
        self._letter(delivery)
        return delivery.manager.manager_id

    def words(self, delivery: Delivery) -> str:
        letter = self._letter(delivery)
        return f"{letter.subject}\n\n{letter.text}"

    def send(self, delivery: Delivery, *, leaving: Callable[[], None] = unnoticed) -> Receipt:
        return self.send_letter(
            delivery.key.value, delivery.manager, self._letter(delivery), self._workbook(delivery), leaving
        )

    def send_letter(
        self,
        key: str,
        manager: Manager,
        letter: Letter,
        workbook: tuple[str, bytes] | None = None,
        leaving: Callable[[], None] = unnoticed,
    ) -> Receipt:
        """Send a letter of any kind; `key` makes its Message-ID, so that mail programs merge a double one."""
        address = self._address(manager)
        message = self._message(key, manager, address, letter, workbook)
        client = SmtpClient(self._connection)
        try:
            client.send(message, sender=parseaddr(self._sender)[1], recipient=address, leaving=leaving)
        except Fatal as error:
            # A refused recipient is about this letter; everything else about the server or its settings.
            if error.status in _RECIPIENT_STATUSES and "recipient" in str(error):
                raise Fatal(reason("address_refused", self._renderer.language), status=error.status) from None
            raise ChannelDown(str(error), status=error.status) from None
        return Receipt(message["Message-ID"], manager.manager_id)

    def knows(self, manager: Manager) -> bool:
        """Whether 1C has an address of the rep."""
        return bool(manager.email)

    def close(self) -> None:
        return None

    def _letter(self, delivery: Delivery) -> Letter:
        notes = delivery.quality.notes(self._renderer.language)
        return self._renderer.list_letter(delivery.rows, delivery.contacts, supplement=delivery.supplement, notes=notes)

    def _workbook(self, delivery: Delivery) -> tuple[str, bytes]:
        name = "Список" if self._renderer.language == "ru" else "List"
        body = build_workbook(
            delivery.rows, delivery.contacts, delivery.quality, self._renderer, results=delivery.results
        )
        return f"{name} {delivery.as_of:%d.%m.%Y}.xlsx", body

    def _address(self, manager: Manager) -> str:
        address = parseaddr(manager.email or "")[1]
        if not address:
            raise Fatal(reason("no_email", self._renderer.language))
        if not address.isascii() or "@" not in address or any(char.isspace() for char in address):
            raise Fatal(reason("bad_email", self._renderer.language))
        return address

    def _message(
        self, key: str, manager: Manager, address: str, letter: Letter, workbook: tuple[str, bytes] | None
    ) -> EmailMessage:
        sender_name, sender = parseaddr(self._sender)
        if not sender:
            raise Retriable("POLKA_EMAIL_FROM is not an address")
        message = EmailMessage()
        message["From"] = formataddr((sender_name or _SENDER_NAME[self._renderer.language], sender))
        message["To"] = formataddr((clean(manager.name), address))
        message["Subject"] = letter.subject
        message["Date"] = format_datetime(company_time())
        message["Message-ID"] = f"<{key}@{sender.rpartition('@')[2] or 'polka'}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(letter.text, cte="base64")
        message.add_alternative(letter.html, subtype="html", cte="base64")
        if workbook:
            message.add_attachment(workbook[1], maintype=XLSX[0], subtype=XLSX[1], filename=workbook[0])
        return message
