"""Feeds of a Bitrix24 portal: what was modified since the cursor, or a dictionary whole.

The next read starts at the portal's own time at which this one began, not at the newest record: a record that changes
while we page is then read again, whatever came before or after it.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from clients.bitrix24 import Bitrix24Client
from extractors.bitrix24.listings import DEAL, ITEMS, LISTS, TASK, Listing
from extractors.bitrix24.merges import Merges
from extractors.bitrix24.sweep import PAGE, Row, Sweep, ask
from extractors.core.errors import ReadError, ShortRead
from extractors.core.feed import Batch, page

log = logging.getLogger(__name__)

MAX_PASSES = 3
ROWS_OF_BATCH = 1000
_DEAL_LETTER = "D"
# Written dates are whole seconds: what changed in the second of the start must not be cut off.
_SECOND = timedelta(seconds=1)


class _Deal(msgspec.Struct):
    hasProducts: str | None = None


class _TaskHead(msgspec.Struct):
    taskHasResult: str | None = None


_deal_head = msgspec.json.Decoder(_Deal)
_task_head = msgspec.json.Decoder(_TaskHead)
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_rows = msgspec.json.Decoder(list[msgspec.Raw])


class ListFeed:
    """Records with a growing id, most of them with a modification time."""

    def __init__(self, client: Bitrix24Client, entity: str, *, parallel: int, merges: Merges | None = None) -> None:
        self.mode = "modified" if all(listing.times for listing in LISTS[entity]) else "full"
        self._client = client
        self._listings = LISTS[entity]
        self._parallel = parallel
        self._merges = merges
        self._began: datetime | None = None
        self._texts: dict[str, dict[str, str]] | None = None

    def is_published(self) -> bool:
        return True

    def batches(self, since: datetime | None, until: datetime | None) -> Iterator[Batch]:
        for listing in self._listings:
            for condition in _windows(listing, since, until):
                sweep = Sweep(self._client, listing, parallel=self._parallel)
                texts = self._list_texts(listing)

                def finish(rows: Sequence[Row], listing: Listing = listing, texts: Any = texts) -> Iterator[Batch]:
                    return self._finished(listing, rows, texts)

                for batch in sweep.pages(condition, finish):
                    self._note_start(sweep.began)
                    yield batch
                self._note_start(sweep.began)

    def position(self) -> datetime | None:
        return None if self._began is None else self._began - _SECOND

    def committed(self) -> None:
        """Nothing to confirm."""

    def ids(self) -> Iterator[Sequence[str]] | None:
        return self._ids()

    def records(self, ids: Sequence[str]) -> Iterator[Batch]:
        gone: list[str] = []
        for listing in self._listings:
            keys = [key for key in ids if key.startswith(listing.prefix)]
            if not keys:
                continue
            sweep = Sweep(self._client, listing, parallel=1)
            numbers = {listing.number(key): key for key in keys}
            found = sweep.by_ids(list(numbers))
            if found:
                yield from self._finished(listing, list(found.values()), self._list_texts(listing))
            gone += [key for number, key in numbers.items() if number not in found]
        if gone:
            merged = self._merges.survivors(gone) if self._merges is not None else {}
            deleted = tuple(key for key in gone if key not in merged)
            yield Batch(deleted=deleted, merged=tuple(merged.items()))

    # --- inside ---

    def _ids(self) -> Iterator[Sequence[str]]:
        for listing in self._listings:
            sweep = Sweep(self._client, listing, parallel=self._parallel)

            def keys(rows: Sequence[Row], listing: Listing = listing) -> list[list[str]]:
                return [[listing.key(row.number) for row in rows]]

            yield from sweep.pages({}, keys, only_ids=True)

    def _note_start(self, began: datetime | None) -> None:
        """The first request of the first list is the start of the whole read."""
        self._began = self._began or began

    def _finished(
        self, listing: Listing, rows: Sequence[Row], texts: Mapping[str, Mapping[str, str]]
    ) -> Iterator[Batch]:
        """Rows with what belongs to them, in batches that are not too large to be decoded at once."""
        beside: dict[int, dict[str, bytes]] = {row.number: {} for row in rows}
        if listing is DEAL:
            self._add_product_rows(rows, beside)
        elif listing is TASK:
            self._add_results(rows, beside)
        for start in range(0, len(rows), ROWS_OF_BATCH) or (0,):
            yield Batch(self._body(listing, rows[start : start + ROWS_OF_BATCH], beside, texts))

    @staticmethod
    def _body(
        listing: Listing,
        rows: Sequence[Row],
        beside: Mapping[int, dict[str, bytes]],
        texts: Mapping[str, Mapping[str, str]],
    ) -> bytes:
        if texts:
            for row in rows:
                beside[row.number]["texts"] = msgspec.json.encode(_texts_of(row, texts))
        return page(archived(listing.word, row.raw, beside[row.number]) for row in rows)

    def _add_product_rows(self, rows: Sequence[Row], beside: Mapping[int, dict[str, bytes]]) -> None:
        """Product rows of deals: of fifty deals with one command, and more commands where they fill a page."""
        owners = [row.number for row in rows if _deal_head.decode(row.raw).hasProducts != "N"]
        asked = [(tuple(owners[at : at + PAGE]), 0) for at in range(0, len(owners), PAGE)]
        found: dict[int, list[msgspec.Raw]] = {}
        while asked:
            commands = [("crm.item.productrow.list", _product_rows_after(group, last)) for group, last in asked]
            following: list[tuple[tuple[int, ...], int]] = []
            for (group, last), answer in zip(asked, ask(self._client, commands), strict=True):
                lines = _product_lines(answer.raw)
                for line in lines:
                    if line.ownerId not in beside or line.id <= last:
                        raise ReadError("crm.item.productrow.list does not honour its filter")
                    found.setdefault(line.ownerId, []).append(line.raw)
                if len(lines) >= PAGE:
                    following.append((group, lines[-1].id))
            asked = following
        for number in owners:
            if number in found:
                beside[number]["rows"] = b"[" + b",".join(bytes(raw) for raw in found[number]) + b"]"

    def _add_results(self, rows: Sequence[Row], beside: Mapping[int, dict[str, bytes]]) -> None:
        """What came of tasks, as their performers wrote it down."""
        having = [row.number for row in rows if _task_head.decode(row.raw).taskHasResult == "Y"]
        commands = [("tasks.task.result.list", {"taskId": number}) for number in having]
        for number, answer in zip(having, ask(self._client, commands), strict=True):
            beside[number]["results"] = bytes(answer.raw)

    def _list_texts(self, listing: Listing) -> dict[str, dict[str, str]]:
        """Custom fields that are lists: field -> option id -> text."""
        if listing.word not in ITEMS:
            return {}
        if self._texts is None:
            self._texts = {
                field["FIELD_NAME"]: {str(option["ID"]): str(option["VALUE"]) for option in field["LIST"]}
                for field in user_fields(self._client, [listing.word])
                if field.get("USER_TYPE_ID") == "enumeration" and field.get("LIST")
            }
        return self._texts


class DictionaryFeed:
    """A short list that is read whole every time."""

    mode = "full"

    def __init__(self, client: Bitrix24Client, entity: str) -> None:
        self._client = client
        self._entity = entity

    def is_published(self) -> bool:
        return True

    def batches(self, since: datetime | None, until: datetime | None) -> Iterator[Batch]:
        yield Batch(self._body(self._read()))

    def position(self) -> datetime | None:
        return None

    def committed(self) -> None:
        """Nothing to confirm."""

    def ids(self) -> Iterator[Sequence[str]] | None:
        return iter([[key for key, _ in self._read()]])

    def records(self, ids: Sequence[str]) -> Iterator[Batch]:
        wanted = set(ids)
        found = [(key, raw) for key, raw in self._read() if key in wanted]
        gone = wanted - {key for key, _ in found}
        yield Batch(self._body(found) if found else None, deleted=tuple(sorted(gone)))

    # --- inside ---

    def _body(self, rows: Iterable[tuple[str, bytes]]) -> bytes:
        return page(archived(self._entity, raw, {}) for _, raw in rows)

    def _read(self) -> list[tuple[str, bytes]]:
        """(landing id, bytes) of all rows."""
        if self._entity == "user":
            return [(_text(raw, "ID"), bytes(raw)) for raw in read_by_offset(self._client, "user.get", {})]
        if self._entity == "pipeline":
            (answer,) = ask(self._client, [("crm.category.list", {"entityTypeId": 2})])
            rows = _rows.decode(_fields.decode(answer.raw)["categories"])
            return [(f"deal:{_text(raw, 'id')}", bytes(raw)) for raw in rows]
        if self._entity == "stage":
            (answer,) = ask(self._client, [("crm.status.list", {})])
            return [(key, bytes(raw)) for raw in _rows.decode(answer.raw) if (key := _stage_key(raw)) is not None]
        fields = user_fields(self._client, list(ITEMS))
        return [(str(field["ID"]), msgspec.json.encode(field)) for field in fields]


def archived(word: str, item: bytes | msgspec.Raw, beside: Mapping[str, bytes]) -> bytes:
    """A record as it is archived: the portal's bytes and, beside them, what belongs to the record."""
    more = b"".join(b',"%b":%b' % (name.encode(), value) for name, value in beside.items())
    return b'{"of":"%b","item":%b%b}' % (word.encode(), bytes(item), more)


def read_by_offset(client: Bitrix24Client, method: str, params: Mapping[str, Any]) -> list[msgspec.Raw]:
    """All rows of a list that only knows offsets; read again when it changes meanwhile. Raises ShortRead."""
    for _ in range(MAX_PASSES):
        (first,) = ask(client, [(method, {**params, "start": 0})])
        rows = _rows.decode(first.raw)
        total = first.total if first.total is not None else len(rows)
        rest = ask(client, [(method, {**params, "start": at}) for at in range(PAGE, total, PAGE)])
        rows += [raw for answer in rest for raw in _rows.decode(answer.raw)]
        if len({_text(raw, "ID") for raw in rows}) == len(rows) == total and all(a.total == total for a in rest):
            return rows
        log.warning("%s: %s rows came where %s were promised, reading again", method, len(rows), total)
    raise ShortRead(f"{method} promises {total} rows and sends {len(rows)} of them; the read is not complete")


def user_fields(client: Bitrix24Client, words: Sequence[str]) -> list[dict[str, Any]]:
    """Custom fields of these types of item, with their labels and options."""
    fields: list[dict[str, Any]] = []
    for word in words:
        params = {"order": {"ID": "ASC"}, "filter": {"LANG": "ru"}}
        fields += [msgspec.json.decode(raw) for raw in read_by_offset(client, f"crm.{word}.userfield.list", params)]
    return fields


# --- help ---


class _Line(msgspec.Struct):
    raw: msgspec.Raw
    id: int
    ownerId: int


class _LineHead(msgspec.Struct):
    id: int
    ownerId: int


_line_head = msgspec.json.Decoder(_LineHead, strict=False)


def _product_rows_after(owners: Sequence[int], last: int) -> dict[str, Any]:
    return {
        "filter": {"=ownerType": _DEAL_LETTER, "=ownerId": list(owners), ">id": last},
        "order": {"id": "ASC"},
        "start": -1,
    }


def _product_lines(raw: msgspec.Raw | bytes) -> list[_Line]:
    try:
        lines = _rows.decode(_fields.decode(raw)["productRows"])
        heads = [_line_head.decode(line) for line in lines]
    except (msgspec.DecodeError, KeyError):
        raise ReadError("crm.item.productrow.list answered with something else than rows") from None
    return [_Line(line, head.id, head.ownerId) for line, head in zip(lines, heads, strict=True)]


def _windows(listing: Listing, since: datetime | None, until: datetime | None) -> Iterator[dict[str, str]]:
    """Conditions that together give what was modified in [since, until)."""
    if not listing.times or (since is None and until is None):
        yield {}
        return
    for name in listing.times:
        window = {}
        if since is not None:
            window[f">={name}"] = _written(since)
        if until is not None:
            window[f"<{name}"] = _written(until)
        yield window


def _written(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds")


def _texts_of(row: Row, texts: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """Texts of this row's list fields; a field with several values gives a list."""
    fields = _fields.decode(row.raw)
    named: dict[str, Any] = {}
    for name, options in texts.items():
        value = msgspec.json.decode(fields[name]) if name in fields else None
        if isinstance(value, list):
            named[name] = [options.get(str(one), str(one)) for one in value]
        elif value not in (None, "", False, 0, "0"):
            named[name] = options.get(str(value), str(value))
        else:
            named[name] = None
    return named


def _text(raw: msgspec.Raw, name: str) -> str:
    return str(msgspec.json.decode(_fields.decode(raw)[name]))


def _stage_key(raw: msgspec.Raw) -> str | None:
    """Landing id of a directory entry that is a stage; None for all other directories."""
    row = msgspec.json.decode(raw)
    entity = str(row.get("ENTITY_ID"))
    if entity == "STATUS":
        return f"lead:{row['STATUS_ID']}"
    if entity == "DEAL_STAGE" or (entity.startswith("DEAL_STAGE_") and entity.removeprefix("DEAL_STAGE_").isdigit()):
        return f"deal:{row['STATUS_ID']}"
    return None
