"""All ids of a source against those that landed, compared by the database: memory does not grow with their number."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime

from psycopg import sql

from warehouse.db import Connection
from warehouse.landing import LandingTable

_KEYS = sql.Identifier("pg_temp", "source_key")


class KeyComparison:
    """Ids and versions of the source, beside a landing table. One at a time per connection (autocommit)."""

    def __init__(self, conn: Connection, table: LandingTable, instance: str) -> None:
        self._conn = conn
        self._relation = sql.Identifier("raw", table.name)
        self._instance = instance

    def add(self, keys: Iterable[tuple[str, str | None]]) -> None:
        """Note ids and versions that the source has."""
        with (
            self._conn.cursor() as cursor,
            cursor.copy(sql.SQL("copy {} (record_id, version) from stdin").format(_KEYS)) as copy,
        ):
            for key in keys:
                copy.write_row(key)

    def distinct(self) -> int:
        """How many different ids were noted."""
        row = self._conn.execute(sql.SQL("select count(distinct record_id) from {}").format(_KEYS)).fetchone()
        return int(row[0]) if row else 0

    def clear(self) -> None:
        """Begin anew."""
        self._conn.execute(sql.SQL("truncate {}").format(_KEYS))

    def landed(self, dated_from: datetime | None, dated_to: datetime | None) -> int:
        """How many records of ours are alive, of documents dated in [from, to) where given."""
        row = self._conn.execute(
            sql.SQL("select count(*) from {} as t where ").format(self._relation) + self._alive(dated_from, dated_to),
            [self._instance, *filter(None, (dated_from, dated_to))],
        ).fetchone()
        return int(row[0]) if row else 0

    def vanished(self, dated_from: datetime | None, dated_to: datetime | None) -> list[str]:
        """Ids that we hold and the source has not, in order; of documents dated in [from, to) where given."""
        rows = self._conn.execute(
            sql.SQL("select t.record_id from {} as t where ").format(self._relation)
            + self._alive(dated_from, dated_to)
            + sql.SQL(" and not exists (select from {} as k where k.record_id = t.record_id) order by 1").format(_KEYS),
            [self._instance, *filter(None, (dated_from, dated_to))],
        )
        return [row[0] for row in rows]

    def differing(self) -> list[str]:
        """Ids that we do not hold, hold as deleted, or hold in another version, in order."""
        rows = self._conn.execute(
            sql.SQL(
                "select distinct k.record_id from {} as k"
                " left join {} as t on t.instance = %s and t.record_id = k.record_id"
                " where t.record_id is null or t.deleted_at is not null"
                " or t.source_version is distinct from k.version order by 1"
            ).format(_KEYS, self._relation),
            [self._instance],
        )
        return [row[0] for row in rows]

    @staticmethod
    def _alive(dated_from: datetime | None, dated_to: datetime | None) -> sql.SQL:
        bounds = (" and t.dated_at >= %s" if dated_from else "") + (" and t.dated_at < %s" if dated_to else "")
        return sql.SQL("t.instance = %s and t.deleted_at is null" + bounds)


@contextmanager
def key_comparison(conn: Connection, table: LandingTable, instance: str) -> Iterator[KeyComparison]:
    """A comparison with room for the source's ids, which is given back at the end."""
    conn.execute(sql.SQL("create temporary table source_key (record_id text not null, version text)"))
    try:
        yield KeyComparison(conn, table, instance)
    finally:
        if not conn.closed:
            conn.execute(sql.SQL("drop table {}").format(_KEYS))


def recorder_types(conn: Connection, table: LandingTable, instance: str) -> set[str]:
    """Kinds of documents whose movements have landed in a register's table, as 1C names them, without namespace."""
    rows = conn.execute(
        sql.SQL("select distinct recorder_type from {} where instance = %s and recorder_type is not null").format(
            sql.Identifier("raw", table.name)
        ),
        [instance],
    )
    return {str(row[0]).rpartition(".")[2] for row in rows}


def newest_document(conn: Connection, table: LandingTable, instance: str) -> datetime | None:
    """The date of the newest document that has landed and is alive; None when there is none."""
    row = conn.execute(
        sql.SQL("select max(dated_at) from {} where instance = %s and deleted_at is null").format(
            sql.Identifier("raw", table.name)
        ),
        [instance],
    ).fetchone()
    return row[0] if row else None
