"""A distributor of so many order lines, written straight into landing by SQL: ten to an order.

Two thousand outlets order once a week, on a weekday of their own, ten positions of their own twelve; the goods are
shipped on the next working day, and a little of them comes back. A shipment is paid one to three weeks later, one of
twenty four weeks after that: what is unpaid is some weeks' worth. So a working day always has 400 orders with 4,000
lines, however long the history: 10^6 lines are one year of it, 10^7 are ten.
"""

from dataclasses import dataclass
from datetime import date, timedelta

from psycopg import ClientCursor, sql

from warehouse.db import Connection

INSTANCE = "bench"
OUTLETS = 2000
PRODUCTS = 240
LINES_OF_ORDER = 10
DAILY_ORDERS = OUTLETS // 5
DAILY_LINES = DAILY_ORDERS * LINES_OF_ORDER
LAST_DAY = date(2026, 11, 20)  # a Friday: the history ends here
EDITED = 20  # documents of the last four weeks that somebody corrects on a new day

_TABLES = (
    "order", "order_line", "shipment", "shipment_line", "return", "return_line",
    "bank_receipt", "bank_receipt_allocation",
)  # fmt: skip


def working_day(number: int) -> date:
    """The `number`-th weekday after the last day of the history; 0 is that day itself, -1 the day before."""
    weeks, rest = divmod(number + LAST_DAY.weekday(), 5)
    return LAST_DAY - timedelta(days=LAST_DAY.weekday()) + timedelta(weeks=weeks, days=rest)


@dataclass(frozen=True)
class History:
    """`lines` order lines up to `LAST_DAY`."""

    lines: int

    @property
    def days(self) -> int:
        return self.lines // DAILY_LINES

    def write(self, conn: Connection) -> None:
        """Catalogues and documents. Keys are taken off meanwhile: rows come in bulk."""
        _execute(
            conn, _CATALOGUES, outlets=OUTLETS, products=PRODUCTS, instance=INSTANCE, first=working_day(1 - self.days)
        )
        keys = [_without_key(conn, table) for table in _TABLES]
        _write_days(conn, 1 - self.days, 0, load_id=1)
        _write_payments(conn, date(1, 1, 1), LAST_DAY, load_id=1)
        for key in keys:
            conn.execute(key)
        for table in (*_TABLES, "partner", "product"):
            conn.execute(sql.SQL("analyze raw.{}").format(sql.Identifier(f"onec_{table}")))


def write_new_day(conn: Connection, number: int) -> None:
    """Orders of the `number`-th new day, shipments of the day before's, payments, some corrections of older orders."""
    _write_days(conn, number, number, load_id=number + 1)
    _write_payments(conn, working_day(number - 1), working_day(number), load_id=number + 1)
    _execute(
        conn, _EDITS, load=number + 1, instance=INSTANCE, day=working_day(number) - timedelta(days=28), edited=EDITED
    )


def _without_key(conn: Connection, table: str) -> sql.Composed:
    """Drop the primary key; return the statement that brings it back."""
    name = f"onec_{table}"
    row = conn.execute(
        "select conname, pg_get_constraintdef(oid) from pg_constraint where conrelid = %s::regclass and contype = 'p'",
        [f"raw.{name}"],
    ).fetchone()
    if row is None:
        raise LookupError(f"raw.{name} has no primary key")
    conn.execute(sql.SQL("alter table raw.{} drop constraint {}").format(sql.Identifier(name), sql.Identifier(row[0])))
    return sql.SQL("alter table raw.{} add constraint {} {}").format(
        sql.Identifier(name), sql.Identifier(row[0]), sql.SQL(row[1])
    )


def _write_days(conn: Connection, first: int, last: int, load_id: int) -> None:
    """Orders of these working days and the shipments made on them."""
    monday = LAST_DAY - timedelta(days=LAST_DAY.weekday())
    for statement in (_DOCUMENTS, _ORDERS, _ORDER_LINES, _SHIPMENTS, _SHIPMENT_LINES, _RETURNS, _RETURN_LINES):
        _execute(
            conn, statement, instance=INSTANCE, load=load_id, per_day=DAILY_ORDERS, lines=LINES_OF_ORDER,
            goods=PRODUCTS, first=first, last=last, friday=LAST_DAY.weekday(), monday=monday,
        )  # fmt: skip
    conn.execute("drop table bench_document")


def _write_payments(conn: Connection, after: date, until: date, load_id: int) -> None:
    """Payments that come after one day, until another: each pays one shipment, less what came back of it."""
    _execute(conn, _PAYMENTS, instance=INSTANCE, load=load_id, after=after, until=until)


def _execute(conn: Connection, statement: str, **values: object) -> None:
    """Several statements at once are not prepared: values are written into the text."""
    ClientCursor(conn).execute(statement.encode(), values)


_CATALOGUES = """
insert into ops.source_instance (instance, kind, mapping, time_zone, outlet_lives_in, branches)
values (%(instance)s, 'onec', 'ut11', 'Europe/Moscow', 'sub_partner', 'by_organization');
insert into raw.onec_organisation (instance, record_id, name, deletion_mark, row_hash, loaded_at, load_id)
values (%(instance)s, 'branch', 'Филиал', false, '\\x00', now(), 1);
insert into raw.onec_business_region (instance, record_id, name, deletion_mark, row_hash, loaded_at, load_id)
select %(instance)s, 'territory ' || n, 'Территория ' || n, false, '\\x00', now(), 1 from generate_series(0, 19) as n;
insert into raw.onec_manager (instance, record_id, name, deletion_mark, row_hash, loaded_at, load_id)
select %(instance)s, 'rep ' || n, 'Представитель ' || n, false, '\\x00', now(), 1 from generate_series(0, 19) as n;
insert into raw.onec_brand (instance, record_id, name, deletion_mark, row_hash, loaded_at, load_id)
select %(instance)s, 'brand ' || n, 'Марка ' || n, false, '\\x00', now(), 1 from generate_series(0, 19) as n;
insert into raw.onec_partner (
    instance, record_id, code, name, business_region_id, manager_id, registered_on, is_client, outlet_format, channel,
    deletion_mark, row_hash, loaded_at, load_id
)
select
    %(instance)s, md5('outlet ' || n)::uuid::text, 'Т-' || n, 'Точка ' || n, 'territory ' || n %% 20,
    'rep ' || n / 5 %% 20, %(first)s, true, (array['магазин у дома', 'палатка', 'супермаркет', 'кафе'])[1 + n %% 4],
    'Розница', false, decode(md5(n::text), 'hex'), now(), 1
from generate_series(0, %(outlets)s - 1) as n;
insert into raw.onec_legal_entity (
    instance, record_id, name, is_folder, partner_id, deletion_mark, row_hash, loaded_at, load_id
)
select
    %(instance)s, 'entity ' || n, 'Юрлицо ' || n, false, md5('outlet ' || n)::uuid::text, false, '\\x00', now(), 1
from generate_series(0, %(outlets)s - 1) as n;
insert into raw.onec_contract (
    instance, record_id, name, partner_id, legal_entity_id, deferral_days, deletion_mark, row_hash, loaded_at, load_id
)
select
    %(instance)s, 'contract ' || n, 'Договор ' || n, md5('outlet ' || n)::uuid::text, 'entity ' || n, 14, false,
    '\\x00', now(), 1
from generate_series(0, %(outlets)s - 1) as n;
insert into raw.onec_product (
    instance, record_id, code, name, brand_id, parent_id, product_type, is_folder, deletion_mark, row_hash, loaded_at,
    load_id
)
select
    %(instance)s, md5('product ' || n)::uuid::text, 'П-' || n, 'Товар ' || n, 'brand ' || n %% 20, 'group ' || n %% 10,
    'Товар', n < 0, false, decode(md5(n::text), 'hex'), now(), 1
from generate_series(0, %(products)s - 1) as n;
insert into raw.onec_product (instance, record_id, name, is_folder, deletion_mark, row_hash, loaded_at, load_id)
select %(instance)s, 'group ' || n, 'Группа ' || n, true, false, '\\x00', now(), 1 from generate_series(0, 9) as n;
analyze raw.onec_partner
"""

# One row per order of the days asked for, and of the working day before them: those are shipped on the first of them.
# A working day has a number: days of the history count down to 0, new ones up from 1.
_DOCUMENTS = """
create temporary table bench_document as
select
    number,
    %(monday)s::date + 7 * floor((number + %(friday)s) / 5.0)::integer + (number + %(friday)s + 100000) %% 5 as day,
    %(monday)s::date + 7 * floor((number + 1 + %(friday)s) / 5.0)::integer
    + (number + 1 + %(friday)s + 100000) %% 5 as shipped_on,
    outlet,
    (number + %(friday)s + 100000) %% 5 + 5 * outlet as outlet_no,
    md5('outlet ' || (number + %(friday)s + 100000) %% 5 + 5 * outlet)::uuid::text as outlet_id,
    md5('order ' || number || ' ' || outlet)::uuid::text as order_id,
    md5('shipment ' || number || ' ' || outlet)::uuid::text as shipment_id,
    md5('return ' || number || ' ' || outlet)::uuid::text as return_id,
    hashint8(number * 100003 + outlet) & 2147483647 as dice
from generate_series(%(first)s - 1, %(last)s) as number
cross join generate_series(0, %(per_day)s - 1) as outlet;
analyze bench_document
"""

_ORDERS = """
insert into raw.onec_order (
    instance, record_id, number, dated_at, posted, deletion_mark, partner_id, organisation_id, manager_id, status,
    requested_on, amount, delivery_address, source_version, row_hash, loaded_at, load_id
)
select
    %(instance)s, order_id, 'З-' || number || '-' || outlet, day + time '09:00' + dice %% 400 * interval '1 minute',
    true, false, outlet_id, 'branch', 'rep ' || outlet_no / 5 %% 20, 'Закрыт', shipped_on, 5000,
    'ул. Ленина, дом ' || outlet, 'AAAAAAAAAAY=', decode(md5(order_id), 'hex'), now(), %(load)s
from bench_document
where number >= %(first)s
"""

# Ten of the outlet's twelve positions: the first of them changes from week to week.
_ORDER_LINES = """
insert into raw.onec_order_line (
    instance, record_id, line_no, product_id, quantity, package_quantity, price, amount, amount_with_vat, vat_amount,
    cancelled, load_id
)
select
    %(instance)s, order_id, line_no, md5('product ' || product)::uuid::text, quantity, quantity, 40 + product,
    quantity * (40 + product), quantity * (40 + product), round(quantity * (40 + product) / 6.0, 2), false, %(load)s
from bench_document
cross join generate_series(1, %(lines)s) as line_no
cross join lateral (
    select (outlet_no * 37 + (line_no + dice %% 3) * 17) %% %(goods)s as product,
        5 + (outlet_no + line_no) %% 11 + (dice / (line_no + 2)) %% 3 as quantity
) as line
where number >= %(first)s
"""

_SHIPMENTS = """
insert into raw.onec_shipment (
    instance, record_id, number, dated_at, posted, deletion_mark, partner_id, legal_entity_id, contract_id,
    organisation_id, manager_id, amount, delivery_address, order_id, order_type, source_version, row_hash, loaded_at,
    load_id
)
select
    %(instance)s, shipment_id, 'Р-' || number || '-' || outlet, shipped_on + time '05:00', true, false, outlet_id,
    'entity ' || outlet_no, 'contract ' || outlet_no, 'branch', 'rep ' || outlet_no / 5 %% 20, 5000,
    'ул. Ленина, дом ' || outlet, order_id, 'StandardODATA.Document_ЗаказКлиента', 'AAAAAAAAAAY=',
    decode(md5(shipment_id), 'hex'), now(), %(load)s
from bench_document
where number < %(last)s
"""

_SHIPMENT_LINES = """
insert into raw.onec_shipment_line (
    instance, record_id, line_no, product_id, quantity, package_quantity, price, amount, amount_with_vat, vat_amount,
    order_id, load_id
)
select
    %(instance)s, shipment_id, line_no, md5('product ' || product)::uuid::text, quantity, quantity, 40 + product,
    quantity * (40 + product), quantity * (40 + product), round(quantity * (40 + product) / 6.0, 2), order_id, %(load)s
from bench_document
cross join generate_series(1, %(lines)s) as line_no
cross join lateral (
    select (outlet_no * 37 + (line_no + dice %% 3) * 17) %% %(goods)s as product,
        5 + (outlet_no + line_no) %% 11 + (dice / (line_no + 2)) %% 3 as quantity
) as line
where number < %(last)s
"""

_RETURNS = """
insert into raw.onec_return (
    instance, record_id, number, dated_at, posted, deletion_mark, partner_id, legal_entity_id, contract_id,
    organisation_id, manager_id, amount, shipment_id, row_hash, loaded_at, load_id
)
select
    %(instance)s, return_id, 'В-' || number || '-' || outlet, shipped_on + time '12:00', true, false, outlet_id,
    'entity ' || outlet_no, 'contract ' || outlet_no, 'branch', 'rep ' || outlet_no / 5 %% 20, 100, shipment_id,
    decode(md5(return_id), 'hex'), now(), %(load)s
from bench_document
where number < %(last)s and dice %% 50 = 0
"""

_RETURN_LINES = """
insert into raw.onec_return_line (
    instance, record_id, line_no, product_id, quantity, price, amount, amount_with_vat, shipment_id, load_id
)
select
    %(instance)s, return_id, 1, md5('product ' || (outlet_no * 37 + (1 + dice %% 3) * 17) %% %(goods)s)::uuid::text,
    1, 40, 40, 40, shipment_id, %(load)s
from bench_document
where number < %(last)s and dice %% 50 = 0
"""

# From the shipments that have landed: after 7 to 21 days, one of twenty four weeks later still; what a weekend would
# bring comes on Monday.
_PAYMENTS = """
create temporary table bench_payment as
select
    md5('payment ' || shipment.record_id)::uuid::text as payment_id, shipment.record_id as shipment_id, shipment.number,
    shipment.partner_id, shipment.legal_entity_id, shipment.contract_id, shipment.order_id, paid.paid_on,
    shipment.amount - coalesce(given_back.amount, 0) as amount
from raw.onec_shipment as shipment
cross join lateral (select hashtext(shipment.record_id) & 2147483647 as dice) as thrown
cross join lateral (
    select shipment.dated_at::date + 7 + dice %% 15 + case when dice %% 20 = 0 then 28 else 0 end as day
) as due
cross join lateral (
    select day + case extract(isodow from day) when 6 then 2 when 7 then 1 else 0 end::integer as paid_on
) as paid
left join (
    select shipment_id, sum(amount) as amount from raw.onec_return where instance = %(instance)s group by shipment_id
) as given_back on shipment.record_id = given_back.shipment_id
where shipment.instance = %(instance)s and paid.paid_on > %(after)s and paid.paid_on <= %(until)s;
insert into raw.onec_bank_receipt (
    instance, record_id, number, dated_at, posted, deletion_mark, organisation_id, partner_id, legal_entity_id,
    contract_id, amount, operation, bank_confirmed, bank_confirmed_on, source_version, row_hash, loaded_at, load_id
)
select
    %(instance)s, payment_id, 'П-' || number, paid_on + time '10:00', true, false, 'branch', partner_id,
    legal_entity_id, contract_id, amount, 'ПоступлениеОплатыОтКлиента', true, paid_on, 'AAAAAAAAAAY=',
    decode(md5(payment_id), 'hex'), now(), %(load)s
from bench_payment;
insert into raw.onec_bank_receipt_allocation (
    instance, record_id, line_no, partner_id, contract_id, order_id, order_type, basis_id, basis_type, amount,
    settlement_amount, load_id
)
select
    %(instance)s, payment_id, 1, partner_id, contract_id, order_id, 'StandardODATA.Document_ЗаказКлиента', shipment_id,
    'StandardODATA.Document_РеализацияТоваровУслуг', amount, amount, %(load)s
from bench_payment;
drop table bench_payment
"""

_EDITS = """
with edited as (
    update raw.onec_order
    set row_hash = decode(md5(record_id || '%(load)s'), 'hex'), load_id = %(load)s, loaded_at = now()
    where instance = %(instance)s and record_id in (
        select record_id from raw.onec_order where dated_at >= %(day)s and load_id < %(load)s
        order by md5(record_id || '%(load)s') limit %(edited)s
    )
    returning record_id
)
update raw.onec_order_line as line set quantity = line.quantity + 1, load_id = %(load)s
from edited where line.instance = %(instance)s and line.record_id = edited.record_id and line.line_no = 3
"""
