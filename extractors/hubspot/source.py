"""HubSpot as a source: which feed reads which entity."""

from collections.abc import Iterator
from contextlib import contextmanager

from clients.hubspot import HubspotClient
from extractors.core.documents import Dialect
from extractors.core.feed import Feed
from extractors.core.kinds import Opening
from extractors.hubspot import feeds
from extractors.hubspot.account import Account
from extractors.hubspot.objects import OF_ENTITY
from extractors.hubspot.records import flatten, moment
from warehouse.limits import SharedLimits

DIALECT = Dialect(flatten=flatten, key="id", version=None, modified="modified", moment=moment)
_LISTS = {
    "user": feeds.owners,
    "pipeline": feeds.pipeline_rows,
    "stage": feeds.stage_rows,
    "custom_field": feeds.custom_field_rows,
}


@contextmanager
def open_entity(opening: Opening) -> Iterator[Feed]:
    """The entity's feed, within the limits that all workers share. Raises LookupError for an unknown entity."""
    with SharedLimits(opening.database) as limits:
        client = HubspotClient(
            opening.connection, limits=limits, timeout=min(60.0, opening.settings.request_timeout_seconds)
        )
        try:
            yield _feed(Account(client), opening)
        finally:
            client.close()


def _feed(account: Account, opening: Opening) -> Feed:
    entity = opening.entity.name
    if entity in _LISTS:
        return feeds.ListFeed(account, _LISTS[entity])
    if entity == "stage_history":
        return feeds.StageHistoryFeed(account, opening.mapping)
    if entity in OF_ENTITY:
        return feeds.ObjectFeed(account, OF_ENTITY[entity], opening.mapping)
    raise LookupError(f"HubSpot has no entity '{entity}'")
