"""The Russian production calendar, from a library: weekends, holidays and the yearly transfers of days off."""

from collections.abc import Iterator
from datetime import date, timedelta

import holidays

from warehouse.clock import business_date
from warehouse.db import Connection

FIRST_YEAR = 2009
YEARS_AHEAD = 2


def fill_production_calendar(conn: Connection, first_year: int = FIRST_YEAR, last_year: int | None = None) -> int:
    """Write every day of the years into ops.production_calendar; return how many rows were new or changed.

    `last_year` None means two years ahead of the business date. Idempotent; does not commit.
    """
    last_year = last_year or business_date().year + YEARS_AHEAD
    conn.execute(
        "create temporary table calendar_day (day date, is_working_day boolean, holiday_name text) on commit drop"
    )
    with conn.cursor() as cursor:
        with cursor.copy("copy calendar_day from stdin") as copy:
            for row in production_days(first_year, last_year):
                copy.write_row(row)
        cursor.execute(
            """
            insert into ops.production_calendar as known (day, is_working_day, holiday_name)
            select day, is_working_day, holiday_name from calendar_day
            on conflict (day) do update
            set is_working_day = excluded.is_working_day, holiday_name = excluded.holiday_name
            where (known.is_working_day, known.holiday_name)
                is distinct from (excluded.is_working_day, excluded.holiday_name)
            """
        )
        changed = cursor.rowcount
        cursor.execute("drop table calendar_day")
    return changed


def production_days(first_year: int, last_year: int) -> Iterator[tuple[date, bool, str | None]]:
    """(day, is_working_day, Russian name of the holiday or None) for every day of the years, both included."""
    calendar = holidays.country_holidays("RU", years=range(first_year, last_year + 1), language="ru")
    day = date(first_year, 1, 1)
    while day.year <= last_year:
        yield day, calendar.is_working_day(day), calendar.get(day)
        day += timedelta(days=1)
