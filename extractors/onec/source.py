"""How an entity of a 1C base is opened: by its exchange plan where that brings it, otherwise by its set."""

from collections.abc import Iterator
from contextlib import contextmanager

from extractors.core.feed import Feed
from extractors.core.kinds import Opening, Reader
from extractors.onec.changes import ChangesFeed, Exchange
from extractors.onec.guest import visit
from extractors.onec.reader import OnecReader


@contextmanager
def open_entity(opening: Opening) -> Iterator[Reader | Feed]:
    """The entity, ready to be read."""
    with visit(opening) as client:
        reader = OnecReader(client, opening)
        if opening.source.exchange_plan is None:
            yield reader
            return
        plan = Exchange(opening, client, reader)
        if opening.mode == "reconcile":
            reader.compare_with(plan)
        if opening.mode == "cursor" and plan.is_trusted():
            yield ChangesFeed(opening, plan, reader)
        else:
            yield reader
