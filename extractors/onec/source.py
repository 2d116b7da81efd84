"""How an entity of a 1C base is opened: by its exchange plan where that brings it, otherwise by its set."""

from collections.abc import Iterator
from contextlib import contextmanager

from clients.onec import OnecClient
from extractors.core.feed import Feed
from extractors.core.kinds import Opening, Reader
from extractors.onec.changes import ChangesFeed, Exchange
from extractors.onec.guest import visit
from extractors.onec.reader import MovementsReader, OnecReader
from extractors.onec.virtual_tables import SliceReader


@contextmanager
def open_entity(opening: Opening) -> Iterator[Reader | Feed]:
    """The entity, ready to be read."""
    with visit(opening.source, opening.connection, opening.settings, opening.database) as client:
        reader = _reader(client, opening)
        if opening.source.exchange_plan is None or isinstance(reader, SliceReader) or opening.mapping.only:
            # A plan knows no virtual tables, and nothing of the conditions of a mapping.
            yield reader
            return
        plan = Exchange(opening, client, reader)
        if opening.mode == "reconcile":
            reader.compare_with(plan)
        if opening.mode == "cursor" and plan.is_trusted():
            yield ChangesFeed(opening, plan, reader)
        else:
            yield reader


def _reader(client: OnecClient, opening: Opening) -> OnecReader:
    kinds = {"slice": SliceReader, "movements": MovementsReader}
    return kinds.get(opening.entity.read, OnecReader)(client, opening)
