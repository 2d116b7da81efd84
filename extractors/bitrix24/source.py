"""Bitrix24 as a source: which feed reads which entity."""

from collections.abc import Iterator
from contextlib import contextmanager

from clients.bitrix24 import Bitrix24Client
from clients.tokens import Tokens
from extractors.bitrix24.feeds import DictionaryFeed, ListFeed
from extractors.bitrix24.listings import ITEMS, LISTS
from extractors.bitrix24.merges import Merges
from extractors.bitrix24.records import flatten, moment
from extractors.core.documents import Dialect
from extractors.core.feed import Feed
from extractors.core.kinds import Opening
from warehouse.limits import SharedLimits
from warehouse.tokens import SharedTokens

DIALECT = Dialect(flatten=flatten, key="id", version=None, modified="modified", moment=moment)
_DICTIONARIES = ("user", "pipeline", "stage", "custom_field")
# A method that has used up its working time rests for ten minutes: a night's read waits for it.
_LONGEST_PAUSE_SECONDS = 900.0


@contextmanager
def open_entity(opening: Opening) -> Iterator[Feed]:
    """The entity's feed, within the limits that all workers share. Raises LookupError for an unknown entity."""
    with SharedLimits(opening.database) as limits:
        client = Bitrix24Client(
            opening.connection,
            limits=limits,
            tokens=SharedTokens(opening.database, Tokens),
            timeout=min(65.0, opening.settings.request_timeout_seconds),
            longest_pause=_LONGEST_PAUSE_SECONDS,
        )
        try:
            yield _feed(client, opening)
        finally:
            client.close()


def _feed(client: Bitrix24Client, opening: Opening) -> Feed:
    entity = opening.entity.name
    if entity in _DICTIONARIES:
        return DictionaryFeed(client, entity)
    if entity in LISTS:
        merges = Merges(client, entity, opening.source.id, opening.database) if entity in ITEMS else None
        return ListFeed(client, entity, parallel=opening.settings.bitrix24_parallel, merges=merges)
    raise LookupError(f"Bitrix24 has no entity '{entity}'")
