"""The workbook opens, holds the same rows and money, and runs nothing that a name brings along."""

import io
import json
import zipfile
from datetime import date
from decimal import Decimal
from typing import Any

import openpyxl
import pytest

from alerts.followups import FollowUp, follow_up_from_payload
from alerts.quality import HeldBranch, Quality
from alerts.render import Contacts, Renderer
from alerts.results import PastRow, Results, RuleRecord
from alerts.workbook import build_workbook
from tests.support.delivery import follow_up, outlet

RENDERER = Renderer("ru")


def row(number: int, **changes: Any) -> FollowUp:
    return follow_up_from_payload(json.dumps(follow_up(number, **changes), default=str))


def opened(rows: list[FollowUp], quality: Quality | None = None, contacts: Contacts | None = None) -> Any:
    body = build_workbook(rows, contacts or Contacts(), quality or Quality(), RENDERER)
    return openpyxl.load_workbook(io.BytesIO(body))


@pytest.mark.parametrize("count", [0, 1, 15, 40])
def test_it_opens_with_any_number_of_rows(count: int) -> None:
    book = opened([row(number) for number in range(1, count + 1)])
    assert book.sheetnames == ["Сводка", "Список", "Точки", "Результаты 7 дней", "Причины", "Качество данных"]
    assert [book["Список"].cell(line, 1).value for line in range(2, count + 2)] == list(range(1, count + 1))


def test_sums_agree_on_every_sheet() -> None:
    rows = [row(1), row(2, outlets=[outlet("2а", money_at_risk=1000.5), outlet("2б", money_at_risk=2000.25)])]
    book = opened(rows, Quality(statuses={"on_time": 10, "closed": 4}))
    listed = [book["Список"].cell(line, 7).value for line in (2, 3)]
    by_outlet = [line[13].value for line in book["Точки"].iter_rows(min_row=2)]
    summary = {line[0].value: line[1].value for line in book["Сводка"].iter_rows(min_row=3, max_row=9)}
    assert listed == [36800, 3000.75]
    assert sum(listed) == sum(by_outlet) == summary["Под риском, ₽"] == 39800.75
    assert summary["Проверено точек"] == 10
    assert book["Список"]["G4"].value == "=SUBTOTAL(109,G2:G3)"


@pytest.mark.parametrize("name", ["=1+1", "+7", "-2+3", "@SUM(A1)", "\t=cmd", "http://example.com", "{=A1}"])
def test_names_are_text_never_formulas_or_links(name: str) -> None:
    nasty = row(1, client_name=name, outlets=[outlet(1, name=name, address=name)])
    body = build_workbook([nasty], Contacts({"outlet-1": name}), Quality(held=(HeldBranch(name, name),)), RENDERER)
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        sheets = {entry: archive.read(entry).decode() for entry in archive.namelist() if "worksheets/sheet" in entry}
    formulas = "".join(sheets.values()).split("<f>")[1:]
    assert [text.split("</f>")[0] for text in formulas] == ["SUBTOTAL(109,G2:G2)"]
    assert not any("hyperlink" in text for text in sheets.values())
    assert opened([nasty])["Список"]["B2"].value == name.strip()


def test_it_is_comfortable_to_read_and_print() -> None:
    sheet = opened([row(1)])["Список"]
    assert sheet.freeze_panes == "C2"
    assert sheet.auto_filter.ref == "A1:L2"
    assert sheet["G2"].number_format == "#,##0"
    assert sheet["F2"].alignment.wrap_text
    assert sheet.column_dimensions["L"].hidden
    assert sheet["L2"].value == f"{1:032x}"
    assert sheet.page_setup.orientation == "landscape"
    assert sheet.print_title_rows == "$1:$1"
    [choice] = sheet.data_validations.dataValidation
    assert choice.sqref == openpyxl.worksheet.cell_range.MultiCellRange("J2")
    assert "Не дозвонился" in choice.formula1
    assert len(choice.formula1) <= 257  # what spreadsheets allow, with its quotes


def test_past_rows_and_reasons_have_their_sheets() -> None:
    past = PastRow(
        date(2025, 6, 3), "=HYPERLINK(1)", ("missed_order", "overdue_debt"), Decimal("36800.50"), "call_back",
        date(2025, 6, 16), date(2025, 6, 9), Decimal("17900"),
    )  # fmt: skip
    results = Results((past,), {"overdue_debt": RuleRecord(5, 3, 1, 1, Decimal("50000.50"))})
    body = build_workbook([row(1), row(2)], Contacts(), Quality(), RENDERER, results=results)
    book = openpyxl.load_workbook(io.BytesIO(body))
    told = [cell.value.date() if cell.is_date else cell.value for cell in book["Результаты 7 дней"][2]]
    assert told == [
        date(2025, 6, 3), "=HYPERLINK(1)", "Нет заказа вовремя, Просрочен долг", 36800.5, "Перезвонить",
        date(2025, 6, 16), date(2025, 6, 9), 17900,
    ]  # fmt: skip
    assert book["Результаты 7 дней"]["B2"].data_type == "s"
    listed = [[cell.value for cell in line] for line in book["Причины"].iter_rows(min_row=2)]
    assert listed == [
        ["Нет заказа вовремя", 2, 73600, None, None, None, None, None, None],
        ["Просрочен долг", 0, 0, 5, 3, 1, 1, 0.75, 50000.5],
    ]
    for name in ("Результаты 7 дней", "Причины"):
        assert book[name].freeze_panes == "C2"
        assert book[name].auto_filter.ref
    assert book["Результаты 7 дней"]["H2"].number_format == "#,##0"


def test_the_same_rows_give_the_same_bytes() -> None:
    rows = [row(1), row(2)]
    assert build_workbook(rows, Contacts(), Quality(), RENDERER) == build_workbook(
        rows, Contacts(), Quality(), RENDERER
    )
