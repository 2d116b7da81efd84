"""A guest in the house of 1C: sessions, licences, quiet hours, few requests at once, few bytes for a comparison."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from clients.connection import Connection
from clients.errors import Fatal, NotNow, Retriable
from clients.onec import OnecClient
from extractors.core import paged, paging
from extractors.core.run import LoadOutcome, extract
from extractors.onec.virtual_tables import VirtualTables
from simulators.onec.base import Base, simple_set
from simulators.onec.server import PUBLICATION, OnecServer, Quirks
from tests.support.serving import serve
from tests.support.simulated_onec import LOGIN, PASSWORD, SCHEMAS, guid, order, partner
from warehouse import clock
from warehouse.db import connect
from warehouse.sources import SourceConfig

ORDERS, PARTNERS = "Document_ЗаказКлиента", "Catalog_Партнеры"
SOURCE = SourceConfig(id="onec_main", kind="onec", connection="onec_main", parallel_requests=3)


@dataclass
class House:
    base: Base
    server: OnecServer
    connection: Connection
    database: str

    def read(self, entity: str, source: SourceConfig = SOURCE, **options: Any) -> LoadOutcome:
        return extract(source, entity, self.connection, database_url=self.database, triggered_by="test", **options)

    def client(self, **options: Any) -> OnecClient:
        return OnecClient(self.connection, timeout=20, first_pause=0.01, **options)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with connect(self.database, autocommit=True) as conn:
            return conn.execute(query).fetchall()  # type: ignore[call-overload, no-any-return]


@pytest.fixture
def house(warehouse: str) -> Iterator[House]:
    base = Base(
        [
            simple_set(SCHEMAS[ORDERS], [order(n, n % 4) for n in range(1, 121)]),
            simple_set(SCHEMAS[PARTNERS], [partner(n) for n in range(1, 31)]),
        ]
    )
    server = OnecServer(base, LOGIN, PASSWORD)
    with serve(server) as root:
        yield House(base, server, Connection(root + PUBLICATION, LOGIN, PASSWORD), warehouse)


@pytest.mark.parametrize("honoured", [True, False])
def test_a_session_is_begun_once_and_given_back(house: House, honoured: bool) -> None:
    house.server.quirks = Quirks(sessions_honoured=honoured)
    with house.client() as client:
        assert client.count(PARTNERS, {}) == 30
        assert client.count(ORDERS, {}) == 120
        client.collection(PARTNERS, {"$top": "1"})
        assert len(house.server._sessions) == (1 if honoured else 0)
    assert house.server._sessions == set()


def test_a_session_that_1c_has_ended_is_begun_anew(house: House) -> None:
    with house.client() as client:
        client.collection(PARTNERS, {"$top": "1"})
        house.server._sessions.clear()
        assert client.count(ORDERS, {}) == 120
        assert len(house.server._sessions) == 1


@pytest.mark.parametrize("limit", ["session_limit", "licence_limit"])
def test_with_fewer_sessions_than_threads_the_read_goes_on_with_those(
    house: House, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "MAX_PAGE", 10)
    setattr(house.server.quirks, limit, 2)
    assert house.read("order").rows_inserted == 120
    assert house.server._sessions == set()


@pytest.mark.parametrize(
    ("limit", "kind", "words"),
    [("session_limit", Fatal, "1C refuses to start a session"), ("licence_limit", Retriable, "no free licence")],
)
def test_without_any_session_the_reason_is_said_in_plain_words(
    house: House, limit: str, kind: type[Exception], words: str
) -> None:
    setattr(house.server.quirks, limit, 0)
    with house.client(attempts=2) as client, pytest.raises(kind, match=words):
        client.count(PARTNERS, {})


def test_all_workers_together_keep_to_the_agreed_number(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "MAX_PAGE", 5)
    house.server.quirks.work_seconds = 0.03
    with ThreadPoolExecutor(2) as workers:
        results = list(workers.map(house.read, ["order", "partner"]))
    assert [outcome.rows_inserted for outcome in results] == [120, 30]
    assert 2 <= house.server.most_working <= 3


def test_quiet_hours_leave_the_base_alone_and_say_until_when(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    quiet = SOURCE.model_copy(update={"quiet_hours": ("23:00-01:30", "12:00-12:45")})
    zone = ZoneInfo("Europe/Moscow")
    monkeypatch.setattr(clock, "now", lambda: datetime(2026, 3, 2, 12, 30, tzinfo=zone))
    with pytest.raises(NotNow, match=r"not to be touched until 12:45 \(Europe/Moscow\)") as caught:
        house.read("partner", quiet)
    assert caught.value.retry_after == 900
    assert not house.server.requests
    monkeypatch.setattr(clock, "now", lambda: datetime(2026, 3, 2, 23, 10, tzinfo=zone))
    with pytest.raises(NotNow, match="until 01:30"):
        house.read("partner", quiet)
    monkeypatch.setattr(clock, "now", lambda: datetime(2026, 3, 2, 13, 0, tzinfo=zone))
    assert house.read("partner", quiet).rows_inserted == 30


def test_quiet_hours_that_begin_during_a_read_end_it(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "MAX_PAGE", 5)
    quiet = SOURCE.model_copy(update={"quiet_hours": ("12:00-12:45",)})
    zone = ZoneInfo("Europe/Moscow")
    noon = datetime(2026, 3, 2, 12, 0, tzinfo=zone)
    morning = datetime(2026, 3, 2, 11, 0, tzinfo=zone)
    monkeypatch.setattr(clock, "now", lambda: noon if house.server.requests[ORDERS] > 6 else morning)
    with pytest.raises(NotNow):
        house.read("order", quiet)
    assert house.server.requests[ORDERS] <= 10
    assert house.rows("select count(*) from ops.cursor") == [(0,)]
    monkeypatch.setattr(clock, "now", lambda: datetime(2026, 3, 2, 13, 0, tzinfo=zone))
    outcome = house.read("order", quiet)
    assert outcome.rows_seen == 120
    assert house.rows("select count(*) from raw.onec_order") == [(120,)]


def test_a_physical_deletion_of_an_old_document_is_found_by_ids_alone(house: House) -> None:
    house.base.write(ORDERS, order(900, 1) | {"Date": "2019-05-06T10:00:00"})
    house.base.write(ORDERS, order(901, 1) | {"Date": "2018-05-06T10:00:00"})
    assert house.read("order").rows_inserted == 122
    house.base.remove(ORDERS, guid(1900))
    house.base.edit(ORDERS, guid(1901), {"Комментарий": "исправлен задним числом"})
    again = house.read("order")
    assert (again.rows_deleted, again.rows_changed) == (0, 0), "the window does not reach so far"
    before = house.server.requests.copy()
    outcome = house.read("order", mode="reconcile")
    assert (outcome.mode, outcome.rows_deleted, outcome.rows_changed, outcome.rows_unchanged) == ("reconcile", 1, 1, 0)
    assert (outcome.rows_claimed, outcome.rows_seen) == (121, 121)
    assert house.rows("select record_id from raw.onec_order where deleted_at is not null") == [(guid(1900),)]
    assert sum((house.server.requests - before).values()) < 12, "ids come in few pages, records only where they differ"
    assert house.read("order", mode="reconcile").rows_changed == 0


def test_of_the_overlap_only_ids_come_and_what_differs(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paged, "OVERLAP_RECORDS", 20)
    assert house.read("order").rows_inserted == 120
    house.base.edit(ORDERS, guid(1004), {"СуммаДокумента": Decimal("4.44")})
    house.base.remove(ORDERS, guid(1005))
    house.base.write(ORDERS, order(700, 1) | {"Date": "2026-03-02T10:00:00"})
    house.base.write(ORDERS, order(701, 1) | {"Date": "2026-04-02T10:00:00"})
    outcome = house.read("order")
    assert (outcome.mode, outcome.rows_claimed, outcome.rows_seen) == ("cursor", 121, 121)
    assert (outcome.rows_inserted, outcome.rows_changed, outcome.rows_deleted) == (2, 1, 1)
    assert outcome.rows_unchanged == 118
    assert outcome.raw_bytes < 40_000, "most of the documents did not travel"
    assert house.rows("select count(*), sum(amount) from raw.onec_order where deleted_at is null") == [
        (121, sum(house.base.sets[ORDERS].exact(row)["СуммаДокумента"] for row in house.base.sets[ORDERS].rows))
    ]
    again = house.read("order")
    assert (again.rows_changed, again.rows_inserted, again.rows_deleted, again.rows_seen) == (0, 0, 0, 121)


def test_more_vanished_records_than_can_be_asked_for_at_once_all_become_tombstones(house: House) -> None:
    house.read("order")
    for number in range(1, 101):
        house.base.remove(ORDERS, guid(1000 + number))
    assert house.read("order", mode="reconcile").rows_deleted == 100
    assert house.rows("select count(*) from raw.onec_order where deleted_at is null") == [(20,)]


def test_a_base_that_suddenly_shows_nothing_is_not_believed(house: House) -> None:
    house.read("order")
    house.base.sets[ORDERS].replace_rows([])
    house.base.touch()
    with pytest.raises(Exception, match="shows no record at all"):
        house.read("order", mode="reconcile")
    assert house.rows("select count(*) from raw.onec_order where deleted_at is not null") == [(0,)]


def test_a_long_history_is_read_slice_by_slice(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(300, 340):
        house.base.write(ORDERS, order(number, 1) | {"Date": f"20{10 + number % 15}-05-06T10:00:00"})
    monkeypatch.setattr(paged, "SLICE_RECORDS", 30)
    most = 0
    looked_at = paged.Pass.note

    def watch(self: paged.Pass, *arguments: Any) -> bool:
        nonlocal most
        fresh = looked_at(self, *arguments)
        most = max(most, len(self.keys))
        return fresh

    monkeypatch.setattr(paged.Pass, "note", watch)
    outcome = house.read("order")
    assert (outcome.rows_claimed, outcome.rows_seen, outcome.rows_inserted) == (160, 160, 160)
    assert most <= 30
    assert house.rows("select count(*) from raw.onec_order") == [(160,)]
    # Dated anew between two slices: one read lacks it, the comparison at the end brings it.
    house.rows("delete from ops.cursor returning 1")
    pages = paged.PagedLoad._read_slice

    def move(self: paged.PagedLoad, span: Any, claimed: int | None, **options: Any) -> None:
        pages(self, span, claimed, **options)
        if span[0] is None:
            house.base.write(ORDERS, order(999, 1) | {"Date": "2001-01-01T10:00:00"})

    monkeypatch.setattr(paged.PagedLoad, "_read_slice", move)
    house.read("order")
    assert house.rows("select count(*) from raw.onec_order") == [(161,)]


@pytest.mark.parametrize("nested_only", [False, True])
def test_either_way_of_quoting_a_condition_is_found_and_remembered(
    house: House, nested_only: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def call(self: OnecClient, source_set: str, function: str, arguments: dict[str, str], options: Any) -> bytes:
        asked.append(arguments["Condition"])
        if nested_only and "''" in arguments["Condition"]:
            raise Fatal("1C does not understand the request", status=400, code="14")
        return b'{"value":[]}'

    monkeypatch.setattr(OnecClient, "call", call)
    with house.client() as client:
        tables = VirtualTables(client, ZoneInfo("Europe/Moscow"))
        for _ in range(2):
            tables.call("AccumulationRegister_Х", "Balance", condition="Склад_Key eq guid'1' and Вес gt 2")
    doubled, nested = "'Склад_Key eq guid''1'' and Вес gt 2'", "'Склад_Key eq guid'1' and Вес gt 2'"
    assert asked == ([doubled, nested, nested] if nested_only else [doubled, doubled])


def test_counting_by_an_empty_page_gives_up_where_top_is_ignored(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A base that refuses $count and ignores $top beside $inlinecount would send everything it has."""
    for number in range(200, 900):
        house.base.write(ORDERS, order(number, 3))
    house.server.quirks.inlinecount_ignores_paging = True
    with house.client() as client:
        read = client._read

        def refuse(path: str, *arguments: Any, **options: Any) -> bytes:
            if path.endswith("/$count"):
                raise Fatal("not supported", status=501)
            return read(path, *arguments, **options)

        monkeypatch.setattr(client, "_read", refuse)
        assert client.count(PARTNERS, {}) == 30
        assert client.count(ORDERS, {}) is None
