"""KPI of every month by pandas, straight from what landed of 1C: what kpi_monthly has to say, computed without dbt.

Definitions, written here and nowhere taken from the marts:
* a client is the partner above the outlet's partner, or the outlet's own; the rep is the outlet's;
* goods are products of type goods; a line of theirs without price and amount is a free sample and no sale;
* a document is kept when it is posted and neither marked nor deleted; its day is the day in Moscow;
* K1 average order: orders of an outlet on one day are one occasion; an order line counts unless the client cancelled
  it; an order of which nothing but lines cancelled by the client is left is none; occasions of which we cancelled
  everything are left out, of the sum as of the count;
* K2 frequency: occasions (those that we cancelled too) over outlet days / 30.44, from the first occasion until the
  outlet closed or the business date;
* K3 returns of the month over shipments of the month, VAT included; K4 net revenue of wholesale outlets over all of it;
* K5 processing: working hours (9 to 18) from order to its first shipment over the nine of a working day, median, of
  orders promised for no later than the next working day;
* K6 margin: revenue less returns, without VAT, less what the register of revenue says those documents cost;
  contribution: less delivery, marketing and retro bonuses without VAT, less the points given, a rouble each;
* K7 satisfaction: the mean of the last answer of each client in the month, of five answers or more; response: who
  answered, of those who bought or answered in a month that has answers;
* K8a: of the clients who bought in the month, those whose first purchase is 365 days before its end; told only when the
  first half year of the history, whose buyers may be old clients, is itself a year old. A purchase: the client kept
  more than nothing of some product of a day's shipments, whenever it gave the rest back;
* K9: marketing without VAT over the clients whose first purchase is in the month; not told in the first half year.
"""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pandas as pd
from psycopg import Connection

ZONE = "Europe/Moscow"
BY_CLIENT = {"Отказ клиента", "Клиент передумал", "Не устроила цена", "Купил у конкурента"}
DELIVERY = {"Доставка покупателям", "Топливо"}
MARKETING = {"Реклама", "Мерчандайзинг и промо"}
RETRO = {"Ретробонусы сетям"}
BEGINS, ENDS = 9, 18
YEAR, WARM_UP, DAYS_OF_A_MONTH = 365, 180, Decimal("30.44")
ZERO = Decimal(0)


@dataclass
class Landed:
    """What landed, as frames. Money: Decimal, roubles."""

    as_of: date
    outlets: pd.DataFrame
    orders: pd.DataFrame
    shipments: pd.DataFrame
    returns: pd.DataFrame
    costs: pd.DataFrame
    expenses: pd.DataFrame
    points: pd.DataFrame
    working_days: set[date]


def _frame(conn: Connection[Any], query: str) -> pd.DataFrame:
    cursor = conn.execute(query.encode())
    return pd.DataFrame(cursor.fetchall(), columns=[column.name for column in cursor.description or []], dtype=object)


def _lines(document: str, more: str = "") -> str:
    return f"""
        select head.record_id as document, head.partner_id as outlet, head.dated_at at time zone '{ZONE}' as moment,
            (head.dated_at at time zone '{ZONE}')::date as day, line.product_id as product, line.quantity,
            coalesce(line.amount_with_vat, line.amount) as amount, coalesce(line.vat_amount, 0) as vat,
            product.product_type = 'Товар' and not (coalesce(line.price, 0) = 0
                and coalesce(line.amount_with_vat, line.amount, 0) = 0) as is_sale {more}
        from raw.onec_{document} as head
        join raw.onec_{document}_line as line using (instance, record_id)
        left join raw.onec_product as product on line.product_id = product.record_id
        where head.deleted_at is null and not head.deletion_mark and head.posted
    """


def read(conn: Connection[Any], as_of: date) -> Landed:
    reason = "left join raw.onec_cancellation_reason as reason on line.cancellation_reason_id = reason.record_id"
    orders = _lines(
        "order", ", line.cancelled, reason.name as reason, coalesce(line.requested_on, head.requested_on) as promised"
    ).replace("where head", f"{reason} where head")
    return Landed(
        as_of,
        _frame(
            conn,
            """
            select own.record_id as outlet, coalesce(above.record_id, own.record_id) as client, own.closed_on as closed,
                own.outlet_format = 'опт' or own.channel = 'Опт' as is_wholesale,
                coalesce(own.manager_id, above.manager_id) as rep
            from raw.onec_partner as own
            left join raw.onec_partner as above on own.parent_id = above.record_id and above.is_folder is not true
            where own.is_folder is not true
            """,
        ),
        _frame(conn, orders),
        _frame(conn, _lines("shipment", ", coalesce(line.order_id, head.order_id) as order")),
        _frame(conn, _lines("return", ", coalesce(line.shipment_id, head.shipment_id) as shipment")),
        _frame(
            conn,
            """
            select coalesce(line.document_id, line.record_id) as document, key.product_id as product,
                coalesce(line.cost_without_vat, 0) + coalesce(line.extra_cost_without_vat, 0) as cost
            from raw.onec_revenue_line as line
            left join raw.onec_product_accounting_key as key on line.product_key_id = key.record_id
            where line.active
            """,
        ),
        _frame(
            conn,
            f"""
            select (head.dated_at at time zone '{ZONE}')::date as day, item.name as item,
                coalesce(line.amount_with_vat, line.amount) - coalesce(line.vat_amount, 0) as amount
            from raw.onec_expense as head
            join raw.onec_expense_line as line using (instance, record_id)
            join raw.onec_expense_item as item on line.expense_item_id = item.record_id
            where head.deleted_at is null and not head.deletion_mark and head.posted
            """,
        ),
        _frame(
            conn,
            f"""
            select (moved_at at time zone '{ZONE}')::date as day, accrued as points
            from raw.onec_bonus_movement_line where active and movement_kind <> 'Expense'
            """,
        ),
        {day for (day,) in conn.execute("select day from ops.production_calendar where is_working_day")},
    )


def months(landed: Landed) -> list[date]:
    """First days of the months from the first document to the business date."""
    periods = pd.period_range(min(landed.orders["day"]), landed.as_of, freq="M")
    return [period.to_timestamp().date() for period in periods]


def kpi(landed: Landed, rep: str | None = None) -> dict[tuple[str, date], Decimal | None]:
    """(metric, month) -> value, to four decimals; None where nothing can be told. Of one rep: K1 to K4 alone."""
    outlets = landed.outlets.set_index("outlet")
    if rep is not None:
        outlets = outlets[outlets["rep"] == rep]
    found: dict[tuple[str, date], Decimal | None] = {}
    occasions = _occasions(landed.orders[landed.orders["outlet"].isin(outlets.index)])
    shipped, returned = (
        frame[frame["is_sale"].astype(bool) & frame["outlet"].isin(outlets.index) & (frame["day"] <= landed.as_of)]
        for frame in (landed.shipments, landed.returns)
    )
    wholesale = set(outlets.index[outlets["is_wholesale"].fillna(False).astype(bool)])
    first = occasions.groupby("outlet")["day"].min()
    buying, hours = _purchases(landed), _processing(landed)
    for month in months(landed):
        end = min(_next(month) - timedelta(days=1), landed.as_of)
        of_month = occasions[(occasions["day"] >= month) & (occasions["day"] <= end)]
        kept = of_month[~of_month["all_cancelled_by_us"].astype(bool)]
        days = 0
        for outlet, day in first.items():
            closed = outlets.at[outlet, "closed"]
            until = min(end, closed) if closed is not None and not pd.isna(closed) else end
            days += max((until - max(month, day)).days + 1, 0)
        out, back = (frame[(frame["day"] >= month) & (frame["day"] <= end)] for frame in (shipped, returned))
        net = _sum(out["amount"]) - _sum(back["amount"])
        opt = sum((_sum(f["amount"][f["outlet"].isin(wholesale)]) * s for f, s in ((out, 1), (back, -1))), ZERO)
        found["average_order", month] = _ratio(_sum(kept["amount"]), len(kept))
        found["order_frequency", month] = _ratio(len(of_month), days / DAYS_OF_A_MONTH)
        found["return_percent", month] = _ratio(100 * _sum(back["amount"]), _sum(out["amount"]))
        found["wholesale_percent", month] = _ratio(100 * opt, net)
        if rep is None:
            found |= _margins(landed, out, back, month, end)
            found |= _clients(landed, buying, month, end)
            found["processing_days", month] = _median([h for day, h in hours if month <= day <= end])
    return found


def _occasions(lines: pd.DataFrame) -> pd.DataFrame:
    """Outlet, day, amount, whether we cancelled all of it."""
    cancelled = lines["cancelled"].astype(bool)
    by_client = cancelled & lines["reason"].isin(BY_CLIENT)
    known = lines.assign(alive=~cancelled, demanded=~cancelled | (cancelled & ~by_client & lines["reason"].notna()))
    wanted = known.groupby("document")["demanded"].transform("any")
    rows = known.assign(
        kept=[ZERO if gone else amount for gone, amount in zip(by_client, lines["amount"], strict=True)]
    )
    days = rows[wanted].groupby(["outlet", "day"]).agg(amount=("kept", _sum), alive=("alive", "any")).reset_index()
    return days.assign(all_cancelled_by_us=~days["alive"])


def _purchases(landed: Landed) -> pd.DataFrame:
    """Client and day of every purchase."""
    back = landed.returns[landed.returns["is_sale"].astype(bool)].groupby(["shipment", "product"])["quantity"].agg(_sum)
    shipped = landed.shipments[landed.shipments["is_sale"].astype(bool) & (landed.shipments["day"] <= landed.as_of)]
    lines = shipped.groupby(["outlet", "day", "product", "document"])["quantity"].agg(_sum).reset_index()
    lines["kept"] = [
        quantity - back.get((document, product), ZERO)
        for document, product, quantity in zip(lines["document"], lines["product"], lines["quantity"], strict=True)
    ]
    days = lines.groupby(["outlet", "day", "product"])["kept"].agg(_sum).reset_index()
    kept = days[days["kept"] > 0]
    clients = landed.outlets.set_index("outlet")["client"]
    return kept.assign(client=kept["outlet"].map(clients))[["client", "day"]].drop_duplicates()


def _clients(landed: Landed, buying: pd.DataFrame, month: date, end: date) -> dict[tuple[str, date], Decimal | None]:
    first = buying.groupby("client")["day"].min()
    known_since = min(first) + timedelta(days=WARM_UP)
    active = set(buying["client"][(buying["day"] >= month) & (buying["day"] <= end)])
    old = [client for client in active if first[client] <= end - timedelta(days=YEAR)]
    costs = landed.expenses
    spent = costs[costs["item"].isin(MARKETING) & (costs["day"] >= month) & (costs["day"] <= end)]["amount"]
    new = int(((first >= month) & (first <= end)).sum())
    return {
        ("tenure_percent", month): (
            _ratio(Decimal(100 * len(old)), len(active)) if known_since <= end - timedelta(days=YEAR) else None
        ),
        ("acquisition_cost", month): _ratio(_sum(spent), new) if month >= known_since and len(spent) else None,
    }


def satisfaction(landed: Landed, answers: list[tuple[str, date, int]]) -> dict[tuple[str, date], Decimal | None]:
    """Of answers (client, day, score of 1 to 5): score and response of every month that has any."""
    buying = _purchases(landed)
    last: dict[date, dict[str, int]] = {}
    for client, day, score in sorted(answers, key=lambda answer: answer[1]):
        if day <= landed.as_of:
            last.setdefault(day.replace(day=1), {})[client] = score
    found: dict[tuple[str, date], Decimal | None] = {}
    for month, scores in last.items():
        bought = buying["client"][(buying["day"] >= month) & (buying["day"] < _next(month))]
        known = len(scores) >= 5
        found["satisfaction_score", month] = _ratio(sum(scores.values()), len(scores)) if known else None
        found["survey_response_percent", month] = _ratio(100 * len(scores), len({*bought, *scores}))
    return found


def _margins(
    landed: Landed, out: pd.DataFrame, back: pd.DataFrame, month: date, end: date
) -> dict[tuple[str, date], Decimal | None]:
    sold = set(zip(out["document"], out["product"], strict=True)) | set(
        zip(back["document"], back["product"], strict=True)
    )
    costs = landed.costs
    ours = pd.Series([pair in sold for pair in zip(costs["document"], costs["product"], strict=True)])
    priced = set(zip(costs["document"][ours], costs["product"][ours], strict=True))
    assert priced == sold, "a product without a cost in the register: the definition above says nothing of it"
    revenue = _sum(out["amount"]) - _sum(out["vat"]) - _sum(back["amount"]) + _sum(back["vat"])
    margin = revenue - _sum(costs["cost"][ours])
    spent = landed.expenses[(landed.expenses["day"] >= month) & (landed.expenses["day"] <= end)]
    given = landed.points[(landed.points["day"] >= month) & (landed.points["day"] <= end)]
    after = margin - _sum(spent["amount"][spent["item"].isin(DELIVERY | MARKETING | RETRO)]) - _sum(given["points"])
    return {
        ("margin_percent", month): _ratio(100 * margin, revenue),
        ("contribution_percent", month): _ratio(100 * after, revenue) if len(spent) else None,
    }


def profits(landed: Landed) -> dict[tuple[str, date], tuple[Decimal, Decimal]]:
    """(client, month) -> revenue and gross margin without VAT, roubles, of who bought or gave back in it."""
    clients = landed.outlets.set_index("outlet")["client"]
    costs = landed.costs.groupby(["document", "product"])["cost"].agg(_sum).to_dict()
    found: dict[tuple[str, date], tuple[Decimal, Decimal]] = {}
    for frame, sign in ((landed.shipments, 1), (landed.returns, -1)):
        sales = frame[frame["is_sale"].astype(bool) & (frame["day"] <= landed.as_of)]
        sales = sales.assign(net=sales["amount"] - sales["vat"], client=sales["outlet"].map(clients))
        documents = sales.groupby(["client", "day", "document", "product"])["net"].agg(_sum)
        for (client, day, document, product), net in documents.items():
            revenue, margin = found.get((client, day.replace(day=1)), (ZERO, ZERO))
            cost = costs[document, product]
            found[client, day.replace(day=1)] = (revenue + sign * net, margin + sign * net - cost)
    return found


def _processing(landed: Landed) -> list[tuple[date, Decimal]]:
    """Day of the order and working hours to its first shipment."""
    lines = landed.orders
    wanted = ~lines["cancelled"].astype(bool) | (~lines["reason"].isin(BY_CLIENT) & lines["reason"].notna())
    promised = lines[wanted].groupby("document")["promised"].min()
    ordered = lines.groupby("document")["moment"].min()
    sent = landed.shipments[landed.shipments["day"] <= landed.as_of].groupby("order")["moment"].min()
    found = []
    for order, moment in ordered.items():
        promise = promised.get(order)
        if order not in sent.index or (
            promise is not None and not pd.isna(promise) and promise > _next_working(landed, moment.date())
        ):
            continue
        hours = max(_hours(landed, moment, sent[order]), Decimal(0))
        found.append((moment.date(), hours.quantize(Decimal("0.01"), ROUND_HALF_UP)))
    return found


def _hours(landed: Landed, start: datetime, end: datetime) -> Decimal:
    seconds, day = Decimal(0), start.date()
    while day <= end.date():
        if day in landed.working_days:
            opens, shuts = datetime.combine(day, time(BEGINS)), datetime.combine(day, time(ENDS))
            seconds += Decimal(max((min(shuts, end) - max(opens, start)).total_seconds(), 0))
        day += timedelta(days=1)
    return seconds / 3600


def _next_working(landed: Landed, day: date) -> date:
    day += timedelta(days=1)
    while day not in landed.working_days:
        day += timedelta(days=1)
    return day


def _median(hours: list[Decimal]) -> Decimal | None:
    if not hours:
        return None
    ranked = sorted(hours)
    middle = (ranked[(len(ranked) - 1) // 2] + ranked[len(ranked) // 2]) / 2
    return _ratio(middle, ENDS - BEGINS)


def _sum(values: "pd.Series[Any]") -> Decimal:
    return sum(values, ZERO)


def _ratio(numerator: Decimal | int, denominator: Decimal | int) -> Decimal | None:
    if denominator <= 0:
        return None
    return (Decimal(numerator) / Decimal(denominator)).quantize(Decimal("0.0001"), ROUND_HALF_UP)


def _next(month: date) -> date:
    return (month.replace(day=28) + timedelta(days=4)).replace(day=1)
