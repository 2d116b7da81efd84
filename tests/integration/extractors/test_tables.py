"""Landing tables are made by whoever comes first."""

from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillWaiting

import pytest

from extractors.core.run import ensure_tables
from warehouse.db import connect


def test_two_at_once_make_the_tables_once(database: str) -> None:
    def second() -> list[str]:
        with connect(database) as conn:
            return ensure_tables(conn)

    with connect(database) as first, ThreadPoolExecutor(1) as pool:
        assert "raw.onec_order" in ensure_tables(first)
        waiting = pool.submit(second)
        with pytest.raises(StillWaiting):
            waiting.result(timeout=1)
        first.commit()
        assert waiting.result(timeout=30) == []
