"""Tables that people fill: checked row by row, loaded whole or not at all, and again without doubling."""

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from openpyxl import Workbook
from typer.testing import CliRunner

from polka.cli import app
from warehouse.db import connect
from warehouse.settings import get_settings

GOOD = [
    ["Закупки за квартал больше, ₽", "Скидка, %", "Действует с", "Действует по"],
    ["1 000 000,00", 15, date(2026, 1, 1), None],
    [5_000_000, "20", "01.01.2026", ""],
]


@pytest.fixture(autouse=True)
def of_this_database(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLKA_DATABASE_URL", database)
    get_settings.cache_clear()


def workbook(path: Path, rows: list[list[object]], title: str = "Шкала скидок") -> str:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = title
    for row in rows:
        sheet.append(row)
    book.save(path)
    return str(path)


def tiers(database: str) -> list[tuple[object, ...]]:
    with connect(database) as conn:
        return conn.execute(
            "select over_amount, discount_percent, valid_from, valid_to from reference.discount_tier order by 1"
        ).fetchall()


def test_a_workbook_is_loaded_and_loaded_again(tmp_path: Path, database: str) -> None:
    file = workbook(tmp_path / "tiers.xlsx", GOOD)
    for _ in range(2):
        done = CliRunner().invoke(app, ["reference", "load", file])
        assert done.exit_code == 0, done.output
        assert "discount_tier: 2" in done.output
        assert tiers(database) == [
            (Decimal(1_000_000), Decimal(15), date(2026, 1, 1), None),
            (Decimal(5_000_000), Decimal(20), date(2026, 1, 1), None),
        ]


def test_a_bad_row_is_named_and_nothing_is_loaded(tmp_path: Path, database: str) -> None:
    CliRunner().invoke(app, ["reference", "load", workbook(tmp_path / "good.xlsx", GOOD)])
    before = tiers(database)
    bad = workbook(tmp_path / "bad.xlsx", [*GOOD, ["много", 25, "31.02.2026", None]])
    for command in ("check", "load"):
        done = CliRunner().invoke(app, ["reference", command, bad])
        assert done.exit_code == 1
        assert "строка 4" in done.output
        assert "Закупки за квартал больше" in done.output
    assert tiers(database) == before


def test_two_thresholds_at_one_time_are_refused(tmp_path: Path) -> None:
    file = workbook(tmp_path / "twice.xlsx", [*GOOD, [1_000_000, 17, "01.02.2026", None]])
    done = CliRunner().invoke(app, ["reference", "check", file])
    assert done.exit_code == 1
    assert "строка 4" in done.output


def test_what_is_no_table_is_said(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["reference", "check", str(tmp_path / "missing.xlsx")])
    assert done.exit_code == 2
    assert "there is no" in done.output
