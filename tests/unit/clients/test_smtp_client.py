"""A letter is taken, refused, or in doubt: the three are never confused."""

from collections.abc import Iterator
from email.message import EmailMessage

import pytest

from clients.connection import Connection
from clients.errors import ClientError, Fatal, Retriable, Unknown
from clients.smtp import SmtpClient
from tests.support.delivery import MailServer, closed_port, running_mail_server


@pytest.fixture
def mail() -> Iterator[MailServer]:
    with running_mail_server() as server:
        yield server


def letter(text: str = "Здравствуйте\n.\n..точка\n") -> EmailMessage:
    message = EmailMessage()
    message["Subject"] = "Список"
    message.set_content(text, cte="8bit")
    return message


def send(server: MailServer, text: str = "привет\n") -> str:
    return SmtpClient(server.connection(), timeout=5).send(letter(text), sender="a@b.example", recipient="c@d.example")


def test_a_letter_arrives_as_it_is_dots_included(mail: MailServer) -> None:
    text = "Здравствуйте\n.\n..две точки\nконец\n"
    assert "OK" in send(mail, text)
    assert mail.recipients == ["c@d.example"]
    assert mail.messages[0].get_content().replace("\r\n", "\n") == text


@pytest.mark.parametrize(
    ("fault", "kind"),
    [("refuse_recipient", Fatal), ("busy", Retriable), ("lost_before_data", Retriable), ("lost_after_data", Unknown)],
)
def test_what_went_wrong_is_told_apart(mail: MailServer, fault: str, kind: type[ClientError]) -> None:
    mail.faults = [fault]  # type: ignore[list-item]
    with pytest.raises(ClientError) as error:
        send(mail)
    assert type(error.value) is kind
    assert "@" not in str(error.value)
    assert len(mail.messages) == (1 if kind is Unknown else 0)


def test_nobody_listening_is_retriable() -> None:
    with pytest.raises(Retriable):
        send(MailServer(host="127.0.0.1", port=closed_port()))


def test_starttls_is_not_given_up_silently(mail: MailServer) -> None:
    connection = Connection(url=f"{mail.host}:{mail.port}", extra={"security": "starttls"})
    with pytest.raises(Fatal, match="STARTTLS"):
        SmtpClient(connection).send(letter(), sender="a@b.example", recipient="c@d.example")


@pytest.mark.parametrize(
    ("connection", "message"),
    [
        (Connection(url=""), "no host"),
        (Connection(url="mail.example", extra={"security": "maybe"}), "unknown"),
        (Connection(url="mail.example", login="u", password="p", extra={"security": "none"}), "in the clear"),
    ],
)
def test_settings_that_cannot_work_are_refused(connection: Connection, message: str) -> None:
    with pytest.raises(Fatal, match=message):
        SmtpClient(connection)


@pytest.mark.parametrize(
    ("url", "security", "port"),
    [
        ("mail.example", "starttls", 587),
        ("mail.example:465", "ssl", 465),
        ("smtps://mail.example", "ssl", 465),
        ("127.0.0.1:1025", "none", 1025),
        ("smtp://mail.example:2525", "starttls", 2525),
    ],
)
def test_the_safe_way_is_the_default(url: str, security: str, port: int) -> None:
    client = SmtpClient(Connection(url=url))
    assert (client._security, client._port) == (security, port)
