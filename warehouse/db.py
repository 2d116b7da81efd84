"""Connections to the warehouse. The only place that knows how its URL is found."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg.pq import TransactionStatus

from warehouse.embedded import recorded_url
from warehouse.settings import get_settings

Connection = psycopg.Connection[tuple[Any, ...]]


class WarehouseNotStarted(RuntimeError):
    """No POLKA_DATABASE_URL and the embedded server was never started here."""


def database_url() -> str:
    """URL of the configured warehouse: POLKA_DATABASE_URL, or the embedded server's.

    Does not start anything (that is `warehouse.embedded.ensure_running`). Raises WarehouseNotStarted.
    """
    settings = get_settings()
    if settings.database_url:
        return settings.database_url
    url = recorded_url(settings.var_dir)
    if url is None:
        raise WarehouseNotStarted(
            "The embedded PostgreSQL was not started yet: run `make up` or `polka migrate`, or set POLKA_DATABASE_URL."
        )
    return url


def connect(url: str | None = None, *, autocommit: bool = False) -> Connection:
    """Open a connection; `url` None means the configured warehouse. Raises psycopg.OperationalError."""
    return psycopg.connect(
        url or database_url(), autocommit=autocommit, connect_timeout=10, fallback_application_name="polka"
    )


def with_database(url: str, database: str) -> str:
    """The same server and credentials, another database."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


@contextmanager
def advisory_lock(conn: Connection, key: str) -> Iterator[None]:
    """Hold a session-level lock named `key`; waits for whoever holds it now.

    The server frees it by itself when the connection dies. After an error inside the block the connection's
    transaction is rolled back, because a failed transaction could not run the unlock.
    """
    conn.execute("select pg_advisory_lock(hashtextextended(%s, 0))", [key])
    try:
        yield
    finally:
        if not conn.closed:
            if conn.info.transaction_status is TransactionStatus.INERROR:
                conn.rollback()
            conn.execute("select pg_advisory_unlock(hashtextextended(%s, 0))", [key])
