"""One message over SMTP, with an answer to the only question that matters afterwards: was it taken?

smtplib's own `sendmail` does not tell a connection lost before the final dot from one lost after it; here the dialogue
is led step by step.
"""

import contextlib
import logging
import re
import smtplib
import ssl
from collections.abc import Callable
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from urllib.parse import urlsplit

from clients.connection import Connection
from clients.errors import ClientError, Fatal, Retriable, Unknown
from clients.http import is_loopback

log = logging.getLogger(__name__)

_PORTS = {"none": 25, "starttls": 587, "ssl": 465}
_LEADING_DOT = re.compile(rb"(?m)^\.")


class SmtpClient:
    """Sends messages through one server. A connection is opened per message: reps get one a day."""

    def __init__(self, connection: Connection, *, timeout: float = 60.0) -> None:
        """`connection.url`: host, host:port or smtp(s)://host:port. `extra["security"]`: none, starttls or ssl;
        without it smtps or port 465 mean ssl, this machine means none, and everything else starttls.
        `login`/`password` log in when present. Raises Fatal for settings that cannot work.
        """
        url = connection.url if "://" in connection.url else f"smtp://{connection.url}"
        parts = urlsplit(url)
        if not parts.hostname:
            raise Fatal("the SMTP connection has no host")
        self._host = parts.hostname
        self._security = connection.extra.get("security") or _default_security(parts.scheme, parts.hostname, parts.port)
        if self._security not in _PORTS:
            raise Fatal(f"SMTP security '{self._security}' is unknown: none, starttls or ssl")
        self._port = parts.port or _PORTS[self._security]
        self._login = connection.login
        self._password = connection.password
        self._timeout = timeout
        if self._login and self._security == "none" and not is_loopback(self._host):
            raise Fatal("an SMTP password would travel in the clear: set security to starttls or ssl")

    def send(
        self, message: EmailMessage, *, sender: str, recipient: str, leaving: Callable[[], None] = lambda: None
    ) -> str:
        """Hand one message over; return what the server said when it took it.

        `leaving` is called just before the final dot: up to there the server has taken nothing, and if it raises, the
        message is dropped.
        Raises Retriable (not taken, may work later), Fatal (not taken, a person has to change something) or
        Unknown (the connection died between the final dot and the answer). Errors hold no addresses.
        """
        body = _LEADING_DOT.sub(b"..", message.as_bytes(policy=SMTP_POLICY))
        if not body.endswith(b"\r\n"):
            body += b"\r\n"
        server = self._open()
        try:
            self._expect(server.mail(sender), "the sender")
            self._expect(server.rcpt(recipient), "the recipient")
            code, reply = server.docmd("DATA")
            if code != 354:
                raise _refusal(code, "the message")
            server.send(body)
        except ClientError:
            self._leave(server)
            raise
        except (smtplib.SMTPException, OSError) as error:
            self._leave(server)
            raise Retriable(f"SMTP connection lost before the message was complete ({type(error).__name__})") from None
        try:
            leaving()
        except BaseException:
            # No QUIT: the server would read it as a line of the message.
            server.close()
            raise
        try:
            server.send(b".\r\n")
            code, reply = server.getreply()
        except (smtplib.SMTPException, OSError) as error:
            self._leave(server)
            raise Unknown(f"SMTP connection lost after the message was sent ({type(error).__name__})") from None
        self._leave(server)
        if code != 250:
            raise _refusal(code, "the message")
        return reply.decode("utf-8", "replace")[:200]

    def _open(self) -> smtplib.SMTP:
        context = None if self._security == "none" else ssl.create_default_context()
        try:
            if self._security == "ssl":
                server: smtplib.SMTP = smtplib.SMTP_SSL(self._host, self._port, timeout=self._timeout, context=context)
            else:
                server = smtplib.SMTP(self._host, self._port, timeout=self._timeout)
        except ssl.SSLError as error:
            raise Fatal(f"TLS with the mail server failed ({error.reason})") from None
        except (smtplib.SMTPException, OSError) as error:
            raise Retriable(f"no connection to the mail server ({type(error).__name__})") from None
        try:
            server.ehlo_or_helo_if_needed()
            if self._security == "starttls":
                server.starttls(context=context)
                server.ehlo()
            if self._login:
                server.login(self._login, self._password or "")
        except smtplib.SMTPNotSupportedError:
            self._leave(server)
            raise Fatal("the mail server offers no STARTTLS or no login: check port and security") from None
        except smtplib.SMTPAuthenticationError as error:
            self._leave(server)
            raise _refusal(error.smtp_code, "login and password") from None
        except ssl.SSLError as error:
            self._leave(server)
            raise Fatal(f"TLS with the mail server failed ({error.reason})") from None
        except (smtplib.SMTPException, OSError) as error:
            self._leave(server)
            raise Retriable(f"the mail server broke off the greeting ({type(error).__name__})") from None
        return server

    @staticmethod
    def _expect(answer: tuple[int, bytes], what: str) -> None:
        if answer[0] not in (250, 251):
            raise _refusal(answer[0], what)

    @staticmethod
    def _leave(server: smtplib.SMTP) -> None:
        with contextlib.suppress(smtplib.SMTPException, OSError):
            if server.sock is not None:
                server.sock.settimeout(5.0)
            server.quit()
        server.close()


def _default_security(scheme: str, host: str, port: int | None) -> str:
    if scheme == "smtps" or port == 465:
        return "ssl"
    return "none" if is_loopback(host) else "starttls"


def _refusal(code: int, what: str) -> ClientError:
    # The server's own words may repeat the address: only its code is told.
    message = f"the mail server refused {what} ({code})"
    return Retriable(message, status=code) if 400 <= code < 500 else Fatal(message, status=code)
