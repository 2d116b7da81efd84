"""Reading again: what is the same byte for byte is neither decoded nor archived once more; all else is looked at."""

from collections.abc import Callable
from typing import Any

import pytest

from extractors.core.run import LoadOutcome, reland
from tests.support.small_onec import SmallOnec, key, order
from warehouse.landing import decompress

ORDERS = "Document_ЗаказКлиента"
Rows = Callable[..., list[tuple[Any, ...]]]
Read = Callable[..., LoadOutcome]


def archived(rows: Rows) -> list[list[str]]:
    """Numbers of the orders in each archived page, in the order of their coming."""
    bodies = rows("select body from raw.page_archive where entity = 'order' order by load_id, page_no")
    numbers = [order(n)["Number"] for n in range(1, 10)]
    return [[number for number in numbers if number.encode() in decompress(body)] for (body,) in bodies]


@pytest.fixture
def orders(base: SmallOnec, read: Read) -> list[dict[str, Any]]:
    base.sets[ORDERS] = [order(n) for n in range(1, 6)]
    assert read("order").rows_inserted == 5
    return base.sets[ORDERS]


def test_only_news_are_decoded_and_archived(orders: Any, read: Read, rows: Rows) -> None:
    assert read("order").rows_unchanged == 5
    before = rows("select record_id, loaded_at, load_id from raw.onec_order where record_id <> %s order by 1", key(3))
    orders[2] |= {"DataVersion": "AAAA9=", "Комментарий": "позвонить"}
    outcome = read("order")
    assert (outcome.rows_changed, outcome.rows_unchanged, outcome.rows_inserted) == (1, 4, 0)
    assert archived(rows)[-1] == [orders[2]["Number"]]
    after = rows("select record_id, loaded_at, load_id from raw.onec_order where record_id <> %s order by 1", key(3))
    assert after == before


def test_what_1c_changed_without_a_new_version_is_found(orders: Any, read: Read, rows: Rows) -> None:
    orders[0]["Комментарий"] = "из резервной копии"
    assert read("order").rows_changed == 1
    assert rows("select comment from raw.onec_order where record_id = %s", key(1))[0][0] == "из резервной копии"


def test_another_version_or_an_unmapped_field_is_noted_and_then_known(orders: Any, read: Read, rows: Rows) -> None:
    orders[0]["НеизвестноеПоле"] = 1
    orders[1]["DataVersion"] = "AAAA9="
    assert read("order").rows_unchanged == 5
    assert rows("select source_version from raw.onec_order where record_id = %s", key(2)) == [("AAAA9=",)]
    assert rows("select count(*) from raw_history.onec_order") == [(0,)]
    assert read("order").rows_unchanged == 5


def test_a_deleted_record_that_is_there_again_comes_back(base: SmallOnec, orders: Any, read: Read, rows: Rows) -> None:
    gone = base.sets[ORDERS].pop(1)
    read("order", mode="reconcile")
    assert rows("select count(*) from raw.onec_order where deleted_at is not null") == [(1,)]
    base.sets[ORDERS].insert(1, gone)
    read("order")
    assert rows("select count(*) from raw.onec_order where deleted_at is not null") == [(0,)]


def test_a_reland_makes_the_same_rows_of_partial_pages(
    base: SmallOnec, orders: Any, read: Read, rows: Rows, warehouse: str
) -> None:
    orders[2] |= {"DataVersion": "AAAA9=", "Комментарий": "позвонить"}
    read("order")
    base.sets[ORDERS].append(order(6))
    read("order")
    content = "select record_id, row_hash, original_hash, comment from raw.onec_order order by 1"
    before = rows(content)
    assert len(before) == 6
    reland("order", "onec_main", warehouse, triggered_by="test")
    assert rows(content) == before
    assert read("order").rows_unchanged == 6
