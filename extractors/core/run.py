"""The join: pages of a source through the codec into landing, with run record, cursor and coverage.

Pages commit as they come; the cursor moves only after the last one and only when the read was complete. A crash
anywhere is healed by running again: known content is recognised by its hash.
"""

import json
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, Protocol
from zoneinfo import ZoneInfo

from clients.connection import Connection
from clients.errors import ClientError, Fatal
from clients.http import redact
from extractors.core.codec import Codec, Decoded, wrap_single
from extractors.core.errors import ReadError, ShortRead
from extractors.core.paging import Pager, Pass
from extractors.core.spec import Entity, EntityMapping, load_configuration, load_entities
from warehouse import clock
from warehouse.coverage import RunCounters, cursor_position, fail_run, finish_run, start_run
from warehouse.db import Connection as Database
from warehouse.db import advisory_lock, connect
from warehouse.landing import TOMBSTONES_KEY, Counts, Landing, Page, compress, decompress
from warehouse.landing import ensure_tables as create_tables
from warehouse.settings import Settings, get_settings
from warehouse.sources import SourceConfig

log = logging.getLogger(__name__)

MAX_PASSES = 3
MAX_LOOKUPS = 500
NO_RIGHTS = "20"
KINDS = ("onec",)
Window = tuple[datetime | None, datetime | None]


class Reader(Protocol):
    """One entity of one source, ready to be read."""

    def is_published(self) -> bool: ...
    def count(self, window: Window) -> int | None: ...
    def pages(self, window: Window, claimed: int | None) -> Pager: ...
    def record(self, record_id: str) -> bytes | None: ...


@dataclass(frozen=True)
class LoadOutcome:
    """What a read did; JSON-able. Rows are records (documents, catalog items), not lines; moments are ISO, UTC."""

    load_id: int
    instance: str
    entity: str
    mode: str
    published: bool
    window_from: str | None
    window_to: str | None
    covered_until: str | None
    rows_claimed: int | None
    rows_seen: int
    rows_inserted: int
    rows_changed: int
    rows_unchanged: int
    rows_deleted: int
    rows_rejected: int
    pages: int
    raw_bytes: int


def entity_names(source: SourceConfig) -> list[str]:
    """Entities that the source's mapping feeds, in the order of the entity file."""
    return list(load_configuration(source.kind, source.mapping).entities)


def ensure_tables(conn: Database) -> list[str]:
    """Create or extend the landing tables of all kinds of source; returns those that were touched."""
    tables = [entity.table() for kind in KINDS for entity in load_entities(kind).values()]
    return create_tables(conn, tables)


def register_source(conn: Database, source: SourceConfig) -> None:
    """Tell the warehouse about a source: its zone, its branches, where an outlet lives."""
    outlet = source.outlet or load_configuration(source.kind, source.mapping).outlet
    with conn.transaction():
        conn.execute(
            """
            insert into ops.source_instance (instance, kind, mapping, time_zone, outlet_lives_in, branches)
            values (%s, %s, %s, %s, %s, %s)
            on conflict (instance) do update
            set kind = excluded.kind, mapping = excluded.mapping, time_zone = excluded.time_zone,
                outlet_lives_in = excluded.outlet_lives_in, branches = excluded.branches, updated_at = now()
            where (source_instance.kind, source_instance.mapping, source_instance.time_zone,
                   source_instance.outlet_lives_in, source_instance.branches)
                is distinct from (excluded.kind, excluded.mapping, excluded.time_zone,
                                  excluded.outlet_lives_in, excluded.branches)
            """,
            [source.id, source.kind, source.mapping, source.timezone, outlet, source.branches],
        )


def extract(
    source: SourceConfig,
    entity: str,
    connection: Connection,
    *,
    mode: Literal["cursor", "window"] = "cursor",
    window: tuple[datetime, datetime] | None = None,
    database_url: str | None = None,
    triggered_by: str = "cli",
) -> LoadOutcome:
    """Read one entity of one source into landing.

    mode "cursor": catalogs whole, documents from the cursor minus `settings.onec_overlap_days` on; moves cursor and
    coverage when the read was complete. mode "window": documents dated in [from, to), aware moments; what vanished
    from the source is marked as deleted; moves neither cursor nor coverage.
    Raises ClientError (the source), ReadError (the read is not to be trusted), SpecError (mapping).
    """
    settings = get_settings()
    spec, mapping = _spec(source, entity)
    if (mode == "window") != (window is not None):
        raise ValueError("a window belongs to mode 'window', and only to it")
    if mode == "window" and spec.read != "window":
        raise ValueError(f"'{entity}' is always read whole, it has no windows")
    with (
        connect(database_url, autocommit=True) as conn,
        _open(source, mapping, connection, settings) as reader,
    ):
        ensure_tables(conn)
        with advisory_lock(conn, f"landing:{source.id}:{entity}"):
            return Load(conn, source, spec, mapping, reader, settings).run(mode, window, triggered_by)


def reland(entity: str, instance: str, database_url: str | None = None, *, triggered_by: str = "cli") -> LoadOutcome:
    """Rebuild the landing table of an entity, with its history, from the archived pages; the source is not asked.

    One transaction: readers see the old rows until the new ones are complete. Raises LookupError when the instance
    is unknown to the warehouse.
    """
    with connect(database_url, autocommit=True) as conn:
        ensure_tables(conn)
        row = conn.execute(
            "select kind, mapping, time_zone from ops.source_instance where instance = %s", [instance]
        ).fetchone()
        if row is None:
            raise LookupError(f"the warehouse knows no source '{instance}'")
        kind, mapping_name, zone = row
        spec = load_entities(kind)[entity]
        mapping = load_configuration(kind, mapping_name).entities[entity]
        codec = Codec(spec, mapping, ZoneInfo(zone))
        with advisory_lock(conn, f"landing:{instance}:{entity}"):
            started = clock.now()
            counters = RunCounters()
            load_id = start_run(
                conn,
                instance=instance,
                entity=entity,
                mode="reland",
                window=(None, None),
                started_at=started,
                triggered_by=triggered_by,
            )
            try:
                with conn.transaction():
                    landing = Landing(conn, spec.table(), instance, codec.layout)
                    landing.clear()
                    _replay(conn, landing, codec, instance, entity, counters)
            except Exception as error:
                _fail(conn, load_id, RunCounters(), error)
                raise
            finish_run(conn, load_id, counters, finished_at=clock.now())
            return _outcome(load_id, instance, entity, "reland", (None, None), None, counters)


def _replay(conn: Database, landing: Landing, codec: Codec, instance: str, entity: str, counters: RunCounters) -> None:
    pages = conn.execute(
        "select load_id, page_no from raw.page_archive where instance = %s and entity = %s order by load_id, page_no",
        [instance, entity],
    ).fetchall()
    for load_id, page_no in pages:
        archived = conn.execute(
            "select body, fetched_at from raw.page_archive where load_id = %s and page_no = %s", [load_id, page_no]
        ).fetchone()
        if archived is None:
            raise ReadError(f"page {page_no} of load {load_id} vanished from the archive while it was replayed")
        body, fetched_at = decompress(archived[0]), archived[1]
        deleted = _tombstones(body)
        if deleted is not None:
            counts = landing.tombstone(
                deleted, load_id=load_id, page_no=page_no, at=fetched_at, body=body, archive=False
            )
        else:
            decoded = codec.decode(body)
            counts = landing.land(
                Page(page_no, body, decoded.records, decoded.rejected),
                load_id=load_id,
                loaded_at=fetched_at,
                archive=False,
            )
            counters.rows_seen += decoded.count
        _count(counters, counts)
        counters.pages += 1
        counters.raw_bytes += len(body)


class Load:
    """One run of one entity, under its lock."""

    def __init__(
        self,
        conn: Database,
        source: SourceConfig,
        spec: Entity,
        mapping: EntityMapping,
        reader: Reader,
        settings: Settings,
    ) -> None:
        self._conn = conn
        self._source = source
        self._spec = spec
        self._reader = reader
        self._settings = settings
        self._codec = Codec(spec, mapping, ZoneInfo(source.timezone))
        self._landing = Landing(conn, spec.table(), source.id, self._codec.layout)
        self._counters = RunCounters()
        self._load_id = 0
        self._newest: bytes | None = None

    def run(self, mode: str, window: tuple[datetime, datetime] | None, triggered_by: str) -> LoadOutcome:
        started = clock.now()
        span: Window = window or (None, None)
        if mode == "cursor" and self._spec.read == "window":
            position = cursor_position(self._conn, self._source.id, self._spec.name)
            if position is not None:
                span = (position - timedelta(days=self._settings.onec_overlap_days), None)
        shown = "full" if mode == "cursor" and self._spec.read == "full" else mode
        self._load_id = start_run(
            self._conn,
            instance=self._source.id,
            entity=self._spec.name,
            mode=shown,
            window=span,
            started_at=started,
            triggered_by=triggered_by,
        )
        try:
            there = self._reader.is_published()
            if there:
                self._read(span, sweep=shown != "cursor")
            self._landing.refresh_statistics(self._counters.rows_inserted + self._counters.rows_changed)
            cursor, covered = (self._cursor(started), started) if mode == "cursor" else (None, None)
            finish_run(
                self._conn,
                self._load_id,
                self._counters,
                finished_at=clock.now(),
                cursor=cursor,
                covered_until=covered,
            )
        except Exception as error:
            _fail(self._conn, self._load_id, self._counters, error)
            raise
        return _outcome(
            self._load_id, self._source.id, self._spec.name, shown, span, covered, self._counters, published=there
        )

    def _cursor(self, started: datetime) -> datetime | None:
        """The newest document's date, but never beyond now: documents may be dated in the future."""
        if self._spec.read != "window" or self._newest is None:
            return None
        return min(datetime.fromisoformat(self._newest.decode()), started)

    def _read(self, span: Window, *, sweep: bool) -> None:
        """Read until a pass was complete, land everything on the way, then look for what vanished."""
        all_new = self._landing.is_empty()
        for attempt in range(1, MAX_PASSES + 1):
            this = Pass(self._reader.count(span))
            self._counters.rows_claimed = this.claimed
            self._pass(this, span, all_new=all_new)
            all_new = False
            claimed_after = self._reader.count(span)
            if this.is_clean(claimed_after):
                break
            message = (
                f"{self._source.id} {self._spec.name}: pass {attempt} saw {this.distinct} records "
                f"({this.repeated} repeated), the source claims {this.claimed} before and {claimed_after} after"
            )
            log.warning(message)
            if attempt == MAX_PASSES:
                if not this.is_covering(claimed_after):
                    raise ShortRead(message + "; the read is not complete")
                self._counters.rows_claimed = claimed_after
        if sweep:
            self._sweep(this.keys, span)

    def _pass(self, this: Pass, span: Window, *, all_new: bool) -> None:
        """One pass over the pages. While the server digests a page, the next one is decoded, if it is there."""
        pager = self._reader.pages(span, this.claimed)
        self._counters.rows_seen = 0
        with ThreadPoolExecutor(1, "archive") as packer:
            try:
                for raw in pager:
                    packed = packer.submit(compress, raw.body) if all_new else None
                    decoded = self._codec.decode(raw.body)
                    pager.settle(decoded.count)
                    fresh = this.note(raw, decoded.keys, decoded.count)
                    self._counters.rows_seen = this.distinct
                    if decoded.count == 0:
                        continue
                    page = self._page(raw.body, decoded, all_new=all_new and fresh)
                    if packed is not None:
                        page.compressed = packed.result
                    _count(self._counters, self._landing.finish())
                    self._landing.begin(page, load_id=self._load_id, loaded_at=clock.now())
                    if not pager.is_ready():
                        _count(self._counters, self._landing.finish())
                _count(self._counters, self._landing.finish())
            except BaseException as error:
                self._landing.abandon(error)
                raise

    def _page(self, body: bytes, decoded: Decoded, *, all_new: bool = False) -> Page:
        self._counters.pages += 1
        self._counters.raw_bytes += len(body)
        dates = [record.dated_at for record in decoded.records if record.dated_at is not None]
        if dates:
            self._newest = max(*dates, self._newest) if self._newest else max(dates)
        return Page(self._counters.pages, body, decoded.records, decoded.rejected, all_new=all_new)

    def _sweep(self, seen: set[str], span: Window) -> None:
        """Records that we hold and the read did not bring: ask for each one; mark as deleted what is gone."""
        vanished = sorted(self._landing.present(*span) - seen)
        gone: list[str] = []
        for record_id in vanished[:MAX_LOOKUPS]:
            try:
                body = self._reader.record(record_id)
            except Fatal as error:
                if error.code != NO_RIGHTS:
                    raise
                # Hidden from us by rights now: that is no proof of deletion.
                log.warning("%s %s: %s may not be read any more", self._source.id, self._spec.name, record_id)
                continue
            if body is None:
                gone.append(record_id)
                continue
            # It is still there, outside the window or out of sight before: land it as it is now.
            body = wrap_single(body)
            decoded = self._codec.decode(body)
            page = self._page(body, decoded)
            _count(self._counters, self._landing.land(page, load_id=self._load_id, loaded_at=clock.now()))
        if len(vanished) > MAX_LOOKUPS:
            log.warning(
                "%s %s: %s records vanished, %s were looked up; the rest stay until the same is read again",
                self._source.id,
                self._spec.name,
                len(vanished),
                MAX_LOOKUPS,
            )
        if gone:
            self._counters.pages += 1
            _count(
                self._counters,
                self._landing.tombstone(
                    gone,
                    load_id=self._load_id,
                    page_no=self._counters.pages,
                    at=clock.now(),
                    body=json.dumps({TOMBSTONES_KEY: gone}).encode(),
                ),
            )


def _tombstones(body: bytes) -> list[str] | None:
    """Keys of a tombstone page; None when the page is one of the source's."""
    if not body.startswith(b'{"' + TOMBSTONES_KEY.encode()):
        return None
    keys: list[str] = json.loads(body)[TOMBSTONES_KEY]
    return keys


def _spec(source: SourceConfig, entity: str) -> tuple[Entity, EntityMapping]:
    configuration = load_configuration(source.kind, source.mapping)
    if entity not in configuration.entities:
        raise LookupError(f"the mapping '{source.mapping}' has no entity '{entity}'")
    return load_entities(source.kind)[entity], configuration.entities[entity]


@contextmanager
def _open(source: SourceConfig, mapping: EntityMapping, connection: Connection, settings: Settings) -> Iterator[Reader]:
    from extractors.onec.reader import OnecReader

    with OnecReader(
        connection, mapping, instance=source.id, zone=ZoneInfo(source.timezone), settings=settings
    ) as reader:
        yield reader


def _fail(conn: Database, load_id: int, counters: RunCounters, error: BaseException) -> None:
    """Note a failed run. A broken database connection cannot: the next run closes the record then."""
    if conn.closed:
        return
    known = isinstance(error, (ClientError, ReadError))
    text = str(error) if known else f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    try:
        fail_run(conn, load_id, counters, finished_at=clock.now(), error=redact(text))
    except Exception:
        log.exception("the failed run %s could not be noted", load_id)


def _count(counters: RunCounters, counts: Counts) -> None:
    counters.rows_inserted += counts.inserted
    counters.rows_changed += counts.changed
    counters.rows_unchanged += counts.unchanged
    counters.rows_deleted += counts.deleted
    counters.rows_rejected += counts.rejected


def _outcome(
    load_id: int,
    instance: str,
    entity: str,
    mode: str,
    span: Window,
    covered: datetime | None,
    counters: RunCounters,
    *,
    published: bool = True,
) -> LoadOutcome:
    def shown(moment: datetime | None) -> str | None:
        return moment.astimezone(UTC).isoformat() if moment else None

    return LoadOutcome(
        load_id=load_id,
        instance=instance,
        entity=entity,
        mode=mode,
        published=published,
        window_from=shown(span[0]),
        window_to=shown(span[1]),
        covered_until=shown(covered),
        **asdict(counters),
    )
