"""Changes out of a 1C exchange plan, between their message and their landing.

A message holds changes of many entities; each entity lands its own under its own lock. In between they wait here, in
the warehouse, so that 1C gets its receipt as soon as nothing can be lost any more.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from warehouse.db import Connection
from warehouse.landing import compress, decompress


@dataclass(frozen=True)
class Part:
    """Changes of one entity: a page of records (JSON under "value"), ids of deleted ones, or both."""

    entity: str
    body: bytes | None
    records: int
    deleted: tuple[str, ...] = ()


def put(conn: Connection, instance: str, message_no: int, part: Part, at: datetime) -> None:
    """Store one part; the caller holds the transaction of the whole message."""
    conn.execute(
        """
        insert into raw.exchange_part
            (instance, entity, message_no, received_at, body, record_count, raw_bytes, deleted)
        values (%s, %s, %s, %s, %b, %s, %s, %s)
        """,
        [
            instance,
            part.entity,
            message_no,
            at,
            compress(part.body) if part.body is not None else None,
            part.records,
            len(part.body or b""),
            list(part.deleted),
        ],
    )


def note_entities(conn: Connection, instance: str, entities: Sequence[str], at: datetime) -> None:
    """These entities were in a message: the plan brings their changes."""
    conn.execute(
        """
        insert into ops.exchange_entity (instance, entity, first_seen_at, last_seen_at)
        select %s, e, %s, %s from unnest(%s::text[]) as e
        on conflict (instance, entity) do update set last_seen_at = excluded.last_seen_at
        """,
        [instance, at, at, list(entities)],
    )


def is_trusted(conn: Connection, instance: str, entity: str) -> bool:
    """Whether the plan has proved to bring the entity's changes, and the entity was read whole once."""
    row = conn.execute(
        """
        select 1 from ops.exchange_entity as e
        inner join ops.coverage as c using (instance, entity)
        where e.instance = %s and e.entity = %s and e.distrusted_at is null
        """,
        [instance, entity],
    ).fetchone()
    return row is not None


def distrust(conn: Connection, instance: str, entity: str, at: datetime) -> bool:
    """The plan did not bring a change: read the entity in another way from now on. False when that was so already."""
    return bool(
        conn.execute(
            "update ops.exchange_entity set distrusted_at = %s"
            " where instance = %s and entity = %s and distrusted_at is null",
            [at, instance, entity],
        ).rowcount
    )


def waiting(conn: Connection, instance: str, entity: str) -> Iterator[tuple[int, Part]]:
    """Parts of an entity that have not landed yet, oldest first, with their ids."""
    ids = conn.execute(
        "select part_id from raw.exchange_part where instance = %s and entity = %s order by part_id", [instance, entity]
    ).fetchall()
    for (part_id,) in ids:
        row = conn.execute(
            "select body, record_count, deleted from raw.exchange_part where part_id = %s", [part_id]
        ).fetchone()
        if row is not None:
            yield part_id, Part(entity, None if row[0] is None else decompress(row[0]), row[1], tuple(row[2]))


def waiting_ids(conn: Connection, instance: str, entity: str) -> Mapping[int, int]:
    """Part ids of an entity and the number of their records; cheap."""
    return dict(
        conn.execute(
            "select part_id, record_count from raw.exchange_part where instance = %s and entity = %s",
            [instance, entity],
        ).fetchall()
    )


def remove(conn: Connection, part_ids: Sequence[int]) -> None:
    """Forget parts that have landed."""
    if part_ids:
        conn.execute("delete from raw.exchange_part where part_id = any(%s)", [list(part_ids)])
