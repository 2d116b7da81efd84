"""Writes landing: typed rows and the archived original of a page, in one transaction.

Rows arrive as text of PostgreSQL's COPY format, already converted. Only news is written: a record whose content
hash is known stays untouched, of a changed record only the changed lines are rewritten, and what was replaced
moves to raw_history. The caller holds the advisory lock of (instance, entity), so nobody else writes these rows.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

import msgspec
import zstandard
from psycopg import sql

from warehouse.db import Connection

log = logging.getLogger(__name__)

ARCHIVE_LEVEL = 1
STATISTICS_AGE = 0.1  # share of the records that may be written before statistics are taken again
STATISTICS_TARGET = 30  # a third of the usual sample, at a third of the time
TOMBSTONES_KEY = "polka.deleted"
# Writers of landing share this lock until they commit; a build of the marts holds it alone, so that all its models and
# tests see the same landing.
BUILD_LOCK = "polka:landing stands still"


@dataclass(frozen=True)
class Column:
    name: str
    type: str


@dataclass(frozen=True)
class ChildTable:
    """Lines of a record: key (instance, record_id, line_no)."""

    name: str
    columns: tuple[Column, ...]


@dataclass(frozen=True)
class LandingTable:
    """One landing table in schema raw with its tables of lines; raw_history holds the same names."""

    name: str
    entity: str
    columns: tuple[Column, ...]
    children: tuple[ChildTable, ...] = ()


class Record(msgspec.Struct, frozen=True, gc=False):
    """One converted record.

    header: `record_id <tab> columns...`, lines: per child table its rows `record_id <tab> line_no <tab> columns...`
    joined by newlines, all in the column order of `Layout`. row_hash: 32 hex digits over header and lines.
    dated_at: COPY text of the document's moment in UTC, or None. modified_at: COPY text of the moment when the source
    changed the record, landed when `Layout.modified` says so. original_hash: 32 hex digits over the bytes that the
    source sent, empty when they do not tell that the record is the same.
    """

    record_id: str
    version: bytes
    row_hash: bytes
    header: bytes
    lines: tuple[bytes, ...]
    dated_at: bytes | None = None
    modified_at: bytes = b"\\N"
    original_hash: bytes = b""


@dataclass(frozen=True)
class Rejected:
    """A record that could not be converted, as it came."""

    record_id: str | None
    reason: str
    original: bytes


@dataclass(frozen=True)
class Layout:
    """Order of the columns in the rows that the converter makes: one tuple for the header, one per child table.

    modified: whether the source says when it changed a record.
    """

    header: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    modified: bool = False


@dataclass
class Page:
    """A page of the source: its original bytes and what was made of them."""

    number: int
    body: bytes
    records: Sequence[Record]
    rejected: Sequence[Rejected] = ()
    compressed: Callable[[], bytes] | None = None
    all_new: bool = False

    def archived(self) -> bytes:
        """The body compressed for the archive."""
        return self.compressed() if self.compressed else compress(self.body)


@dataclass
class Counts:
    """What happened to records (not lines)."""

    inserted: int = 0
    changed: int = 0
    unchanged: int = 0
    deleted: int = 0
    rejected: int = 0

    def add(self, other: "Counts") -> None:
        self.inserted += other.inserted
        self.changed += other.changed
        self.unchanged += other.unchanged
        self.deleted += other.deleted
        self.rejected += other.rejected


@dataclass
class _News:
    new: list[Record] = field(default_factory=list)
    changed: list[Record] = field(default_factory=list)
    new_version: list[Record] = field(default_factory=list)
    unchanged: int = 0


_compressors = threading.local()


def compress(body: bytes) -> bytes:
    """Compressed for the archive. Every thread keeps its compressor: to make one costs a fifth of a page's time."""
    if not hasattr(_compressors, "zstd"):
        _compressors.zstd = zstandard.ZstdCompressor(level=ARCHIVE_LEVEL)
    packed: bytes = _compressors.zstd.compress(body)
    return packed


def decompress(body: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompress(body)


# --- tables ------------------------------------------------------------------------------------------------

_PARENT_SYSTEM = (
    Column("source_version", "text"),
    Column("source_modified_at", "timestamp with time zone"),
    Column("row_hash", "bytea"),
    Column("original_hash", "bytea"),
    Column("loaded_at", "timestamp with time zone"),
    Column("load_id", "bigint"),
    Column("deleted_at", "timestamp with time zone"),
)
_REQUIRED = {
    "instance",
    "record_id",
    "line_no",
    "row_hash",
    "loaded_at",
    "load_id",
    "replaced_at",
    "replaced_by_load_id",
}
_REPLACED = (Column("replaced_at", "timestamp with time zone"), Column("replaced_by_load_id", "bigint"))
_KEY = (Column("instance", "text"), Column("record_id", "text"))
_LINE_KEY = ("record_id", "line_no")  # what every line of a layout has


def _parent_columns(table: LandingTable) -> tuple[Column, ...]:
    return (*_KEY, *table.columns, *_PARENT_SYSTEM)


def _child_columns(child: ChildTable) -> tuple[Column, ...]:
    return (*_KEY, Column("line_no", "integer"), *child.columns, Column("load_id", "bigint"))


def ensure_tables(conn: Connection, tables: Iterable[LandingTable]) -> list[str]:
    """Create what is missing, add new columns; returns what was done. Never drops or changes a column.

    Raises ValueError when a column exists with another type.
    """
    wanted: list[tuple[str, str, tuple[Column, ...], tuple[str, ...]]] = []
    for table in tables:
        wanted.append(("raw", table.name, _parent_columns(table), ("instance", "record_id")))
        wanted.append(("raw_history", table.name, (*_parent_columns(table), *_REPLACED), ()))
        for child in table.children:
            wanted.append(("raw", child.name, _child_columns(child), ("instance", "record_id", "line_no")))
            wanted.append(("raw_history", child.name, (*_child_columns(child), *_REPLACED), ()))
    done: list[str] = []
    if not _missing(conn, wanted):
        return done
    with conn.transaction():
        # Until the commit: the next one in the queue must see the new tables.
        conn.execute("select pg_advisory_xact_lock(hashtextextended('landing:tables', 0))")
        for schema, name, columns, found in _missing(conn, wanted):
            done.append(f"{schema}.{name}")
            relation = sql.Identifier(schema, name)
            if found:
                for column in columns:
                    if column.name not in found:
                        conn.execute(
                            sql.SQL("alter table {} add column {}").format(relation, _definition(column, False))
                        )
                continue
            key = next(wish[3] for wish in wanted if wish[:2] == (schema, name))
            parts = [_definition(column, column.name in _REQUIRED) for column in columns]
            if key:
                parts.append(sql.SQL("primary key ({})").format(_names(key)))
            conn.execute(sql.SQL("create table {} ({})").format(relation, sql.SQL(", ").join(parts)))
            if not key:
                conn.execute(sql.SQL("create index on {} (instance, record_id)").format(relation))
            conn.execute(sql.SQL("grant select, insert, update, delete on {} to polka_loader").format(relation))
            conn.execute(sql.SQL("grant select on {} to polka_transformer").format(relation))
    return done


def _missing(
    conn: Connection, wanted: list[tuple[str, str, tuple[Column, ...], tuple[str, ...]]]
) -> list[tuple[str, str, tuple[Column, ...], dict[str, str]]]:
    """Wanted tables that are not complete, with the columns (name -> type) that are there."""
    there: dict[tuple[str, str], dict[str, str]] = {}
    for schema, table, column, kind in conn.execute(
        """
        select n.nspname, c.relname, a.attname, format_type(a.atttypid, null)
        from pg_namespace as n
        join pg_class as c on c.relnamespace = n.oid and c.relkind in ('r', 'p')
        join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        where n.nspname in ('raw', 'raw_history')
        """
    ):
        there.setdefault((schema, table), {})[column] = kind
    incomplete = []
    for schema, name, columns, _ in wanted:
        found = there.get((schema, name), {})
        for column in columns:
            if column.name in found and found[column.name] != column.type:
                raise ValueError(
                    f"{schema}.{name}.{column.name} is {found[column.name]}, the spec says {column.type}: "
                    "rename the column in the spec, or migrate the table and run `polka reland`"
                )
        if any(column.name not in found for column in columns):
            incomplete.append((schema, name, columns, found))
    return incomplete


def _definition(column: Column, required: bool) -> sql.Composed:
    null = sql.SQL(" not null" if required else "")
    # The type is one of a fixed set of the specs, never text from outside.
    return sql.SQL("{} {}{}").format(sql.Identifier(column.name), sql.SQL(column.type), null)


def _names(names: Iterable[str], prefix: str = "") -> sql.Composed:
    if prefix:
        return sql.SQL(", ").join(sql.Identifier(prefix, name) for name in names)
    return sql.SQL(", ").join(sql.Identifier(name) for name in names)


# --- pages -------------------------------------------------------------------------------------------------


class Landing:
    """Lands pages of one entity of one instance over one connection (autocommit; every page is a transaction)."""

    def __init__(self, conn: Connection, table: LandingTable, instance: str, layout: Layout) -> None:
        self._conn = conn
        self._table = table
        self._instance = instance
        self._layout = layout
        self._relation = sql.Identifier("raw", table.name)
        self._history = sql.Identifier("raw_history", table.name)
        self._parent_copy = ("load_id", "loaded_at", "instance", *layout.header, "source_version", "row_hash")
        self._parent_copy += ("source_modified_at",) if layout.modified else ("original_hash",)
        # One thread for all pages: each new one would get memory of its own.
        self._writer = ThreadPoolExecutor(1, "landing")
        self._writing: Future[Counts] | None = None
        self._child_copy = tuple(("load_id", "instance", *names) for names in layout.lines)

    def is_empty(self) -> bool:
        """Whether nothing of this instance has landed yet."""
        row = self._conn.execute(
            sql.SQL("select not exists (select from {} where instance = %s)").format(self._relation), [self._instance]
        ).fetchone()
        return bool(row and row[0])

    def begin(self, page: Page, *, load_id: int, loaded_at: datetime, archive: bool = True) -> None:
        """Write one page beside the caller: archive and rows, all or nothing; without any news nothing is written.

        The caller may decode the next page meanwhile, must leave the connection alone, and must then `finish`.
        `page.all_new` promises that none of its records has landed before. Of a key that repeats within the page the
        last record counts. `loaded_at` becomes the rows' loaded_at and the replaced rows' replaced_at.
        """
        if self._writing is not None:
            raise RuntimeError("the page before was not finished")
        self._writing = self._writer.submit(self._write, page, load_id, loaded_at, archive)

    def finish(self) -> Counts:
        """Wait until the page that was begun is committed; nothing to do when there is none. Raises what went wrong."""
        if self._writing is None:
            return Counts()
        writing, self._writing = self._writing, None
        return writing.result()

    def abandon(self) -> None:
        """Wait for the page that was begun, if any, whatever becomes of it: the connection is free afterwards."""
        with suppress(Exception):
            self.finish()

    def land(self, page: Page, *, load_id: int, loaded_at: datetime, archive: bool = True) -> Counts:
        """`begin` and `finish` at once."""
        if self._writing is not None:
            raise RuntimeError("the page before was not finished")
        return self._write(page, load_id, loaded_at, archive)

    def _write(self, page: Page, load_id: int, loaded_at: datetime, archive: bool) -> Counts:
        with self._conn.transaction():
            news = self._news(page)
            if news.new or news.changed or news.new_version or page.rejected:
                self._wait_for_a_build()
                if archive:
                    self._archive(page, load_id, loaded_at)
                self._reject(page, load_id, loaded_at)
                if news.changed:
                    self._replace(news.changed, load_id, loaded_at)
                if news.new_version:
                    self._set_versions(news.new_version)
                if news.new:
                    self._copy_records(self._relation, self._children("raw"), news.new, load_id, loaded_at)
        return Counts(
            inserted=len(news.new),
            changed=len(news.changed),
            unchanged=news.unchanged + len(news.new_version),
            rejected=len(page.rejected),
        )

    def originals(self, record_ids: Sequence[str]) -> dict[str, str]:
        """Hash (hex) of the bytes that the source sent last, of those records that are there and not deleted."""
        found = self._conn.execute(
            sql.SQL(
                "select record_id, encode(original_hash, 'hex') from {}"
                " where instance = %s and record_id = any(%s) and deleted_at is null and original_hash is not null"
            ).format(self._relation),
            [self._instance, list(record_ids)],
        )
        return dict(found.fetchall())

    def present(self, dated_from: datetime | None = None, dated_to: datetime | None = None) -> set[str]:
        """Keys of landed records that are not deleted, of those dated in [dated_from, dated_to) where given.

        Documents are dated by `dated_at`, record sets of a register by `moved_at` of their lines.
        """
        query = sql.SQL("select t.record_id from {} as t where t.instance = %s and t.deleted_at is null").format(
            self._relation
        )
        bounds = [(">=", dated_from), ("<", dated_to)]
        conditions = [sql.SQL("{} {} %s").format(self._dated(), sql.SQL(op)) for op, moment in bounds if moment]
        if conditions:
            query += self._dated_where(sql.SQL(" and ").join(conditions))
        return {row[0] for row in self._conn.execute(query, [self._instance, *filter(None, (dated_from, dated_to))])}

    def _dated(self) -> sql.Composable:
        has_date = any(column.name == "dated_at" for column in self._table.columns)
        return sql.SQL("t.dated_at" if has_date else "l.moved_at")

    def _dated_where(self, condition: sql.Composable) -> sql.Composable:
        if any(column.name == "dated_at" for column in self._table.columns):
            return sql.SQL(" and ") + condition
        return sql.SQL(
            " and exists (select from {} as l where l.instance = t.instance and l.record_id = t.record_id and {})"
        ).format(sql.Identifier("raw", self._table.children[0].name), condition)

    def tombstone(
        self,
        record_ids: Sequence[str],
        *,
        load_id: int,
        page_no: int,
        at: datetime,
        body: bytes,
        archive: bool = True,
        merged: Mapping[str, str] | None = None,
    ) -> Counts:
        """Mark records as deleted at the source, keeping their previous version. `body` is archived as their page.

        merged: old id -> the id under which the record lives on. News only: what is known to be gone is not archived.
        """
        if not record_ids:
            return Counts()
        with self._conn.transaction():
            self._wait_for_a_build()
            redirected = self._redirect(merged or {}, load_id, at)
            where = sql.SQL("t.instance = %s and t.record_id = any(%s) and t.deleted_at is null")
            ids = list(record_ids)
            kept = self._conn.execute(
                sql.SQL(
                    "insert into {} ({}, replaced_at, replaced_by_load_id) select {}, %s, %s from {} as t where "
                ).format(
                    self._history,
                    _names(column.name for column in _parent_columns(self._table)),
                    _names((column.name for column in _parent_columns(self._table)), "t"),
                    self._relation,
                )
                + where,
                [at, load_id, self._instance, ids],
            )
            if archive and (kept.rowcount or redirected):
                self._archive(Page(page_no, body, [Record(id, b"", b"", b"", ()) for id in ids]), load_id, at)
            marked = self._conn.execute(
                sql.SQL("update {} as t set deleted_at = %s, loaded_at = %s, load_id = %s where ").format(
                    self._relation
                )
                + where,
                [at, at, load_id, self._instance, ids],
            )
        return Counts(deleted=marked.rowcount)

    def _redirect(self, merged: Mapping[str, str], load_id: int, at: datetime) -> int:
        """Note under which id a merged record lives on; returns how many of these are news."""
        if not merged:
            return 0
        return self._conn.execute(
            """
            insert into raw.record_redirect (instance, entity, old_id, new_id, load_id, seen_at)
            select %s, %s, m.old_id, m.new_id, %s, %s from unnest(%s::text[], %s::text[]) as m (old_id, new_id)
            on conflict (instance, entity, old_id) do update
            set new_id = excluded.new_id, load_id = excluded.load_id, seen_at = excluded.seen_at
            where record_redirect.new_id is distinct from excluded.new_id
            """,
            [self._instance, self._table.entity, load_id, at, list(merged), list(merged.values())],
        ).rowcount

    def refresh_statistics(self, written: int) -> None:
        """ANALYZE the tables when `written` records are a noticeable part of them.

        Autovacuum comes a minute later, and the dbt build of that minute would plan joins of empty tables. For that
        minute a small sample is enough. Columns are named so that autovacuum still takes its own, full one.
        """
        if not written:
            return
        tables = [(self._table.name, _parent_columns(self._table))]
        tables += [(child.name, _child_columns(child)) for child in self._table.children]
        known = self._conn.execute(
            "select max(reltuples) from pg_class where oid = to_regclass(%s)", [f"raw.{self._table.name}"]
        ).fetchone()
        if known and known[0] is not None and written > max(0, known[0]) * STATISTICS_AGE:
            with self._conn.transaction():
                self._conn.execute("select set_config('default_statistics_target', %s, true)", [str(STATISTICS_TARGET)])
                for name, columns in tables:
                    self._conn.execute(
                        sql.SQL("analyze raw.{} ({})").format(
                            sql.Identifier(name), _names(column.name for column in columns)
                        )
                    )

    def clear(self) -> None:
        """Remove every row, version and rejected record of this instance and entity. The archive stays."""
        self._wait_for_a_build()
        names = [self._table.name, *(child.name for child in self._table.children)]
        for relation in (sql.Identifier(schema, name) for schema in ("raw", "raw_history") for name in names):
            self._conn.execute(sql.SQL("delete from {} where instance = %s").format(relation), [self._instance])
        self._conn.execute(
            "delete from raw.rejected_record where instance = %s and entity = %s", [self._instance, self._table.entity]
        )

    def _wait_for_a_build(self) -> None:
        self._conn.execute("select pg_advisory_xact_lock_shared(hashtextextended(%s, 0))", [BUILD_LOCK])

    # --- one page

    def _news(self, page: Page) -> _News:
        records = {record.record_id: record for record in page.records}
        news = _News(unchanged=len(page.records) - len(records))
        if page.all_new:
            # In the order of their key the index grows at one place; sources have orders of their own.
            news.new = [records[record_id] for record_id in sorted(records)]
            return news
        known = {
            row[0]: row[1:]
            for row in self._conn.execute(
                sql.SQL(
                    "select record_id, encode(row_hash, 'hex'), source_version, deleted_at is not null"
                    " from {} where instance = %s and record_id = any(%s)"
                ).format(self._relation),
                [self._instance, list(records)],
            )
        }
        for record_id, record in records.items():
            found = known.get(record_id)
            if found is None:
                news.new.append(record)
            elif found[0] != record.row_hash.decode() or found[2]:
                news.changed.append(record)
            elif found[1] != _plain(record.version):
                news.new_version.append(record)
            else:
                news.unchanged += 1
        return news

    def _archive(self, page: Page, load_id: int, at: datetime) -> None:
        self._conn.execute(
            """
            insert into raw.page_archive
                (load_id, page_no, instance, entity, fetched_at, codec, body, record_count, raw_bytes)
            values (%s, %s, %s, %s, %s, 'zstd', %b, %s, %s)
            """,
            [
                load_id,
                page.number,
                self._instance,
                self._table.entity,
                at,
                page.archived(),
                len(page.records) + len(page.rejected),
                len(page.body),
            ],
        )

    def _reject(self, page: Page, load_id: int, at: datetime) -> None:
        for position, rejected in enumerate(page.rejected, start=1):
            log.warning(
                "%s %s: rejected record %s: %s", self._instance, self._table.entity, rejected.record_id, rejected.reason
            )
            self._conn.execute(
                """
                insert into raw.rejected_record
                    (load_id, page_no, instance, entity, record_id, reason, original, rejected_at)
                values (%s, %s, %s, %s, %s, %s, %b, %s)
                """,
                [
                    load_id,
                    page.number,
                    self._instance,
                    self._table.entity,
                    rejected.record_id,
                    f"#{position}: {rejected.reason}",
                    rejected.original,
                    at,
                ],
            )

    def _children(self, schema: str) -> list[sql.Identifier]:
        return [sql.Identifier(schema, child.name) for child in self._table.children]

    def _copy_records(
        self,
        parent: sql.Identifier,
        children: Sequence[sql.Identifier],
        records: Sequence[Record],
        load_id: int,
        loaded_at: datetime,
    ) -> None:
        prefix = f"{load_id}\t{loaded_at.isoformat()}\t{self._instance}\t".encode()
        if self._layout.modified:
            rows = b"".join(
                [
                    b"%b%b\t%b\t\\\\x%b\t%b\n"
                    % (prefix, record.header, record.version, record.row_hash, record.modified_at)
                    for record in records
                ]
            )
        else:
            rows = b"".join(
                [
                    b"%b%b\t%b\t\\\\x%b\t\\\\x%b\n"
                    % (prefix, record.header, record.version, record.row_hash, record.original_hash)
                    for record in records
                ]
            )
        self._copy(parent, self._parent_copy, rows)
        prefix = f"{load_id}\t{self._instance}\t".encode()
        for position, child in enumerate(children):
            lines = b"\n".join([record.lines[position] for record in records if record.lines[position]])
            if lines:
                rows = b"%b%b\n" % (prefix, lines.replace(b"\n", b"\n" + prefix))
                self._copy(child, self._child_copy[position], rows)

    def _copy(self, relation: sql.Identifier, columns: Sequence[str], rows: bytes) -> None:
        statement = sql.SQL("copy {} ({}) from stdin").format(relation, _names(columns))
        with self._conn.cursor() as cursor, cursor.copy(statement) as copy:
            copy.write(rows)

    def _replace(self, records: Sequence[Record], load_id: int, loaded_at: datetime) -> None:
        """Changed records: by way of temporary tables, rewriting only what differs."""
        parent = sql.Identifier(f"new_{self._table.name}")
        children = [sql.Identifier(f"new_{child.name}") for child in self._table.children]
        # Kept for the connection: to make and drop them for every page would cost more than what goes through them.
        for temporary, real in zip([parent, *children], [self._relation, *self._children("raw")], strict=True):
            self._conn.execute(
                sql.SQL("create temporary table if not exists {} (like {}) on commit delete rows").format(
                    temporary, real
                )
            )
        self._copy_records(parent, children, records, load_id, loaded_at)
        columns = [column.name for column in _parent_columns(self._table)]
        self._conn.execute(
            sql.SQL(
                "insert into {} ({}, replaced_at, replaced_by_load_id)"
                " select {}, %s, %s from {} as t join {} as s using (instance, record_id)"
            ).format(self._history, _names(columns), _names(columns, "t"), self._relation, parent),
            [loaded_at, load_id],
        )
        content = [name for name in columns if name not in ("instance", "record_id")]
        self._conn.execute(
            sql.SQL(
                "merge into {} as t using {} as s on t.instance = s.instance and t.record_id = s.record_id"
                " when matched then update set {}"
            ).format(
                self._relation,
                parent,
                sql.SQL(", ").join(
                    sql.SQL("{} = {}").format(sql.Identifier(name), sql.Identifier("s", name)) for name in content
                ),
            )
        )
        for child, temporary, names in zip(self._table.children, children, self._layout.lines, strict=True):
            if len(names) > len(_LINE_KEY):  # otherwise the mapping has no such lines
                self._replace_lines(child, parent, temporary, load_id, loaded_at)
        # Not only at the end: a reland replaces many pages in one transaction.
        for temporary in (parent, *children):
            self._conn.execute(sql.SQL("delete from {}").format(temporary))

    def _replace_lines(
        self, child: ChildTable, parent: sql.Identifier, temporary: sql.Identifier, load_id: int, loaded_at: datetime
    ) -> None:
        relation = sql.Identifier("raw", child.name)
        everything = [column.name for column in _child_columns(child)]
        content = [column.name for column in child.columns]
        same_key = sql.SQL("s.instance = t.instance and s.record_id = t.record_id and s.line_no = t.line_no")
        differs = sql.SQL("({}) is distinct from ({})").format(
            sql.SQL("row({})").format(_names(content, "t")), sql.SQL("row({})").format(_names(content, "s"))
        )
        self._conn.execute(
            sql.SQL(
                "insert into {} ({}, replaced_at, replaced_by_load_id)"
                " select {}, %s, %s from {} as t join {} as p using (instance, record_id)"
                " left join {} as s on {} where s.instance is null or {}"
            ).format(
                sql.Identifier("raw_history", child.name),
                _names(everything),
                _names(everything, "t"),
                relation,
                parent,
                temporary,
                same_key,
                differs,
            ),
            [loaded_at, load_id],
        )
        self._conn.execute(
            sql.SQL(
                "delete from {} as t using {} as p where p.instance = t.instance and p.record_id = t.record_id"
                " and not exists (select from {} as s where {})"
            ).format(relation, parent, temporary, same_key)
        )
        self._conn.execute(
            sql.SQL(
                "merge into {} as t using {} as s on {}"
                " when matched and {} then update set {}"
                " when not matched then insert ({}) values ({})"
            ).format(
                relation,
                temporary,
                same_key,
                differs,
                sql.SQL(", ").join(
                    sql.SQL("{} = {}").format(sql.Identifier(name), sql.Identifier("s", name))
                    for name in (*content, "load_id")
                ),
                _names(everything),
                _names(everything, "s"),
            )
        )

    def _set_versions(self, records: Sequence[Record]) -> None:
        """The source wrote these anew with the same content: only version and moment are noted."""
        self._conn.execute(
            sql.SQL(
                "update {} as t set source_version = s.version,"
                " source_modified_at = coalesce(s.modified_at, t.source_modified_at),"
                " original_hash = decode(s.original_hash, 'hex')"
                " from unnest(%s::text[], %s::text[], %s::timestamptz[], %s::text[])"
                " as s (id, version, modified_at, original_hash)"
                " where t.instance = %s and t.record_id = s.id"
            ).format(self._relation),
            [
                [record.record_id for record in records],
                [_plain(record.version) for record in records],
                [_plain(record.modified_at) for record in records],
                [record.original_hash.decode() or None for record in records],
                self._instance,
            ],
        )


def _plain(copy_text: bytes) -> str | None:
    """A value from its COPY text (versions hold no escapes but null)."""
    return None if copy_text == b"\\N" else copy_text.decode()
