"""The effect of calls in worlds whose true lift is known: the interval holds it as often as it says, zero is zero."""

import random
from decimal import Decimal
from pathlib import Path

from warehouse.db import connect
from warehouse.dbt_runner import run_dbt

SEEDS = 100
ROWS = 1500
HELD_SHARE = 0.1
AT_RISK = 20_000
CURED_BY_ITSELF, CURED_BY_A_CALL = 0.35, 0.20
VARS = '{as_of: "2026-03-02"}'

TABLE = """
create schema if not exists marts;
create table marts.follow_up_outcome (
    as_of date, instance text, rule_id text, manager_id text, is_holdout boolean, is_assigned boolean,
    is_complete boolean, came_amount numeric(18, 2)
)
"""


def true_lift(calls_help: bool) -> float:
    """Mean amount of a row is half of AT_RISK: amounts are even between nothing and all of it."""
    return CURED_BY_A_CALL * AT_RISK / 2 if calls_help else 0.0


def world(seed: int, calls_help: bool) -> list[tuple[object, ...]]:
    """Rows that come back by themselves or not; a call brings some of them on top, whoever answers the phone."""
    chance = random.Random(f"{seed}-{calls_help}")
    rows: list[tuple[object, ...]] = []
    for _ in range(ROWS):
        is_held = chance.random() < HELD_SHARE
        likely = CURED_BY_ITSELF + (CURED_BY_A_CALL if calls_help and not is_held else 0.0)
        came = round(chance.uniform(0, AT_RISK), 2) if chance.random() < likely else 0.0
        rows.append(
            ("2026-02-02", f"{'lift' if calls_help else 'none'}-{seed}", "missed_order", "m", is_held, True, True, came)
        )
    return rows


def test_the_interval_holds_the_planted_lift_as_often_as_it_says(database: str, tmp_path: Path) -> None:
    with connect(database) as conn:
        conn.execute(TABLE)
        with conn.cursor().copy("copy marts.follow_up_outcome from stdin") as copy:
            for seed in range(SEEDS):
                for calls_help in (True, False):
                    for row in world(seed, calls_help):
                        copy.write_row(row)
    code, said = run_dbt(["run", "--select", "follow_up_effect", "--vars", VARS], database)
    assert code == 0, said
    with connect(database) as conn:
        rows = conn.execute(
            "select instance, lift_low, lift_high, told_rows + held_rows, recovered_amount, lift_per_row, told_rows "
            "from marts.follow_up_effect where rule_id = 'all' and manager_id = 'all'"
        ).fetchall()
    assert len(rows) == 2 * SEEDS
    for calls_help, name in ((True, "lift"), (False, "none")):
        truth = Decimal(str(true_lift(calls_help)))
        mine = [row for row in rows if row[0].startswith(name)]
        held = sum(low <= truth <= high for _, low, high, *_ in mine)
        assert held >= 93, f"{name}: {held} of {SEEDS} intervals hold the true lift"
        assert all(total == ROWS for _, _, _, total, *_ in mine)
        # The interval is no wider than it has to be: a lift of two thousand is told from nothing in most worlds.
        found = sum(low > 0 for _, low, *_ in mine)
        assert (found >= 70) if calls_help else (found <= 7), f"{name}: {found} of {SEEDS} see a lift"
