"""One forecast of one week: read what was ordered, continue it, keep the result for dbt."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from forecasting.methods import HORIZON, METHODS, YEAR, Array
from warehouse.db import Connection, connect

WEEK = timedelta(days=7)
HISTORY_WEEKS = 3 * YEAR
KEPT_WEEKS = 8  # forecasts of so many last weeks stay in ops
WORKING_DAYS = 5
BACKTESTS = (2 * HORIZON, HORIZON)  # weeks before the present one at which the methods are tried


@dataclass(frozen=True)
class Made:
    """What one source's forecast consists of."""

    instance: str
    week: date
    series: int
    history_weeks: int
    predictions: int


@dataclass(frozen=True)
class Demand:
    """Weekly demand of one source: `units` [series, weeks], the weeks without a gap, the last one over."""

    keys: list[tuple[str, str]]  # warehouse, product
    segments: list[str]
    first_week: date
    units: Array


def make(day: date, *, database_url: str | None = None) -> list[Made]:
    """Forecast HORIZON weeks from the week of `day` on, for each source with demand; one transaction per source.

    The models of dbt must have been built. A second run for the same week replaces the rows of the first.
    """
    week = day - timedelta(days=day.weekday())
    made = []
    with connect(database_url, autocommit=True) as conn:
        sources = conn.execute("select instance from ops.source_instance where kind = 'onec' order by 1").fetchall()
        for (instance,) in sources:
            demand = read_demand(conn, instance, week)
            if demand is not None:
                made.append(_forecast(conn, instance, week, demand))
    return made


def read_demand(conn: Connection, instance: str, week: date) -> Demand | None:
    """Demand before `week` of what was ordered in the last year; None when there was none."""
    rows = conn.execute(
        """
        select warehouse_id, product_id, week_start, cast(ordered_quantity as float8)
        from intermediate.int_weekly_demand
        where instance = %s and week_start >= %s and week_start < %s
        """,
        [instance, week - HISTORY_WEEKS * WEEK, week],
    ).fetchall()
    alive = {(warehouse, product) for warehouse, product, start, _ in rows if start >= week - YEAR * WEEK}
    if not alive:
        return None
    segments = {
        (warehouse, product): segment
        for warehouse, product, segment in conn.execute(
            "select warehouse_id, product_id, segment from intermediate.int_demand_segment where instance = %s",
            [instance],
        )
    }
    keys = sorted(alive)
    place = {key: number for number, key in enumerate(keys)}
    first = min(start for *_, start, _ in rows)
    units = np.zeros((len(keys), (week - first) // WEEK))
    for warehouse, product, start, quantity in rows:
        if (warehouse, product) in place:
            units[place[warehouse, product], (start - first) // WEEK] = quantity
    return Demand(keys, [segments.get(key, "new") for key in keys], first, units)


def _forecast(conn: Connection, instance: str, week: date, demand: Demand) -> Made:
    days_off = _days_off(conn, demand.first_week, demand.units.shape[1] + HORIZON)
    with conn.transaction():
        replaced = [instance, week, week - KEPT_WEEKS * WEEK]
        which = "instance = %s and (made_for_week = %s or made_for_week <= %s)"
        conn.execute(f"delete from ops.demand_series where {which}", replaced)  # noqa: S608
        conn.execute(f"delete from ops.demand_prediction where {which}", replaced)  # noqa: S608
        with conn.cursor() as cursor:
            with cursor.copy(
                "copy ops.demand_series (instance, made_for_week, warehouse_id, product_id, segment, history_weeks) "
                "from stdin"
            ) as copy:
                for key, segment, own in zip(demand.keys, demand.segments, demand.units, strict=True):
                    copy.write_row((instance, week, *key, segment, len(own) - int((own > 0).argmax())))
            predictions = 0
            with cursor.copy(
                "copy ops.demand_prediction (instance, made_for_week, origin_week, warehouse_id, product_id, method, "
                "week_start, predicted_quantity, ordered_quantity) from stdin"
            ) as copy:
                for row in predicted(demand, days_off):
                    copy.write_row((instance, week, *row))
                    predictions += 1
        conn.execute("analyze ops.demand_series")
        conn.execute("analyze ops.demand_prediction")
    return Made(instance, week, len(demand.keys), demand.units.shape[1], predictions)


def predicted(demand: Demand, days_off: Array) -> Iterator[tuple[date, str, str, str, date, float, float | None]]:
    """(first predicted week, warehouse, product, method, week, predicted units, ordered units or None).

    From the end of the history, and from earlier moments whose following weeks are known; there only series that had
    been ordered by then. Moments with less history than HORIZON weeks are left out.
    """
    weeks = demand.units.shape[1]
    for back in (*BACKTESTS, 0):
        origin = weeks - back
        if back and origin < HORIZON:
            continue
        past = demand.units[:, :origin]
        start = demand.first_week + origin * WEEK
        known = past.any(axis=1)
        for name, method in METHODS.items():
            forecast = method(past, days_off[: origin + HORIZON]).round(3)
            for number in np.flatnonzero(known):
                warehouse, product = demand.keys[number]
                for ahead in range(HORIZON):
                    came = float(demand.units[number, origin + ahead]) if back else None
                    yield start, warehouse, product, name, start + ahead * WEEK, float(forecast[number, ahead]), came


def _days_off(conn: Connection, first_week: date, weeks: int) -> Array:
    """Share of the working days of each week that were holidays, by the production calendar."""
    working: dict[date, int] = dict(
        conn.execute(
            """
            select cast(date_trunc('week', day) as date), count(*) filter (where is_working_day)
            from ops.production_calendar
            where day >= %s and day < %s
            group by 1
            """,
            [first_week, first_week + weeks * WEEK],
        ).fetchall()
    )
    found = [working.get(first_week + number * WEEK, WORKING_DAYS) for number in range(weeks)]
    return (1 - np.array(found, dtype=float) / WORKING_DAYS).clip(min=0)
