"""The forecast of a real wholesaler's last eight full weeks, judged by the mart and by pandas alone."""

import json
import sys
import time
from datetime import date, timedelta
from decimal import Decimal

import pandas as pd
import pytest

from forecasting import make
from forecasting.methods import METHODS
from tests.support import replayed_sales
from tests.support.demand_tables import demand_tables
from tests.support.landed_documents import BASE, Documents
from warehouse.db import connect
from warehouse.dbt_runner import run_dbt
from warehouse.settings import PROJECT_ROOT

FILE = PROJECT_ROOT.parent / "shared" / "data" / "online_retail" / "online_retail_I.csv.gz"
WEEK = timedelta(days=7)
TODAY = date(2011, 12, 5)  # the file ends in the middle of this week


@pytest.fixture(scope="module")
def weekly() -> pd.DataFrame:
    """Product, Monday of the week, ordered units: what was invoiced, whatever came back of it later."""
    if not FILE.is_file():
        pytest.skip(f"{FILE} is not here: the real invoice file is not part of the repository")
    lines = replayed_sales.read(FILE)
    sold = lines[~lines["is_return"] & (lines["quantity"] > 0)]
    monday = sold["day"] - pd.to_timedelta(sold["day"].dt.day_of_week, unit="D")
    sums = sold.assign(week=monday).groupby(["product", "week"], as_index=False)["quantity"].sum()
    sums["week"] = sums["week"].dt.date
    return sums[sums["week"] < TODAY]


@pytest.mark.timeout(600)
def test_the_mart_says_honestly_what_beats_the_baseline(
    database: str, weekly: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    of_year = weekly[weekly["week"] >= TODAY - 52 * WEEK].groupby("product")["quantity"].sum()
    with connect(database) as conn:
        Documents().source(conn)
        demand_tables(conn)  # one warehouse, and segments by quantity
        with (
            conn.cursor() as cursor,
            cursor.copy("copy intermediate.int_weekly_demand from stdin") as copy,
        ):
            for row in weekly.itertuples():
                copy.write_row((BASE, "unknown", row.product, row.week, int(row.quantity)))
        with conn.cursor() as cursor, cursor.copy("copy intermediate.int_demand_segment from stdin") as copy:
            for product, quantity in of_year.items():
                copy.write_row((BASE, "unknown", product, "AY" if quantity > 1000 else "CZ"))
    started = time.monotonic()
    (made,) = make(TODAY, database_url=database)
    seconds = time.monotonic() - started
    code, tail = run_dbt(
        [
            "run", "--select", "stg_ops__demand_series", "stg_ops__demand_prediction", "int_demand_prediction",
            "demand_forecast_accuracy", "--vars", json.dumps({"as_of": TODAY.isoformat()}),
        ],
        database,
    )  # fmt: skip
    assert code == 0, tail

    assert made.series == len(of_year)
    with connect(database) as conn:
        mart = {
            row[0] or "total": row[1:]
            for row in conn.execute(
                """
                select segment, method, method_reason, chosen_method, wape_percent, bias_percent,
                    seasonal_naive_wape_percent, moving_average_wape_percent, median_regression_wape_percent
                from marts.demand_forecast_accuracy
                """
            )
        }
    trials = judged(database, weekly, of_year)
    last, earlier = TODAY - 8 * WEEK, TODAY - 16 * WEEK
    for segment in ("AY", "CZ"):
        method, reason, chosen, wape, bias, *of_methods = mart[segment]
        now = {name: trials[last, segment, name] for name in METHODS}
        before = {name: trials[earlier, segment, name] for name in METHODS}
        assert chosen == min(before, key=lambda name: before[name][0])
        assert [float(found) for found in of_methods] == pytest.approx([now[name][0] for name in METHODS], abs=0.01)
        assert (float(wape), float(bias)) == pytest.approx(now[chosen], abs=0.01)
        wins = now[chosen][0] < now["seasonal_naive"][0]
        assert method == (chosen if wins else "seasonal_naive")
        assert reason == ("better_than_baseline" if wins else "not_confirmed")
    whole = mart["total"]
    report = []
    for segment, (method, reason, *_, wape, bias, naive, mean, regression) in mart.items():
        report.append(
            f"{segment}: {method} ({reason}), WAPE {wape} %, bias {bias} %; "
            f"seasonal-naive {naive} %, mean {mean} %, regression {regression} %"
        )
    verdict = "is better than" if whole[3] < whole[5] else "is not better than"
    report.append(f"{made.series} series in {seconds:.0f} s; what is used {verdict} seasonal-naive")
    with capsys.disabled():
        sys.stdout.write("\n" + "\n".join(report) + "\n")
    assert whole[3] < whole[5], report
    assert seconds < 240


def judged(
    database: str, weekly: pd.DataFrame, of_year: "pd.Series[int]"
) -> dict[tuple[date, str, str], tuple[float, float]]:
    """(first week, segment, method) -> WAPE and bias in %, of products that had been sold before the first week."""
    came = {(row.product, row.week): Decimal(int(row.quantity)) for row in weekly.itertuples()}
    first_sold = weekly.groupby("product")["week"].min()
    sums: dict[tuple[date, str, str], list[Decimal]] = {}
    with connect(database) as conn:
        for origin, product, method, week, forecast in conn.execute(
            "select origin_week, product_id, method, week_start, predicted_quantity from ops.demand_prediction "
            "where origin_week < made_for_week"
        ):
            assert first_sold[product] < origin
            segment = "AY" if of_year[product] > 1000 else "CZ"
            ordered = came.get((product, week), Decimal(0))
            cell = sums.setdefault((origin, segment, method), [Decimal(0)] * 3)
            cell[0] += abs(forecast - ordered)
            cell[1] += forecast - ordered
            cell[2] += ordered
    return {
        key: (float(100 * absolute / ordered), float(100 * error / ordered))
        for key, (absolute, error, ordered) in sums.items()
    }
