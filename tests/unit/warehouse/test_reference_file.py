"""Files that people fill: what is read, and what is said about each bad row."""

import csv
import re
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from typer.testing import CliRunner
from xlsxwriter import Workbook

from polka.commands.reference import app
from warehouse.reference import tables
from warehouse.reference_file import read
from warehouse.settings import PROJECT_ROOT


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / f"{name}.csv"
    path.write_text(text, encoding="utf-8-sig")
    return path


def test_a_good_file_is_read_by_russian_or_machine_headings(tmp_path: Path) -> None:
    written(
        tmp_path,
        "must_list",
        "Стандарт;Код товара;Формат точки;Действует с;valid_to\nЗолотой;НФ-1;у дома;01.03.2026;\n\n"
        "Золотой;НФ-2;kiosk;2026-03-01;31.12.2026\n",
    )
    written(tmp_path, "sales_plan", 'plan_month,amount\n03.2026,"1 200 000,50"\n')
    content = read(tmp_path)
    assert content.problems == []
    assert content.rows["must_list"] == [
        (
            2,
            {
                "standard": "Золотой",
                "outlet_format": "neighbourhood_shop",
                "product_code": "НФ-1",
                "valid_from": date(2026, 3, 1),
            },
        ),
        (
            4,
            {
                "standard": "Золотой",
                "outlet_format": "kiosk",
                "product_code": "НФ-2",
                "valid_from": date(2026, 3, 1),
                "valid_to": date(2026, 12, 31),
            },
        ),
    ]
    assert content.rows["sales_plan"] == [(2, {"plan_month": date(2026, 3, 1), "amount": Decimal("1200000.50")})]


@pytest.mark.parametrize(
    ("table", "text", "row", "column", "words"),
    [
        ("must_list", "standard,product_code,valid_from\nA,,2026-01-01", 2, "product_code", "обязательно"),
        ("must_list", "standard,product_code,valid_from\nA,1,31.02.2026", 2, "valid_from", "не дата"),
        ("must_list", "standard,product_code\nA,1", 1, "valid_from", "столбец обязателен"),
        ("must_list", "standard,product_code,valid_from,шум\nA,1,2026-01-01,x", 1, "шум", "такого столбца нет"),
        ("breadth_standard", "outlet_format,positions,valid_from\nсклад,5,2026-01-01", 2, "outlet_format", "бывает"),
        ("breadth_standard", "outlet_format,positions,valid_from\nkiosk,5.5,2026-01-01", 2, "positions", "не целое"),
        ("breadth_standard", "outlet_format,positions,valid_from\nkiosk,-5,2026-01-01", 2, "positions", "от нуля"),
        (
            "breadth_standard",
            "outlet_format,positions,valid_from,valid_to\nkiosk,5,2026-01-01,\nпалатка,6,2026-02-01,",
            3,
            None,
            "одновременно со строкой 2",
        ),
        (
            "pause",
            "outlet_code,client_code,valid_from,valid_to\n1,2,2026-01-01,2026-02-01",
            2,
            None,
            "ровно одно из",
        ),
        ("pause", "outlet_code,valid_from,valid_to\n1,2026-03-01,2026-02-01", 2, "valid_to", "раньше начала"),
        ("season", "outlet_code,calendar_month,is_open\n1,13,да", 2, "calendar_month", "от 1 до 12"),
        (
            "product_successor",
            "product_code,successor_code,succeeded_on\n1,1,2026-01-01",
            2,
            "successor_code",
            "сам себя",
        ),
        (
            "order_terms",
            "territory,delivery_weekdays,valid_from\nЮг,пн и обед,2026-01-01",
            2,
            "delivery_weekdays",
            "дни",
        ),
        ("order_terms", "territory,cut_off_time,valid_from\nЮг,25:00,2026-01-01", 2, "cut_off_time", "не время"),
        ("target", "metric,value,valid_from\naverage_ordr,5,2026-01-01", 2, "metric", "может быть, average_order?"),
        ("unheard_of", "a\n1", 1, None, "такой таблицы нет"),
    ],
)
def test_a_bad_row_is_named_with_its_reason(
    tmp_path: Path, table: str, text: str, row: int, column: str | None, words: str
) -> None:
    content = read(written(tmp_path, table, text))
    assert [(problem.table, problem.row, problem.column) for problem in content.problems] == [(table, row, column)]
    assert words in content.problems[0].text("ru")


def test_targets_may_be_set_for_exactly_the_metrics_that_are_computed() -> None:
    computed = (PROJECT_ROOT / "dbt_project/models/intermediate/kpi/int_kpi_slice.sql").read_text(encoding="utf-8")
    values = computed.split("known as (")[1].split(") as metrics")[0]
    known = tables()["target"].columns["metric"].known
    assert sorted(known) == sorted(re.findall(r"\('(\w+)', '\w+'\)", values))
    with (PROJECT_ROOT / "dbt_project/seeds/kpi_target_example.csv").open(encoding="utf-8") as file:
        assert {row["metric"] for row in csv.DictReader(file)} <= set(known)


def test_versions_of_a_standard_follow_each_other(tmp_path: Path) -> None:
    text = "outlet_format,positions,valid_from,valid_to\nkiosk,5,2025-01-01,2025-12-31\nkiosk,6,2026-01-01,\n"
    assert read(written(tmp_path, "breadth_standard", text)).problems == []


def test_a_workbook_of_the_template_is_read_back(tmp_path: Path) -> None:
    template = tmp_path / "template.xlsx"
    assert CliRunner().invoke(app, ["template", str(template)]).exit_code == 0
    content = read(template)
    assert content.problems == []
    assert list(content.rows) == list(tables())

    filled = tmp_path / "filled.xlsx"
    with Workbook(str(filled)) as book:
        sheet = book.add_worksheet("Точки территории")
        sheet.write_row(0, 0, ["Территория", "Точек всего", "Действует с"])
        sheet.write_row(1, 0, ["Юг", 100])
        sheet.write_datetime(1, 2, date(2026, 1, 1), book.add_format({"num_format": "dd.mm.yyyy"}))
        book.add_worksheet("Заметки").write(0, 0, "не таблица")
    content = read(filled)
    assert content.problems == []
    assert content.rows["territory_census"] == [
        (2, {"territory": "Юг", "outlets_total": 100, "valid_from": date(2026, 1, 1)})
    ]


def test_check_lists_problems_and_fails(tmp_path: Path) -> None:
    bad = written(tmp_path, "pause", "outlet_code,valid_from,valid_to\n1,x,2026-02-01")
    result = CliRunner().invoke(app, ["check", str(bad)])
    assert result.exit_code == 1
    assert "Паузы, строка 2, «Пауза с»" in result.output
