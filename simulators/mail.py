"""An SMTP server that keeps every message it accepts as a file."""

from __future__ import annotations

import re
from email import message_from_bytes
from email.policy import default as default_policy
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

_ADDRESS = re.compile(r"^[^@\s<>]+@[^@\s<>]+$")


class MailSink:
    """aiosmtpd handler: checks the envelope as a real server does and writes NNNN.eml into a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._count = len(list(folder.glob("*.eml")))

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if not _ADDRESS.match(address):
            return "501 5.1.7 Bad sender's address"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 OK"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if not _ADDRESS.match(address):
            return "501 5.1.3 Bad recipient's address"
        if address.endswith("@refused.example"):
            return "550 5.1.1 No such user here"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        content = envelope.content
        raw = content if isinstance(content, bytes) else str(content).encode()
        message = message_from_bytes(raw, policy=default_policy)
        if message["From"] is None or message["Message-ID"] is None:
            return "550 5.6.0 The message has no From or no Message-ID"
        self._count += 1
        head = f"X-Envelope-From: {envelope.mail_from}\r\nX-Envelope-To: {', '.join(envelope.rcpt_tos)}\r\n".encode()
        temporary = self._folder / f".{self._count:04d}.tmp"
        temporary.write_bytes(head + raw)
        temporary.rename(self._folder / f"{self._count:04d}.eml")
        return f"250 2.0.0 OK: queued as {self._count:04d}"


def smtp_protocol(sink: MailSink) -> SMTP:
    """A protocol for `loop.create_server`."""
    return SMTP(sink, hostname="sink.localhost", enable_SMTPUTF8=True, data_size_limit=40_000_000)
