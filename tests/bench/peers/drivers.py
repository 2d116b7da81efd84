"""What is usually written instead: rows of all fields of the JSON into Postgres by pandas or by the driver itself.

python -m tests.bench.peers.drivers PEER URL FOLDER PAGES      prints {"seconds": ..., "cpu": ..., "peak_mb": ...}

    pandas_to_sql    json_normalize and DataFrame.to_sql, appended
    execute_values   psycopg2.extras.execute_values, insert ... on conflict do update
    executemany      psycopg's executemany, insert ... on conflict do update
"""

import json
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas
import psycopg
import psycopg2
from psycopg2.extras import execute_values
from psycopg2.sql import SQL, Identifier
from sqlalchemy import create_engine

LINES = "Товары"
Rows = Sequence[Mapping[str, Any]]
Write = Callable[[str, tuple[str, ...], Rows], None]


def pages_of(folder: str, pages: int) -> Iterator[list[dict[str, Any]]]:
    for number in range(pages):
        yield json.loads((Path(folder) / f"page{number:04}.json").read_bytes())["value"]


def pandas_to_sql(url: str, folder: str, pages: int) -> None:
    """Append is its only way; a merge would come on top."""
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg2://"))
    for documents in pages_of(folder, pages):
        headers = pandas.DataFrame([{k: v for k, v in one.items() if k != LINES} for one in documents])
        lines = pandas.json_normalize(documents, LINES)
        for name, frame in (("pandas_order", headers), ("pandas_line", lines)):
            for column in frame.columns:
                if frame[column].dtype == object and _is_moment(frame[column].iloc[0]):
                    frame[column] = pandas.to_datetime(frame[column], errors="coerce")
            frame.to_sql(name, engine, schema="peer", if_exists="append", index=False, chunksize=1000)
    engine.dispose()


def through_driver(url: str, folder: str, pages: int, write: Write) -> None:
    made = False
    for documents in pages_of(folder, pages):
        headers = [{k: v for k, v in one.items() if k != LINES} for one in documents]
        lines = [line for one in documents for line in one[LINES]]
        if not made:
            _create(url, "driver_order", headers[0], ("Ref_Key",))
            _create(url, "driver_line", lines[0], ("Ref_Key", "LineNumber"))
            made = True
        write("driver_order", ("Ref_Key",), headers)
        write("driver_line", ("Ref_Key", "LineNumber"), lines)


def with_execute_values(url: str, folder: str, pages: int) -> None:
    conn = psycopg2.connect(url)

    def write(table: str, key: tuple[str, ...], rows: Rows) -> None:
        with conn, conn.cursor() as cursor:
            names = list(rows[0])
            statement = SQL("insert into peer.{} ({}) values %s on conflict ({}) do update set {}").format(
                Identifier(table),
                SQL(", ").join(map(Identifier, names)),
                SQL(", ").join(map(Identifier, key)),
                SQL(", ").join(SQL("{0} = excluded.{0}").format(Identifier(name)) for name in names),
            )
            execute_values(cursor, statement, [tuple(row.values()) for row in rows], page_size=1000)

    through_driver(url, folder, pages, write)
    conn.close()


def with_executemany(url: str, folder: str, pages: int) -> None:
    conn = psycopg.connect(url)

    def write(table: str, key: tuple[str, ...], rows: Rows) -> None:
        names = list(rows[0])
        statement = psycopg.sql.SQL("insert into peer.{} ({}) values ({}) on conflict ({}) do update set {}").format(
            psycopg.sql.Identifier(table),
            psycopg.sql.SQL(", ").join(map(psycopg.sql.Identifier, names)),
            psycopg.sql.SQL(", ").join(psycopg.sql.Placeholder() for _ in names),
            psycopg.sql.SQL(", ").join(map(psycopg.sql.Identifier, key)),
            psycopg.sql.SQL(", ").join(
                psycopg.sql.SQL("{0} = excluded.{0}").format(psycopg.sql.Identifier(name)) for name in names
            ),
        )
        with conn.transaction(), conn.cursor() as cursor:
            cursor.executemany(statement, [tuple(row.values()) for row in rows])

    through_driver(url, folder, pages, write)
    conn.close()


def _create(url: str, table: str, sample: Mapping[str, Any], key: tuple[str, ...]) -> None:
    """A table with a typed column for every field of the sample."""
    columns = [psycopg.sql.SQL("{} {}").format(psycopg.sql.Identifier(n), _type(v)) for n, v in sample.items()]
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(
            psycopg.sql.SQL("create table peer.{} ({}, primary key ({}))").format(
                psycopg.sql.Identifier(table),
                psycopg.sql.SQL(", ").join(columns),
                psycopg.sql.SQL(", ").join(map(psycopg.sql.Identifier, key)),
            )
        )


def _type(value: object) -> psycopg.sql.SQL:
    if isinstance(value, bool):
        return psycopg.sql.SQL("boolean")
    if isinstance(value, (int, float)):
        return psycopg.sql.SQL("numeric")
    return psycopg.sql.SQL("timestamp" if _is_moment(value) else "text")


def _is_moment(value: object) -> bool:
    try:
        return isinstance(value, str) and "T" in value and bool(datetime.fromisoformat(value))
    except ValueError:
        return False


PEERS: dict[str, Callable[[str, str, int], None]] = {
    "pandas_to_sql": pandas_to_sql,
    "execute_values": with_execute_values,
    "executemany": with_executemany,
}


if __name__ == "__main__":
    peer, url, folder, pages = sys.argv[1:]
    started = time.perf_counter()
    PEERS[peer](url, folder, int(pages))
    seconds = time.perf_counter() - started
    usage = resource.getrusage(resource.RUSAGE_SELF)
    measured = {"seconds": seconds, "cpu": usage.ru_utime + usage.ru_stime, "peak_mb": usage.ru_maxrss / 1000}
    sys.stdout.write(json.dumps(measured) + "\n")
