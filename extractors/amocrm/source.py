"""How an entity of an amoCRM account is opened: which list it is, and by which feed it is read."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

from clients.amocrm import SERVER_TIME_LIMIT_SECONDS, AmocrmClient
from clients.tokens import Tokens
from extractors.amocrm.feeds import (
    FIELDS_PAGE_LIMIT,
    Account,
    EventsFeed,
    ModifiedFeed,
    NotesFeed,
    PipelineFeed,
    WholeFeed,
)
from extractors.amocrm.flat import DIALECT, KINDS
from extractors.amocrm.pages import Listing, Walker, read_stamps
from extractors.core.feed import Feed
from extractors.core.kinds import Opening
from extractors.core.spec import EntityMapping
from warehouse import clock
from warehouse.limits import SharedLimits
from warehouse.tokens import SharedTokens

__all__ = ["DIALECT", "open_entity"]

# Permits come seven at a time, and the portal answers slower than a seventh of a second: so many are under way at once.
LANES = 8
_DEAL_WITH = "contacts,catalog_elements"


@contextmanager
def open_entity(opening: Opening) -> Iterator[Feed]:
    """The entity, ready to be read. Limits and tokens are shared with every worker through the warehouse."""
    with ExitStack() as stack:
        limits = stack.enter_context(SharedLimits(opening.database))
        tokens = SharedTokens(opening.database, Tokens)
        timeout = min(opening.settings.request_timeout_seconds, SERVER_TIME_LIMIT_SECONDS)
        clients = [
            AmocrmClient(opening.connection, limits=limits, tokens=tokens, timeout=timeout) for _ in range(LANES)
        ]
        for client in clients:
            stack.callback(client.close)
        yield make_feed(opening.mapping, Account(clients, clock.now))


def make_feed(mapping: EntityMapping, account: Account) -> Feed:
    """The feed of what a mapping calls a set. Raises LookupError for a set that amoCRM does not have."""
    return _FEEDS[mapping.source_set](account, mapping.optional)


def _custom_fields(client: AmocrmClient) -> Iterator[Listing]:
    for owner in KINDS:
        if owner != "customers":
            yield Listing(f"{owner}/custom_fields", "custom_fields", {}, limit=FIELDS_PAGE_LIMIT)


def _catalogs(client: AmocrmClient) -> Iterator[Listing]:
    for found in Walker(client, Listing("catalogs", "catalogs", {})).numbered({}):
        for stamp in read_stamps(found.records):
            yield Listing(f"catalogs/{stamp.id}/elements", "elements", {})


def _whole(
    listings: Callable[[AmocrmClient], Iterable[Listing]], *, one: str = ""
) -> Callable[[Account, bool], WholeFeed]:
    return lambda account, optional: WholeFeed(account, listings, one=one, optional=optional)


def _modified(path: str, params: Mapping[str, str], *, by_modification: bool = True) -> Callable[[Account, bool], Feed]:
    listing = Listing(path, path, params, by_modification=by_modification)
    return lambda account, optional: ModifiedFeed(account, listing)


_FEEDS: dict[str, Callable[[Account, bool], Feed]] = {
    "users": _whole(lambda client: [Listing("users", "users", {"with": "phone_number"})]),
    "leads/pipelines": lambda account, optional: PipelineFeed(account, stages=False),
    "leads/pipelines/statuses": lambda account, optional: PipelineFeed(account, stages=True),
    "leads/loss_reasons": _whole(lambda client: [Listing("leads/loss_reasons", "loss_reasons", {})]),
    "custom_fields": _whole(_custom_fields),
    "catalogs/elements": _whole(_catalogs),
    "leads/unsorted": _whole(
        lambda client: [Listing("leads/unsorted", "unsorted", {"order": {"created_at": "asc"}})], one="leads/unsorted"
    ),
    "companies": _modified("companies", {}),
    "contacts": _modified("contacts", {}),
    "leads": _modified("leads", {"with": _DEAL_WITH}),
    # Tasks cannot be ordered by their modification.
    "tasks": _modified("tasks", {}, by_modification=False),
    "notes": lambda account, optional: NotesFeed(account),
    "events/lead_status_changed": lambda account, optional: EventsFeed(account, ["lead_status_changed"]),
}
