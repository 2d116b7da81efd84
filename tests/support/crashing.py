"""A process that dies before a chosen statement of its database connection."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from extractors.core import run
from warehouse.db import connect


class Crash(BaseException):
    """The process is gone: no handler of ordinary errors runs."""


class Countdown:
    """Statements left until the crash; None: it lives. `seen` counts them."""

    left: int | None = None
    seen = 0

    def tick(self, conn: psycopg.Connection[Any]) -> None:
        self.seen += 1
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                conn.close()
                raise Crash


countdown = Countdown()


class CrashingCursor(psycopg.Cursor[Any]):
    """Tells the countdown before every statement."""

    def execute(self, *arguments: Any, **options: Any) -> Any:
        countdown.tick(self.connection)
        return super().execute(*arguments, **options)

    def copy(self, *arguments: Any, **options: Any) -> Any:
        countdown.tick(self.connection)
        return super().copy(*arguments, **options)


def crash_at(monkeypatch: pytest.MonkeyPatch, statement: int | None) -> None:
    """From now on a run dies before its `statement`-th statement; None: it lives and its statements are counted."""

    def connect_to_crash(url: str | None = None, *, autocommit: bool = False) -> Any:
        conn = connect(url, autocommit=autocommit)
        conn.cursor_factory = CrashingCursor
        return conn

    countdown.left = statement
    countdown.seen = 0
    monkeypatch.setattr(run, "connect", connect_to_crash)


class KeptConnections:
    """Lends autocommit connections that may crash, and keeps them for the next borrower: opening one is what costs."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._idle: list[psycopg.Connection[Any]] = []

    @contextmanager
    def borrowed(self, *arguments: Any, **options: Any) -> Iterator[psycopg.Connection[Any]]:
        """Stands in for `connect`: as fresh as a new one when it is given, closed when it crashed."""
        conn = self._idle.pop() if self._idle else connect(self._url, autocommit=True)
        conn.cursor_factory = CrashingCursor
        try:
            yield conn
        finally:
            if not conn.closed:
                conn.cursor_factory = psycopg.Cursor
                conn.execute("discard temp; reset all; select pg_advisory_unlock_all()")
                self._idle.append(conn)

    def close(self) -> None:
        for conn in self._idle:
            conn.close()
