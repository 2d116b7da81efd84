"""Reading a small 1C into landing: completeness, change, deletion, windows, cursor, rebuilding."""

import logging
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from clients.errors import Fatal
from extractors.core.errors import MissingFields, RepeatedPage, ShortRead
from extractors.core.outcome import LoadOutcome
from extractors.core.run import reland
from tests.support.small_onec import Answer, Query, SmallOnec, brand, collection_body, error, key, order, order_line
from warehouse import clock
from warehouse.settings import get_settings

Read = Callable[..., LoadOutcome]
Rows = Callable[..., list[tuple[Any, ...]]]
BRANDS = "Catalog_Марки"
ORDERS = "Document_ЗаказКлиента"
PAGE = 4
HEADERS = """
    select record_id, number, dated_at, status, amount, source_version, deleted_at, row_hash, loaded_at, load_id
    from raw.onec_order order by record_id
"""
LINES = "select * from raw.onec_order_line order by record_id, line_no"
HISTORY = "select * from raw_history.onec_order order by record_id, loaded_at"
LINE_HISTORY = "select * from raw_history.onec_order_line order by record_id, line_no, load_id, replaced_at"


def moscow(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=ZoneInfo("Europe/Moscow"))  # type: ignore[misc, arg-type]


@pytest.mark.parametrize("size", [0, 1, PAGE - 1, PAGE, PAGE + 1, 3 * PAGE + 1])
def test_a_set_of_any_size_lands_whole(size: int, base: SmallOnec, read: Read, rows: Rows, small_pages: int) -> None:
    assert small_pages == PAGE
    base.sets[BRANDS] = [brand(number) for number in range(size)]
    outcome = read("brand")
    assert (outcome.rows_claimed, outcome.rows_seen, outcome.rows_inserted) == (size, size, size)
    assert rows('select record_id, name from raw.onec_brand order by name collate "C"') == sorted(
        ((key(number), f"Марка {number}") for number in range(size)), key=lambda row: row[1]
    )
    assert read("brand").rows_unchanged == size


def test_at_most_prefetch_requests_at_once(
    base: SmallOnec, read: Read, small_pages: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POLKA_ONEC_PREFETCH", "2")
    get_settings.cache_clear()
    base.sets[BRANDS] = [brand(number) for number in range(60)]
    assert read("brand").rows_inserted == 60
    assert 1 <= base.most_running <= 2


def test_what_is_sent_is_what_one_c_wants(base: SmallOnec, read: Read) -> None:
    base.sets[ORDERS] = [order(1)]
    read("order", mode="window", window=(moscow(2026, 3, 1), moscow(2026, 4, 1)))
    pages = [query for query in base.requests if query.top is not None]
    assert pages
    for query in base.requests:
        assert query.options["allowedOnly"] == "true"
        assert query.options["$filter"] == (
            "Date ge datetime'2026-03-01T00:00:00' and Date lt datetime'2026-04-01T00:00:00'"
        )
        assert "+" not in query.raw
    for query in pages:
        assert query.options["$orderby"] == "Ref_Key"


def test_a_changed_document_rewrites_only_what_changed(base: SmallOnec, read: Read, rows: Rows) -> None:
    base.sets[ORDERS] = [order(1, lines=3), order(2)]
    first = read("order")
    base.sets[ORDERS][0] = order(
        1,
        DataVersion="new",
        Статус="Закрыт",
        Товары=[order_line(1), order_line(2, Отменено=True), order_line(4)],
    )
    second = read("order")
    assert (second.rows_changed, second.rows_unchanged) == (1, 1)
    loads = dict(rows("select record_id, load_id from raw.onec_order"))
    assert loads == {key(1): second.load_id, key(2): first.load_id}
    lines = rows("select line_no, cancelled, load_id from raw.onec_order_line where record_id = %s order by 1", key(1))
    assert lines == [(1, False, first.load_id), (2, True, second.load_id), (4, False, second.load_id)]
    assert rows("select status, load_id, replaced_by_load_id from raw_history.onec_order") == [
        ("КОбеспечению", first.load_id, second.load_id)
    ]
    assert rows(
        "select line_no, cancelled, load_id, replaced_by_load_id from raw_history.onec_order_line order by line_no"
    ) == [(2, False, first.load_id, second.load_id), (3, False, first.load_id, second.load_id)]


def test_written_anew_with_the_same_content_is_no_change(base: SmallOnec, read: Read, rows: Rows) -> None:
    base.sets[ORDERS] = [order(1)]
    first = read("order")
    base.sets[ORDERS] = [order(1, DataVersion="posted again")]
    second = read("order")
    assert (second.rows_changed, second.rows_unchanged) == (0, 1)
    assert rows("select source_version, load_id from raw.onec_order") == [("posted again", first.load_id)]
    assert rows(HISTORY) == []


def test_nothing_new_writes_nothing(base: SmallOnec, read: Read, rows: Rows) -> None:
    base.sets[ORDERS] = [order(number) for number in range(30)]
    read("order")
    before = [rows(query) for query in (HEADERS, LINES, HISTORY, "select count(*) from raw.page_archive")]
    read("order")
    assert [rows(query) for query in (HEADERS, LINES, HISTORY, "select count(*) from raw.page_archive")] == before


def test_original_bytes_are_archived(base: SmallOnec, read: Read, rows: Rows) -> None:
    import zstandard

    base.sets[ORDERS] = [order(1, НеизвестноеПоле="сохрани меня")]
    outcome = read("order")
    [(body, records, size)] = rows("select body, record_count, raw_bytes from raw.page_archive")
    original = zstandard.ZstdDecompressor().decompress(body)
    assert "сохрани меня".encode() in original
    assert (records, size) == (1, len(original))
    assert outcome.raw_bytes == size


def test_a_bad_record_is_rejected_and_the_rest_lands(base: SmallOnec, read: Read, rows: Rows) -> None:
    base.sets[ORDERS] = [order(1), order(2, СуммаДокумента=1e300), order(3)]
    outcome = read("order")
    assert (outcome.rows_seen, outcome.rows_inserted, outcome.rows_rejected) == (3, 2, 1)
    [(record_id, reason, original)] = rows("select record_id, reason, original from raw.rejected_record")
    assert record_id == key(2)
    assert "amount" in reason
    assert b"1e+300" in original


def test_two_rejected_records_without_a_key_are_both_kept(base: SmallOnec, read: Read, rows: Rows) -> None:
    base.sets[BRANDS] = [brand(1, Ref_Key=""), brand(2, Ref_Key=""), brand(3)]
    outcome = read("brand")
    assert (outcome.rows_inserted, outcome.rows_rejected) == (1, 2)
    assert rows("select count(*) from raw.rejected_record") == [(2,)]


def test_fewer_rows_than_claimed_is_an_error(base: SmallOnec, read: Read, rows: Rows) -> None:
    base.sets[BRANDS] = [brand(number) for number in range(10)]

    def short(query: Query) -> Answer | None:
        return Answer(200, b"11") if query.is_count else None

    base.before = short
    with pytest.raises(ShortRead, match="claims 11"):
        read("brand")
    assert rows("select count(*) from raw.onec_brand") == [(10,)]
    assert rows("select * from ops.coverage") == []
    assert rows("select status, rows_claimed, rows_seen from ops.load_run") == [("failed", 11, 10)]


def test_a_page_that_stops_short_once_is_healed_by_another_pass(
    base: SmallOnec, read: Read, rows: Rows, small_pages: int
) -> None:
    base.sets[BRANDS] = [brand(number) for number in range(10)]
    failed: list[int] = []

    def once(query: Query) -> Answer | None:
        if query.skip == 4 and not failed:
            failed.append(1)
            return collection_body({"value": []})
        return None

    base.before = once
    outcome = read("brand")
    assert outcome.rows_seen == 10
    assert rows("select count(*) from raw.onec_brand") == [(10,)]


def test_an_ignored_offset_is_an_error(base: SmallOnec, read: Read, rows: Rows, small_pages: int) -> None:
    base.sets[BRANDS] = [brand(number) for number in range(10)]

    def same(query: Query) -> Answer | None:
        if query.top is None:
            return None
        query.options["$skip"] = "0"
        return base.answer(query)

    base.before = same
    with pytest.raises(RepeatedPage):
        read("brand")
    assert rows("select * from ops.coverage") == []


def test_records_added_while_paging_are_not_lost(base: SmallOnec, read: Read, rows: Rows, small_pages: int) -> None:
    """An insertion shifts the pages: a key comes twice, and the pass is repeated until nothing moves."""
    base.sets[BRANDS] = [brand(number) for number in range(12)]
    added: list[int] = []

    def grow(query: Query) -> Answer | None:
        if query.top is not None and query.skip >= 4 and not added:
            first = min(record["Ref_Key"] for record in base.sets[BRANDS])
            added.append(1)
            base.sets[BRANDS].append(brand(99, Ref_Key="00000000-0000-4000-8000-000000000001"))
            assert first > "00000000-0000-4000-8000-000000000001"
        return None

    base.before = grow
    read("brand")
    assert rows("select count(*) from raw.onec_brand") == [(13,)]


def test_records_deleted_while_paging_do_not_hide_others(
    base: SmallOnec, read: Read, rows: Rows, small_pages: int
) -> None:
    base.sets[BRANDS] = [brand(number) for number in range(12)]
    removed: list[str] = []

    def shrink(query: Query) -> Answer | None:
        if query.top is not None and query.skip >= 4 and not removed:
            first = min(base.sets[BRANDS], key=lambda record: record["Ref_Key"])
            base.sets[BRANDS].remove(first)
            removed.append(first["Ref_Key"])
        return None

    base.before = shrink
    outcome = read("brand")
    present = {row[0] for row in rows("select record_id from raw.onec_brand where deleted_at is null")}
    assert present == {record["Ref_Key"] for record in base.sets[BRANDS]}
    assert outcome.rows_deleted == 1


def test_a_base_that_never_rests_is_read_when_it_only_grows(
    base: SmallOnec, read: Read, rows: Rows, small_pages: int
) -> None:
    base.sets[BRANDS] = [brand(number) for number in range(8)]
    counter = iter(range(100, 200))

    def busy(query: Query) -> Answer | None:
        if query.is_count:
            base.sets[BRANDS].append(brand(next(counter)))
        return None

    base.before = busy
    outcome = read("brand")
    assert outcome.rows_seen >= 8
    assert {row[0] for row in rows("select record_id from raw.onec_brand")} >= {key(number) for number in range(8)}


def test_what_vanished_is_asked_for_and_marked(base: SmallOnec, read: Read, rows: Rows) -> None:
    base.sets[ORDERS] = [order(number) for number in range(1, 8)]
    read("order")
    window = (moscow(2026, 3, 1), moscow(2026, 4, 1))
    gone, moved = base.sets[ORDERS].pop(0), base.sets[ORDERS][0]
    moved["Date"] = "2026-05-05T10:00:00"
    moved["DataVersion"] = "moved"
    cursor = rows("select position, load_id from ops.cursor")
    coverage = rows("select * from ops.coverage")
    outcome = read("order", mode="window", window=window)
    assert (outcome.rows_deleted, outcome.rows_changed, outcome.rows_unchanged) == (1, 1, 5)
    assert rows("select record_id from raw.onec_order where deleted_at is not null") == [(gone["Ref_Key"],)]
    assert rows("select dated_at from raw.onec_order where record_id = %s", moved["Ref_Key"]) == [
        (moscow(2026, 5, 5, 10),)
    ]
    assert rows("select position, load_id from ops.cursor") == cursor
    assert rows("select * from ops.coverage") == coverage
    assert read("order", mode="window", window=window).rows_deleted == 0
    base.sets[ORDERS].append(gone)
    assert read("order", mode="window", window=window).rows_changed == 1
    assert rows("select count(*) from raw.onec_order where deleted_at is not null") == [(0,)]


def test_hidden_by_rights_is_not_deleted(base: SmallOnec, read: Read, rows: Rows) -> None:
    base.sets[BRANDS] = [brand(1), brand(2)]
    read("brand")
    hidden = base.sets[BRANDS].pop()
    base.before = lambda query: error(401, "20", "Нарушение прав доступа") if query.key == hidden["Ref_Key"] else None
    assert read("brand").rows_deleted == 0
    assert rows("select count(*) from raw.onec_brand where deleted_at is not null") == [(0,)]


def test_cursor_starts_the_next_read_and_overlaps(base: SmallOnec, read: Read, rows: Rows) -> None:
    base.sets[ORDERS] = [order(1, Date="2025-01-10T10:00:00"), order(2, Date="2025-06-20T10:00:00")]
    first = read("order")
    assert first.window_from is None
    assert rows("select position from ops.cursor") == [(moscow(2025, 6, 20, 10),)]
    base.sets[ORDERS] += [order(3, Date="2025-06-01T10:00:00"), order(4, Date="2025-07-01T10:00:00")]
    second = read("order")
    expected = moscow(2025, 6, 20, 10) - timedelta(days=get_settings().onec_overlap_days)
    assert second.window_from == expected.astimezone(UTC).isoformat()
    assert (second.rows_inserted, second.rows_unchanged) == (2, 1)
    assert rows("select position from ops.cursor") == [(moscow(2025, 7, 1, 10),)]


def test_future_documents_land_and_do_not_push_the_cursor_beyond_now(base: SmallOnec, read: Read, rows: Rows) -> None:
    future = clock.now() + timedelta(days=30)
    base.sets[ORDERS] = [order(1), order(2, Date=future.strftime("%Y-%m-%dT%H:%M:%S"))]
    assert read("order").rows_inserted == 2
    [(position,)] = rows("select position from ops.cursor")
    assert position <= clock.now()


def test_the_cursor_never_goes_back(base: SmallOnec, read: Read, rows: Rows) -> None:
    base.sets[ORDERS] = [order(1, Date="2026-03-20T10:00:00"), order(2, Date="2026-03-10T10:00:00")]
    read("order")
    base.sets[ORDERS].pop(0)
    read("order")
    assert rows("select position from ops.cursor") == [(moscow(2026, 3, 20, 10),)]


def test_a_quiet_base_is_covered_until_now(base: SmallOnec, read: Read, rows: Rows) -> None:
    before = clock.now()
    read("order")
    [(until, success)] = rows("select covered_until, last_success_at from ops.coverage where entity = 'order'")
    assert before <= until <= success
    assert rows("select * from ops.cursor") == []


def test_an_optional_set_may_be_missing_a_required_one_may_not(base: SmallOnec, read: Read, rows: Rows) -> None:
    outcome = read("debt_adjustment")
    assert not outcome.published
    assert rows("select status from ops.load_run") == [("done",)]
    with pytest.raises(MissingFields, match="Catalog_Номенклатура"):
        read("product")


def test_missing_fields_are_named(base: SmallOnec, read: Read, rows: Rows) -> None:
    base.hidden_fields = {"Партнер_Key", "АдресДоставки"}
    with pytest.raises(MissingFields, match=r"Document_ЗаказКлиента\.Партнер_Key") as caught:
        read("order")
    assert "АдресДоставки" not in str(caught.value)
    assert rows("select status from ops.load_run") == [("failed",)]


def test_a_page_too_large_for_the_server_is_divided(base: SmallOnec, read: Read, rows: Rows) -> None:
    base.sets[ORDERS] = [order(number) for number in range(100)]
    page = b"<!DOCTYPE html><html><title>1C:Enterprise 8 application error</title>The device is full</html>"
    base.before = lambda query: Answer(500, page, "text/html") if (query.top or 0) > 30 else None
    assert read("order").rows_inserted == 100


def test_a_base_without_count_is_read_to_its_end(base: SmallOnec, read: Read, small_pages: int) -> None:
    base.sets[BRANDS] = [brand(number) for number in range(9)]

    def no_count(query: Query) -> Answer | None:
        if query.is_count:
            return error(400, "6", "Сегмент пути $count не найден!")
        return collection_body({"value": []}) if query.options.get("$inlinecount") else None

    base.before = no_count
    outcome = read("brand")
    assert (outcome.rows_claimed, outcome.rows_seen) == (None, 9)


def test_inline_count_serves_where_count_does_not(base: SmallOnec, read: Read) -> None:
    base.sets[BRANDS] = [brand(number) for number in range(9)]

    def inline(query: Query) -> Answer | None:
        if query.is_count:
            return error(400, "6", "Сегмент пути $count не найден!")
        return collection_body({"odata.count": "9", "value": []}) if query.options.get("$inlinecount") else None

    base.before = inline
    assert read("brand").rows_claimed == 9


def test_reland_makes_the_same_rows_without_asking(base: SmallOnec, read: Read, rows: Rows, warehouse: str) -> None:
    dice = random.Random(3)
    base.sets[ORDERS] = [order(number, lines=number % 4) for number in range(1, 40)]
    read("order")
    window = (moscow(2026, 3, 1), moscow(2026, 4, 1))
    for step in range(6):
        chosen = dice.sample(base.sets[ORDERS], 5)
        for record in chosen[:3]:
            record["Статус"] = f"шаг {step}"
            record["DataVersion"] = f"v{step}"
            record["Товары"] = [order_line(n, Количество=dice.randint(1, 9)) for n in range(dice.randint(0, 4))]
        base.sets[ORDERS].remove(chosen[3])
        chosen[4]["DataVersion"] = f"same content {step}"
        base.sets[ORDERS].append(order(100 + step, **({"СуммаДокумента": 1e300} if step == 2 else {})))
        if step % 2:
            read("order", mode="window", window=window)
        else:
            read("order")
    queries = (HEADERS, LINES, HISTORY, LINE_HISTORY, "select record_id, reason, original from raw.rejected_record")
    before = [rows(query) for query in queries]
    assert all(before)
    asked = len(base.requests)
    outcome = reland("order", "onec_main", warehouse)
    assert len(base.requests) == asked
    assert outcome.mode == "reland"
    assert [sorted(rows(query), key=repr) for query in queries] == [sorted(found, key=repr) for found in before]


def test_secrets_do_not_reach_logs_or_run_records(
    base: SmallOnec, read: Read, rows: Rows, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    base.before = lambda query: error(401, "20", f"нет прав, пароль {base.password}")
    with pytest.raises(Fatal) as caught:
        read("brand")
    [(noted,)] = rows("select error from ops.load_run")
    for text in (caplog.text, str(caught.value), noted):
        assert base.password not in text
        assert "0J/QvtC70LrQsD" not in text  # the beginning of the Basic token
