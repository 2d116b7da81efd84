"""Walking amoCRM's lists: every record whatever the distribution, by one lane or many; failures end the walk."""

import json
import threading
from collections.abc import Mapping
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clients.amocrm import AmocrmClient
from clients.errors import Retriable, TooLarge
from extractors.amocrm.feeds import merged_ids
from extractors.amocrm.pages import Lanes, Listing, Span, Walker, records_in
from extractors.core.errors import BrokenPage, ReadError

START = 1_700_000_000


class Shelf:
    """A list of records as the API pages it: by modification or by id, as far as it is honest."""

    def __init__(self, moments: list[int], *, orders: bool = True) -> None:
        self.records = [{"id": number, "updated_at": START + moment} for number, moment in enumerate(moments, start=1)]
        self.orders = orders
        self.requests = 0
        self.largest = 1000
        self.fail_at: int | None = None
        self._lock = threading.Lock()

    def get(self, path: str, params: Mapping[str, Any]) -> bytes | None:
        with self._lock:
            self.requests += 1
            if self.requests == self.fail_at:
                raise Retriable("out of order")
        if params["limit"] > self.largest:
            raise TooLarge("too much")
        span = params.get("filter", {}).get("updated_at", {})
        chosen = [
            record
            for record in self.records
            if span.get("from", 0) <= record["updated_at"] <= span.get("to", float("inf"))
        ]
        if self.orders and "updated_at" in params.get("order", {}):
            chosen.sort(key=lambda record: (record["updated_at"], record["id"]))
        first = (params["page"] - 1) * params["limit"]
        page = chosen[first : first + params["limit"]]
        if not page:
            return None
        links = {"next": {"href": "x"}} if first + len(page) < len(chosen) else []
        return json.dumps({"_links": links, "_embedded": {"leads": page}}).encode()

    def walker(self, limit: int, *, by_modification: bool = True) -> Walker:
        listing = Listing("leads", "leads", {}, by_modification=by_modification, limit=limit)
        return Walker(cast("AmocrmClient", self), listing)


def ids(parts: Any) -> list[int]:
    return [json.loads(bytes(record))["id"] for part in parts for record in part]


MOMENTS = st.lists(st.one_of(st.integers(0, 5), st.integers(0, 100_000)), max_size=80)


@settings(max_examples=40, deadline=None)
@given(MOMENTS, st.integers(1, 9), st.booleans(), st.booleans())
def test_every_record_is_met(moments: list[int], limit: int, by_modification: bool, open_ended: bool) -> None:
    shelf = Shelf(moments)
    walker = shelf.walker(limit, by_modification=by_modification)
    span = Span(START, None if open_ended else START + 200_000, now=START + 50_000)
    assert set(ids(walker.modified(span))) == {record["id"] for record in shelf.records}


@settings(max_examples=20, deadline=None)
@given(MOMENTS, st.integers(2, 9), st.integers(1, 6))
def test_lanes_together_meet_every_record(moments: list[int], limit: int, lanes: int) -> None:
    shelf = Shelf(moments)
    found = ids(Lanes([shelf.walker(limit) for _ in range(lanes)]).read(Span(None, START + 200_000)))
    assert set(found) == {record["id"] for record in shelf.records}


def test_what_lies_outside_the_span_is_left_alone() -> None:
    shelf = Shelf([0, 10, 20, 30])
    assert ids(shelf.walker(2).modified(Span(START + 10, START + 20))) == [2, 3]


def test_a_portal_that_ignores_the_order_is_read_in_spans() -> None:
    shelf = Shelf([50, 3, 70, 3, 9, 1, 90, 22, 41], orders=False)
    assert set(ids(shelf.walker(2).modified(Span(START, START + 100)))) == set(range(1, 10))


def test_pages_become_shorter_when_the_portal_cannot_build_them() -> None:
    shelf = Shelf(list(range(200)))
    shelf.largest = 60
    assert len(ids(shelf.walker(250).modified(Span(None, START + 1000)))) >= 200


@pytest.mark.parametrize("fail_at", [1, 2, 5, 9])
def test_a_lane_that_fails_ends_them_all(fail_at: int) -> None:
    shelf = Shelf(list(range(0, 40_000, 100)))
    shelf.fail_at = fail_at
    before = threading.active_count()
    with pytest.raises(Retriable):
        ids(Lanes([shelf.walker(10) for _ in range(4)]).read(Span(None, START + 100_000)))
    assert threading.active_count() == before


def test_a_reader_that_stops_in_the_middle_ends_the_lanes() -> None:
    shelf = Shelf(list(range(0, 40_000, 100)))
    before = threading.active_count()
    reading = Lanes([shelf.walker(10) for _ in range(4)]).read(Span(None, START + 100_000))
    next(reading)
    reading.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_an_end_that_was_not_announced_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = Shelf(list(range(0, 400, 10)))
    honest = shelf.get

    def forgetful(path: str, params: Mapping[str, Any]) -> bytes | None:
        return honest(path, params) if shelf.requests < 2 else None

    monkeypatch.setattr(shelf, "get", forgetful)
    with pytest.raises(ReadError, match="said that more follow"):
        ids(shelf.walker(10).modified(Span(None, None)))


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"_embedded": {"leads": 5}}'])
def test_what_is_no_page_is_said(body: bytes) -> None:
    with pytest.raises(BrokenPage):
        records_in(body, "leads")


def test_a_page_without_records_is_empty_also_as_php_writes_it() -> None:
    assert records_in(b'{"_embedded": [], "_links": []}', "leads") == ([], False)


@pytest.mark.parametrize(
    "told",
    [
        [{"entity": {"id": 7, "type": "company"}}],
        [{"link": {"entity": {"id": 7, "type": "company"}}}],
        [{"merged": [{"id": "7"}]}],
        {"entity_id": 7},
    ],
)
def test_the_swallowed_card_is_found_in_any_shape(told: Any) -> None:
    event = {"entity_id": 5, "value_before": told, "value_after": [{"entity": {"id": 5}}]}
    assert merged_ids(event) == {"7": "5"}
