"""Copies of the good world, this morning's clock."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from good_world import GOOD_WORLD, NOW, SOURCE
from psycopg import sql

from extractors.core.run import ensure_tables, register_source
from warehouse import clock
from warehouse.db import connect, with_database
from warehouse.settings import get_settings


@pytest.fixture(autouse=True)
def this_morning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The clock of the tests, and a sources file with one base."""
    monkeypatch.setattr(clock, "now", lambda: NOW)
    sources = tmp_path / "sources.yml"
    sources.write_text(
        "sources:\n- {id: onec_main, kind: onec, connection: onec_main, branches: by_organization}\n", encoding="utf-8"
    )
    monkeypatch.setenv("POLKA_SOURCES", str(sources))
    get_settings.cache_clear()


@pytest.fixture(scope="session")
def good_template(postgres_server: str, template_database: str) -> Iterator[str]:
    """Name of a database with the good world."""
    clone = _Clone(postgres_server, template_database)
    with clone as url:
        with connect(url) as conn:
            ensure_tables(conn)
            register_source(conn, SOURCE)
            conn.execute(GOOD_WORLD)
        yield clone.name


@pytest.fixture
def good_world(postgres_server: str, good_template: str) -> Iterator[str]:
    """URL of a database in which nothing holds the list."""
    with _Clone(postgres_server, good_template) as url:
        yield url


@pytest.fixture
def worlds(postgres_server: str, good_template: str) -> "Callable[[], _Clone]":
    """Makes any number of good worlds: `with worlds() as url`."""
    return lambda: _Clone(postgres_server, good_template)


class _Clone:
    """A copy of a database for the length of a `with` block; entering gives its URL."""

    def __init__(self, server: str, template: str) -> None:
        self.server = server
        self.template = template
        self.name = f"polka_test_{uuid.uuid4().hex[:10]}"

    def __enter__(self) -> str:
        with connect(self.server, autocommit=True) as conn:
            names = (sql.Identifier(self.name), sql.Identifier(self.template))
            conn.execute(sql.SQL("create database {} template {}").format(*names))
        return with_database(self.server, self.name)

    def __exit__(self, *_: object) -> None:
        with connect(self.server, autocommit=True) as conn:
            conn.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(self.name)))
