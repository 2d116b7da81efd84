"""Ways to continue weekly demand, for all series at once.

A method takes `demand` [series, weeks] of the past in units, `days_off` [weeks + HORIZON] as the share of the five
working days that a week lost to holidays, the coming weeks included, and returns [series, HORIZON] units, none
below zero.
"""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import statsmodels.api as sm
from numpy.typing import NDArray
from statsmodels.tools.sm_exceptions import IterationLimitWarning

Array = NDArray[np.float64]
Method = Callable[[Array, Array], Array]

HORIZON = 8
YEAR = 52
MONTH = 4
MEDIAN_WEEKS = 12
LONGEST = 26  # weeks that the slowest of the averages looks back
SHORTEST_HISTORY = 16
LEAST_WORKED = 0.2  # no week counts for less: what is divided by it stays sane
ORIGINS = 6  # past moments that the regression learns from, two weeks apart


def seasonal_naive(demand: Array, days_off: Array) -> Array:
    """The same week of last year; of a series younger than that, the same week of four."""
    month = np.tile(demand[:, -MONTH:], HORIZON // MONTH)
    if demand.shape[1] < YEAR:
        return month
    began = np.where(demand.any(axis=1), (demand > 0).argmax(axis=1), demand.shape[1])
    year = demand[:, demand.shape[1] - YEAR :][:, :HORIZON]
    return np.where((began <= demand.shape[1] - YEAR)[:, None], year, month)


def moving_average(demand: Array, days_off: Array) -> Array:
    """The mean of the last eight weeks, for every coming week."""
    return np.repeat(demand[:, -HORIZON:].mean(axis=1)[:, None], HORIZON, axis=1)


def median_regression(demand: Array, days_off: Array) -> Array:
    """One median regression per horizon over all series: short and long averages, last year.

    Holidays are taken out before and put back afterwards. Half of the errors are to each side, which is what the sum of
    absolute errors asks for; the sum of the forecasts is lower than the sum of the demand where demand is lumpy. With
    less history than SHORTEST_HISTORY + HORIZON: the mean.
    """
    weeks = demand.shape[1]
    if weeks < SHORTEST_HISTORY + HORIZON or not demand.any():
        return moving_average(demand, days_off)
    worked: Array = (1 - holiday_loss(demand, days_off) * days_off[: weeks + HORIZON]).clip(min=LEAST_WORKED)
    return _regress(demand / worked[:weeks]) * worked[weeks:]


def holiday_loss(demand: Array, days_off: Array) -> float:
    """What share of its demand a week without working days loses, by all products together: 0 to 1.

    A week with holidays is compared with the weeks without them around it.
    """
    totals = demand.sum(axis=0)
    off = days_off[: len(totals)]
    lost = weight = 0.0
    for week in np.flatnonzero(off):
        around = slice(max(0, week - MONTH), week + MONTH + 1)
        usual = np.median(totals[around][off[around] == 0]) if (off[around] == 0).any() else 0.0
        if usual > 0:
            lost += off[week] * (1 - totals[week] / usual)
            weight += off[week] ** 2
    return float(np.clip(lost / weight, 0, 1)) if weight else 0.0


def _regress(demand: Array) -> Array:
    weeks = demand.shape[1]
    forecast = np.zeros((demand.shape[0], HORIZON))
    for ahead in range(1, HORIZON + 1):
        origins = list(range(weeks - ahead, SHORTEST_HISTORY - 1, -2))[:ORIGINS]
        with_year = origins[-1] + ahead - 1 >= YEAR
        known = np.concatenate([_signs(demand, o, ahead, with_year=with_year) for o in origins])
        came = np.concatenate([demand[:, o + ahead - 1] for o in origins])
        living = known.any(axis=1)
        used = known[living].any(axis=0)  # a sign that was never there has no weight to learn
        weights = _median_fit(came[living], known[living][:, used])
        forecast[:, ahead - 1] = _signs(demand, weeks, ahead, with_year=with_year)[:, used] @ weights
    return forecast.clip(min=0)


def _signs(demand: Array, origin: int, ahead: int, *, with_year: bool) -> Array:
    """What is known at `origin` (weeks before it) of the week that lies `ahead`."""
    past = demand[:, :origin]
    signs = [
        past[:, -1],
        past[:, -MONTH:].mean(axis=1),
        past[:, -HORIZON:].mean(axis=1),
        past[:, -SHORTEST_HISTORY:].mean(axis=1),
        past[:, -LONGEST:].mean(axis=1),
        np.median(past[:, -MEDIAN_WEEKS:], axis=1),
    ]
    if with_year:
        signs.append(past[:, origin + ahead - 1 - YEAR])
    return np.stack(signs, axis=1)


def _median_fit(came: Array, known: Array) -> Array:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", IterationLimitWarning)  # weights that still move in the third digit will do
        fitted: Any = sm.QuantReg(came, known).fit(q=0.5, max_iter=100)
    weights: Array = np.nan_to_num(np.asarray(fitted.params, dtype=float))
    return weights


METHODS: dict[str, Method] = {
    "seasonal_naive": seasonal_naive,
    "moving_average": moving_average,
    "median_regression": median_regression,
}
