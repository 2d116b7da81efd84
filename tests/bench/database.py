"""A migrated, empty database for a measurement."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from psycopg import sql

from extractors.core.run import ensure_tables
from warehouse.db import connect, database_url, with_database
from warehouse.embedded import ensure_running
from warehouse.migrate import migrate
from warehouse.settings import get_settings


def server() -> str:
    """The server to measure on: POLKA_TEST_SERVER, the configured warehouse's, or the embedded one."""
    named = os.environ.get("POLKA_TEST_SERVER")
    if named:
        return named
    return database_url() if get_settings().database_url else ensure_running(get_settings().var_dir)


@contextmanager
def fresh_database() -> Iterator[str]:
    """URL of a database that is dropped afterwards."""
    name = sql.Identifier(f"polka_bench_{uuid.uuid4().hex[:10]}")
    at = server()
    with connect(at, autocommit=True) as conn:
        conn.execute(sql.SQL("create database {}").format(name))
    try:
        url = with_database(at, name.as_string().strip('"'))
        migrate(url)
        with connect(url, autocommit=True) as conn:
            ensure_tables(conn)
        yield url
    finally:
        with connect(at, autocommit=True) as conn:
            conn.execute(sql.SQL("drop database if exists {} with (force)").format(name))
