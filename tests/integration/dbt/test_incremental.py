"""Incremental marts equal marts built from nothing, whatever happened to the documents in between."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import pytest
from psycopg import sql

from extractors.core.run import ensure_tables
from warehouse.db import Connection, connect
from warehouse.dbt_runner import build, run_dbt
from warehouse.reference import ensure_tables as ensure_reference_tables

AS_OF = date(2025, 6, 10)
FIRST_DAY = date(2025, 1, 13)
# One landing time for everything, before and after: nothing here may depend on timestamps that differ.
LANDED_AT = datetime(2025, 6, 10, 3, 0, tzinfo=UTC)
BASE = "base"
MARTS = (
    "fct_order_line",
    "fct_shipment_line",
    "fct_return_line",
    "fct_adjustment_line",
    "fct_order_occasion",
    "order_expectation",
    "follow_up",
    "order_assortment_gap",
    "order_quantity_gap",
    "order_compliance",
    "order_fulfilment",
    "sales_daily",
    "sku_placement",
    "placement_opportunity",
    "outlet_standard",
    "distribution_qualitative",
    "active_base_bridge",
    "revenue_decomposition",
    "product_popularity",
    "seasonality_index",
    "order_size_monthly",
    "client_segment",
    "client_retention",
    "client_pnl",
    "distribution_weighted",
    "distribution_numeric",
    "dim_outlet",
    "dim_client",
    "dim_client_history",
    "dim_outlet_history",
    "client_lifecycle",
    "client_timeline",
    "client_card",
    "receivable_open_item",
    "receivable_rollforward",
)
# What remembers the state that the marts were built from.
STATES = (
    "int_order_basket_words_built",
    "int_meaning_built",
    "int_sku_built",
    "int_distribution_month_built",
    "int_sale_cost_words_built",
    "int_pnl_words_built",
    "int_receivable_words_built",
    "int_outlet_words_built",
)
OUTLETS = [f"outlet {number}" for number in range(12)]
PRODUCTS = ["milk", "kefir", "butter", "cheese", "delivery", "crate"]
REASONS = {"out of stock": "Нет товара на складе", "refused": "Отказ клиента", "odd": "Прочее"}


@dataclass
class Landing:
    """Writes landing rows the way the landing engine leaves them: a changed document carries a new load_id."""

    connection: Connection
    random: random.Random
    load_id: int = 1

    def put(self, table: str, **columns: object) -> None:
        names = [sql.Identifier(name) for name in columns]
        self.connection.execute(
            sql.SQL("insert into raw.{} ({}) values ({})").format(
                sql.Identifier(table), sql.SQL(", ").join(names), sql.SQL(", ").join([sql.Placeholder()] * len(names))
            ),
            list(columns.values()),
        )

    def record(self, entity: str, record_id: str, **columns: object) -> None:
        self.put(
            f"onec_{entity}",
            instance=BASE,
            record_id=record_id,
            row_hash=b"any",
            loaded_at=LANDED_AT,
            load_id=self.load_id,
            **columns,
        )

    def change(self, entity: str, record_id: str, **columns: object) -> None:
        """Change header columns of a document or fields of a catalogue record."""
        columns |= {"load_id": self.load_id}
        pairs = [sql.SQL("{} = %s").format(sql.Identifier(name)) for name in columns]
        changed = self.connection.execute(
            sql.SQL("update raw.{} set {} where instance = %s and record_id = %s").format(
                sql.Identifier(f"onec_{entity}"), sql.SQL(", ").join(pairs)
            ),
            [*columns.values(), BASE, record_id],
        )
        assert changed.rowcount == 1, (entity, record_id)

    def order(self, order_id: str, outlet: str, day: date, *, shipped: bool = True, posted: bool = True) -> None:
        at = datetime.combine(day, time(self.random.randrange(0, 24)), UTC)
        header = {"partner_id": outlet, "organisation_id": "branch", "manager_id": "rep", "deletion_mark": False}
        self.record("order", order_id, number=order_id, dated_at=at, posted=posted, status="КОтгрузке", **header)
        if shipped:
            money = {"amount": Decimal(500), "contract_id": f"contract of {outlet}"}
            self.record(
                "shipment",
                f"s {order_id}",
                number=order_id,
                dated_at=at,
                posted=True,
                order_id=order_id,
                **header,
                **money,
            )
        for line_no in range(1, self.random.randrange(2, 6)):
            product, quantity = self.random.choice(PRODUCTS), Decimal(self.random.randrange(1, 20))
            price = Decimal(self.random.choice(["0", "10.50", "99.99"]))
            goods = {"product_id": product, "quantity": quantity, "price": price, "amount_with_vat": quantity * price}
            cancelled = self.random.random() < 0.15
            reason = self.random.choice(list(REASONS)) if cancelled else None
            self.line("order_line", order_id, line_no, cancelled=cancelled, cancellation_reason_id=reason, **goods)
            if shipped and not cancelled:
                self.line("shipment_line", f"s {order_id}", line_no, **goods)

    def give_back(self, return_id: str, shipment_id: str | None, outlet: str, day: date, product: str) -> None:
        at = datetime.combine(day, time(12), UTC)
        header = {"partner_id": outlet, "organisation_id": "branch", "deletion_mark": False}
        self.record("return", return_id, number=return_id, dated_at=at, posted=True, **header)
        goods = {"product_id": product, "quantity": 500, "price": 1, "amount_with_vat": 500}
        self.line("return_line", return_id, 1, shipment_id=shipment_id, **goods)

    def pay(self, payment_id: str, outlet: str, day: date, amount: int, shipment_id: str | None) -> None:
        """Money that names a shipment, or nothing."""
        at = datetime.combine(day, time(12), UTC)
        contract = {"contract_id": f"contract of {outlet}", "amount": Decimal(amount)}
        self.record(
            "bank_receipt", payment_id, number=payment_id, dated_at=at, posted=True, deletion_mark=False, **contract
        )
        basis = {"basis_id": shipment_id, "basis_type": "Document_РеализацияТоваровУслуг"} if shipment_id else {}
        self.line("bank_receipt_allocation", payment_id, 1, **contract, **basis)

    def line(self, entity: str, record_id: str, line_no: int, **columns: object) -> None:
        self.put(f"onec_{entity}", instance=BASE, record_id=record_id, line_no=line_no, load_id=self.load_id, **columns)

    def some(self, entity: str) -> str:
        """A random record that is there and not a stranger to the marts."""
        rows = self.connection.execute(
            sql.SQL("select record_id from raw.{} where deleted_at is null order by 1").format(
                sql.Identifier(f"onec_{entity}")
            )
        ).fetchall()
        return str(self.random.choice(rows)[0])


def seed(landing: Landing) -> None:
    landing.connection.execute(
        """
        insert into ops.source_instance (instance, kind, mapping, time_zone, outlet_lives_in, branches)
        values (%s, 'onec', 'ut11', 'Europe/Moscow', 'sub_partner', 'by_organization')
        """,
        [BASE],
    )
    landing.record("organisation", "branch", name="Филиал", deletion_mark=False)
    landing.record("manager", "rep", name="Анна", deletion_mark=False)
    for client in ("client a", "client b", "client c"):
        landing.record("partner", client, name=client, is_client=True, deletion_mark=False, manager_id="rep")
    for number, outlet in enumerate(OUTLETS):
        parent = f"client {'abc'[number % 3]}"
        landing.record(
            "partner", outlet, code=outlet, name=outlet, parent_id=parent, is_client=True, deletion_mark=False
        )
    for product in PRODUCTS:
        kind = {"delivery": "Услуга", "crate": "МногооборотнаяТара"}.get(product, "Товар")
        landing.record(
            "product", product, code=product, name=product, product_type=kind, is_folder=False, brand_id=product[:1]
        )
    for reason, name in REASONS.items():
        landing.record("cancellation_reason", reason, name=name, deletion_mark=False)
    for number, outlet in enumerate(OUTLETS):
        every = 3 + number
        silent_for = 2 * every + 3 if number % 3 == 0 else 0
        for turn, offset in enumerate(range(0, (AS_OF - FIRST_DAY).days + 3 - silent_for, every)):
            landing.order(f"o {number}-{turn}", outlet, FIRST_DAY + timedelta(days=offset), posted=turn % 11 != 10)
    agreed = {"status": "Действует", "valid_from": FIRST_DAY, "order_every_weeks": 1, "deletion_mark": False}
    landing.record("agreement", "weekly", partner_id="outlet 6", order_weekdays="пн,чт", **agreed)
    for number in range(5):
        client = f"client {'abc'[number % 3]}"
        landing.record("legal_entity", f"entity {number}", name=f"entity {number}", partner_id=client, is_folder=False)
    for number, outlet in enumerate(OUTLETS):
        landing.record("contract", f"contract of {outlet}", legal_entity_id=f"entity {number % 5}", deferral_days=14)
        for turn in range(4):
            landing.pay(
                f"p {number}-{turn}", outlet, FIRST_DAY + timedelta(days=60 + turn), 500, f"s o {number}-{turn}"
            )
    landing.pay("p for nothing", OUTLETS[0], FIRST_DAY + timedelta(days=90), 700, None)
    for turn in range(6):
        landing.give_back(f"r {turn}", f"s o {turn}-2", OUTLETS[turn], AS_OF - timedelta(days=30), "milk")

    ensure_reference_tables(landing.connection)
    for number, product in enumerate(("milk", "kefir", "butter")):
        landing.connection.execute(
            """
            insert into reference.must_list (row_no, loaded_at, standard, product_code, valid_from)
            values (%s, %s, 'must', %s, %s)
            """,
            [number, LANDED_AT, product, FIRST_DAY],
        )
    landing.connection.execute(
        "insert into reference.pause (row_no, loaded_at, outlet_code, valid_from, valid_to) values (1, %s, %s, %s, %s)",
        [LANDED_AT, OUTLETS[3], AS_OF - timedelta(days=20), AS_OF - timedelta(days=10)],
    )


def edit_a_line(landing: Landing) -> None:
    order = landing.some("order")
    landing.connection.execute(
        "update raw.onec_order_line set quantity = 777, amount_with_vat = 7777.77 where record_id = %s", [order]
    )
    landing.change("order", order)


def drop_a_line(landing: Landing) -> None:
    for entity in ("order", "shipment", "return"):
        record = landing.some(entity)
        landing.connection.execute(
            sql.SQL("delete from raw.{} where record_id = %s and line_no = 1").format(
                sql.Identifier(f"onec_{entity}_line")
            ),
            [record],
        )
        landing.change(entity, record)


def add_a_line(landing: Landing) -> None:
    shipment = landing.some("shipment")
    landing.line("shipment_line", shipment, 99, product_id="milk", quantity=3, price=5, amount_with_vat=15)
    landing.change("shipment", shipment)


def delete_documents(landing: Landing) -> None:
    for entity in ("order", "shipment", "return"):
        landing.change(entity, landing.some(entity), deleted_at=LANDED_AT)


def take_back_documents(landing: Landing) -> None:
    for entity in ("order", "shipment", "return"):
        landing.change(entity, landing.some(entity), posted=False)
        landing.change(entity, landing.some(entity), deletion_mark=True)


def post_drafts(landing: Landing) -> None:
    for (order,) in landing.connection.execute(
        "select record_id from raw.onec_order where not posted and deleted_at is null order by 1 limit 3"
    ).fetchall():
        landing.change("order", order, posted=True)


def date_back(landing: Landing) -> None:
    for entity in ("order", "shipment", "return"):
        landing.change(entity, landing.some(entity), dated_at=datetime(2025, 3, 3, 20, 59, tzinfo=UTC))
        landing.change(entity, landing.some(entity), dated_at=datetime(2025, 3, 3, 21, 1, tzinfo=UTC))


def move_a_document_to_another_outlet(landing: Landing) -> None:
    for entity in ("order", "shipment", "return"):
        landing.change(entity, landing.some(entity), partner_id=landing.random.choice(OUTLETS))


def move_an_outlet_to_another_client(landing: Landing) -> None:
    landing.change("partner", "outlet 3", parent_id="client b")
    landing.change("partner", "outlet 4", parent_id=None)


def turn_goods_into_a_service(landing: Landing) -> None:
    landing.change("product", "butter", product_type="Услуга")


def rename_a_reason(landing: Landing) -> None:
    landing.change("cancellation_reason", "odd", name="Клиент передумал")
    landing.change("cancellation_reason", "refused", name="Отказ поставщика")


def say_something_else(landing: Landing) -> None:
    landing.connection.execute(
        "update reference.must_list set valid_from = valid_from + 70 where product_code = 'kefir'"
    )
    landing.connection.execute("update reference.pause set outlet_code = %s", [OUTLETS[9]])


def name_another_order(landing: Landing) -> None:
    """A shipment of one outlet for the order of another, and one for an order that names no outlet."""
    landing.change("shipment", landing.some("shipment"), order_id=landing.some("order"))
    landing.change("shipment", landing.some("shipment"), order_id=None)
    order = landing.some("order")
    landing.change("order", order, partner_id=None)
    landing.change("shipment", landing.some("shipment"), order_id=order)


def close_an_order_that_was_not_shipped(landing: Landing) -> None:
    landing.order("closed", OUTLETS[4], AS_OF - timedelta(days=9), shipped=False)
    landing.change("order", "closed", status="Закрыт", requested_on=AS_OF - timedelta(days=8))


def cancel_an_order(landing: Landing) -> None:
    for reason in REASONS:
        order = landing.some("order")
        landing.connection.execute(
            "update raw.onec_order_line set cancelled = true, cancellation_reason_id = %s where record_id = %s",
            [reason, order],
        )
        landing.change("order", order)


def add_documents(landing: Landing) -> None:
    landing.order("new today", OUTLETS[0], AS_OF)
    landing.order("new long ago", OUTLETS[1], FIRST_DAY - timedelta(days=40))
    landing.order("for a stranger", "partner that has not landed", AS_OF - timedelta(days=3))
    landing.order("ahead", OUTLETS[2], AS_OF + timedelta(days=2), shipped=False)
    landing.give_back("r new", landing.some("shipment"), OUTLETS[5], AS_OF, "kefir")


def pay_otherwise(landing: Landing) -> None:
    """Settled shipments become open again, open ones settled; money moves to other days, shipments and contracts."""
    landing.pay("twice", OUTLETS[1], AS_OF - timedelta(days=9), 500, "s o 1-1")
    landing.pay("in full", OUTLETS[2], AS_OF - timedelta(days=8), 500, "s o 2-5")
    landing.pay("tomorrow", OUTLETS[3], AS_OF + timedelta(days=1), 500, "s o 3-5")
    landing.pay("in advance", OUTLETS[5], AS_OF, 5000, None)
    landing.change("bank_receipt", "p 4-0", deleted_at=LANDED_AT)
    landing.change("bank_receipt", "p 4-1", posted=False)
    landing.change("bank_receipt", "p 5-0", dated_at=datetime(2025, 4, 30, 21, 1, tzinfo=UTC))
    for payment, columns in (
        ("p 6-0", "basis_id = 's o 6-7'"),
        ("p 6-1", "basis_id = null"),
        ("p 6-2", "amount = 499.99"),
    ):
        landing.connection.execute(
            f"update raw.onec_bank_receipt_allocation set {columns} where record_id = %s".encode(), [payment]
        )
        landing.change("bank_receipt", payment)
    landing.change("shipment", "s o 7-2", amount=Decimal(700))
    landing.change("shipment", "s o 8-1", contract_id="contract of outlet 9")
    landing.change("contract", "contract of outlet 10", legal_entity_id="entity 0")
    landing.change("contract", "contract of outlet 11", legal_entity_id=None)


def move_the_base_to_another_zone(landing: Landing) -> None:
    landing.connection.execute("update ops.source_instance set time_zone = 'Europe/Samara'")


def let_outlets_live_elsewhere(landing: Landing) -> None:
    for order in {landing.some("order") for _ in range(5)}:
        landing.change("order", order, delivery_address="Ленина, 14")
    landing.connection.execute("update ops.source_instance set outlet_lives_in = 'delivery_address'")


def a_branch_that_is_no_branch(landing: Landing) -> None:
    landing.connection.execute("update ops.source_instance set branches = 'none'")


DOCUMENT_EDITS: list[Callable[[Landing], None]] = [
    edit_a_line,
    drop_a_line,
    add_a_line,
    delete_documents,
    take_back_documents,
    post_drafts,
    date_back,
    move_a_document_to_another_outlet,
    name_another_order,
    close_an_order_that_was_not_shipped,
    cancel_an_order,
    add_documents,
    pay_otherwise,
]
# Rounds are apart so that one edit, which renews everything, cannot hide that another renews too little.
ROUNDS: dict[str, list[Callable[[Landing], None]]] = {
    "documents": DOCUMENT_EDITS,
    "catalogues": [move_an_outlet_to_another_client, turn_goods_into_a_service],
    "reasons": [rename_a_reason, say_something_else],
    "branches": [a_branch_that_is_no_branch],
    "outlets": [move_the_base_to_another_zone, let_outlets_live_elsewhere],
}


def keep(conn: Connection, name: str) -> None:
    conn.execute(sql.SQL("create schema {}").format(sql.Identifier(name)))
    for mart in MARTS:
        conn.execute(
            sql.SQL("create table {}.{} as select * from marts.{}").format(
                sql.Identifier(name), sql.Identifier(mart), sql.Identifier(mart)
            )
        )


def differences(conn: Connection, kept: str) -> dict[str, int]:
    """Rows of each mart that differ from the kept copy, both ways."""
    found = {}
    for mart in MARTS:
        row = conn.execute(
            sql.SQL(
                """
                select count(*) from (
                    (select * from {kept}.{mart} except all select * from marts.{mart})
                    union all
                    (select * from marts.{mart} except all select * from {kept}.{mart})
                ) as different
                """
            ).format(kept=sql.Identifier(kept), mart=sql.Identifier(mart))
        ).fetchone()
        assert row is not None
        if row[0]:
            found[mart] = row[0]
    return found


def dbt(
    database: str,
    *,
    full_refresh: bool = False,
    as_of: date = AS_OF,
    variables: dict[str, object] | None = None,
    dies_before: tuple[str, ...] = (),
) -> None:
    """The compared marts, what leads to them and what remembers their state; the first build ran the tests."""
    refresh = ["--full-refresh"] if full_refresh else []
    marts = [f"+{model}" for model in (*MARTS, *STATES)]
    without = ["--exclude", *(f"{model}+" for model in dies_before)] if dies_before else []
    for command, selected in (("seed", []), ("run", ["--select", *marts, *without])):
        values = {"as_of": as_of.isoformat()} | (variables or {})
        arguments = [command, "--vars", json.dumps(values), *refresh, *selected]
        code, tail = run_dbt(arguments, database)
        assert code == 0, tail


@pytest.mark.timeout(1800)
def test_incremental_equals_a_build_from_nothing(database: str) -> None:
    with connect(database) as conn:
        ensure_tables(conn)
        landing = Landing(conn, random.Random(20250610))
        seed(landing)
    build(AS_OF, triggered_by="test", database_url=database)
    with connect(database) as conn:
        assert conn.execute("select count(*) > 200 from marts.fct_order_line").fetchone() == (True,)
        assert conn.execute("select count(*) > 0 from marts.follow_up").fetchone() == (True,)
        keep(conn, "first")

    dbt(database)
    with connect(database) as conn:
        assert differences(conn, "first") == {}, "a second build of the same landing changed something"

    before = "first"
    for number, (name, edits) in enumerate(ROUNDS.items()):
        with connect(database) as conn:
            landing = Landing(conn, random.Random(number), load_id=2 + number)
            for edit in edits:
                edit(landing)
        dbt(database)
        with connect(database) as conn:
            assert differences(conn, before), f"{name}: the edits did not reach the marts"
            keep(conn, name)
        dbt(database, full_refresh=True)
        with connect(database) as conn:
            assert differences(conn, name) == {}, name
        before = name


def number(conn: Connection, query: str, *values: object) -> int:
    row = conn.execute(query.encode(), values).fetchone()
    assert row is not None
    return int(row[0])


def read_stock(landing: Landing, day: date, on_hand: int) -> None:
    landing.connection.execute("delete from raw.onec_stock")
    for product in PRODUCTS:
        landing.record("stock", product, product_id=product, warehouse_id="main", on_hand=on_hand, to_ship=0)
    at = datetime.combine(day, time(9), UTC)
    landing.connection.execute(
        """
        with run as (
            insert into ops.load_run (instance, entity, mode, status) values (%s, 'stock', 'snapshot', 'done')
            returning instance, entity, load_id
        )
        insert into ops.coverage (instance, entity, covered_until, last_success_at, load_id)
        select instance, entity, %s, %s, load_id from run
        on conflict (instance, entity) do update set covered_until = excluded.covered_until
        """,
        [BASE, at, at],
    )


@pytest.mark.timeout(1200)
def test_marts_follow_what_a_build_that_died_a_calendar_and_a_rule_leave_behind(database: str) -> None:
    """One warehouse through several builds: what could stay in the marts although it is no longer true."""
    short_history: dict[str, object] = {"order_gap_history_days": 60}
    long_ago = FIRST_DAY - timedelta(days=90)
    with connect(database) as conn:
        ensure_tables(conn)
        seed(Landing(conn, random.Random(1)))
    dbt(database, variables=short_history)

    # Deleted, emptied and unposted documents; others decoded anew under their old load, as `polka reland` leaves them;
    # some seen only by a build that dies before it remembers anything.
    with connect(database) as conn:
        row = conn.execute("select max(ordered_on) from marts.order_assortment_gap").fetchone()
        assert row is not None
        stock_day: date = row[0]
        landing = Landing(conn, random.Random(2), load_id=2)
        landing.change("order", "o 0-1", deleted_at=LANDED_AT)
        conn.execute("delete from raw.onec_order_line where record_id = 'o 0-2'")
        landing.change("order", "o 0-2")
        landing.change("shipment", "s o 0-3", posted=False)
        for document, record_id in (("order", "o 1-0"), ("shipment", "s o 1-0")):
            conn.execute(
                sql.SQL("update raw.{} set quantity = 777 where record_id = %s").format(
                    sql.Identifier(f"onec_{document}_line")
                ),
                [record_id],
            )
            Landing(conn, random.Random(1)).change(document, record_id, row_hash=b"another")
        landing.order("short-lived", OUTLETS[7], long_ago)
        landing.change("order", "o 2-1", partner_id=OUTLETS[8])
        read_stock(landing, stock_day, on_hand=10)
    dbt(database, variables=short_history, dies_before=("int_document_built", "int_outlet_built"))
    with connect(database) as conn:
        assert number(conn, "select count(*) from marts.sales_daily where sold_on < %s", FIRST_DAY) > 0
        landing = Landing(conn, random.Random(3), load_id=3)
        for document, record_id in (("order", "short-lived"), ("shipment", "s short-lived")):
            landing.change(document, record_id, deleted_at=LANDED_AT)
        landing.change("order", "o 2-1", partner_id=OUTLETS[2])
        read_stock(landing, stock_day, on_hand=0)
    dbt(database, variables=short_history)
    with connect(database) as conn:
        for mart, column in (("fct_order_line", "order_id"), ("order_fulfilment", "order_id")):
            kept = f"select count(*) from marts.{mart} where {column} in ('o 0-1', 'o 0-2', 'short-lived')"
            assert number(conn, kept) == 0, mart
        for mart, day in (
            ("fct_order_occasion", "ordered_on"),
            ("fct_shipment_line", "shipped_on"),
            ("sales_daily", "sold_on"),
            ("order_size_monthly", "month_start"),
            ("distribution_numeric", "period_start"),
        ):
            before = date(FIRST_DAY.year, FIRST_DAY.month, 1)
            assert number(conn, f"select count(*) from marts.{mart} where {day} < %s", before) == 0, mart
        assert number(conn, "select count(*) from marts.fct_shipment_line where shipment_id = 's o 0-3'") == 0
        for mart in ("fct_order_line", "fct_shipment_line"):
            assert number(conn, f"select count(*) from marts.{mart} where quantity = 777") > 0, mart
        refused = "select count(*) from marts.order_assortment_gap where ordered_on = %s"
        assert number(conn, refused, stock_day) > 0
        assert number(conn, refused + " and not is_our_fault", stock_day) == 0, "the stock that was read again"

    # An earlier business date, which judges orders that the later one had forgotten; days off that were working days.
    earlier = AS_OF - timedelta(days=10)
    with connect(database) as conn:
        off = earlier - timedelta(days=20)
        conn.execute("update ops.production_calendar set is_working_day = not is_working_day where day > %s", [off])
    dbt(database, variables=short_history, as_of=earlier)
    with connect(database) as conn:
        keep(conn, "earlier")
    dbt(database, variables=short_history, as_of=earlier, full_refresh=True)
    with connect(database) as conn:
        assert differences(conn, "earlier") == {}
        # Numbers as an older definition would have left them.
        conn.execute("update marts.fct_order_line set quantity = 1")
        conn.execute("update marts.sales_daily set kept_amount = 1")
        conn.execute("update intermediate.int_meaning_built set meaning = 'older' where word_kind = 'rules'")
    dbt(database, variables=short_history, as_of=earlier)
    with connect(database) as conn:
        assert differences(conn, "earlier") == {}
