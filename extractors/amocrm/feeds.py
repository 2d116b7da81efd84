"""The entities of an amoCRM account as feeds: what was modified, and what is gone.

Deleted and merged cards vanish from the lists without a word there; events tell of them. Every card that an event
names is asked for again, so it does not matter in which order deletion, restoring and merging came.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, TypeVar

import msgspec

from clients.amocrm import EVENTS_PAGE_LIMIT, AmocrmClient, NoSuchRecord
from clients.errors import Fatal
from extractors.amocrm.flat import KINDS, flatten
from extractors.amocrm.pages import Lanes, Listing, Span, Walker, read_stamps, records_in
from extractors.core.errors import ReadError
from extractors.core.feed import Batch, page

log = logging.getLogger(__name__)

IDS_PER_REQUEST = 100
# The portal's clock may differ from ours, and its index may lag: what happened meanwhile is looked for so far back.
SLACK = timedelta(minutes=10)
# A first load is spread over lanes; a day's changes are not worth them.
LANES_FROM = timedelta(days=7)
# How old a first load may be that died and is begun anew; after that the weekly comparison of ids has been.
UNFINISHED_FOR = timedelta(days=7)
FIELDS_PAGE_LIMIT = 50
T = TypeVar("T")
Raw = msgspec.Raw


@dataclass(frozen=True)
class Account:
    """What the feeds share: a client for each lane, the first one for everything else; and the clock."""

    clients: Sequence[AmocrmClient]
    now: Callable[[], datetime]

    @property
    def client(self) -> AmocrmClient:
        return self.clients[0]


class WholeFeed:
    """A list that is read whole every time: settings, people, the price list, «Неразобранное»."""

    mode = "full"

    def __init__(
        self,
        account: Account,
        listings: Callable[[AmocrmClient], Iterable[Listing]],
        *,
        one: str = "",
        optional: bool = False,
    ) -> None:
        """one: the path of a single record before its id, to look again for what the list did not show.
        optional: an account may lack it, by its tariff or by the rights of the integration's user.
        """
        self._account = account
        self._listings = listings
        self._one = one
        self._optional = optional

    def is_published(self) -> bool:
        if not self._optional:
            return True
        try:
            next(self._pages(), None)
        except Fatal as error:
            if error.status not in (403, 404):
                raise
            return False
        return True

    def batches(self, since: datetime | None, until: datetime | None) -> Iterator[Batch]:
        for records in self._pages():
            yield Batch(page(records))

    def position(self) -> datetime | None:
        return None

    def committed(self) -> None:
        return None

    def ids(self) -> Iterator[Sequence[str]]:
        for records in self._pages():
            yield [_key(record) for record in records]

    def records(self, ids: Sequence[str]) -> Iterator[Batch]:
        if self._one:
            found = {number: _one(self._account.client, f"{self._one}/{number}") for number in ids}
        else:
            listed = {_key(record): record for records in self._pages() for record in records}
            found = {number: listed.get(number) for number in ids}
        yield _answer(found)

    def _pages(self) -> Iterator[list[Raw]]:
        for listing in self._listings(self._account.client):
            for found in Walker(self._account.client, listing).numbered({}):
                yield found.records


class PipelineFeed(WholeFeed):
    """Pipelines, or the stages inside them: one answer holds both."""

    def __init__(self, account: Account, *, stages: bool) -> None:
        super().__init__(account, lambda client: ())
        self._stages = stages

    def _pages(self) -> Iterator[list[Raw]]:
        body = self._account.client.get("leads/pipelines")
        pipelines = records_in(body, "pipelines")[0] if body else []
        if not self._stages:
            yield pipelines
            return
        for pipeline in pipelines:
            yield records_in(bytes(pipeline), "statuses")[0]


class ModifiedFeed:
    """Cards and tasks by modification time; events say which are gone."""

    mode = "modified"

    def __init__(self, account: Account, listing: Listing) -> None:
        self._account = account
        self._listing = listing
        self._newest: int | None = None
        self._merges: dict[str, str] | None = None

    def is_published(self) -> bool:
        return True

    def batches(self, since: datetime | None, until: datetime | None) -> Iterator[Batch]:
        began = self._account.now()
        yield from self.modified(since, until, began)
        # A first load that died half-way has landed cards already: what is gone since then is looked for as well.
        yield from self._gone(min(since or began - UNFINISHED_FOR, began) - SLACK, until)

    def position(self) -> datetime | None:
        return datetime.fromtimestamp(self._newest, UTC) if self._newest is not None else None

    def committed(self) -> None:
        return None

    def ids(self) -> Iterator[Sequence[str]]:
        for found in Walker(self._account.client, self._listing).numbered({}, "id"):
            yield [str(stamp.id) for stamp in found.stamps]

    def records(self, ids: Sequence[str]) -> Iterator[Batch]:
        for some in _chunks(ids, IDS_PER_REQUEST):
            yield self._look(some, self._all_merges)

    def modified(self, since: datetime | None, until: datetime | None, began: datetime) -> Iterator[Batch]:
        """Only what was modified: no event tells of every kind of note that is gone."""
        for records in self._modified(since, until, began):
            self._note(records)
            if records:
                yield Batch(page(records))

    # --- what was modified ---

    def _modified(self, since: datetime | None, until: datetime | None, began: datetime) -> Iterator[list[Raw]]:
        first = _epoch(since) if since else None
        walker = Walker(self._account.client, self._listing)
        if until is not None and until <= began - SLACK:
            yield from self._closed(Span(first, _epoch(until) - 1))
            return
        meanwhile = began - SLACK
        if since is None or since < meanwhile - LANES_FROM:
            yield from self._closed(Span(first, _epoch(meanwhile) - 1))
            first = _epoch(meanwhile)
        # What changed while the rest was read has moved to the end of the list, and is met here.
        last = _epoch(until) - 1 if until is not None else None
        yield from walker.modified(Span(first, last, now=_epoch(began)))

    def _closed(self, span: Span) -> Iterator[list[Raw]]:
        """A span that lies behind us: several lanes at once."""
        if len(self._account.clients) == 1 or not self._listing.by_modification:
            return Walker(self._account.client, self._listing).modified(span)
        return Lanes([Walker(client, self._listing) for client in self._account.clients]).read(span)

    def _note(self, records: Sequence[Raw]) -> None:
        moments = [stamp.updated_at for stamp in read_stamps(records) if stamp.updated_at is not None]
        self._newest = max([*moments, *([self._newest] if self._newest is not None else [])], default=None)

    # --- what is gone ---

    def _gone(self, since: datetime, until: datetime | None) -> Iterator[Batch]:
        kind = KINDS.get(self._listing.name, "task")
        word = "lead" if kind == "deal" else kind
        types = [f"{word}_deleted"] if kind == "task" else [f"{word}_deleted", f"{word}_restored", "entity_merged"]
        last = until if until is not None else self._account.now() + SLACK
        named: dict[str, None] = {}
        merges: dict[str, str] = {}
        for event in events(self._account.client, types, since, last):
            if event.get("entity_type") != word:
                continue
            if event.get("type") == "entity_merged":
                merges |= merged_ids(event)
            else:
                named[str(event.get("entity_id"))] = None
        for some in _chunks([*dict.fromkeys([*named, *merges])], IDS_PER_REQUEST):
            batch = self._look(some, lambda: merges)
            self._note(records_of(batch))
            yield batch

    def _look(self, ids: Sequence[str], merges: Callable[[], Mapping[str, str]]) -> Batch:
        """The cards as they are now: from the list, and those that it does not show one by one."""
        client, listing = self._account.client, self._listing
        alive = self.listed(ids)
        missing = [number for number in ids if number not in alive]
        binned: set[str] = set()
        if missing and listing.name in KINDS:
            binned = self._in_bin(missing)
        for number in missing:
            card = None if number in binned else _one(client, f"{listing.path}/{number}", listing.params)
            if card is not None:
                alive[number] = card
        gone = [number for number in missing if number not in alive]
        into = merges() if gone else {}
        merged = tuple((number, into[number]) for number in gone if number in into)
        swallowed = {number for number, _ in merged}
        body = page(alive.values()) if alive else None
        return Batch(body, tuple(number for number in gone if number not in swallowed), merged)

    def listed(self, ids: Sequence[str]) -> dict[str, Raw]:
        """Those of the records that the list shows, by id. Raises ReadError when it shows others as well."""
        wanted, found = set(ids), dict[str, Raw]()
        for part in Walker(self._account.client, self._listing).numbered({"id": list(ids)}, "id"):
            found |= {str(stamp.id): raw for stamp, raw in zip(part.stamps, part.records, strict=True)}
            if not wanted.issuperset(found):
                raise ReadError(f"{self._listing.path}: the portal ignores the filter by id")
        return found

    def _in_bin(self, ids: Sequence[str]) -> set[str]:
        """Those of the records that the portal shows as deleted."""
        listing = self._listing
        binned = Listing(listing.path, listing.name, {"with": "only_deleted"}, limit=listing.limit)
        found = Walker(self._account.client, binned).page({"id": list(ids)}, "id")
        return {str(stamp.id) for stamp in found.stamps} if found is not None else set()

    def _all_merges(self) -> Mapping[str, str]:
        """Every merge that the portal remembers; asked for once, when something vanished."""
        if self._merges is None:
            word = {"deal": "lead"}.get(KINDS.get(self._listing.name, ""), KINDS.get(self._listing.name, ""))
            self._merges = {}
            for event in events(self._account.client, ["entity_merged"], None, self._account.now() + SLACK):
                if event.get("entity_type") == word:
                    self._merges |= merged_ids(event)
        return self._merges


class NotesFeed:
    """Notes of deals, contacts and companies: calls, letters, texts. One list for each."""

    mode = "modified"

    def __init__(self, account: Account) -> None:
        self._parts = {
            kind: ModifiedFeed(account, Listing(f"{owner}/notes", "notes", {}))
            for owner, kind in KINDS.items()
            if owner != "customers"
        }
        self._account = account

    def is_published(self) -> bool:
        return True

    def batches(self, since: datetime | None, until: datetime | None) -> Iterator[Batch]:
        began = self._account.now()
        for feed in self._parts.values():
            yield from feed.modified(since, until, began)

    def position(self) -> datetime | None:
        return max((moment for feed in self._parts.values() if (moment := feed.position())), default=None)

    def committed(self) -> None:
        return None

    def ids(self) -> Iterator[Sequence[str]]:
        for kind, feed in self._parts.items():
            for numbers in feed.ids():
                yield [f"{kind}:{number}" for number in numbers]

    def records(self, ids: Sequence[str]) -> Iterator[Batch]:
        for kind, feed in self._parts.items():
            numbers = [name.partition(":")[2] for name in ids if name.partition(":")[0] == kind]
            for some in _chunks(numbers, IDS_PER_REQUEST):
                found = feed.listed(some)
                gone = tuple(f"{kind}:{number}" for number in some if number not in found)
                yield Batch(page(found.values()) if found else None, gone)


class EventsFeed:
    """Moves of deals between stages, out of the portal's events."""

    mode = "modified"

    def __init__(self, account: Account, types: Sequence[str]) -> None:
        self._account = account
        self._types = types
        self._newest: int | None = None

    def is_published(self) -> bool:
        return True

    def batches(self, since: datetime | None, until: datetime | None) -> Iterator[Batch]:
        last = until if until is not None else self._account.now() + SLACK
        for records in event_pages(self._account.client, self._types, since, last):
            moments = [stamp.created_at for stamp in read_stamps(records) if stamp.created_at is not None]
            self._newest = max([*moments, *([self._newest] if self._newest is not None else [])], default=None)
            yield Batch(page(records))

    def position(self) -> datetime | None:
        return datetime.fromtimestamp(self._newest, UTC) if self._newest is not None else None

    def committed(self) -> None:
        return None

    def ids(self) -> Iterator[Sequence[str]]:
        for records in event_pages(self._account.client, self._types, None, self._account.now() + SLACK):
            yield [str(stamp.id) for stamp in read_stamps(records)]

    def records(self, ids: Sequence[str]) -> Iterator[Batch]:
        """Those that the portal still shows. An old move that it has forgotten has happened all the same."""
        listing = Listing("events", "events", {}, limit=EVENTS_PAGE_LIMIT)
        for some in _chunks(ids, EVENTS_PAGE_LIMIT):
            for found in Walker(self._account.client, listing).numbered({"id": ",".join(some)}):
                yield Batch(page(found.records))


# --- events ---


def event_pages(
    client: AmocrmClient, types: Sequence[str], since: datetime | None, until: datetime
) -> Iterator[list[Raw]]:
    """Events of the types in [since, until). Their pages cannot shift: no event is ever changed or removed."""
    span = {**({"from": _epoch(since)} if since else {}), "to": _epoch(until) - 1}
    listing = Listing("events", "events", {}, limit=EVENTS_PAGE_LIMIT)
    for found in Walker(client, listing).numbered({"type": ",".join(types), "created_at": span}):
        yield found.records


def events(
    client: AmocrmClient, types: Sequence[str], since: datetime | None, until: datetime
) -> Iterator[dict[str, Any]]:
    """The same, decoded. A tariff or an old account without these events has none: ids are compared weekly anyway."""
    try:
        for records in event_pages(client, types, since, until):
            for record in records:
                yield msgspec.json.decode(record)
    except Fatal as error:
        if error.status != 400:
            raise
        log.warning("the portal gives no events of %s: deletions are found by the weekly comparison", ", ".join(types))


def merged_ids(event: Mapping[str, Any]) -> dict[str, str]:
    """{swallowed id: surviving id} of a merge. The event is the survivor's; the other cards are named in its values,
    in a shape that the vendor does not document: every id of a card in there is one.
    """
    survivor = str(event.get("entity_id"))
    named = set(_ids_in([event.get("value_before"), event.get("value_after")]))
    return dict.fromkeys(sorted(named - {survivor}), survivor)


def _ids_in(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        number = value.get("id", value.get("entity_id"))
        if isinstance(number, int | str) and str(number).isdigit():
            yield str(number)
        for part in value.values():
            yield from _ids_in(part)
    elif isinstance(value, list):
        for part in value:
            yield from _ids_in(part)


# --- single records ---


def _one(client: AmocrmClient, path: str, params: Mapping[str, Any] | None = None) -> Raw | None:
    """A record by its id; None when it is gone or in the bin."""
    try:
        body = client.get(path, params)
    except NoSuchRecord:
        return None
    if body is None or read_stamps([msgspec.Raw(body)])[0].is_deleted:
        return None
    return msgspec.Raw(body)


def _answer(found: Mapping[str, Raw | None]) -> Batch:
    alive = [raw for raw in found.values() if raw is not None]
    return Batch(page(alive) if alive else None, tuple(number for number, raw in found.items() if raw is None))


def _key(record: Raw) -> str:
    return str(flatten(msgspec.json.decode(record))["key"])


def records_of(batch: Batch) -> list[Raw]:
    """The records in a batch's body."""
    return msgspec.json.decode(batch.body, type=dict[str, list[Raw]])["value"] if batch.body is not None else []


def _epoch(moment: datetime) -> int:
    return int(moment.timestamp())


def _chunks(items: Sequence[T], size: int) -> Iterator[list[T]]:
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some
