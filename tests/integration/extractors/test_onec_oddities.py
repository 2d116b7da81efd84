"""Odd values and a base that needs patience, read from the simulated 1C over a real socket."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from clients.connection import Connection
from extractors.core.run import LoadOutcome, extract, register_source
from simulators.onec.base import Base, simple_set
from simulators.onec.oddities import LONG, MANY_LINES, ODDITIES, plant
from simulators.onec.server import PUBLICATION, OnecServer, Quirks
from simulators.onec.ut11 import UT11
from tests.support.serving import serve
from tests.support.simulated_onec import LOGIN, PASSWORD, guid, order
from warehouse.db import connect
from warehouse.sources import SourceConfig

ORDERS = "Document_ЗаказКлиента"
SOURCE = SourceConfig(id="odd", kind="onec", connection="onec", parallel_requests=2)
GOOD = 30


@dataclass
class Visit:
    """A base of orders and a warehouse."""

    base: Base
    server: OnecServer
    connection: Connection
    database: str

    def read(self) -> LoadOutcome:
        return extract(SOURCE, "order", self.connection, database_url=self.database)

    def one(self, query: str, *parameters: Any) -> Any:
        with connect(self.database, autocommit=True) as conn:
            return conn.execute(query, parameters).fetchone()  # type: ignore[arg-type]


@pytest.fixture
def visit(database: str) -> Iterator[Visit]:
    base = Base([simple_set(UT11.by_name[ORDERS], [order(n, 1 + n % 3) for n in range(1, GOOD + 1)])])
    server = OnecServer(base, LOGIN, PASSWORD)
    with connect(database, autocommit=True) as conn:
        register_source(conn, SOURCE)
    with serve(server) as root:
        yield Visit(base, server, Connection(root + PUBLICATION, LOGIN, PASSWORD), database)


@pytest.mark.parametrize("kind", ODDITIES)
def test_an_odd_record_lands_or_is_put_aside_and_the_others_land(visit: Visit, kind: str) -> None:
    key = plant(visit.base, ORDERS, kind)
    outcome = visit.read()
    assert outcome.rows_seen == GOOD + 1
    assert outcome.rows_inserted + outcome.rows_rejected == GOOD + 1
    assert visit.one("select count(*) from raw.onec_order where record_id <> %s", key) == (GOOD,)
    landed = visit.one("select number, dated_at, comment from raw.onec_order where record_id = %s", key)
    if landed is None:
        assert visit.one("select count(*) from raw.rejected_record where record_id = %s", key) == (1,)
        return
    if kind == "two_billion":
        amounts = visit.one("select max(quantity), max(amount) from raw.onec_order_line where record_id = %s", key)
        assert amounts == (Decimal("2147483648000.555"),) * 2
    elif kind == "year_1":
        assert landed[1] is None
    elif kind == "year_9999":
        assert landed[1] == datetime(9999, 12, 31, 20, 59, 59, tzinfo=UTC)
    elif kind == "long_string":
        assert len(landed[2]) == LONG
    elif kind == "huge_document":
        lines = visit.one("select count(*), max(line_no) from raw.onec_order_line where record_id = %s", key)
        assert lines == (MANY_LINES, MANY_LINES)
    else:
        assert landed[2].startswith("до")
        assert landed[2].endswith("после")


def test_many_kinds_at_once_do_not_stop_a_second_read(visit: Visit) -> None:
    for kind in ODDITIES:
        plant(visit.base, ORDERS, kind)
    first, second = visit.read(), visit.read()
    assert first.rows_inserted + first.rows_rejected == GOOD + len(ODDITIES)
    assert (second.rows_inserted, second.rows_changed) == (0, 0)


def test_no_more_requests_at_once_than_agreed(visit: Visit) -> None:
    visit.server.quirks = Quirks(work_seconds=0.02, first_request_seconds=0.3, session_start_seconds=0.05)
    visit.read()
    assert visit.server.most_working <= 2


def test_documents_that_row_level_rights_hide_are_left_out(visit: Visit) -> None:
    visit.server.quirks = Quirks(restricted=[ORDERS])
    shown = [n for n in range(1, GOOD + 1) if guid(1000 + n)[-1] in "02468ace"]
    assert visit.read().rows_inserted == len(shown)


def test_a_server_that_cannot_build_large_pages_is_asked_for_smaller_ones(visit: Visit) -> None:
    size = max(len(json.dumps(visit.base.record(ORDERS, guid(1000 + n)), default=str)) for n in range(1, GOOD + 1))
    visit.server.quirks = Quirks(page_limit_bytes=size * 3)
    assert visit.read().rows_inserted == GOOD
