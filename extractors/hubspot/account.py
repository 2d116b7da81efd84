"""One account's objects: pages of the list, searches that never meet the cap, batches, associations, archived records.

The list is complete and consistent, but knows no dates; search knows dates, but is late, and answers nothing beyond the
10,000th result. So the first read walks the list, and later ones search by modification time. Both go in several lanes.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

import msgspec

from clients.errors import Fatal
from clients.http import server_time
from clients.hubspot import Answer, HubspotClient
from extractors.core.errors import ReadError
from extractors.hubspot.lanes import Span, Spans, Windows, in_lanes
from extractors.hubspot.objects import MERGED, ObjectType
from extractors.hubspot.records import ADDED

log = logging.getLogger(__name__)
Result = TypeVar("Result")

LIST_PAGE, SEARCH_PAGE, BATCH, HISTORY_BATCH, ASSOCIATION_BATCH = 100, 200, 100, 50, 1000
# Pages of the list that land together: every batch is a commit.
PAGES_OF_BATCH = 3
# Beyond the 10,000th result search answers with an error. A window with more than this is halved, long before that:
# halves can be read side by side.
MOST_IN_WINDOW = 2_000
# Requests at once: enough to use up the limits (19 and 5 a second) when an answer takes two thirds of a second.
LANES, SEARCH_LANES = 16, 4
PAGES_OF_LANE = 4  # fewer pages are not worth another lane
MOST_ARCHIVED_PAGES = 100
# Names of properties go into the list's address, which must not grow without end.
LONGEST_NAMES = 6_000
_NOT_FOUND = "OBJECT_NOT_FOUND"
_UNAVAILABLE = {400, 403, 404}


class _Next(msgspec.Struct):
    after: str = ""


class _Paging(msgspec.Struct):
    next: _Next | None = None


class _Page(msgspec.Struct):
    results: list[msgspec.Raw]
    paging: _Paging | None = None
    total: int | None = None
    errors: list[Any] = []


class _Head(msgspec.Struct, rename="camel"):
    """Read loosely: what is wrong with a record is said by the codec, with its key."""

    id: Any = None
    updated_at: Any = None
    archived_at: Any = None
    properties: dict[str, Any] = {}
    associations: Any = None


class _NotInOrder(Exception):
    """The list does not go by ids."""


_read_page = msgspec.json.Decoder(_Page)
_read_head = msgspec.json.Decoder(_Head)


@dataclass(frozen=True)
class Found:
    """One record as HubSpot sent it, with what its reader has to know of it."""

    id: str
    raw: bytes
    modified: datetime | None
    merged: tuple[str, ...] = ()
    links_told: bool = False  # all its associations stand in `raw`
    line_items: tuple[str, ...] = ()


class Account:
    """Reads objects of one account."""

    def __init__(self, client: HubspotClient) -> None:
        self._client = client
        self.started_at: datetime | None = None  # HubSpot's clock at the first answer

    def properties(self, kind: ObjectType) -> list[dict[str, Any]] | None:
        """Definitions of the object's properties; None when this account or token does not have the object."""
        try:
            answer = self._client.get(f"/crm/v3/properties/{kind.name}")
        except Fatal as error:
            if error.status in _UNAVAILABLE:
                return None
            raise
        self._note_clock(answer)
        found: list[dict[str, Any]] = answer.json()["results"]
        return found

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Any other answer."""
        answer = self._client.get(path, params)
        self._note_clock(answer)
        return answer.json()

    def listed(
        self,
        kind: ObjectType,
        names: Sequence[str],
        finish: Callable[[list[Found]], Result],
        *,
        history: Sequence[str] = (),
        links: bool = True,
    ) -> Iterator[Result]:
        """`finish` of every page of all live records; beyond the first page several lanes read and finish at once."""
        size = HISTORY_BATCH if history else LIST_PAGE
        params: dict[str, Any] = {"limit": size, "properties": list(names)}
        if history:
            params["propertiesWithHistory"] = list(history)
        if links and kind.links:
            params["associations"] = list(kind.links)
        in_batches = len(",".join(names)) > LONGEST_NAMES
        if in_batches:
            params = {"limit": LIST_PAGE, "properties": "hs_object_id"}

        def records(page: _Page) -> list[Found]:
            listed = [_found(raw, from_list=links) for raw in page.results]
            if not in_batches:
                return listed
            found, _, _ = self.read(kind, [record.id for record in listed], names, history=history)
            return found

        first = self._page(self._client.get(kind.path, params))
        yield finish(records(first))
        after = _following(first)
        if not after:
            return
        if after.isdigit() and first.results:
            yield from self._in_spans(kind, params, first, lambda page: finish(records(page)))
        else:
            for page in self._pages(kind.path, params, after):
                yield finish(records(page))

    def _in_spans(
        self, kind: ObjectType, params: Mapping[str, Any], first: _Page, finish: Callable[[_Page], Result]
    ) -> Iterator[Result]:
        """The list from its second page on. It goes on after any id, so that lanes can begin anywhere in it.

        That is how HubSpot behaves, not what it promises: the order of every page is checked, and in the end the number
        of records against the one that search knows. Where that fails, the list is walked page by page.
        """
        newest = self._page(self._client.read(f"{kind.path}/search", _newest_first()))
        seen = [len(first.results)]
        lock = threading.Lock()

        def read(span: Span, spans: Spans[Result]) -> Iterator[Result]:
            waiting: list[msgspec.Raw] = []
            more = True
            while more and (span.high is None or span.low < span.high):
                low = span.low
                page = self._page(self._client.get(kind.path, {**params, "after": str(low - 1)}))
                numbers = [int(_read_head.decode(raw).id) for raw in page.results]
                if numbers != sorted(numbers) or any(number < low - 1 for number in numbers):
                    raise _NotInOrder
                high = spans.claim(span, numbers[-1] + 1 if numbers else low)
                mine = [
                    raw
                    for raw, number in zip(page.results, numbers, strict=True)
                    if number >= low and (high is None or number < high)
                ]
                with lock:
                    seen[0] += len(mine)
                waiting += mine
                more = bool(_following(page)) and len(mine) >= len(page.results) - 1
                if len(waiting) >= PAGES_OF_BATCH * LIST_PAGE:
                    yield finish(_Page(waiting))
                    waiting = []
            if waiting:
                yield finish(_Page(waiting))

        last = int(_read_head.decode(newest.results[0]).id) if newest.results else 0
        begin = int(_read_head.decode(first.results[-1]).id) + 1
        try:
            pages = max(1, (newest.total or 0) // params["limit"])
            spans: Spans[Result] = Spans(begin, last, (last - begin) // pages * PAGES_OF_LANE, read)
            yield from in_lanes(spans, max(1, min(LANES, pages // PAGES_OF_LANE)))
            complete = seen[0] >= (newest.total or 0)
        except _NotInOrder:
            complete = False
        if not complete:
            log.warning("%s: %s records in lanes, search knows %s: walking the list page by page",
                        kind.name, seen[0], newest.total)  # fmt: skip
            for page in self._pages(kind.path, params, None):
                yield finish(page)

    def ids(self, kind: ObjectType) -> Iterator[list[str]]:
        """Ids of all live records, page by page."""
        return self.listed(kind, ["hs_object_id"], lambda records: [record.id for record in records], links=False)

    def archived(self, kind: ObjectType, since: datetime | None) -> Iterator[list[Found]]:
        """Records that went into the recycle bin since then, page by page, with what they had swallowed before."""
        params = {"limit": LIST_PAGE, "properties": ["hs_object_id", MERGED], "archived": "true"}
        for number, page in enumerate(self._pages(kind.path, params)):
            if number == MOST_ARCHIVED_PAGES:
                log.warning("more than %s archived %s: the rest is left to the weekly look at all ids",
                            number * LIST_PAGE, kind.name)  # fmt: skip
                return
            heads = [(raw, _moment(_read_head.decode(raw).archived_at)) for raw in page.results]
            yield [_found(raw) for raw, at in heads if since is None or at is None or at >= since]

    def changed(
        self,
        kind: ObjectType,
        names: Sequence[str],
        since: datetime,
        until: datetime | None,
        finish: Callable[[list[Found]], Result],
    ) -> Iterator[Result]:
        """`finish` of every page of records modified in [since, until) as search knows them.

        Every request restarts after the last id, so that no page lies near the cap and a record that changes meanwhile
        shifts nothing. A window of many results is halved in time first, and its halves are read side by side.
        """

        def read(
            window: tuple[datetime, datetime | None], add: Callable[[tuple[datetime, datetime | None]], None]
        ) -> Iterator[Result]:
            low, high = window
            page = self._search(kind, names, low, high, "0")
            if (page.total or 0) > MOST_IN_WINDOW and (halves := _halves(low, high, self.started_at)) is not None:
                for half in halves:
                    add(half)
                return
            while page.results:
                found = [_found(raw) for raw in page.results]
                yield finish(found)
                if (page.total or 0) <= len(found):
                    return
                page = self._search(kind, names, low, high, found[-1].id)

        yield from in_lanes(Windows((since, until), read), SEARCH_LANES)

    def read(
        self, kind: ObjectType, ids: Sequence[str], names: Sequence[str], *, history: Sequence[str] = (),
        archived: bool = False,
    ) -> tuple[list[Found], list[str], list[tuple[str, str]]]:  # fmt: skip
        """These records as they are now; ids that are gone; and (id, id under which it lives on) of merged ones."""
        found: list[Found] = []
        gone: list[str] = []
        moved: list[tuple[str, str]] = []
        size = HISTORY_BATCH if history else BATCH
        for start in range(0, len(ids), size):
            chunk = ids[start : start + size]
            body: dict[str, Any] = {"inputs": [{"id": number} for number in chunk], "properties": list(names),
                                    "propertiesWithHistory": list(history)}  # fmt: skip
            path = f"{kind.path}/batch/read" + ("?archived=true" if archived else "")
            page = self._batch(path, body)
            records = [_found(raw) for raw in page.results]
            found += records
            missing = _not_found(page)
            gone += [number for number in chunk if number in missing]
            known = {record.id for record in records} | missing
            survivors = {old: record.id for record in records for old in record.merged}
            for number in chunk:
                if number not in known:
                    survivor = survivors.get(number) or self._survivor(kind, number)
                    if survivor is None:
                        gone.append(number)
                    else:
                        moved.append((number, survivor))
        return found, gone, moved

    def associations(self, kind: ObjectType, to_kind: str, ids: Sequence[str]) -> dict[str, list[tuple[str, bool]]]:
        """Associated ids, and whether it is the primary one, by id; nothing for ids without any."""
        found: dict[str, list[tuple[str, bool]]] = {}
        inputs: list[dict[str, str]] = [{"id": number} for number in ids]
        while inputs:
            now, inputs = inputs[:ASSOCIATION_BATCH], inputs[ASSOCIATION_BATCH:]
            answer = self._client.read(f"/crm/v4/associations/{kind.name}/{to_kind}/batch/read", {"inputs": now})
            for result in answer.json().get("results") or []:
                number = str(result["from"]["id"])
                found.setdefault(number, []).extend(
                    (str(to["toObjectId"]), any(t.get("label") == "Primary" for t in to["associationTypes"]))
                    for to in result["to"]
                )
                after = ((result.get("paging") or {}).get("next") or {}).get("after")
                if after:
                    inputs.append({"id": number, "after": str(after)})
        return found

    # --- inside ---

    def _pages(self, path: str, params: Mapping[str, Any], after: str | None = None) -> Iterator[_Page]:
        while True:
            page = self._page(self._client.get(path, {**params, "after": after} if after else params))
            yield page
            following = _following(page)
            if not following:
                return
            if following == after:
                raise ReadError(f"HubSpot repeats a page of {path}")
            after = following

    def _search(
        self, kind: ObjectType, names: Sequence[str], since: datetime, until: datetime | None, after_id: str
    ) -> _Page:
        filters = [{"propertyName": kind.modified, "operator": "GTE", "value": _milliseconds(since)}]
        if until is not None:
            filters.append({"propertyName": kind.modified, "operator": "LT", "value": _milliseconds(until)})
        if after_id != "0":
            filters.append({"propertyName": "hs_object_id", "operator": "GT", "value": after_id})
        body = {
            "filterGroups": [{"filters": filters}],
            "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
            "properties": list(names),
            "limit": SEARCH_PAGE,
            "after": "0",
        }
        return self._page(self._client.read(f"{kind.path}/search", body))

    def _batch(self, path: str, body: Mapping[str, Any]) -> _Page:
        try:
            return self._page(self._client.read(path, body))
        except Fatal as error:
            if error.status == 404 and error.code == _NOT_FOUND:  # none of them
                return _Page([], errors=[{"category": _NOT_FOUND, "context": {"ids": [
                    item["id"] for item in body["inputs"]
                ]}}])  # fmt: skip
            raise

    def _survivor(self, kind: ObjectType, number: str) -> str | None:
        try:
            answer = self._client.get(f"{kind.path}/{number}", {"properties": "hs_object_id"})
        except Fatal as error:
            if error.status == 404:
                return None
            raise
        found = str(answer.json()["id"])
        return found if found != number else None

    def _page(self, answer: Answer) -> _Page:
        self._note_clock(answer)
        try:
            return _read_page.decode(answer.body)
        except (msgspec.DecodeError, UnicodeError) as error:
            raise ReadError(f"HubSpot's answer is not a page: {error}") from None

    def _note_clock(self, answer: Answer) -> None:
        if self.started_at is None:
            self.started_at = server_time(answer.headers)


def _following(page: _Page) -> str | None:
    return (page.paging.next.after if page.paging and page.paging.next else None) or None


def _newest_first() -> dict[str, Any]:
    return {
        "filterGroups": [],
        "sorts": [{"propertyName": "hs_object_id", "direction": "DESCENDING"}],
        "properties": ["hs_object_id"],
        "limit": 1,
        "after": "0",
    }


def with_added(record: Found, added: Mapping[str, Any]) -> bytes:
    """The record's bytes with what belongs to it beside its own fields."""
    return b'{"%b":%b,%b' % (ADDED.encode(), msgspec.json.encode(added), record.raw.lstrip()[1:])


def _found(raw: msgspec.Raw, *, from_list: bool = False) -> Found:
    head = _read_head.decode(raw)
    merged = tuple(part for part in str(head.properties.get(MERGED) or "").split(";") if part)
    told = head.associations if isinstance(head.associations, dict) else {}
    items: list[str] = []
    for name, part in told.items():
        if name.replace(" ", "_") == "line_items":
            items += [str(result["id"]) for result in part["results"]]
    # The list tells only the first of very many associations.
    complete = from_list and not any("paging" in part for part in told.values())
    return Found(str(head.id), bytes(raw), _moment(head.updated_at), merged, complete, tuple(dict.fromkeys(items)))


def _not_found(page: _Page) -> set[str]:
    return {
        str(number)
        for error in page.errors
        if isinstance(error, dict) and error.get("category") == _NOT_FOUND
        for number in (error.get("context") or {}).get("ids") or []
    }


def _halves(
    since: datetime, until: datetime | None, now: datetime | None
) -> list[tuple[datetime, datetime | None]] | None:
    """Two windows instead of one; None when it cannot be halved (all at one moment)."""
    end = until or now
    if end is None or end - since < timedelta(milliseconds=2):
        return None
    middle = since + (end - since) / 2
    middle = middle.replace(microsecond=middle.microsecond // 1000 * 1000)
    return [(since, middle), (middle, until)] if middle > since else None


def _milliseconds(moment: datetime) -> str:
    return str(int(moment.timestamp() * 1000))


def _moment(text: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except (ValueError, TypeError):
        return None
