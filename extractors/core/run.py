"""The join: pages of a source through its codec into landing, with run record, cursor and coverage.

A crash anywhere is healed by running again: known content is recognised by its hash.
"""

import json
from datetime import datetime
from zoneinfo import ZoneInfo

from clients.connection import Connection
from extractors.core.errors import ReadError
from extractors.core.feed import Feed
from extractors.core.follow import FeedLoad
from extractors.core.kinds import Mode, Opening, PageCodec, make_codec, open_entity
from extractors.core.outcome import LoadOutcome, add, note_failure, outcome
from extractors.core.paged import PagedLoad
from extractors.core.spec import Entity, EntityMapping, load_configuration, load_entities
from warehouse import clock
from warehouse.coverage import RunCounters, finish_run, start_run
from warehouse.db import Connection as Database
from warehouse.db import advisory_lock, connect
from warehouse.landing import TOMBSTONES_KEY, Landing, Page, decompress
from warehouse.landing import ensure_tables as create_tables
from warehouse.settings import get_settings
from warehouse.sources import KINDS, SourceConfig


def entity_names(source: SourceConfig) -> list[str]:
    """Entities that the source's mapping feeds, in the order of the entity file."""
    return list(load_configuration(source.kind, source.mapping).entities)


def ensure_tables(conn: Database) -> list[str]:
    """Create or extend the landing tables of all kinds of source; returns those that were touched."""
    tables = {entity.table().name: entity.table() for kind in KINDS for entity in load_entities(kind).values()}
    return create_tables(conn, tables.values())


def register_source(conn: Database, source: SourceConfig) -> None:
    """Tell the warehouse about a source: its zone, its branches, where an outlet lives."""
    outlet = source.outlet or load_configuration(source.kind, source.mapping).outlet
    with conn.transaction():
        conn.execute(
            """
            insert into ops.source_instance (instance, kind, mapping, time_zone, outlet_lives_in, branches, entities)
            values (%s, %s, %s, %s, %s, %s, %s)
            on conflict (instance) do update
            set kind = excluded.kind, mapping = excluded.mapping, time_zone = excluded.time_zone,
                outlet_lives_in = excluded.outlet_lives_in, branches = excluded.branches,
                entities = excluded.entities, updated_at = now()
            where (source_instance.kind, source_instance.mapping, source_instance.time_zone,
                   source_instance.outlet_lives_in, source_instance.branches, source_instance.entities)
                is distinct from (excluded.kind, excluded.mapping, excluded.time_zone,
                                  excluded.outlet_lives_in, excluded.branches, excluded.entities)
            """,
            [source.id, source.kind, source.mapping, source.timezone, outlet, source.branches, entity_names(source)],
        )


def extract(
    source: SourceConfig,
    entity: str,
    connection: Connection,
    *,
    mode: Mode = "cursor",
    window: tuple[datetime, datetime] | None = None,
    database_url: str | None = None,
    triggered_by: str = "cli",
) -> LoadOutcome:
    """Read one entity of one source into landing.

    mode "cursor": what is new; moves cursor and coverage when the read was complete. 1C: catalogs whole, documents
    from the cursor minus `settings.onec_overlap_days` on; other sources: what was modified since the cursor.
    mode "window": documents dated (CRM: records modified) in [from, to), aware moments; of 1C's documents what
    vanished is marked as deleted; moves neither cursor nor coverage.
    mode "reconcile": the ids that the source has against ours; what vanished is marked as deleted, what we miss is
    read; moves neither cursor nor coverage.
    Raises ClientError (the source), ReadError (the read is not to be trusted), SpecError (mapping).
    """
    settings = get_settings()
    spec, mapping = _spec(source, entity)
    if (mode == "window") != (window is not None):
        raise ValueError("a window belongs to mode 'window', and only to it")
    if mode != "cursor" and spec.is_whole:
        raise ValueError(f"'{entity}' is always read whole, it has no windows and no history to compare")
    opening = Opening(
        source,
        spec,
        mapping,
        connection,
        settings,
        database=lambda: connect(database_url, autocommit=True),
        mode=mode,
    )
    codec = make_codec(source.kind, spec, mapping, ZoneInfo(source.timezone))
    with connect(database_url, autocommit=True) as conn, open_entity(opening) as opened:
        ensure_tables(conn)
        with advisory_lock(conn, f"landing:{source.id}:{entity}"):
            load: FeedLoad | PagedLoad
            if isinstance(opened, Feed):
                load = FeedLoad(conn, source.id, spec, codec, opened, settings)
            else:
                load = PagedLoad(conn, source.id, spec, codec, opened, settings)
            return load.run(mode, window, triggered_by)


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
        codec = make_codec(kind, spec, mapping, ZoneInfo(zone))
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
                note_failure(conn, load_id, RunCounters(), error)
                raise
            finish_run(conn, load_id, counters, finished_at=clock.now())
            return outcome(load_id, instance, entity, "reland", (None, None), None, counters)


def _replay(
    conn: Database, landing: Landing, codec: PageCodec, instance: str, entity: str, counters: RunCounters
) -> None:
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
        add(counters, counts)
        counters.pages += 1
        counters.raw_bytes += len(body)


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
