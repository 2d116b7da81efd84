"""The contract of sources that can say what changed: Bitrix24, amoCRM, HubSpot, 1C's exchange plans, files."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable


@dataclass(frozen=True)
class Batch:
    """What one step of a feed brings: records, and what the source says about records that are gone.

    body: `{"value": [...]}` around the records' bytes as the source sent them (see `page`); it is archived as it is.
    deleted: ids that are gone. merged: (old id, surviving id); the old one is gone as well and lives on as the other.
    Within a batch records land first.
    """

    body: bytes | None = None
    deleted: tuple[str, ...] = ()
    merged: tuple[tuple[str, str], ...] = ()


@runtime_checkable
class Feed(Protocol):
    """One entity of one source, ready to say what changed. Everything may raise ClientError or ReadError."""

    @property
    def mode(self) -> str:
        """How it reads, for the run's record: `modified`, `full`, `exchange_plan`, `files`, ..."""

    def is_published(self) -> bool:
        """False only for an optional entity that this source does not have."""

    def batches(self, since: datetime | None, until: datetime | None) -> Iterator[Batch]:
        """Everything modified in [since, until), each open where None; complete, or it raises ReadError."""

    def position(self) -> datetime | None:
        """After the last batch: where the next read may start (the newest modification delivered); None keeps it."""

    def committed(self) -> None:
        """All batches and the run's record are committed: confirm to the source. Harmless when repeated."""

    def ids(self) -> Iterator[Sequence[str]] | None:
        """Ids of all records alive now; None when the source cannot list them."""

    def records(self, ids: Sequence[str]) -> Iterator[Batch]:
        """These records as they are now; those that are gone come as `deleted` or `merged`."""


@runtime_checkable
class Covering(Protocol):
    """A feed that knows by itself until when it has told everything; of others it is the moment when reading began."""

    def covered_until(self) -> datetime | None:
        """None: it cannot say, coverage stays where it is."""


def page(records: Iterable[bytes | memoryview]) -> bytes:
    """The body of a batch around records as the source sent them (JSON objects)."""
    return b'{"value":[' + b",".join(records) + b"]}"
