"""Reads one entity of a 1C base by its set: which filter, in which order, and what must be published for it.

Catalogs and documents have an id of their own; the movements of a register come as one record per recorder.
"""

import logging
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Protocol, TypeVar
from zoneinfo import ZoneInfo

import msgspec

from clients.errors import ClientError, Fatal
from clients.onec import OnecClient, guid, local_time
from extractors.core import paging
from extractors.core.codec import wrap_single
from extractors.core.errors import BrokenPage, MissingFields
from extractors.core.feed import page
from extractors.core.kinds import Opening, Window
from extractors.core.paging import Pager
from extractors.core.spec import load_configuration
from extractors.onec.guest import parallel_requests
from extractors.onec.metadata import MAX_AGE, Published, published
from extractors.onec.needs import chosen, lacking
from warehouse import clock
from warehouse.reconcile import recorder_types

log = logging.getLogger(__name__)

# Pages on their way, those that wait, one being decoded and two being written must fit together.
MEMORY_BUDGET = 90_000_000
# From so many records on it pays to know how long the way to the base is.
LONG_READ = 5_000
KEYS_FIRST_PAGE = 2_000
KEYS_MAX_PAGE = 100_000
LOOKUP = 50
NO_RIGHTS = "20"
_RECHECK_AGE = timedelta(minutes=5)
Shape = TypeVar("Shape")


class Plan(Protocol):
    """The exchange plan of the base, as far as a comparison of ids judges it."""

    def is_trusted(self) -> bool: ...
    def pull(self) -> int: ...
    def waiting_ids(self) -> set[str]: ...
    def distrust(self, missed: int) -> None: ...


class _Key(msgspec.Struct, rename={"id": "Ref_Key", "version": "DataVersion"}):
    id: str
    version: str | None = None


class _Keys(msgspec.Struct):
    value: list[_Key]


class _Recorder(msgspec.Struct, rename={"recorder": "Recorder", "recorder_key": "Recorder_Key"}):
    recorder: str = ""
    recorder_key: str = ""


class _Recorders(msgspec.Struct):
    value: list[_Recorder]


class _Date(msgspec.Struct, rename={"date": "Date"}):
    date: str


class _Dates(msgspec.Struct):
    value: list[_Date]


class OnecReader:
    """One entity of one base: a catalog or a kind of documents."""

    key = "Ref_Key"

    def __init__(self, client: OnecClient, opening: Opening) -> None:
        self._client = client
        self._opening = opening
        self._mapping = opening.mapping
        self._instance = opening.source.id
        self._zone = ZoneInfo(opening.source.timezone)
        self._settings = opening.settings
        self._parallel = min(opening.settings.onec_prefetch, parallel_requests(opening.source, opening.settings))
        self._target_bytes = min(opening.settings.onec_page_target_bytes, MEMORY_BUDGET // (3 * self._parallel + 3))
        self._plan: Plan | None = None
        self._page_size: int | None = None
        self._pages: Pager | None = None

    def is_published(self) -> bool:
        """Whether the set is there with every field that the mapping must have.

        False only for an entity that the mapping calls optional. Raises MissingFields.
        """
        base = self.published(MAX_AGE)
        if self._lacking(base):
            # Somebody may just have published it: look again before complaining.
            base = self.published(_RECHECK_AGE)
        missing = self._lacking(base)
        there = chosen(base, self._mapping)
        if there is not None and not missing:
            self._mapping = there
            return True
        if self._mapping.optional and there is None:
            log.info("%s: optional %s is not published", self._instance, self._mapping.source_set)
            return False
        raise MissingFields(
            f"{self._instance}: 1C does not publish {', '.join(missing)}: tick it in the list of the standard OData "
            "interface, or mark it optional in the mapping"
        )

    def count(self, window: Window) -> int | None:
        """How many records the base claims to have for the window."""
        return self._client.count(self._mapping.source_set, self._options(window))

    def edges(self, window: Window) -> tuple[datetime, datetime] | None:
        """The moments of the oldest and of the newest document of the window; None when there is none."""
        found: list[datetime] = []
        for direction in ("asc", "desc"):
            options = {**self._options(window), "$orderby": f"Date {direction}", "$top": "1", "$select": "Date"}
            dates = _decoded(self._client.collection(self._mapping.source_set, options), _Dates).value
            if not dates:
                return None
            found.append(datetime.fromisoformat(dates[0].date).replace(tzinfo=self._zone))
        return found[0], found[1]

    def size_up(self, window: Window) -> None:
        """Look at a few records, so that pages begin with a size that suits. What is wrong here, the read will say."""
        options = {**self._options(window), "$orderby": self.key, "$top": str(paging.FIRST_PAGE)}
        try:
            body = self._client.collection(self._mapping.source_set, options, retry=False)
            records = len(self.keys(body))
        except (ClientError, BrokenPage):
            return
        if records:
            wished = paging.fitting(self._target_bytes, records, len(body))
            self._page_size = min(wished, paging.FIRST_PAGE * paging.GROWTH, paging.MAX_PAGE)

    def count_at_last(self, window: Window) -> int | None:
        self._client.rest(but=1)
        return self._client.count(self._mapping.source_set, self._options(window), last=True)

    def rest(self) -> None:
        self._client.rest()

    def pages(self, window: Window, claimed: int | None) -> Pager:
        """Pages of whole records, in a stable order; of the size that those of the read before came to have."""
        return self._whole_pages(window, claimed, at_last=False)

    def pages_at_last(self, window: Window, claimed: int | None) -> Pager:
        return self._whole_pages(window, claimed, at_last=True)

    def _whole_pages(self, window: Window, claimed: int | None, *, at_last: bool) -> Pager:
        size = (self._pages and self._pages.page_size) or self._page_size
        options = self._options(window)
        self._pages = self._pager(options, claimed, first_page=size, sized=size is not None, at_last=at_last)
        return self._pages

    def key_pages(self, window: Window, claimed: int | None) -> Pager:
        """Pages that hold only id and version of the records; see `keys`."""
        options = {**self._options(window), "$select": "Ref_Key,DataVersion"}
        return self._pager(options, claimed, first_page=KEYS_FIRST_PAGE, max_page=KEYS_MAX_PAGE)

    def keys(self, body: bytes) -> list[tuple[str, str | None]]:
        """Ids and versions of a page of `key_pages`. Raises BrokenPage."""
        return [(key.id, key.version) for key in _decoded(body, _Keys).value]

    def lookup(self, ids: Sequence[str]) -> Iterator[tuple[Sequence[str], bytes]]:
        """Records by their ids, some at a time: what was asked for, and a page of those that are still there.

        What a filter does not find is asked for by its own key: only 1C's "there is no such record" proves that it is
        gone. A record that may not be read is neither: it is left out of what was asked for.
        """
        with ThreadPoolExecutor(self._parallel, "lookup") as pool:
            for start in range(0, len(ids), LOOKUP):
                some = ids[start : start + LOOKUP]
                body = self._filtered([f"Ref_Key eq {guid(record_id)}" for record_id in some])
                found = {key for key, _ in self.keys(body)} if body is not None else set()
                rest = [record_id for record_id in some if record_id not in found]
                if body is not None and found:
                    yield [record_id for record_id in some if record_id in found], body
                for record_id, (readable, single) in zip(rest, pool.map(self._single, rest), strict=True):
                    if readable:
                        yield [record_id], single

    def _filtered(self, conditions: Sequence[str]) -> bytes | None:
        """A page of the records of any of the conditions that may be read; None when this base cannot be asked so."""
        either = " or ".join(conditions)
        if self._mapping.only:
            either = f"({either}) and ({self._mapping.only})"
        try:
            return self._client.collection(self._mapping.source_set, {"allowedOnly": "true", "$filter": either})
        except Fatal as error:
            if error.status not in (400, 404, 414):
                raise
            return None

    def _single(self, record_id: str) -> tuple[bool, bytes]:
        """Whether a record may be read, and a page of it; the page is empty when the record is gone."""
        try:
            body = self._client.record(self._mapping.source_set, record_id)
        except Fatal as error:
            if error.code != NO_RIGHTS:
                raise
            # Hidden from us by rights now: that is no proof of deletion.
            log.warning("%s %s: %s may not be read any more", self._instance, self._mapping.source_set, record_id)
            return False, b""
        if body is None or self._mapping.only:
            # It is there, but the mapping's condition does not hold any more: gone as far as this entity goes.
            return True, page([])
        return True, wrap_single(body)

    def compare_with(self, plan: Plan) -> None:
        """A comparison of all ids will also judge the exchange plan."""
        self._plan = plan

    def shows_changes(self) -> bool:
        """Documents and catalogs tell by their version that they changed."""
        return True

    def comparison_begins(self) -> None:
        """All ids are going to be compared: what the plan has to bring until now must be here."""
        if self._plan is not None:
            self._plan.pull()

    def comparison_ended(self, differing: Iterable[str]) -> None:
        """The records that differed. The plan should have brought them, before the comparison or since."""
        if self._plan is None:
            return
        self._plan.pull()
        missed = set(differing) - self._plan.waiting_ids()
        if missed:
            self._plan.distrust(len(missed))

    def _pager(
        self,
        options: dict[str, str],
        claimed: int | None,
        *,
        first_page: int | None = None,
        max_page: int | None = None,
        sized: bool = False,
        at_last: bool = False,
    ) -> Pager:
        options = options | {"$orderby": self.key}
        if claimed is not None and claimed >= LONG_READ and not self._client.pace.way:
            threading.Thread(target=self._client.measure_way, name="way", daemon=True).start()

        def under_way() -> int:
            return self._client.pace.under_way(self._parallel)

        def fetch(skip: int, top: int) -> bytes:
            # Who has no further page to ask for ends his session with this one; one session stays for the count.
            is_last = at_last and claimed is not None and skip + under_way() * top - top >= claimed
            asked = {**options, "$top": str(top), "$skip": str(skip)}
            return self._client.collection(self._mapping.source_set, asked, last=is_last)

        return Pager(
            fetch,
            claimed,
            target_bytes=self._target_bytes,
            prefetch=self._parallel,
            first_page=first_page,
            max_page=max_page,
            under_way=under_way,
            sized=sized,
        )

    def _options(self, window: Window) -> dict[str, str]:
        conditions = self._bounds("Date", window)
        if self._mapping.only:
            conditions.append(f"({self._mapping.only})")
        return {"allowedOnly": "true"} | ({"$filter": " and ".join(conditions)} if conditions else {})

    def _bounds(self, field: str, window: Window) -> list[str]:
        """Conditions that hold for moments in [from, to), on the base's own clock."""
        return [
            f"{field} {operator} {local_time(moment.astimezone(self._zone).strftime('%Y-%m-%dT%H:%M:%S'))}"
            for operator, moment in zip(("ge", "lt"), window, strict=True)
            if moment is not None
        ]

    def published(self, max_age: timedelta = MAX_AGE) -> Published:
        """What the base publishes, as it told at most `max_age` ago."""
        return published(
            self._client.metadata,
            self._settings.var_dir,
            self._instance,
            self._opening.connection.url,
            clock.now(),
            max_age=max_age,
        )

    def _lacking(self, base: Published) -> list[str]:
        return lacking(base, self._mapping, self._opening.entity)


class MovementsReader(OnecReader):
    """The movements of a register that documents make: one record per recorder, its movements as lines.

    Windows are of the movements' own time. There are no versions: a comparison of all ids finds recorders that came or
    vanished, not movements that changed. Unless an exchange plan brings those, everything is read again then.
    """

    key = "Recorder"

    def is_published(self) -> bool:
        if not super().is_published():
            return False
        self.key = "Recorder" if "Recorder" in self.published().fields[self._mapping.source_set] else "Recorder_Key"
        return True

    def edges(self, window: Window) -> None:
        """None: movements are not read slice by slice."""

    def shows_changes(self) -> bool:
        return self._plan is not None and self._plan.is_trusted()

    def key_pages(self, window: Window, claimed: int | None) -> Pager:
        options = {**self._options(window), "$select": self.key}
        return self._pager(options, claimed, first_page=KEYS_FIRST_PAGE, max_page=KEYS_MAX_PAGE)

    def keys(self, body: bytes) -> list[tuple[str, str | None]]:
        return [(key.recorder or key.recorder_key, None) for key in _decoded(body, _Recorders).value]

    def lookup(self, ids: Sequence[str]) -> Iterator[tuple[Sequence[str], bytes]]:
        """Record sets by their recorders. One that the register does not show us any more has no movements."""
        if self.key == "Recorder":
            # A field of several types only compares with the value of one type.
            types = self._recorder_types()
            some_at_once = max(1, LOOKUP // max(1, len(types)))
        else:
            types, some_at_once = [], LOOKUP
        for start in range(0, len(ids), some_at_once):
            some = ids[start : start + some_at_once]
            conditions = [f"Recorder eq cast({guid(one)},'{kind}')" for one in some for kind in types]
            conditions = conditions or [f"Recorder_Key eq {guid(one)}" for one in some]
            body = self._filtered(conditions)
            if body is not None:
                yield some, body

    def _options(self, window: Window) -> dict[str, str]:
        conditions = self._bounds("m/Period", window)
        wanted = [f"RecordSet/any(m: {' and '.join(conditions)})"] if conditions else []
        if self._mapping.only:
            wanted.append(f"({self._mapping.only})")
        return {"allowedOnly": "true"} | ({"$filter": " and ".join(wanted)} if wanted else {})

    def _recorder_types(self) -> list[str]:
        """Documents that may have made movements: those that have landed, and all that the mapping knows."""
        source = self._opening.source
        known = {m.source_set for m in load_configuration(source.kind, source.mapping).entities.values()}
        with self._opening.database() as conn:
            landed = recorder_types(conn, self._opening.entity.table(), source.id)
        return sorted({name for name in known if name.startswith("Document_")} | landed)


def _decoded(body: bytes, type_: type[Shape]) -> Shape:
    try:
        return msgspec.json.decode(body.removeprefix(b"\xef\xbb\xbf"), type=type_)
    except (msgspec.DecodeError, UnicodeError) as problem:
        raise BrokenPage(f"the page is not a collection of keys: {problem}") from None
