"""Migrations: forward only, once, and never silently different from what the code says."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import psycopg
import pytest

from warehouse.calendar import fill_production_calendar, production_days
from warehouse.db import advisory_lock, connect, with_database
from warehouse.migrate import MIGRATIONS, MigrationError, migrate, read_migrations


@pytest.fixture
def migrations(tmp_path: Path) -> Path:
    folder = tmp_path / "migrations"
    folder.mkdir()
    (folder / "0001_first.sql").write_text("create table public.one (id integer);\ninsert into public.one values (1);")
    (folder / "0002_second.sql").write_text("create table public.two (share text default '50%');")
    return folder


def rows(url: str, statement: str) -> list[tuple[object, ...]]:
    with connect(url) as conn:
        return conn.execute(statement).fetchall()


def test_each_is_applied_once_and_in_order(empty_database: str, migrations: Path) -> None:
    assert migrate(empty_database, folder=migrations) == ["0001_first", "0002_second"]
    assert migrate(empty_database, folder=migrations) == []
    (migrations / "0003_third.sql").write_text("insert into public.one values (3)")
    assert migrate(empty_database, folder=migrations) == ["0003_third"]
    assert rows(empty_database, "select id from public.one order by id") == [(1,), (3,)]
    assert rows(empty_database, "select version, name from ops.schema_migration order by 1") == [
        (1, "0001_first"),
        (2, "0002_second"),
        (3, "0003_third"),
    ]


def test_a_changed_old_file_is_an_error_that_names_it(empty_database: str, migrations: Path) -> None:
    migrate(empty_database, folder=migrations)
    (migrations / "0001_first.sql").write_text("create table public.one (id bigint);")
    (migrations / "0003_third.sql").write_text("insert into public.one values (3)")
    with pytest.raises(MigrationError, match=r"0001_first\.sql was changed"):
        migrate(empty_database, folder=migrations)
    assert rows(empty_database, "select id from public.one") == [(1,)]


def test_line_ends_of_a_checkout_do_not_count_as_a_change(empty_database: str, migrations: Path) -> None:
    migrate(empty_database, folder=migrations)
    first = migrations / "0001_first.sql"
    first.write_bytes(first.read_bytes().replace(b"\n", b"\r\n"))
    assert migrate(empty_database, folder=migrations) == []


def test_a_failing_file_leaves_nothing_of_itself_and_all_before_it(empty_database: str, migrations: Path) -> None:
    (migrations / "0003_third.sql").write_text("create table public.three (id integer);\nselect no_such_column;")
    with pytest.raises(psycopg.errors.UndefinedColumn):
        migrate(empty_database, folder=migrations)
    assert rows(empty_database, "select to_regclass('public.two')::text, to_regclass('public.three')::text") == [
        ("two", None)
    ]
    (migrations / "0003_third.sql").write_text("create table public.three (id integer);")
    assert migrate(empty_database, folder=migrations) == ["0003_third"]


def test_a_database_newer_than_the_code_is_refused(empty_database: str, migrations: Path) -> None:
    migrate(empty_database, folder=migrations)
    (migrations / "0002_second.sql").unlink()
    with pytest.raises(MigrationError, match="0002_second"):
        migrate(empty_database, folder=migrations)


@pytest.mark.parametrize("name", ["0004_gap.sql", "0002_twice.sql", "3_short.sql"])
def test_bad_numbering_is_refused(migrations: Path, name: str) -> None:
    (migrations / name).write_text("select 1")
    with pytest.raises(MigrationError):
        read_migrations(migrations)


def test_concurrent_migrations_apply_each_file_once(empty_database: str, migrations: Path) -> None:
    (migrations / "0003_slow.sql").write_text("select pg_sleep(0.3); insert into public.one values (3)")
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: migrate(empty_database, folder=migrations), range(4)))
    assert sorted(name for names in done for name in names) == ["0001_first", "0002_second", "0003_slow"]
    assert rows(empty_database, "select id from public.one order by id") == [(1,), (3,)]


def test_the_projects_own_migrations_fit_two_databases_at_once(postgres_server: str, empty_database: str) -> None:
    second = empty_database.rsplit("/", 1)[1] + "_second"
    with connect(postgres_server, autocommit=True) as conn:
        conn.execute(f"create database {second}")
    try:
        urls = [empty_database, with_database(postgres_server, second)]
        with ThreadPoolExecutor(2) as pool:
            first, other = pool.map(migrate, urls)
        assert first == other == [migration.name for migration in read_migrations(MIGRATIONS)]
        schemas = "select nspname from pg_namespace where nspname in ('raw', 'raw_history', 'marts', 'ops') order by 1"
        assert rows(urls[1], schemas) == [("marts",), ("ops",), ("raw",), ("raw_history",)]
    finally:
        with connect(postgres_server, autocommit=True) as conn:
            conn.execute(f"drop database {second} with (force)")


def test_the_lock_is_free_again_after_an_error(empty_database: str) -> None:
    with connect(empty_database) as conn, pytest.raises(psycopg.errors.DivisionByZero), advisory_lock(conn, "test"):
        conn.execute("select 1 / 0")
    with connect(empty_database) as first, connect(empty_database) as second:
        with advisory_lock(first, "test"):
            assert second.execute("select pg_try_advisory_lock(hashtextextended('test', 0))").fetchone() == (False,)
        assert second.execute("select pg_try_advisory_lock(hashtextextended('test', 0))").fetchone() == (True,)


def test_the_calendar_knows_transferred_days_off(database: str) -> None:
    """Known from the government's decrees: 27 April 2024 (Saturday) was worked, 29 April rested instead."""
    days = dict(
        rows(
            database,
            """
            select day, is_working_day from ops.production_calendar
            where day in ('2024-04-27', '2024-04-29', '2024-05-09', '2024-11-02', '2025-11-01', '2026-03-09')
            """,
        )
    )
    assert days == {
        date(2024, 4, 27): True,
        date(2024, 4, 29): False,
        date(2024, 5, 9): False,
        date(2024, 11, 2): True,
        date(2025, 11, 1): True,
        date(2026, 3, 9): False,
    }


def test_filling_the_calendar_again_changes_nothing_and_mends_what_is_wrong(database: str) -> None:
    with connect(database) as conn:
        assert fill_production_calendar(conn) == 0
        conn.execute("delete from ops.production_calendar where day = '2024-05-01'")
        conn.execute("update ops.production_calendar set is_working_day = true where day = '2024-05-09'")
        assert fill_production_calendar(conn) == 2
    assert sum(working for _, working, _ in production_days(2024, 2024)) == 248  # the official norm of 2024


def test_migrations_are_packaged_where_the_code_looks(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(MIGRATIONS, copy)
    assert [m.checksum for m in read_migrations(copy)] == [m.checksum for m in read_migrations()]
