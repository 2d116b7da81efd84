"""A model of work in a 1C base: whatever happens to base, network and reader, landing equals the base in the end.

Each sequence makes a small base, lets people work in it and lets Polka read it in every way, with faults in the
answers, lost receipts of the exchange plan and crashes before random statements. After each catch-up every row of
landing is compared with the base, and another catch-up must find nothing to do.

POLKA_MODEL_SEQUENCES says how many sequences are told (default 500), POLKA_MODEL_SEED gives others than the usual ones.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from clients import onec
from clients.connection import Connection
from clients.errors import ClientError
from clients.http import with_backoff
from extractors.core import paged, paging, run
from extractors.core.errors import ReadError
from extractors.core.run import LoadOutcome, extract, register_source
from simulators.onec.base import Base, simple_set
from simulators.onec.exchange import ExchangePlan
from simulators.onec.faults import Fault, FaultPlan
from simulators.onec.registers import simple_register
from simulators.onec.schema import EMPTY_GUID
from simulators.onec.server import PUBLICATION, OnecServer
from simulators.onec.ut11 import UT11
from tests.support.crashing import Crash, KeptConnections, countdown
from tests.support.in_process import ADDRESS, InProcess, in_process
from tests.support.simulated_onec import LOGIN, PASSWORD, guid
from warehouse.db import Connection as Database
from warehouse.db import connect
from warehouse.limits import SharedLimits
from warehouse.sources import ExchangePlan as PlanOption
from warehouse.sources import SourceConfig

# Read at import: a test sees no POLKA_* variable of its caller.
SEQUENCES = int(os.environ.get("POLKA_MODEL_SEQUENCES", "500"))
SEED = os.environ.get("POLKA_MODEL_SEED")
SHRINK = bool(os.environ.get("POLKA_MODEL_SHRINK"))  # a failing sequence is made as short as possible; takes minutes
STEPS = 8

ORDERS, BRANDS = "Document_ЗаказКлиента", "Catalog_Марки"
REVENUE = "AccumulationRegister_ВыручкаИСебестоимостьПродаж"
SETS = {"order": ORDERS, "brand": BRANDS, "revenue": REVENUE}
MOSCOW = ZoneInfo("Europe/Moscow")
NOW = datetime.now(MOSCOW).replace(tzinfo=None, microsecond=0)

amounts = st.decimals(min_value=0, max_value=99_999, places=2)
quantities = st.decimals(min_value=0, max_value=999, places=3)
days_ago = st.one_of(st.integers(0, 20), st.integers(60, 500), st.integers(-20, -1))
comments = st.sampled_from(
    ["", "позвонить", 'ООО "Ромашка" & <сыновья>\nвторая строка', "  отступ  ", "👍 ок", "a'b\\c"]
)
picks = st.integers(0, 1_000)
lines = st.lists(st.tuples(st.integers(1, 5), quantities, amounts, st.booleans()), max_size=3)
faults = st.one_of(
    st.just([]),
    st.lists(
        st.builds(
            Fault,
            kind=st.sampled_from(
                [
                    "status", "html", "session", "half_body", "reset", "timeout", "duplicate_page", "short_page",
                    "changed_order", "broken_json", "empty_body", "bom", "bad_utf8", "too_large", "edit",
                ]
            ),
            match=st.sampled_from(["", "$top", "$count", "SelectChanges", "NotifyChangesReceived", "$skip=2"]),
            after=st.integers(0, 4),
            times=st.sampled_from([1, 1, 2, None]),
            status=st.sampled_from([429, 500, 503, 406]),
            seconds=st.just(5.0),
            retry_after=st.sampled_from([None, 0]),
            edit=st.sampled_from(["insert", "change", "delete"]),
        ),
        min_size=1,
        max_size=2,
    ),
)  # fmt: skip
crashes = st.one_of(st.none(), st.none(), st.integers(0, 60))


@dataclass
class Rig:
    """What all sequences share: a warehouse, a way into the process, a source of names."""

    database: str
    adapter: InProcess
    conn: Database
    names: Iterator[int]


rig: Rig


class Work(RuleBasedStateMachine):
    """One base, and one source that reads it."""

    def __init__(self) -> None:
        super().__init__()
        self.number = next(rig.names)

    @initialize(by_plan=st.booleans(), first=st.integers(0, 6))
    def open(self, by_plan: bool, first: int) -> None:
        register = next(r for r in UT11.registers if r.name == REVENUE)
        self.base = Base(
            [simple_set(UT11.by_name[ORDERS], []), simple_set(UT11.by_name[BRANDS], [])],
            [simple_register(register, [])],
            ExchangePlan(content={ORDERS, BRANDS, REVENUE}) if by_plan else None,
        )
        self.server = OnecServer(self.base, LOGIN, PASSWORD)
        self.made = 0
        self.source = SourceConfig(
            id=f"model_{self.number}",
            kind="onec",
            connection="onec",
            exchange_plan=PlanOption(plan="ДляODATA", node="odata") if by_plan else None,
        )
        register_source(rig.conn, self.source)
        rig.adapter.app = self.server.app
        for number in range(first):
            self.base.write(BRANDS, {"Ref_Key": self.key(), "Description": f"Марка {number}"})
            self.create(number, [(1, Decimal(number), Decimal("10.10"), False)], "")

    # people at work

    def key(self) -> str:
        self.made += 1
        return guid(self.made)

    def some(self, name: str, pick: int) -> str | None:
        entity_set = self.base.sets[name]
        rows = sorted(entity_set.rows, key=entity_set.key)
        return entity_set.key(rows[pick % len(rows)]) if rows else None

    def create(self, ago: int, ordered: list[tuple[int, Decimal, Decimal, bool]], comment: str) -> None:
        key = self.key()
        self.base.write(
            ORDERS,
            {
                "Ref_Key": key,
                "Number": f"ТД-{self.made:06d}",
                "Date": _stamp(NOW - timedelta(days=ago, minutes=self.made)),
                "Posted": True,
                "Партнер_Key": guid(500 + self.made % 3),
                "СуммаДокумента": sum((amount for _, _, amount, _ in ordered), Decimal(0)),
                "Комментарий": comment,
                "Товары": _lines(ordered),
            },
        )
        self.post(key)

    def post(self, key: str) -> None:
        record = self.base.record(ORDERS, key)
        assert record is not None
        moves = [
            {
                "Period": record["Date"],
                "АналитикаУчетаНоменклатуры_Key": line["Номенклатура_Key"],
                "Количество": line["Количество"],
                "СуммаВыручки": line["СуммаСНДС"],
            }
            for line in record["Товары"]
        ]
        self.base.move(ORDERS, key, {REVENUE: moves} if record["Posted"] else {})

    @rule(ago=days_ago, ordered=lines, comment=comments)
    def order_comes(self, ago: int, ordered: list[tuple[int, Decimal, Decimal, bool]], comment: str) -> None:
        self.create(ago, ordered, comment)

    @rule(pick=picks, ordered=lines, comment=comments)
    def order_is_edited(self, pick: int, ordered: list[tuple[int, Decimal, Decimal, bool]], comment: str) -> None:
        key = self.some(ORDERS, pick)
        if key is not None:
            self.base.edit(ORDERS, key, {"Товары": _lines(ordered), "Комментарий": comment})
            self.post(key)

    @rule(pick=picks, ago=days_ago)
    def order_is_dated_anew(self, pick: int, ago: int) -> None:
        key = self.some(ORDERS, pick)
        if key is not None:
            self.base.edit(ORDERS, key, {"Date": _stamp(NOW - timedelta(days=ago, seconds=pick))})
            self.post(key)

    @rule(pick=picks)
    def order_is_posted_or_unposted(self, pick: int) -> None:
        key = self.some(ORDERS, pick)
        record = self.base.record(ORDERS, key) if key is not None else None
        if key is not None and record is not None:
            self.base.edit(ORDERS, key, {"Posted": not record["Posted"]})
            self.post(key)

    @rule(pick=picks, name=st.sampled_from([ORDERS, BRANDS]))
    def record_is_marked_for_deletion(self, pick: int, name: str) -> None:
        key = self.some(name, pick)
        if key is not None:
            self.base.edit(name, key, {"DeletionMark": pick % 3 != 0} | ({"Posted": False} if name == ORDERS else {}))
            if name == ORDERS:
                self.post(key)

    @rule(pick=picks, name=st.sampled_from([ORDERS, BRANDS]))
    def record_is_deleted_for_good(self, pick: int, name: str) -> None:
        key = self.some(name, pick)
        if key is not None:
            self.base.remove(name, key)

    @rule(pick=picks)
    def record_is_written_without_a_change(self, pick: int) -> None:
        key = self.some(ORDERS, pick)
        if key is not None:
            self.base.edit(ORDERS, key, {})

    @rule(name=st.text("абв ", max_size=8))
    def brand_comes(self, name: str) -> None:
        self.base.write(BRANDS, {"Ref_Key": self.key(), "Description": name})

    @rule(pick=picks, name=st.text("абв ", max_size=8))
    def brand_is_renamed(self, pick: int, name: str) -> None:
        key = self.some(BRANDS, pick)
        if key is not None:
            self.base.edit(BRANDS, key, {"Description": name})

    # reading

    def read(self, entity: str, **options: Any) -> LoadOutcome:
        return extract(self.source, entity, CONNECTION, database_url=rig.database, triggered_by="test", **options)

    def try_reading(self, entity: str, broken: list[Fault], crash: int | None, **options: Any) -> LoadOutcome | None:
        """A read that may fail or die; None when it did."""
        rig.adapter.app = self.server.app
        self.server.faults = FaultPlan([Fault(**{**vars(f), "seen": 0, "hits": 0}) for f in broken])
        countdown.left = crash
        try:
            return self.read(entity, **options)
        except (ClientError, ReadError, Crash):
            return None
        finally:
            countdown.left = None
            self.server.faults = FaultPlan()

    @rule(entity=st.sampled_from(["order", "order", "brand", "revenue"]), broken=faults, crash=crashes)
    def polka_reads(self, entity: str, broken: list[Fault], crash: int | None) -> None:
        since = _cursor(self.source.id, entity)
        outcome = self.try_reading(entity, broken, crash)
        if outcome is None or broken or self.source.exchange_plan is not None:
            return
        if entity == "order":
            # Whatever is dated after the cursor less the overlap is known now.
            limit = since - timedelta(days=45) if since else datetime(1, 1, 2, tzinfo=UTC)
            landed, real = _landed_orders(self.source.id), self.orders()
            assert {k: v for k, v in real.items() if v[1] is None or v[1] >= limit} == {
                k: v for k, v in landed.items() if k in real and (real[k][1] is None or real[k][1] >= limit)
            }
        else:
            self.compare(entity)

    @rule(broken=faults, crash=crashes, ago=st.integers(0, 300), length=st.integers(1, 400))
    def polka_reads_a_window(self, broken: list[Fault], crash: int | None, ago: int, length: int) -> None:
        end = NOW.replace(tzinfo=MOSCOW) - timedelta(days=ago)
        window = (end - timedelta(days=length), end)
        outcome = self.try_reading("order", broken, crash, mode="window", window=window)
        if outcome is not None and not broken:
            landed = _landed_orders(self.source.id)
            inside = {k: v for k, v in self.orders().items() if v[1] is not None and window[0] <= v[1] < window[1]}
            assert {k: landed.get(k) for k in inside} == inside
            for key in landed.keys() - self.orders().keys():
                moment = landed[key][1]
                assert moment is None or not window[0] <= moment < window[1]

    @rule(entity=st.sampled_from(["order", "revenue"]), broken=faults, crash=crashes)
    def polka_reconciles(self, entity: str, broken: list[Fault], crash: int | None) -> None:
        if self.base.find(SETS[entity]).rows or not _landed(self.source.id, entity):  # type: ignore[union-attr]
            self.try_reading(entity, broken, crash, mode="reconcile")

    @precondition(lambda self: self.made > 0)
    @rule()
    def polka_catches_up(self) -> None:
        self.keep_something()
        self.catch_up()

    def catch_up(self) -> None:
        """The nightly read and the weekly comparison, undisturbed: then every row is as in the base."""
        for entity in SETS:
            self.whole(entity)
            self.compare(entity)

    def find_nothing(self) -> None:
        """Another catch-up: nothing is loaded twice."""
        rewritten = _history(self.source.id)
        for entity in SETS:
            for outcome in self.whole(entity):
                assert (outcome.rows_inserted, outcome.rows_changed, outcome.rows_deleted) == (0, 0, 0)
        assert _history(self.source.id) == rewritten

    def whole(self, entity: str) -> list[LoadOutcome]:
        rig.adapter.app = self.server.app
        outcomes = [self.read(entity)]
        found = self.base.find(SETS[entity])
        assert found is not None
        if entity != "brand" and (found.rows or not _landed(self.source.id, entity)):
            outcomes.append(self.read(entity, mode="reconcile"))
        return outcomes

    def teardown(self) -> None:
        if hasattr(self, "base"):
            self.keep_something()
            self.catch_up()
            self.find_nothing()

    def keep_something(self) -> None:
        """A base that shows nothing at all is taken for lost rights: nobody empties a base of years."""
        if not self.base.sets[ORDERS].rows or not self.base.registers[REVENUE].records.rows:
            self.create(1, [(1, Decimal(1), Decimal(1), False)], "")

    # comparison

    def orders(self) -> dict[str, tuple[Any, ...]]:
        entity_set = self.base.sets[ORDERS]
        return {entity_set.key(row): _expected_order(entity_set.exact(row)) for row in entity_set.rows}

    def compare(self, entity: str) -> None:
        if entity == "order":
            assert _landed_orders(self.source.id) == self.orders()
        elif entity == "brand":
            brands = self.base.sets[BRANDS]
            expected = {
                brands.key(row): ((record := brands.exact(row))["Description"].rstrip() or None, record["DeletionMark"])
                for row in brands.rows
            }
            found = rig.conn.execute(
                "select record_id, name, deletion_mark from raw.onec_brand where instance = %s and deleted_at is null",
                [self.source.id],
            ).fetchall()
            assert {row[0]: tuple(row[1:]) for row in found} == expected
        else:
            register = self.base.registers[REVENUE]
            expected_moves: dict[str, list[tuple[Any, ...]]] = {}
            for row in register.records.rows:
                record = register.records.exact(row)
                expected_moves.setdefault(record["Recorder"], []).append(
                    (int(record["LineNumber"]), _moment(record["Period"]), record["Количество"], record["СуммаВыручки"])
                )
            moves: dict[str, list[tuple[Any, ...]]] = {}
            for key, *values in rig.conn.execute(
                "select l.record_id, l.line_no, l.moved_at, l.quantity, l.revenue from raw.onec_revenue_line as l"
                " join raw.onec_revenue as r using (instance, record_id) where instance = %s and r.deleted_at is null",
                [self.source.id],
            ).fetchall():
                moves.setdefault(key, []).append(tuple(values))
            assert {k: sorted(v) for k, v in moves.items()} == {k: sorted(v) for k, v in expected_moves.items()}


CONNECTION = Connection(ADDRESS + PUBLICATION, LOGIN, PASSWORD)


def _stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")


def _moment(text: str) -> datetime | None:
    return None if text.startswith("0001-01-01") else datetime.fromisoformat(text).replace(tzinfo=MOSCOW)


def _lines(ordered: list[tuple[int, Decimal, Decimal, bool]]) -> list[dict[str, Any]]:
    return [
        {
            "Номенклатура_Key": guid(700 + product),
            "Количество": quantity,
            "Цена": amount,
            "Сумма": amount,
            "СуммаСНДС": amount,
            "Отменено": cancelled,
        }
        for product, quantity, amount, cancelled in ordered
    ]


def _expected_order(record: Mapping[str, Any]) -> tuple[Any, ...]:
    partner = record["Партнер_Key"]
    return (
        record["Number"].rstrip() or None,
        _moment(record["Date"]),
        record["Posted"],
        record["DeletionMark"],
        None if partner == EMPTY_GUID else partner,
        Decimal(record["СуммаДокумента"]),
        record["Комментарий"].rstrip() or None,
        [
            (
                number,
                line["Номенклатура_Key"],
                Decimal(line["Количество"]),
                Decimal(line["СуммаСНДС"]),
                line["Отменено"],
            )
            for number, line in enumerate(record["Товары"], start=1)
        ],
    )


def _landed_orders(instance: str) -> dict[str, tuple[Any, ...]]:
    ordered: dict[str, list[tuple[Any, ...]]] = {}
    for key, *values in rig.conn.execute(
        "select record_id, line_no, product_id, quantity, amount_with_vat, cancelled from raw.onec_order_line"
        " where instance = %s order by record_id, line_no",
        [instance],
    ).fetchall():
        ordered.setdefault(key, []).append(tuple(values))
    heads = rig.conn.execute(
        "select record_id, number, dated_at, posted, deletion_mark, partner_id, amount, comment from raw.onec_order"
        " where instance = %s and deleted_at is null",
        [instance],
    ).fetchall()
    return {key: (*values, ordered.get(key, [])) for key, *values in heads}


def _landed(instance: str, entity: str) -> bool:
    table = {"order": "raw.onec_order", "revenue": "raw.onec_revenue", "brand": "raw.onec_brand"}[entity]
    query = f"select 1 from {table} where instance = %s and deleted_at is null limit 1"
    return rig.conn.execute(query, [instance]).fetchone() is not None  # type: ignore[arg-type]


def _cursor(instance: str, entity: str) -> datetime | None:
    row = rig.conn.execute(
        "select position from ops.cursor where instance = %s and entity = %s", [instance, entity]
    ).fetchone()
    return row[0] if row else None


def _history(instance: str) -> list[tuple[Any, ...]]:
    return rig.conn.execute(
        "select 'order', count(*) from raw_history.onec_order where instance = %(i)s"
        " union all select 'order_line', count(*) from raw_history.onec_order_line where instance = %(i)s"
        " union all select 'brand', count(*) from raw_history.onec_brand where instance = %(i)s"
        " union all select 'revenue_line', count(*) from raw_history.onec_revenue_line where instance = %(i)s",
        {"i": instance},
    ).fetchall()


@pytest.fixture
def stage(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    global rig
    # Small pages, no pauses, tables made and connections opened once.
    monkeypatch.setattr(paging, "FIRST_PAGE", 2)
    monkeypatch.setattr(paging, "MAX_PAGE", 3)
    # A handful of documents is many here: they are compared by their ids and read in slices of time.
    monkeypatch.setattr(paged, "OVERLAP_RECORDS", 3)
    monkeypatch.setattr(paged, "SLICE_RECORDS", 6)
    monkeypatch.setattr(onec, "with_backoff", partial(with_backoff, sleep=lambda seconds: None))
    monkeypatch.setattr(run, "ensure_tables", lambda conn: [])
    with in_process() as adapter, connect(database, autocommit=True) as conn:
        conn.execute("set synchronous_commit = off")
        lent = KeptConnections(database)
        monkeypatch.setattr(run, "connect", lent.borrowed)
        monkeypatch.setattr(SharedLimits, "slot", lambda *arguments: nullcontext())
        countdown.left = None
        rig = Rig(database, adapter, conn, count(1))
        yield
        lent.close()


@pytest.mark.timeout(900 + 5 * SEQUENCES)
def test_landing_equals_the_base_whatever_happened(stage: None) -> None:
    seen = settings(
        max_examples=SEQUENCES,
        stateful_step_count=STEPS,
        deadline=None,
        derandomize=SEED is None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink] if SHRINK else [Phase.generate],
        database=None,
    )
    machine = Work if SEED is None else seed(int(SEED))(Work)
    run_state_machine_as_test(machine, settings=seen)


@pytest.mark.parametrize("by_plan", [False, True])
def test_an_old_movement_that_changed_is_found(stage: None, by_plan: bool) -> None:
    """Movements have no version that a comparison of ids could show to differ."""
    state = Work()
    state.open(by_plan=by_plan, first=1)
    state.order_comes(ago=300, ordered=[(1, Decimal(1), Decimal(5), False)], comment="")
    state.catch_up()
    state.order_is_edited(pick=1, ordered=[(1, Decimal(2), Decimal(7), False)], comment="")
    state.catch_up()
    state.find_nothing()
