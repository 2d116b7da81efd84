"""One distributor in УТ 11, УНФ and БП 3.0: the same landing tables, the same marts.

Three bases over one seeded world are read as three sources into one warehouse. What a configuration cannot say is named
here; everything else must be equal, row for row and to the kopeck.
"""

from collections.abc import Iterable
from datetime import date

import pytest
from psycopg import sql

from clients.connection import Connection
from extractors.core.run import ensure_tables, entity_names, extract, register_source
from simulators.onec.server import PUBLICATION, OnecServer, Quirks
from simulators.world.build import World
from simulators.world.onec import base_on
from tests.support.serving import serve
from tests.support.simulated_onec import LOGIN, PASSWORD
from warehouse.db import Connection as Database
from warehouse.db import connect
from warehouse.dbt_runner import build
from warehouse.sources import SourceConfig

DAY = date(2026, 3, 16)
CONFIGURATIONS = ("ut11", "unf", "bp30")
MARTS = (
    *("dim_client", "dim_outlet", "dim_product", "dim_manager", "dim_territory"),
    *("fct_order_line", "fct_shipment_line", "fct_return_line", "fct_order_occasion", "sales_daily", "fct_stock_daily"),
    *("order_expectation", "order_compliance", "order_quantity_gap", "client_segment"),
    *("distribution_numeric", "active_base_bridge", "sku_placement"),
)
# What is a source's own and what says when it was read.
OWN = {"instance", "load_id", "row_hash", "fingerprint", "followup_id", "evidence"}
# (configuration, mart) -> columns that the configuration cannot tell, or tells in its own words.
UNSAID = {
    # Its legal entities are the partners themselves, ...
    **{(name, "dim_client"): {"legal_entities_total"} for name in ("unf", "bp30")},
    **{(name, mart): {"legal_entity_id"} for name in ("unf", "bp30") for mart in ("fct_order_line", "fct_return_line")},
    ("unf", "fct_shipment_line"): {"legal_entity_id"},
    # ... УНФ calls goods stock, a weight of nothing is zero, and what waits to be shipped is not in its register, ...
    ("unf", "dim_product"): {"product_type", "unit_weight"},
    ("unf", "fct_stock_daily"): {"to_ship_quantity"},
    # ... БП keeps services apart from goods and knows neither discounts of shipments nor stock.
    ("bp30", "dim_product"): {"unit_weight"},
    ("bp30", "fct_shipment_line"): {"legal_entity_id", "line_no", "discount_amount"},
    ("bp30", "sales_daily"): {"discount_amount"},
}
UNKNOWN = {("bp30", "fct_stock_daily")}
# Staging model -> what of it every configuration keeps alike.
STAGING = {
    "payment": "payment_id, payment_channel, number, dated_at, organisation_id, partner_id, amount, posted",
    "payment_allocation": "payment_id, line_no, amount, settlement_amount",
    "shipment_correction": "correction_id, number, dated_at, organisation_id, shipment_id, partner_id",
    "shipment_correction_line": "correction_id, product_id, quantity_change, amount_with_vat_change",
    "agreement": "agreement_id, number, agreed_on, partner_id, organisation_id, manager_id, status, valid_from,"
    " valid_to, discount_percent, deferral_days, credit_limit, min_order_amount, order_every_weeks, order_weekdays",
}
# ... and what only БП does not have: it lives on accounts there.
REGISTERS = {
    "stock": "warehouse_id, product_id, on_hand",
    "revenue_line": "recorder_id, product_id, partner_id, organisation_id, moved_at, quantity, revenue, cost",
}


@pytest.fixture(scope="module")
def world() -> World:
    return World(7, DAY, outlets=12)


def test_three_configurations_give_the_same_marts(database: str, world: World) -> None:
    for configuration in CONFIGURATIONS:
        load(database, world, configuration)
    build(DAY, triggered_by="test", database_url=database)
    with connect(database, autocommit=True) as conn:
        for other in ("unf", "bp30"):
            for name, columns in STAGING.items():
                assert differences(conn, "staging", f"stg_onec__{name}", columns.split(", "), other) == 0, (other, name)
        for name, columns in REGISTERS.items():
            assert differences(conn, "staging", f"stg_onec__{name}", columns.split(", "), "unf") == 0, name
        for mart in MARTS:
            assert rows(conn, mart, "ut11") > 0, mart
            for other in ("unf", "bp30"):
                if (other, mart) in UNKNOWN:
                    assert rows(conn, mart, other) == 0
                    continue
                told = [name for name in columns_of(conn, mart) if name not in OWN | UNSAID.get((other, mart), set())]
                assert differences(conn, "marts", mart, told, other) == 0, (other, mart)
        assert debts(conn, "unf") == debts(conn, "ut11") != []
        assert evidence(conn, "unf") == evidence(conn, "bp30") == evidence(conn, "ut11") != []
        assert unpublished(conn) == {
            "ut11": "free_stock",
            "unf": "bonus_balance, bonus_movement, expense, sales_plan",
            "bp30": None,
        }


def test_shipments_stand_in_for_orders_where_an_accounting_base_keeps_no_invoices(database: str, world: World) -> None:
    server = OnecServer(base_on(world, DAY, "bp30"), LOGIN, PASSWORD)
    server.quirks = Quirks(unpublished=["Document_СчетНаОплатуПокупателю"])
    source = source_of("bp30")
    with serve(server) as root:
        connection = Connection(root + PUBLICATION, LOGIN, PASSWORD)
        outcomes = {
            entity: extract(source, entity, connection, database_url=database, triggered_by="test")
            for entity in ("order", "shipment")
        }
    assert outcomes["order"].published
    assert outcomes["order"].rows_inserted == outcomes["shipment"].rows_inserted > 0
    with connect(database, autocommit=True) as conn:
        for lines in ("line", "service_line"):
            query = f"""
                select count(*), sum(o.amount), sum(s.amount),
                       count(*) filter (where (o.product_id, o.amount) is distinct from (s.product_id, s.amount))
                from raw.onec_order_{lines} as o full join raw.onec_shipment_{lines} as s using (record_id, line_no)
            """
            found = conn.execute(query.encode()).fetchone()
            assert found is not None
            assert found[0] > 0
            assert found[1] == found[2]
            assert found[3] == 0


def source_of(configuration: str) -> SourceConfig:
    return SourceConfig(
        id=configuration, kind="onec", connection=configuration, mapping=configuration, branches="by_organization"
    )


def load(database: str, world: World, configuration: str) -> None:
    """Read the world as one configuration tells it, entity by entity, over HTTP."""
    source = source_of(configuration)
    with connect(database, autocommit=True) as conn:
        ensure_tables(conn)
        register_source(conn, source)
    with serve(OnecServer(base_on(world, DAY, configuration), LOGIN, PASSWORD)) as root:
        connection = Connection(root + PUBLICATION, LOGIN, PASSWORD)
        for entity in entity_names(source):
            outcome = extract(source, entity, connection, database_url=database, triggered_by="test")
            assert outcome.rows_rejected == 0, (configuration, entity)


def differences(conn: Database, schema: str, table: str, columns: Iterable[str], other: str) -> int:
    """Rows that only one of two sources has, by the columns that both tell."""
    query = sql.SQL("""
        with ours as (select {columns} from {table} where instance = 'ut11'),
             theirs as (select {columns} from {table} where instance = {other})
        select count(*) from (
            (select * from ours except all select * from theirs) union all
            (select * from theirs except all select * from ours)
        ) as differing
    """).format(
        columns=sql.SQL(", ").join(sql.Identifier(name) for name in columns),
        table=sql.Identifier(schema, table),
        other=sql.Literal(other),
    )
    found = conn.execute(query).fetchone()
    assert found is not None
    return int(found[0])


def rows(conn: Database, mart: str, instance: str) -> int:
    query = sql.SQL("select count(*) from {} where instance = %s").format(sql.Identifier("marts", mart))
    found = conn.execute(query, [instance]).fetchone()
    assert found is not None
    return int(found[0])


def columns_of(conn: Database, mart: str) -> list[str]:
    query = "select column_name from information_schema.columns where table_schema = 'marts' and table_name = %s"
    return [name for (name,) in conn.execute(query, [mart])]


def debts(conn: Database, instance: str) -> list[tuple[object, ...]]:
    """What the clients of each organisation owe, by the settlement register of the configuration."""
    query = """
        select organisation_id, sum(balance) from staging.stg_onec__settlement where instance = %s group by 1 order by 1
    """
    return conn.execute(query, [instance]).fetchall()


def evidence(conn: Database, instance: str) -> list[tuple[object, ...]]:
    """What the lists tell of missed orders. Debts differ: not every configuration tells whose they are."""
    query = """
        select client_id, branch_id, manager_id, cast(evidence as jsonb) -> 'outlets' from marts.follow_up
        where instance = %s and 'missed_order' = any(reasons) order by 1
    """
    return conn.execute(query, [instance]).fetchall()


def unpublished(conn: Database) -> dict[str, str | None]:
    """What data_status says of each source."""
    return dict(conn.execute("select distinct instance, unpublished_entities from marts.data_status").fetchall())
