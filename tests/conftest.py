"""What all tests share: one PostgreSQL server, a fresh migrated database per test, an environment of their own."""

import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg import sql

from extractors.core.run import ensure_tables
from warehouse.calendar import fill_production_calendar
from warehouse.db import connect, with_database
from warehouse.embedded import EmbeddedServer
from warehouse.migrate import migrate
from warehouse.settings import PROJECT_ROOT, get_settings

# Read before the environment is isolated.
_RUNNING_SERVER = os.environ.get("POLKA_TEST_SERVER")
_TEST_FILES = PROJECT_ROOT / "var" / "tests"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """URL (superuser, database `postgres`) of a server for this session.

    POLKA_TEST_SERVER=url uses a running one; otherwise an embedded server is started and removed at the end.
    """
    if _RUNNING_SERVER:
        yield _RUNNING_SERVER
        return
    _remove_leftovers()
    server = EmbeddedServer(_TEST_FILES / f"session-{os.getpid()}", settings={"fsync": "off"})
    record = server.start()
    try:
        yield record.url("postgres")
    finally:
        server.remove()
        shutil.rmtree(server.var_dir, ignore_errors=True)


@pytest.fixture(scope="session")
def template_database(postgres_server: str) -> Iterator[str]:
    """Name of a migrated database with its empty landing tables that tests are cloned from."""
    name = f"polka_template_{uuid.uuid4().hex[:10]}"
    _create(postgres_server, name)
    try:
        url = with_database(postgres_server, name)
        migrate(url)
        with connect(url) as conn:
            fill_production_calendar(conn)
            ensure_tables(conn)
        yield name
    finally:
        _drop(postgres_server, name)


@pytest.fixture
def database(postgres_server: str, template_database: str) -> Iterator[str]:
    """URL of a fresh database: all migrations applied, production calendar filled, landing tables empty."""
    name = f"polka_test_{uuid.uuid4().hex[:10]}"
    _create(postgres_server, name, template=template_database)
    try:
        yield with_database(postgres_server, name)
    finally:
        _drop(postgres_server, name)


@pytest.fixture(scope="module")
def module_database(postgres_server: str, template_database: str) -> Iterator[str]:
    """URL of one database for all tests of a module, which keep apart by source; made like `database`."""
    name = f"polka_test_{uuid.uuid4().hex[:10]}"
    _create(postgres_server, name, template=template_database)
    try:
        yield with_database(postgres_server, name)
    finally:
        _drop(postgres_server, name)


@pytest.fixture
def empty_database(postgres_server: str) -> Iterator[str]:
    """URL of a database without any migration."""
    name = f"polka_test_{uuid.uuid4().hex[:10]}"
    _create(postgres_server, name)
    try:
        yield with_database(postgres_server, name)
    finally:
        _drop(postgres_server, name)


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder `shared` beside the checkout: samples, real data."""
    folder = PROJECT_ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not here: it holds sample responses and data that are not part of the repository")
    return folder


@pytest.fixture(autouse=True)
def isolated_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No POLKA_* or AIRFLOW* variable of the caller reaches a test; var_dir is the test's own."""
    for name in list(os.environ):
        if name.startswith(("POLKA_", "AIRFLOW_CONN_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("POLKA_VAR_DIR", str(tmp_path / "var"))
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


def _create(server: str, name: str, template: str = "template1") -> None:
    with connect(server, autocommit=True) as conn:
        conn.execute(sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(template)))


def _drop(server: str, name: str) -> None:
    with connect(server, autocommit=True) as conn:
        conn.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


def _remove_leftovers() -> None:
    """Servers of sessions that were killed."""
    for folder in _TEST_FILES.glob("session-*"):
        if not Path("/proc", folder.name.removeprefix("session-")).exists():
            EmbeddedServer(folder).remove()
            shutil.rmtree(folder, ignore_errors=True)
