"""Client marts of the replayed wholesaler, against the same figures computed by pandas from the file itself.

Definitions, written here and nowhere taken from the marts:
* a purchase is a day on which an outlet of the customer took more of some product than it gave back that day: who was
  sent something and sent it back the same day bought nothing; active in a month is who has such a day in it;
* revenue of a day is the sum of its sale and return lines, each on its own day (the file ties no return to a sale);
* returns rate of a month: its return lines over its sale lines, %, to four decimals;
* a picture of month M counts the twelve calendar months that end with M (M itself up to the business date);
* ABC: customers by falling revenue of the picture, ties by nothing (the file has none at the borders); A while the
  revenue of those before is below 80 %, B below 95 %, C after; only customers with positive revenue have a class;
* cohort: month of the first purchase; kept after a year: a purchase on days 366 .. 366 + 90 after the first one.
"""

from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pandas as pd

from warehouse.db import connect

TWELVE_MONTHS = 12
YEAR, WINDOW = 366, 90


def compare_clients(sales: pd.DataFrame, returns: pd.DataFrame, bought: pd.DataFrame, url: str, as_of: date) -> None:
    """`sales`, `returns`: columns customer, day (date), amount (Decimal, returns negative); `bought`: customer, day."""
    months = [period.to_timestamp().date() for period in pd.period_range(sales["day"].min(), as_of, freq="M")]
    money = pd.concat([sales, returns])[["customer", "day", "amount"]]
    first = bought.groupby("customer")["day"].min()
    _compare_segments(money, returns, bought, first, months, url, as_of)
    _compare_returns(sales, returns, months, url)
    _compare_retention(money, bought, first, months, url, as_of)


def _rows(url: str, query: str) -> list[tuple[Any, ...]]:
    with connect(url) as conn:
        return conn.execute(query).fetchall()


def _next(month: date) -> date:
    return (month.replace(day=28) + timedelta(days=4)).replace(day=1)


def _compare_returns(sales: pd.DataFrame, returns: pd.DataFrame, months: list[date], url: str) -> None:
    """Revenue and returns of every month to the cent, and the rate that the KPI makes of them."""
    of_sales, of_returns = (
        frame.assign(month=frame["day"].map(lambda day: day.replace(day=1)))
        .groupby("month")["amount"]
        .agg(lambda amounts: sum(amounts, Decimal(0)))
        for frame in (sales, returns)
    )
    expected = {}
    for month in months:
        sold, back = of_sales.get(month, Decimal(0)), -of_returns.get(month, Decimal(0))
        rate = (100 * back / sold).quantize(Decimal("0.0001"), ROUND_HALF_UP) if sold else None
        expected[month] = (back, sold, sold - back, rate)
    query = """
        select returned.month_start, returned.numerator, returned.denominator, revenue.denominator, returned.value
        from marts.kpi_monthly as returned
        inner join marts.kpi_monthly as revenue using (instance, month_start, slice_kind, slice_id)
        where slice_kind = 'all' and returned.metric = 'return_percent' and revenue.metric = 'wholesale_percent'
    """
    assert {month: tuple(rest) for month, *rest in _rows(url, query)} == expected


def _compare_segments(
    money: pd.DataFrame,
    returns: pd.DataFrame,
    bought: pd.DataFrame,
    first: "pd.Series[Any]",
    months: list[date],
    url: str,
    as_of: date,
) -> None:
    ours = {
        (code, month): rest
        for code, month, *rest in _rows(
            url,
            """
            select case c.client_code when 'RETAIL' then '' else c.client_code end, s.month_start, s.net_amount,
                s.returned_amount, s.purchase_days, s.first_purchase_on, s.last_purchase_on, s.abc_class
            from marts.client_segment as s
            join marts.dim_client as c using (instance, client_id)
            """,
        )
    }
    expected: dict[tuple[str, date], list[Any]] = {}
    for month in months:
        end = min(_next(month) - timedelta(days=1), as_of)
        start = (pd.Period(month, "M") - (TWELVE_MONTHS - 1)).to_timestamp().date()
        window = money[(money["day"] >= start) & (money["day"] <= end)]
        revenue = window.groupby("customer")["amount"].agg(lambda amounts: sum(amounts, Decimal(0)))
        back = returns[(returns["day"] >= start) & (returns["day"] <= end)]
        returned = back.groupby("customer")["amount"].agg(lambda amounts: -sum(amounts, Decimal(0)))
        days = bought[(bought["day"] >= start) & (bought["day"] <= end)].groupby("customer")["day"]
        count, last = days.count(), days.max()
        earning = revenue[revenue.map(lambda amount: amount > 0)]
        order = earning.sort_values(ascending=False, kind="stable")
        total, before, classes = sum(order, Decimal(0)), Decimal(0), {}
        for customer, amount in order.items():
            share = before / total
            classes[customer] = "A" if share < Decimal("0.8") else "B" if share < Decimal("0.95") else "C"
            before += amount
        for customer in first.index[first <= end]:
            expected[str(customer), month] = [
                revenue.get(customer, Decimal(0)),
                returned.get(customer, Decimal(0)),
                int(count.get(customer, 0)),
                first[customer],
                last.get(customer),
                # Only customers who ever bought have a picture; those that only gave goods back have none.
                classes.get(customer),
            ]
    assert ours.keys() == expected.keys()
    wrong = {key: (ours[key], expected[key]) for key in expected if list(ours[key]) != expected[key]}
    assert not wrong, f"{len(wrong)} of {len(expected)} pictures differ, such as {next(iter(wrong.items()))}"


def _compare_retention(
    money: pd.DataFrame, bought: pd.DataFrame, first: "pd.Series[Any]", months: list[date], url: str, as_of: date
) -> None:
    cohort_of = first.map(lambda day: day.replace(day=1))
    seen = bought.assign(
        cohort=bought["customer"].map(cohort_of),
        first=bought["customer"].map(first),
        month=bought["day"].map(lambda day: day.replace(day=1)),
    )
    active = seen.drop_duplicates(["customer", "month"]).groupby(["cohort", "month"]).size()
    revenue = (
        money[money["customer"].isin(first.index)]
        .assign(
            cohort=lambda frame: frame["customer"].map(cohort_of),
            month=lambda frame: frame["day"].map(lambda day: day.replace(day=1)),
        )
        .groupby(["cohort", "month"])["amount"]
        .agg(lambda amounts: sum(amounts, Decimal(0)))
    )
    age = (pd.to_datetime(seen["day"]) - pd.to_datetime(seen["first"])).dt.days
    kept = seen[(age >= YEAR) & (age <= YEAR + WINDOW)].groupby("cohort")["customer"].nunique()
    over = first.groupby(cohort_of).max().map(lambda day: day + timedelta(days=YEAR + WINDOW) < as_of)
    size = cohort_of.value_counts()
    expected = {
        (cohort, month): (
            int(size[cohort]),
            int(active.get((cohort, month), 0)),
            revenue.get((cohort, month), Decimal(0)),
            int(kept.get(cohort, 0)) if over[cohort] and month == _months_after(cohort, TWELVE_MONTHS) else None,
        )
        for cohort in size.index
        for month in months
        if month >= cohort
    }
    ours = {
        (cohort, month): tuple(rest)
        for cohort, month, *rest in _rows(
            url,
            "select cohort_month, month_start, clients_total, clients_active, net_amount, clients_kept_after_a_year"
            " from marts.client_retention",
        )
    }
    assert ours == expected
    monthly_active = seen.drop_duplicates(["customer", "month"]).groupby("month").size()
    assert {month: sum(row[1] for key, row in ours.items() if key[1] == month) for month in months} == {
        month: int(monthly_active.get(month, 0)) for month in months
    }


def _months_after(month: date, number: int) -> date:
    return (pd.Period(month, "M") + number).to_timestamp().date()
