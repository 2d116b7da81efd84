"""How an entity of an amoCRM account is opened: which list it is, and by which feed it is read."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from clients.amocrm import AmocrmClient
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
from warehouse import clock
from warehouse.limits import SharedLimits
from warehouse.tokens import SharedTokens

__all__ = ["DIALECT", "open_entity"]

# The portal answers slower than the limit wants requests apart: so many are under way at once.
LANES = 4
_DEAL_WITH = "contacts,catalog_elements"


@contextmanager
def open_entity(opening: Opening) -> Iterator[Feed]:
    """The entity, ready to be read. Limits and tokens are shared with every worker through the warehouse."""
    with ExitStack() as stack:
        limits = stack.enter_context(SharedLimits(opening.database))
        tokens = SharedTokens(opening.database, Tokens)
        clients = [
            AmocrmClient(
                opening.connection, limits=limits, tokens=tokens, timeout=opening.settings.request_timeout_seconds
            )
            for _ in range(LANES)
        ]
        for client in clients:
            stack.callback(client.close)
        yield make_feed(opening.mapping.source_set, Account(clients, clock.now))


def make_feed(source_set: str, account: Account) -> Feed:
    """The feed of what a mapping calls a set. Raises LookupError for a set that amoCRM does not have."""
    return _FEEDS[source_set](account)


def _custom_fields(client: AmocrmClient) -> Iterator[Listing]:
    for owner in KINDS:
        if owner != "customers":
            yield Listing(f"{owner}/custom_fields", "custom_fields", {}, limit=FIELDS_PAGE_LIMIT)


def _catalogs(client: AmocrmClient) -> Iterator[Listing]:
    for found in Walker(client, Listing("catalogs", "catalogs", {})).numbered({}):
        for stamp in read_stamps(found.records):
            yield Listing(f"catalogs/{stamp.id}/elements", "elements", {})


_FEEDS: dict[str, Callable[[Account], Feed]] = {
    "users": lambda account: WholeFeed(account, lambda client: [Listing("users", "users", {"with": "phone_number"})]),
    "leads/pipelines": lambda account: PipelineFeed(account, stages=False),
    "leads/pipelines/statuses": lambda account: PipelineFeed(account, stages=True),
    "leads/loss_reasons": lambda account: WholeFeed(
        account, lambda client: [Listing("leads/loss_reasons", "loss_reasons", {})]
    ),
    "custom_fields": lambda account: WholeFeed(account, _custom_fields),
    "catalogs/elements": lambda account: WholeFeed(account, _catalogs),
    "leads/unsorted": lambda account: WholeFeed(
        account,
        lambda client: [Listing("leads/unsorted", "unsorted", {"order": {"created_at": "asc"}})],
        one="leads/unsorted",
    ),
    "companies": lambda account: ModifiedFeed(account, Listing("companies", "companies", {})),
    "contacts": lambda account: ModifiedFeed(account, Listing("contacts", "contacts", {})),
    "leads": lambda account: ModifiedFeed(account, Listing("leads", "leads", {"with": _DEAL_WITH})),
    "tasks": lambda account: ModifiedFeed(account, Listing("tasks", "tasks", {}, by_modification=False)),
    "notes": NotesFeed,
    "events/lead_status_changed": lambda account: EventsFeed(account, ["lead_status_changed"]),
}
