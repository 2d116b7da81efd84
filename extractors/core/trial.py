"""Tries to read a portal or a folder as its loads will: each entity opened, its first records read and decoded.

Nothing is written and nothing is confirmed to the source. 1C bases have an examination of their own
(`extractors.onec.doctor`).
"""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from clients.connection import Connection
from clients.errors import ClientError
from clients.http import redact
from extractors.core.errors import ReadError
from extractors.core.feed import Feed
from extractors.core.kinds import Opening, make_codec, open_entity
from extractors.core.spec import load_configuration, load_entities
from warehouse import clock
from warehouse.db import Connection as Database
from warehouse.settings import Settings
from warehouse.sources import SourceConfig

LOOK_BACK = timedelta(days=7)


@dataclass(frozen=True)
class EntityTrial:
    """One entity. `records` came in the first batch (lists whole, others of the last week), `rejected` of them badly.

    state: `read`, `absent` (this source does not have it, and need not), or `trouble` with what the source said.
    """

    entity: str
    state: Literal["read", "absent", "trouble"]
    seconds: float
    records: int = 0
    rejected: int = 0
    message: str | None = None
    cause: str | None = None

    @property
    def is_fit(self) -> bool:
        return self.state != "trouble" and self.rejected == 0


def try_entities(
    source: SourceConfig,
    connection: Connection,
    database: Callable[[], AbstractContextManager[Database]],
    settings: Settings,
    progress: Callable[[str], None] = lambda entity: None,
) -> Iterator[EntityTrial]:
    """A trial of every entity of the source's mapping. Raises SpecError for a broken mapping."""
    entities = load_entities(source.kind)
    for name, mapping in load_configuration(source.kind, source.mapping).entities.items():
        progress(name)
        opening = Opening(source, entities[name], mapping, connection, settings, database)
        started = time.monotonic()
        try:
            yield _tried(opening, started)
        except (ClientError, ReadError) as problem:
            cause = problem.cause if isinstance(problem, ClientError) else None
            taken = time.monotonic() - started
            yield EntityTrial(name, "trouble", taken, message=redact(str(problem)), cause=cause)
            if cause in ("unknown_host", "refused", "connect_timeout", "login"):
                return  # nothing more can be learned


def _tried(opening: Opening, started: float) -> EntityTrial:
    name = opening.entity.name
    codec = make_codec(opening.source.kind, opening.entity, opening.mapping, ZoneInfo(opening.source.timezone))
    since = None if opening.entity.read == "full" else clock.now() - LOOK_BACK
    with open_entity(opening) as feed:
        if not isinstance(feed, Feed):
            raise TypeError(f"{opening.source.kind} is not read by a feed")
        if not feed.is_published():
            return EntityTrial(name, "absent", time.monotonic() - started)
        batches = feed.batches(since, None)
        try:
            first = next(iter(batches), None)
        finally:
            close = getattr(batches, "close", None)
            if close is not None:
                close()
    decoded = codec.decode(first.body) if first is not None and first.body is not None else None
    return EntityTrial(
        name,
        "read",
        time.monotonic() - started,
        records=decoded.count if decoded else 0,
        rejected=len(decoded.rejected) if decoded else 0,
        message=decoded.rejected[0].reason if decoded and decoded.rejected else None,
    )
