"""A small 1C and a migrated warehouse with its landing tables."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from extractors.core import paging
from extractors.core.run import LoadOutcome, ensure_tables, extract, register_source
from tests.support.small_onec import SmallOnec
from warehouse.db import connect
from warehouse.sources import SourceConfig

SOURCE = SourceConfig(id="onec_main", kind="onec", connection="onec_main", branches="by_organization")
PAGE = 4


@pytest.fixture
def base() -> Iterator[SmallOnec]:
    with SmallOnec() as running:
        running.sets = {"Catalog_Марки": [], "Document_ЗаказКлиента": []}
        yield running


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> int:
    """Every page holds at most four records."""
    monkeypatch.setattr(paging, "FIRST_PAGE", PAGE)
    monkeypatch.setattr(paging, "MAX_PAGE", PAGE)
    return PAGE


@pytest.fixture
def warehouse(database: str) -> str:
    with connect(database, autocommit=True) as conn:
        ensure_tables(conn)
        register_source(conn, SOURCE)
    return database


@pytest.fixture
def read(base: SmallOnec, warehouse: str) -> Callable[..., LoadOutcome]:
    """`read(entity, **options)`: extract from the small base into the test's warehouse."""

    def run(entity: str, **options: Any) -> LoadOutcome:
        return extract(SOURCE, entity, base.connection, database_url=warehouse, triggered_by="test", **options)

    return run


@pytest.fixture
def rows(warehouse: str) -> Callable[..., list[tuple[Any, ...]]]:
    def run(query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with connect(warehouse, autocommit=True) as conn:
            return conn.execute(query, parameters).fetchall()  # type: ignore[arg-type]

    return run
