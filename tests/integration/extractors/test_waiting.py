"""Who waits for whom: landing tables are made once, pages are not written under a build of the marts."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillWaiting
from typing import Any

import pytest

from extractors.core.outcome import LoadOutcome
from extractors.core.run import ensure_tables
from tests.support.small_onec import SmallOnec, brand
from warehouse.db import advisory_lock, connect
from warehouse.landing import BUILD_LOCK
from warehouse.migrate import migrate

Read = Callable[..., LoadOutcome]
Rows = Callable[..., list[tuple[Any, ...]]]


def test_two_at_once_make_the_tables_once(empty_database: str) -> None:
    migrate(empty_database)

    def second() -> list[str]:
        with connect(empty_database) as conn:
            return ensure_tables(conn)

    with connect(empty_database) as first, ThreadPoolExecutor(1) as pool:
        assert "raw.onec_order" in ensure_tables(first)
        waiting = pool.submit(second)
        with pytest.raises(StillWaiting):
            waiting.result(timeout=1)
        first.commit()
        assert waiting.result(timeout=30) == []


def test_pages_wait_for_a_build_of_the_marts(base: SmallOnec, read: Read, rows: Rows, database: str) -> None:
    base.sets["Catalog_Марки"] = [brand(number) for number in range(3)]
    with connect(database, autocommit=True) as build, ThreadPoolExecutor(1) as pool:
        with advisory_lock(build, BUILD_LOCK):
            reading = pool.submit(read, "brand")
            with pytest.raises(StillWaiting):
                reading.result(timeout=2)
            assert rows("select count(*) from raw.onec_brand") == [(0,)]
        assert reading.result(timeout=30).rows_inserted == 3
