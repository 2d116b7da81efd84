"""Working days of Russia, as the `holidays` library knows them."""

from datetime import date, timedelta
from functools import cache

import holidays

DAY = timedelta(days=1)
_russia = holidays.country_holidays("RU")


@cache
def is_working(day: date) -> bool:
    """True for a working day, transferred days included."""
    return bool(_russia.is_working_day(day))


def next_working(day: date) -> date:
    """The day itself when it is a working one, else the first working day after it."""
    while not is_working(day):
        day += DAY
    return day


def previous_working(day: date) -> date:
    """The last working day before `day`."""
    day -= DAY
    while not is_working(day):
        day -= DAY
    return day


def add_working(day: date, count: int) -> date:
    """The `count`-th working day after `day`."""
    for _ in range(count):
        day = next_working(day + DAY)
    return day
