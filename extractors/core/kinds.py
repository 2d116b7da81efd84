"""The kinds of source that Polka reads: where each one's entities, tables and way of reading are found."""

import importlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal, Protocol, cast, runtime_checkable
from zoneinfo import ZoneInfo

from clients.connection import Connection
from extractors.core.codec import Codec, Decoded
from extractors.core.documents import Dialect, DocumentCodec
from extractors.core.feed import Feed
from extractors.core.paging import Pager
from extractors.core.spec import Entity, EntityMapping
from warehouse.db import Connection as Database
from warehouse.landing import Layout
from warehouse.settings import Settings
from warehouse.sources import SourceConfig

if TYPE_CHECKING:
    from types import ModuleType

Window = tuple[datetime | None, datetime | None]
Mode = Literal["cursor", "window", "reconcile"]


class Reader(Protocol):
    """One entity of one source that is read by offset, with counts to prove that it was read whole."""

    def is_published(self) -> bool: ...
    def count(self, window: Window) -> int | None: ...
    def pages(self, window: Window, claimed: int | None) -> Pager: ...

    def lookup(self, ids: Sequence[str]) -> Iterator[tuple[Sequence[str], bytes]]:
        """Records by their ids, some at a time: the ids that were asked for, and a page of those that still exist."""

    def edges(self, window: Window) -> tuple[datetime, datetime] | None:
        """The moments of the oldest and of the newest record of a window; None for an empty one."""


@runtime_checkable
class ComparableReader(Reader, Protocol):
    """A reader that can also list ids and versions alone, to compare the whole history cheaply."""

    def key_pages(self, window: Window, claimed: int | None) -> Pager: ...
    def keys(self, body: bytes) -> list[tuple[str, str | None]]: ...
    def shows_changes(self) -> bool:
        """Whether a comparison of ids and versions finds every change; of records without versions it does not."""

    def comparison_begins(self) -> None: ...
    def comparison_ended(self, differing: Iterable[str]) -> None: ...


@runtime_checkable
class GuestReader(Reader, Protocol):
    """A reader of a base that works on few requests at once, whose time is not to be wasted."""

    def size_up(self, window: Window) -> None:
        """Learn how big records are, so that `pages` begins with pages that suit. Safe beside `count`; never raises."""

    def pages_at_last(self, window: Window, claimed: int | None) -> Pager:
        """`pages`, when likely only `count_at_last` follows: what the base keeps for us is given back with them."""

    def count_at_last(self, window: Window) -> int | None:
        """`count`, when it is likely the last that is asked: what the base keeps for us is given back beside it."""

    def rest(self) -> None:
        """Nothing more is asked for now: give back what the base keeps for us, without waiting for it."""


class PageCodec(Protocol):
    """Turns a page of one entity into rows."""

    layout: Layout

    def decode(self, body: bytes) -> Decoded: ...


@dataclass(frozen=True)
class Opening:
    """All that a kind of source needs to open one entity.

    mode: what it is opened for: "cursor" (what is new), "window" (a past window again) or "reconcile" (all ids).
    database: opens another connection to the warehouse (autocommit), for limits and tokens shared by all workers.
    """

    source: SourceConfig
    entity: Entity
    mapping: EntityMapping
    connection: Connection
    settings: Settings
    database: Callable[[], AbstractContextManager[Database]]
    mode: Mode = "cursor"


def open_entity(opening: Opening) -> AbstractContextManager[Reader | Feed]:
    """The entity, ready to be read, by the way that its kind of source (and this source's configuration) offers."""
    return cast("AbstractContextManager[Reader | Feed]", _package(opening.source.kind).open_entity(opening))


def make_codec(kind: str, entity: Entity, mapping: EntityMapping, zone: ZoneInfo) -> PageCodec:
    """The codec for the pages of one entity of a kind of source."""
    if kind == "onec":
        return Codec(entity, mapping, zone)
    dialect = cast("Dialect", _package(kind).DIALECT)
    return DocumentCodec(entity, mapping, zone, dialect)


def _package(kind: str) -> "ModuleType":
    # Only the kind that is read is imported: tasks start often.
    return importlib.import_module(f"extractors.{kind}.source")
