"""How an entity of a 1C base is opened."""

from contextlib import AbstractContextManager
from zoneinfo import ZoneInfo

from extractors.core.kinds import Opening
from extractors.onec.reader import OnecReader


def open_entity(opening: Opening) -> AbstractContextManager[OnecReader]:
    """A reader of the entity's set."""
    return OnecReader(
        opening.connection,
        opening.mapping,
        instance=opening.source.id,
        zone=ZoneInfo(opening.source.timezone),
        settings=opening.settings,
    )
