"""Methods of the forecast on series whose future is known."""

import numpy as np
import pytest

from forecasting.methods import HORIZON, METHODS, YEAR, holiday_loss, median_regression, moving_average, seasonal_naive

NO_HOLIDAYS = np.zeros(3 * YEAR + HORIZON)


def test_last_years_week_and_a_month_ago_for_what_is_younger() -> None:
    old = np.arange(1.0, 61.0)
    young = np.where(np.arange(60) < 30, 0.0, old)
    forecast = seasonal_naive(np.stack([old, young]), NO_HOLIDAYS)
    assert forecast[0].tolist() == [9, 10, 11, 12, 13, 14, 15, 16]
    assert forecast[1].tolist() == [57, 58, 59, 60, 57, 58, 59, 60]


def test_a_short_history_repeats_the_last_month() -> None:
    forecast = seasonal_naive(np.arange(1.0, 13.0)[None, :], NO_HOLIDAYS)
    assert forecast[0].tolist() == [9, 10, 11, 12, 9, 10, 11, 12]


def test_the_mean_of_eight_weeks() -> None:
    demand = np.array([[100.0] * 4 + [1, 2, 3, 4, 5, 6, 7, 8]])
    assert moving_average(demand, NO_HOLIDAYS)[0].tolist() == [4.5] * HORIZON


def test_the_regression_finds_the_level_of_even_series() -> None:
    levels = np.arange(10.0, 210.0, 10.0)
    demand = np.repeat(levels[:, None], 60, axis=1)
    forecast = median_regression(demand, NO_HOLIDAYS)
    assert forecast == pytest.approx(np.repeat(levels[:, None], HORIZON, axis=1), rel=0.01)


def test_the_regression_learns_what_holidays_cost() -> None:
    """Demand goes by working days: a week with two days off sells two fifths less."""
    rng = np.random.default_rng(1)
    weeks = 104
    days_off = np.zeros(weeks + HORIZON)
    days_off[4:weeks:6] = 0.4
    days_off[weeks + 2] = 0.4
    levels = rng.uniform(50, 500, 200)
    demand = levels[:, None] * (1 - days_off[:weeks]) * rng.uniform(0.95, 1.05, (200, weeks))
    forecast = median_regression(demand, days_off).sum(axis=0) / levels.sum()
    assert forecast[2] == pytest.approx(0.6, abs=0.03)
    assert np.delete(forecast, 2) == pytest.approx(np.ones(HORIZON - 1), abs=0.03)


def test_who_works_on_holidays_loses_nothing() -> None:
    days_off = np.zeros(60)
    days_off[10] = days_off[40] = 1.0
    assert holiday_loss(np.full((5, 52), 7.0), days_off) == 0.0
    demand = np.full((5, 52), 7.0)
    demand[:, [10, 40]] = 0.0
    assert holiday_loss(demand, days_off) == 1.0


@pytest.mark.parametrize("name", METHODS)
def test_nothing_is_forecast_below_zero_or_of_nothing(name: str) -> None:
    rng = np.random.default_rng(2)
    lumpy = np.where(rng.random((50, 70)) < 0.1, rng.integers(1, 100, (50, 70)), 0).astype(float)
    lumpy[0] = 0
    for demand in (lumpy, lumpy[:, :9], np.zeros((3, 40))):
        forecast = METHODS[name](demand, NO_HOLIDAYS)
        assert forecast.shape == (len(demand), HORIZON)
        assert np.isfinite(forecast).all()
        assert (forecast >= 0).all()
        assert forecast[0].tolist() == [0.0] * HORIZON
