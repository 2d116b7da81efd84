"""What a channel is: it can say whether a message is already there, and it can send one."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal, Protocol, runtime_checkable

from alerts.contacts import Manager
from alerts.followups import FollowUp
from alerts.quality import Quality
from alerts.render import Contacts, Letter
from alerts.results import Results
from clients.errors import ClientError, Fatal

Per = Literal["client", "manager"]
_BBCODE = re.compile(r"\[/?[A-Z]+\]")


@dataclass(frozen=True)
class Key:
    """What a message is looked up by. `since`: it cannot be older than this."""

    value: str
    since: datetime
    tried_before: bool


@dataclass(frozen=True)
class Receipt:
    """The message is there. `external_id` is its id at the other side, `recipient` an id, never an address."""

    external_id: str
    recipient: str | None = None
    parts: Mapping[str, str] = field(default_factory=dict)
    """Ids by followup_id where a list travelled in several messages."""


@dataclass(frozen=True)
class NotFound:
    """The message is certainly not there."""


@dataclass(frozen=True)
class CannotTell:
    """The channel could not find out."""

    why: str


Finding = Receipt | NotFound | CannotTell


class ChannelDown(Fatal):
    """The whole channel is out of order, not this message: nothing was sent, the message says what to do."""


class PartlySent(ClientError):
    """Of a list that travels in several messages some are there.

    `receipts` by followup_id; `unsure` are the rows of the message that ended in `error`; those after it were not sent.
    """

    def __init__(self, receipts: Mapping[str, Receipt], unsure: Sequence[str], error: ClientError) -> None:
        super().__init__(str(error), status=error.status, code=error.code)
        self.receipts = receipts
        self.unsure = unsure
        self.error = error


@dataclass(frozen=True)
class Delivery:
    """One message: rows of one rep (one row for channels that send per client)."""

    key: Key
    as_of: date
    manager: Manager
    rows: Sequence[FollowUp]
    contacts: Contacts = field(repr=False)
    quality: Quality
    supplement: bool = False
    results: Results = field(default_factory=Results)


@dataclass(frozen=True)
class TaskOutcome:
    """What became of a task: whether it is closed, and what the rep wrote when closing it."""

    is_done: bool
    result: str | None


def unnoticed() -> None:
    """For whom it does not matter when exactly a message leaves."""


def plain(description: str) -> str:
    """The text of a task without the markup that only Bitrix24 shows."""
    return _BBCODE.sub("", description).strip()


class Channel(Protocol):
    """One way to reach reps. Construction never touches the network."""

    name: str
    per: Per

    def find(self, keys: Sequence[Key]) -> Mapping[str, Finding]:
        """A finding for every key. Never raises ClientError: what fails is CannotTell. No keys, no network."""
        ...

    def check(self, delivery: Delivery) -> str:
        """Everything but the last step: render and find the recipient; returns the recipient's id.

        Raises Fatal (this message cannot be sent, says why), ChannelDown or Retriable. Sends nothing.
        """
        ...

    def words(self, delivery: Delivery) -> str:
        """The text that `send` sends, as the rep reads it. Touches no network."""
        ...

    def send(self, delivery: Delivery) -> Receipt:
        """Send. Raises Retriable (certainly not sent), Unknown (may be sent), Fatal (this message cannot be sent)
        or ChannelDown (nothing can be sent).
        """
        ...

    def close(self) -> None: ...


@runtime_checkable
class LetterChannel(Channel, Protocol):
    """A channel for a rep's whole list, and for letters about no client: "nothing today", "the list is held".

    It cannot be asked afterwards what it was given.
    """

    def send(self, delivery: Delivery, *, leaving: Callable[[], None] = unnoticed) -> Receipt:
        """As every channel does. `leaving` is called once, when nothing but the sending is left to do: before it the
        message certainly is not there, and if it raises, nothing leaves.
        """
        ...

    def knows(self, manager: Manager) -> bool:
        """Whether the rep has an address here."""
        ...

    def send_letter(self, key: str, manager: Manager, letter: Letter) -> Receipt:
        """Send a letter of any kind. Raises as `send` does."""
        ...


@runtime_checkable
class BatchChannel(Channel, Protocol):
    """A channel that can send several messages with one request."""

    def send_many(self, deliveries: Sequence[Delivery]) -> Mapping[str, Receipt | ClientError]:
        """Send; for every key what `send` would give or raise. Raises ChannelDown when nothing can be sent."""
        ...


@runtime_checkable
class TaskChannel(Channel, Protocol):
    """A channel whose messages are tasks: they can be looked at later, and closed when they have become pointless."""

    def outcomes(self, task_ids: Sequence[str]) -> Mapping[str, TaskOutcome | ClientError | None]:
        """What became of each task; None when there is no such task any more, or the error that hides it.

        Many tasks to a request. The word that the rep left is only told of a closed one. Raises ChannelDown.
        """
        ...

    def is_done(self, task_id: str) -> bool | None:
        """Whether the rep has closed the task; None when there is no such task any more."""
        ...

    def finish(self, task_id: str, comment: str | None) -> None:
        """Close the task, with a comment unless it is None; a closed one stays closed.

        Harmless when repeated without the comment. A comment that may be missing is logged, never made twice.
        """
        ...
