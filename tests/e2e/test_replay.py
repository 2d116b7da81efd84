"""A real wholesaler's year, served as a 1C base, through the same DAGs: every line accounted for."""

import os
import subprocess
import sys
from collections import Counter
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest

from polka.commands.replay import DATABASE
from tests.e2e.retail_clients import compare_clients
from tests.support import replayed_sales
from warehouse.db import connect
from warehouse.embedded import EmbeddedServer
from warehouse.settings import PROJECT_ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.airflow, pytest.mark.timeout(1800)]

FILE_TOTAL = Decimal("9747747.93")
FILE_LINES, FILE_INVOICES = 541_909, 25_900
# Codes of the wholesaler that are no goods: postage, carriage, fees, manual corrections, discounts, samples, vouchers.
NO_GOODS = r"^(POST|DOT|M|m|C2|D|S|B|BANK CHARGES|AMAZONFEE|CRUK|PADS|gift_0001_\d+)$"


@pytest.fixture(scope="module")
def lines(request: pytest.FixtureRequest) -> pd.DataFrame:
    path = PROJECT_ROOT.parent / "shared" / "data" / "online_retail" / "online_retail_I.csv.gz"
    if not path.is_file():
        pytest.skip(f"{path} is not here: the real invoice file is not part of the repository")
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    frame["quantity"] = frame["Quantity"].astype(int)
    frame["amount"] = [
        Decimal(price) * quantity for price, quantity in zip(frame["UnitPrice"], frame["quantity"], strict=True)
    ]
    frame.attrs["path"] = path
    return frame


def test_the_replay_accounts_for_every_line_to_the_cent_and_again(lines: pd.DataFrame, tmp_path: Path) -> None:
    assert len(lines) == FILE_LINES
    assert lines["InvoiceNo"].nunique() == FILE_INVOICES
    assert round(sum(lines["amount"]), 2) == FILE_TOTAL

    var = tmp_path / "var"
    environment = {**os.environ, "PYTHONPATH": str(PROJECT_ROOT), "POLKA_VAR_DIR": str(var)}
    command = [sys.executable, "-m", "polka", "replay", str(lines.attrs["path"])]
    server = EmbeddedServer(var)
    try:
        for _ in range(2):
            done = subprocess.run(
                command, env=environment, cwd=PROJECT_ROOT, capture_output=True, text=True, timeout=880
            )
            assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        url = server.ensure_database(DATABASE)
        compare(lines, url)
        compare_distribution(lines.attrs["path"], server.ensure_database(DATABASE))
        dated = lines.assign(customer=lines["CustomerID"], day=pd.to_datetime(lines["InvoiceDate"]).dt.date)
        sale, returned = classes(lines)
        bought = replayed_sales.purchase_days(replayed_sales.read(lines.attrs["path"]))
        compare_clients(dated[sale], dated[returned], bought, url, as_of=max(dated["day"]) + timedelta(days=1))
    finally:
        server.remove()


def classes(lines: pd.DataFrame) -> tuple["pd.Series[bool]", "pd.Series[bool]"]:
    """Which lines are sales and which are returns of goods."""
    cancelled = lines["InvoiceNo"].str.startswith("C")
    adjustment = lines["InvoiceNo"].str.startswith("A")
    goods = ~lines["StockCode"].str.match(NO_GOODS)
    priced = lines["amount"].map(lambda amount: amount != 0)
    sale = ~cancelled & ~adjustment & goods & (lines["quantity"] > 0) & priced
    return sale, cancelled & goods


def compare(lines: pd.DataFrame, url: str) -> None:
    sale, returned = classes(lines)
    with connect(url) as conn:
        by_class = {
            (mart, line_class): (count, amount)
            for mart, line_class, count, amount in conn.execute(
                """
                select 'shipment', line_class, count(*), sum(signed_amount) from marts.fct_shipment_line group by 2
                union all
                select 'return', line_class, count(*), sum(signed_amount) from marts.fct_return_line group by 2
                union all
                select 'adjustment', line_class, count(*), sum(signed_amount) from marts.fct_adjustment_line group by 2
                """
            )
        }
        invoices = conn.execute(
            """
            select count(distinct number)
            from (
                select number from raw.onec_shipment where deleted_at is null
                union all select number from raw.onec_return where deleted_at is null
                union all select number from raw.onec_stock_write_off where deleted_at is null
                union all select number from raw.onec_debt_adjustment where deleted_at is null
            ) as documents
            """
        ).fetchone()
        rejected = conn.execute("select count(*) from raw.rejected_record").fetchone()
        rewritten = conn.execute(
            """
            select entity, sum(rows_inserted + rows_changed + rows_deleted)
            from (select *, row_number() over (partition by entity order by load_id) as nth from ops.load_run) as runs
            where nth > 1
            group by entity
            having sum(rows_inserted + rows_changed + rows_deleted) > 0
            """
        ).fetchall()

    assert by_class["shipment", "sale"] == (sale.sum(), sum(lines["amount"][sale]))
    assert by_class["return", "return"] == (returned.sum(), sum(lines["amount"][returned]))
    assert sum(count for count, _ in by_class.values()) == FILE_LINES
    # Four prices of the file have three decimals; nothing is rounded on the way.
    assert sum(amount for _, amount in by_class.values()) == sum(lines["amount"])
    assert None not in {line_class for _, line_class in by_class}
    assert invoices == (FILE_INVOICES,)
    assert rejected == (0,)
    assert rewritten == []


def compare_distribution(path: Path, url: str) -> None:
    """Every figure of numeric and weighted distribution, of positions per outlet and of order gaps, by pandas alone."""
    kept = replayed_sales.placements(replayed_sales.read(path))
    with connect(url) as conn:
        numeric = {
            (pd.Timestamp(month), code): outlets
            for month, code, outlets in conn.execute(
                """
                select n.period_start, p.product_code, n.active_outlets
                from marts.distribution_numeric as n
                inner join marts.dim_product as p using (instance, product_id)
                where n.slice = 'product' and n.period_kind = 'month'
                """
            )
        }
        weighted = {
            (pd.Timestamp(month), code): percent
            for month, code, percent in conn.execute(
                """
                select w.month_start, p.product_code, w.wd_percent
                from marts.distribution_weighted as w
                inner join marts.dim_product as p using (instance, product_id)
                where w.slice = 'product'
                """
            )
        }
        breadth = {
            pd.Timestamp(month): figures
            for month, *figures in conn.execute(
                """
                select period_start, active_outlets, active_clients, sku_per_outlet_mean, sku_per_outlet_median
                from marts.distribution_numeric
                where slice = 'total' and period_kind = 'month'
                """
            )
        }
        per_customer = {
            pd.Timestamp(month): sorted(positions)
            for month, positions in conn.execute(
                """
                select month_start, array_agg(positions)
                from (
                    select placed.month_start, outlet.client_id, count(distinct placed.sku_id) as positions
                    from intermediate.int_placement_month as placed
                    inner join marts.dim_outlet as outlet using (instance, outlet_id)
                    group by placed.month_start, outlet.client_id
                ) as clients
                group by month_start
                """
            )
        }
        gaps = [
            tuple(own)
            for (own,) in conn.execute(
                """
                select coalesce(array_agg(gap_days order by ordered_on) filter (where gap_days is not null), '{}')
                from intermediate.int_order_turn
                group by outlet_id
                """
            )
        ]
    assert numeric == replayed_sales.numeric(kept)
    assert weighted == replayed_sales.weighted(kept)
    for month, expected in replayed_sales.breadth(kept).iterrows():
        outlets, customers, mean, median = breadth[pd.Timestamp(str(month))]
        assert (outlets, customers, float(median)) == (expected.outlets, expected.customers, expected["median"]), month
        assert float(mean) == pytest.approx(expected["mean"], abs=0.00005), month
    # The same counts of positions, customer by customer: their number, mean and median are the same.
    assert per_customer == replayed_sales.positions_of_customers(kept)
    assert Counter(gaps) == Counter(map(tuple, replayed_sales.order_gaps(path).values()))
