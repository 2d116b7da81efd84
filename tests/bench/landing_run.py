"""One measured run of the landing bench, in a process of its own: python -m tests.bench.landing_run JSON

Prints {"seconds", "cpu", "server_cpu", "peak_mb", "wal_mb", "archive_mb"}; `cpu` is this process's, `server_cpu` that
of the PostgreSQL backend that served it (0 when it runs elsewhere).
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from zoneinfo import ZoneInfo

from psycopg import sql

from extractors.core import paged
from extractors.core.codec import Codec
from extractors.core.paged import PagedLoad
from extractors.core.spec import load_configuration, load_entities
from tests.bench.landing_pages import DOCUMENTS, LINE_COPY, ORDER_COPY, FileReader, Files
from warehouse.db import Connection, connect
from warehouse.landing import Landing
from warehouse.settings import get_settings
from warehouse.sources import SourceConfig

SOURCE = SourceConfig(id="bench", kind="onec", connection="bench")
ENTITY = load_entities("onec")["order"]
MAPPING = load_configuration("onec", "ut11").entities["order"]
ORDERS, LINES = "onec_order", "onec_order_line"


def ours(conn: Connection, files: Files, pages: int, *, rounds: int, changed: bool, archive: bool) -> float:
    """The code that `extract` runs: pager, codec, landing, run record, cursor."""
    codec = Codec(ENTITY, MAPPING, ZoneInfo(SOURCE.timezone))
    reader = FileReader(files, pages, rounds=rounds, changed=changed)
    if not archive:
        Landing._archive = lambda self, page, load_id, at: None  # type: ignore[method-assign]
        paged.compress = lambda body: b""  # type: ignore[assignment]
    started = time.perf_counter()
    outcome = PagedLoad(conn, SOURCE.id, ENTITY, codec, reader, get_settings()).run("cursor", None, "bench")
    taken = time.perf_counter() - started
    expected = (0, pages * DOCUMENTS // 100) if changed else (pages * rounds * DOCUMENTS, 0)
    if (outcome.rows_inserted, outcome.rows_changed) != expected:
        raise AssertionError(f"{expected} were expected: {outcome}")
    return taken


def copy(conn: Connection, files: Files, pages: int) -> float:
    """One COPY per table of text that was made before."""
    started = time.perf_counter()
    with conn.transaction():
        for table, columns, path in ((ORDERS, ORDER_COPY, files.orders), (LINES, LINE_COPY, files.lines)):
            with conn.cursor().copy(_copy(table, columns)) as stream:
                for page in range(pages):
                    stream.write(path(page).read_bytes())
    return time.perf_counter() - started


def delete_insert(conn: Connection, files: Files, pages: int) -> float:
    """The plain way to bring a table up to date: page by page out with the old rows, in with the new ones."""
    started = time.perf_counter()
    for page in range(pages):
        with conn.transaction():
            keys = [row.split("\t")[3] for row in files.orders(page).read_text(encoding="utf-8").splitlines()]
            for table, columns, path in ((ORDERS, ORDER_COPY, files.orders), (LINES, LINE_COPY, files.lines)):
                conn.execute(
                    sql.SQL("delete from peer.{} where instance = 'bench' and record_id = any(%s)").format(
                        sql.Identifier(table)
                    ),
                    [keys],
                )
                with conn.cursor().copy(_copy(table, columns)) as stream:
                    stream.write(path(page).read_bytes())
    return time.perf_counter() - started


def _copy(table: str, columns: tuple[str, ...]) -> sql.Composed:
    return sql.SQL("copy peer.{} ({}) from stdin").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )


def _server_cpu(conn: Connection) -> float:
    """CPU seconds of our backend; 0 when it is not a process of this machine."""
    try:
        fields = Path("/proc", str(conn.info.backend_pid), "stat").read_text().rpartition(")")[2].split()
        if "postgres" not in Path("/proc", str(conn.info.backend_pid), "comm").read_text():
            return 0.0
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _wal_bytes(conn: Connection) -> float:
    """WAL that this connection has written; others may write at the same time."""
    conn.execute("select pg_stat_force_next_flush()")
    row = conn.execute("select wal_bytes from pg_stat_get_backend_wal(pg_backend_pid())").fetchone()
    return float(row[0]) if row else 0.0


def main(told: str) -> None:
    options = json.loads(told)
    files, pages = Files(Path(options["folder"])), options["pages"]
    runs: dict[str, Callable[[Connection], float]] = {
        "ours": lambda conn: ours(
            conn, files, pages, rounds=options.get("rounds", 1), changed=options.get("changed", False),
            archive=options.get("archive", True),
        ),
        "copy": lambda conn: copy(conn, files, pages),
        "delete_insert": lambda conn: delete_insert(conn, files, pages),
    }  # fmt: skip
    with connect(options["url"], autocommit=True) as conn:
        own, cpu, wal = time.process_time(), _server_cpu(conn), _wal_bytes(conn)
        seconds = runs[options["kind"]](conn)
        own = time.process_time() - own
        server_cpu, wal = _server_cpu(conn) - cpu, _wal_bytes(conn) - wal
        row = conn.execute("select coalesce(sum(length(body)), 0) from raw.page_archive").fetchone()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    measured = {
        "seconds": seconds,
        "cpu": own,
        "server_cpu": server_cpu,
        "peak_mb": usage.ru_maxrss / 1000,
        "wal_mb": wal / 1e6,
        "archive_mb": float(row[0]) / 1e6 if row else 0.0,
    }
    sys.stdout.write(json.dumps(measured) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
