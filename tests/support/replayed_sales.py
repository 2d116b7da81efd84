"""The real invoice file by pandas alone: what the marts of a replay have to say, computed without them."""

from decimal import Decimal
from pathlib import Path

import pandas as pd

# Codes of the wholesaler that are no goods: postage, carriage, fees, manual corrections, discounts, samples, vouchers.
NO_GOODS = r"^(?:POST|DOT|M|m|C2|D|S|B|BANK CHARGES|AMAZONFEE|CRUK|PADS|gift_0001_\d+)$"


def read(path: Path) -> pd.DataFrame:
    """Lines of goods: outlet (customer and country), day, month, product, kept quantity and money.

    A credit note names no shipment, so its goods count against the day they came back.
    """
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    quantity = frame["Quantity"].astype(int)
    amount = [Decimal(price) * units for price, units in zip(frame["UnitPrice"], quantity, strict=True)]
    returned = frame["InvoiceNo"].str.startswith("C")
    adjustment = frame["InvoiceNo"].str.startswith("A")
    goods = ~frame["StockCode"].str.match(NO_GOODS) & ~adjustment
    paid = pd.Series([value != 0 for value in amount], index=frame.index)
    kept = goods & ((~returned & (quantity > 0) & paid) | (returned & paid))
    lines = pd.DataFrame(
        {
            "invoice": frame["InvoiceNo"],
            "customer": frame["CustomerID"],
            "outlet": frame["CustomerID"] + "|" + frame["Country"],
            "product": frame["StockCode"],
            "day": pd.to_datetime(frame["InvoiceDate"]),
            "quantity": quantity,
            "amount": pd.Series(amount, index=frame.index),
            "is_return": returned,
        }
    )[kept]
    # An invoice is dated by its first moment.
    lines["day"] = lines.groupby("invoice")["day"].transform("min").dt.normalize()
    lines["month"] = lines["day"].dt.to_period("M").dt.to_timestamp()
    return lines


def purchase_days(lines: pd.DataFrame) -> pd.DataFrame:
    """Customer and day (date) on which an outlet of his took more of some product than it gave back that day."""
    kept = lines.groupby(["customer", "outlet", "product", "day"], as_index=False)["quantity"].sum()
    days = kept.loc[kept["quantity"] > 0, ["customer", "day"]].drop_duplicates()
    return days.assign(day=days["day"].dt.date)


def placements(lines: pd.DataFrame) -> pd.DataFrame:
    """Outlet, product, month with what was kept of it, where anything was."""
    sums = lines.groupby(["outlet", "customer", "product", "month"], as_index=False).agg(
        quantity=("quantity", "sum"), amount=("amount", "sum")
    )
    return sums[sums["quantity"] > 0]


def numeric(kept: pd.DataFrame) -> dict[tuple[pd.Timestamp, str], int]:
    """Outlets that hold each product in each month."""
    counts = kept.groupby(["month", "product"])["outlet"].nunique()
    return {(month, product): int(outlets) for (month, product), outlets in counts.items()}


def weighted(kept: pd.DataFrame) -> dict[tuple[pd.Timestamp, str], Decimal]:
    """Share of the outlets' weight that holds each product, %.

    An outlet weighs what it bought and did not return in twelve months; nothing when it returned more.
    """
    result = {}
    bought = kept.groupby(["outlet", "month"])["amount"].sum()
    for month in sorted(kept["month"].unique()):
        first = month - pd.DateOffset(months=11)
        months = bought.index.get_level_values("month")
        weights = bought[(months <= month) & (months >= first)].groupby(level="outlet").sum().clip(lower=Decimal(0))
        total = sum(weights)
        of_month = kept[kept["month"] == month]
        for product, outlets in of_month.groupby("product")["outlet"]:
            held = sum((weights[outlet] for outlet in outlets), Decimal(0))
            result[month, str(product)] = round(100 * held / total, 4)
    return result


def breadth(kept: pd.DataFrame) -> pd.DataFrame:
    """Per month: active outlets, active customers, positions per active outlet (mean, median)."""
    positions = kept.groupby(["month", "outlet", "customer"]).size().reset_index(name="positions")
    return positions.groupby("month").agg(
        outlets=("outlet", "count"),
        customers=("customer", "nunique"),
        mean=("positions", "mean"),
        median=("positions", "median"),
    )


def positions_of_customers(kept: pd.DataFrame) -> dict[pd.Timestamp, list[int]]:
    """Month -> how many products each active customer holds, in ascending order."""
    counts = kept.groupby(["month", "customer"])["product"].nunique()
    return {month: sorted(map(int, own)) for month, own in counts.groupby(level="month")}


def order_gaps(path: Path) -> dict[str, list[int]]:
    """Days between the order days of each outlet, in their order. A replayed order is the copy of an invoice."""
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    ordered = frame[~frame["InvoiceNo"].str.startswith(("C", "A")) & (frame["Quantity"].astype(int) >= 0)]
    orders = pd.DataFrame(
        {
            "invoice": ordered["InvoiceNo"],
            "outlet": ordered["CustomerID"] + "|" + ordered["Country"],
            "day": pd.to_datetime(ordered["InvoiceDate"]),
        }
    )
    orders["day"] = orders.groupby("invoice")["day"].transform("min").dt.normalize()
    days = orders.groupby("outlet")["day"].unique()
    return {
        str(outlet): pd.Series(sorted(own)).diff().dropna().dt.days.astype(int).tolist() for outlet, own in days.items()
    }
