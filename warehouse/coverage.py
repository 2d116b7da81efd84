"""Run records, cursors and coverage of reads.

A cursor says where the next incremental read starts and never runs ahead of the rows; coverage says until when we
looked. Both move in one transaction with the run's own record, after the last page, and only forward.
"""

from dataclasses import dataclass
from datetime import datetime

from warehouse.db import Connection


@dataclass
class RunCounters:
    """The counters of ops.load_run; records, not lines."""

    rows_claimed: int | None = None
    rows_seen: int = 0
    rows_inserted: int = 0
    rows_changed: int = 0
    rows_unchanged: int = 0
    rows_deleted: int = 0
    rows_rejected: int = 0
    pages: int = 0
    raw_bytes: int = 0


def start_run(
    conn: Connection,
    *,
    instance: str,
    entity: str,
    mode: str,
    window: tuple[datetime | None, datetime | None],
    started_at: datetime,
    triggered_by: str,
) -> int:
    """Open a run record and return its load_id. The caller holds the lock, so runs left open are dead: closed here.

    A dead run could not count. The records of its archived pages, which hold news, are noted as changed: whoever
    asks whether landing has changed since a build must hear yes.
    """
    with conn.transaction():
        conn.execute(
            """
            update ops.load_run as r
            set status = 'failed', finished_at = now(), error = 'interrupted', pages = landed.pages,
                rows_changed = landed.records
            from (
                select d.load_id, count(p.load_id) as pages, coalesce(sum(p.record_count), 0) as records
                from ops.load_run as d
                left join raw.page_archive as p on p.load_id = d.load_id
                where d.instance = %s and d.entity = %s and d.status = 'running'
                group by d.load_id
            ) as landed
            where r.load_id = landed.load_id
            """,
            [instance, entity],
        )
        row = conn.execute(
            """
            insert into ops.load_run (instance, entity, mode, window_from, window_to, started_at, triggered_by)
            values (%s, %s, %s, %s, %s, %s, %s) returning load_id
            """,
            [instance, entity, mode, *window, started_at, triggered_by],
        ).fetchone()
    if row is None:
        raise RuntimeError("the run record was not written")
    return int(row[0])


def finish_run(
    conn: Connection,
    load_id: int,
    counters: RunCounters,
    *,
    finished_at: datetime,
    cursor: datetime | None = None,
    covered_until: datetime | None = None,
    published: bool | None = None,
) -> None:
    """Close a run and move cursor and coverage, all in one transaction. None leaves them where they are.

    published: whether the source has the entity at all; None when it was not asked.
    """
    with conn.transaction():
        _close(conn, load_id, counters, finished_at, "done", None)
        conn.execute("update ops.load_run set published = %s where load_id = %s", [published, load_id])
        if cursor is not None:
            conn.execute(
                """
                insert into ops.cursor (instance, entity, position, load_id, updated_at)
                select instance, entity, %s, load_id, %s from ops.load_run where load_id = %s
                on conflict (instance, entity) do update
                set position = excluded.position, load_id = excluded.load_id, updated_at = excluded.updated_at
                where cursor.position < excluded.position
                """,
                [cursor, finished_at, load_id],
            )
        if covered_until is not None:
            conn.execute(
                """
                insert into ops.coverage (instance, entity, covered_until, last_success_at, load_id)
                select instance, entity, %s, %s, load_id from ops.load_run where load_id = %s
                on conflict (instance, entity) do update
                set covered_until = greatest(coverage.covered_until, excluded.covered_until),
                    last_success_at = greatest(coverage.last_success_at, excluded.last_success_at),
                    load_id = excluded.load_id
                """,
                [covered_until, finished_at, load_id],
            )


def fail_run(conn: Connection, load_id: int, counters: RunCounters, *, finished_at: datetime, error: str) -> None:
    """Close a run as failed. Cursor and coverage stay."""
    with conn.transaction():
        _close(conn, load_id, counters, finished_at, "failed", error[:2000])


def cursor_position(conn: Connection, instance: str, entity: str) -> datetime | None:
    """Where the next incremental read starts; None before the first complete read."""
    row = conn.execute(
        "select position from ops.cursor where instance = %s and entity = %s", [instance, entity]
    ).fetchone()
    return row[0] if row else None


def seconds_taken(conn: Connection, instance: str) -> dict[str, float]:
    """How long the last complete incremental read of each entity took."""
    return {
        entity: float(seconds)
        for entity, seconds in conn.execute(
            """
            select distinct on (entity) entity, extract(epoch from finished_at - started_at)
            from ops.load_run
            where instance = %s and status = 'done' and mode not in ('window', 'reconcile', 'reland')
            order by entity, load_id desc
            """,
            [instance],
        )
    }


def _close(
    conn: Connection, load_id: int, counters: RunCounters, finished_at: datetime, status: str, error: str | None
) -> None:
    conn.execute(
        """
        update ops.load_run
        set status = %s, error = %s, finished_at = %s, rows_claimed = %s, rows_seen = %s, rows_inserted = %s,
            rows_changed = %s, rows_unchanged = %s, rows_deleted = %s, rows_rejected = %s, pages = %s, raw_bytes = %s
        where load_id = %s
        """,
        [
            status,
            error,
            finished_at,
            counters.rows_claimed,
            counters.rows_seen,
            counters.rows_inserted,
            counters.rows_changed,
            counters.rows_unchanged,
            counters.rows_deleted,
            counters.rows_rejected,
            counters.pages,
            counters.raw_bytes,
            load_id,
        ],
    )
