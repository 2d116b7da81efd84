"""The list as a workbook that a rep likes to open: summary, list with outcomes, outlets, data quality.

Everything from outside is written as text, never as a formula or a link.
"""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from alerts import reasons, wording
from alerts.followups import FollowUp
from alerts.outcome_names import outcome_label, outcome_labels
from alerts.quality import STATUS_LABELS, Quality
from alerts.render import Contacts, Renderer, clean
from alerts.results import Results
from alerts.wording import Language

_CELL_LIMIT = 32_000
_TEXTS: dict[Language, dict[str, Any]] = {
    "ru": {
        "sheets": ("Сводка", "Список", "Точки", "Результаты 7 дней", "Причины", "Качество данных"),
        "title": "Список на {}",
        "nothing": "Замечаний нет",
        "rep": "Менеджер",
        "clients": "Клиентов в списке",
        "outlets": "Точек без заказа",
        "money": "Под риском, ₽",
        "data": "Данные 1С на",
        "checked": "Проверено точек",
        "shipping": "Ближайшая отгрузка",
        "unknown": "неизвестно",
        "dearest": "Самые крупные суммы",
        "list": ("№", "Клиент", "Точка", "Телефон", "Причина", "Что случилось", "Под риском, ₽",
                 "Что сделать", "Последний заказ", "Итог", "Комментарий", "Код записи"),
        "points": ("№", "Клиент", "Точка", "Формат", "Адрес", "Телефон", "Что случилось", "Последний заказ",
                   "Номер заказа", "Ждали", "Пропущено", "Обычный заказ, ₽", "Позиций", "Под риском, ₽"),
        "results": ("Сообщили", "Клиент", "Причина", "Под риском, ₽", "Итог", "Договорились на", "Заказал",
                    "Пришло, ₽"),
        "reasons": ("Причина", "Клиентов сегодня", "Под риском, ₽", "Сообщили за 4 недели", "По делу", "Зря",
                    "Неизвестно", "Точность", "Пришло, ₽"),
        "total": "Итого",
        "outcome_hint": ("Итог звонка", "Выберите из списка; дату и подробности — в комментарий."),
        "quality": ("Проверка", "Точек"),
        "held": "Списки, которые не отправлены",
        "all_go": "По всем вашим филиалам список отправлен.",
        "little": "Мало истории",
        "page": "Страница &P из &N",
    },
    "en": {
        "sheets": ("Summary", "List", "Outlets", "Results of 7 days", "Reasons", "Data quality"),
        "title": "List for {}",
        "nothing": "Nothing to tell",
        "rep": "Rep",
        "clients": "Clients in the list",
        "outlets": "Outlets without an order",
        "money": "At risk, ₽",
        "data": "1C data as of",
        "checked": "Outlets checked",
        "shipping": "Next shipping",
        "unknown": "unknown",
        "dearest": "The largest amounts",
        "list": ("#", "Client", "Outlet", "Phone", "Reason", "What happened", "At risk, ₽",
                 "What to do", "Last order", "Outcome", "Comment", "Row code"),
        "points": ("#", "Client", "Outlet", "Format", "Address", "Phone", "What happened", "Last order",
                   "Order number", "Expected", "Missed", "Usual order, ₽", "Items", "At risk, ₽"),
        "results": ("Told", "Client", "Reason", "At risk, ₽", "Outcome", "Agreed for", "Ordered", "Came, ₽"),
        "reasons": ("Reason", "Clients today", "At risk, ₽", "Told in 4 weeks", "Right", "Wrong",
                    "Unknown", "Precision", "Came, ₽"),
        "total": "Total",
        "outcome_hint": ("Outcome of the call", "Pick one; dates and details go to the comment."),
        "quality": ("Check", "Outlets"),
        "held": "Lists that were not sent",
        "all_go": "The lists of all your branches were sent.",
        "little": "Little history",
        "page": "Page &P of &N",
    },
}  # fmt: skip


@dataclass(frozen=True)
class _Formats:
    title: Format
    label: Format
    head: Format
    text: Format
    strong: Format
    number: Format
    share: Format
    money: Format
    money_left: Format
    money_total: Format
    day: Format
    input: Format
    note: Format


def build_workbook(
    rows: Sequence[FollowUp],
    contacts: Contacts,
    quality: Quality,
    renderer: Renderer,
    *,
    results: Results | None = None,
) -> bytes:
    """An .xlsx of the rep's list; the same rows give the same bytes. `rows` may be empty."""
    buffer = io.BytesIO()
    book = xlsxwriter.Workbook(
        buffer,
        {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False},
    )
    if rows:
        created = datetime.combine(rows[0].as_of, time(), UTC).replace(tzinfo=None)
        book.set_properties({"title": renderer.list_letter(rows, contacts).subject, "created": created})
    formats = _formats(book)
    texts = _TEXTS[renderer.language]
    summary, listing, points, past, reasons_sheet, checks = (book.add_worksheet(name) for name in texts["sheets"])
    _summary(summary, rows, quality, renderer, texts, formats)
    _list(listing, rows, contacts, renderer, texts, formats)
    _points(points, rows, contacts, renderer, texts, formats)
    _results(past, results or Results(), renderer, texts, formats)
    _reasons(reasons_sheet, rows, results or Results(), renderer, texts, formats)
    _quality(checks, rows, quality, renderer, texts, formats)
    listing.activate()
    book.close()
    return buffer.getvalue()


def _formats(book: xlsxwriter.Workbook) -> _Formats:
    base = {"font_name": "Arial", "font_size": 10, "valign": "top"}
    cell = {**base, "border": 1, "border_color": "#D5DCE3"}
    return _Formats(
        title=book.add_format({**base, "font_size": 14, "bold": True}),
        label=book.add_format({**base, "font_color": "#5B6B7A"}),
        head=book.add_format(
            {
                **cell,
                "bold": True,
                "bg_color": "#E8EEF4",
                "font_color": "#33475B",
                "text_wrap": True,
                "valign": "vcenter",
            }
        ),
        text=book.add_format({**cell, "text_wrap": True}),
        strong=book.add_format({**cell, "text_wrap": True, "bold": True}),
        number=book.add_format({**cell, "num_format": "0", "align": "left"}),
        share=book.add_format({**cell, "num_format": "0%", "align": "left"}),
        money=book.add_format({**cell, "num_format": "#,##0", "align": "right", "bold": True, "indent": 1}),
        money_left=book.add_format({**cell, "num_format": "#,##0", "align": "left", "bold": True}),
        money_total=book.add_format(
            {**cell, "num_format": "#,##0", "align": "right", "bold": True, "bg_color": "#E8EEF4"}
        ),
        day=book.add_format({**cell, "num_format": "dd.mm.yyyy", "align": "left"}),
        input=book.add_format({**cell, "text_wrap": True, "bg_color": "#FFFBE6"}),
        note=book.add_format({**base, "text_wrap": True}),
    )


def _summary(
    sheet: Worksheet,
    rows: Sequence[FollowUp],
    quality: Quality,
    renderer: Renderer,
    texts: dict[str, Any],
    formats: _Formats,
) -> None:
    sheet.hide_gridlines(2)
    widths = (34, 58, 14)
    for column, width in enumerate(widths):
        sheet.set_column(column, column, width)
    if not rows:
        sheet.write_string(0, 0, texts["nothing"], formats.title)
        return
    first = rows[0]
    day = wording.day_with_weekday(first.as_of, first.as_of, renderer.language)
    sheet.write_string(0, 0, texts["title"].format(day), formats.title)
    data_as_of = quality.data_as_of or first.data_as_of
    facts: list[tuple[str, str | int | Decimal]] = [
        (texts["rep"], clean(first.manager_name)),
        (texts["clients"], len(rows)),
        (texts["outlets"], sum(row.outlets_affected for row in rows)),
        (texts["money"], _total(rows)),
        (texts["checked"], quality.checked or texts["unknown"]),
        (
            texts["data"],
            wording.moment_text(data_as_of, renderer.time_zone, first.as_of, renderer.language)
            if data_as_of
            else texts["unknown"],
        ),
    ]
    if first.next_shipping_day:
        facts.append(
            (texts["shipping"], wording.day_with_weekday(first.next_shipping_day, first.as_of, renderer.language))
        )
    for line, (label, value) in enumerate(facts, 2):
        sheet.write_string(line, 0, label, formats.text)
        if isinstance(value, Decimal):
            sheet.write_number(line, 1, float(value), formats.money_left)
        elif isinstance(value, int):
            sheet.write_number(line, 1, value, formats.number)
        else:
            _text(sheet, line, 1, value, formats.text)
    line = len(facts) + 3
    sheet.write_string(line, 0, texts["dearest"], formats.title)
    for offset, row in enumerate(sorted(rows, key=lambda row: -row.money_at_risk)[:5], 1):
        written = (clean(row.client_name), renderer.fact(row))
        for column, text in enumerate(written):
            _text(sheet, line + offset, column, text, formats.text)
        sheet.write_number(line + offset, 2, float(row.money_at_risk), formats.money)
        sheet.set_row(line + offset, _height(list(zip(written, widths, strict=False))))
    _print_setup(sheet, texts, landscape=False)


def _list(
    sheet: Worksheet,
    rows: Sequence[FollowUp],
    contacts: Contacts,
    renderer: Renderer,
    texts: dict[str, Any],
    formats: _Formats,
) -> None:
    widths = (4, 24, 24, 17, 15, 38, 12, 42, 12, 18, 24, 34)
    _head(sheet, texts["list"], widths, formats, rows=len(rows))
    sheet.set_column(11, 11, 34, None, {"hidden": True})
    for line, row in enumerate(rows, 1):
        little = f" ({texts['little'].lower()})" if row.little_history else ""
        told = ", ".join(reasons.name(reason, renderer.language) for reason in row.reasons)
        last = max((outlet.last_ordered_on for outlet in row.outlets if outlet.last_ordered_on), default=None)
        written = {
            1: clean(row.client_name),
            2: renderer.place(row),
            3: contacts.phone_of(row) or "",
            4: told + little,
            5: renderer.fact(row),
            7: renderer.ask(row),
        }
        sheet.write_number(line, 0, line, formats.number)
        for column, value in written.items():
            _text(sheet, line, column, value, formats.strong if column == 1 else formats.text)
        sheet.write_number(line, 6, float(row.money_at_risk), formats.money)
        _day(sheet, line, 8, last, formats)
        sheet.write_blank(line, 9, None, formats.input)
        sheet.write_blank(line, 10, None, formats.input)
        _text(sheet, line, 11, row.followup_id, formats.text)
        sheet.set_row(line, _height([(value, widths[column]) for column, value in written.items()]))
    if rows:
        last_line = len(rows)
        title, hint = texts["outcome_hint"]
        sheet.data_validation(
            1,
            9,
            last_line,
            9,
            {
                "validate": "list",
                "source": outcome_labels(renderer.language),
                "input_title": title,
                "input_message": hint,
                "error_type": "warning",
            },
        )
        sheet.write_string(last_line + 1, 5, texts["total"], formats.head)
        formula = f"=SUBTOTAL(109,G2:G{last_line + 1})"
        sheet.write_formula(last_line + 1, 6, formula, formats.money_total, float(_total(rows)))
    _print_setup(sheet, texts, landscape=True)
    sheet.print_area(0, 0, len(rows) + 1, 10)


def _points(
    sheet: Worksheet,
    rows: Sequence[FollowUp],
    contacts: Contacts,
    renderer: Renderer,
    texts: dict[str, Any],
    formats: _Formats,
) -> None:
    outlets = [(number, row, outlet) for number, row in enumerate(rows, 1) for outlet in row.outlets]
    widths = (4, 24, 24, 15, 28, 17, 38, 12, 13, 12, 12, 12, 9, 12)
    _head(sheet, texts["points"], widths, formats, rows=len(outlets))
    for line, (number, row, outlet) in enumerate(outlets, 1):
        written = {
            1: clean(row.client_name),
            2: clean(outlet.name),
            3: clean(outlet.format),
            4: clean(outlet.address),
            5: contacts.phones.get(outlet.outlet_id, ""),
            6: renderer.outlet_fact(outlet, row.as_of),
            8: clean(outlet.last_order_number),
        }
        sheet.write_number(line, 0, number, formats.number)
        for column, value in written.items():
            _text(sheet, line, column, value, formats.strong if column == 2 else formats.text)
        _day(sheet, line, 7, outlet.last_ordered_on, formats)
        _day(sheet, line, 9, outlet.due_on, formats)
        sheet.write_number(line, 10, outlet.missed_cycles, formats.number)
        _number(sheet, line, 11, outlet.median_amount, formats.money)
        _number(sheet, line, 12, outlet.usual_positions, formats.number)
        sheet.write_number(line, 13, float(outlet.money_at_risk), formats.money)
        sheet.set_row(line, _height([(value, widths[column]) for column, value in written.items()]))
    _print_setup(sheet, texts, landscape=True)


def _results(sheet: Worksheet, results: Results, renderer: Renderer, texts: dict[str, Any], formats: _Formats) -> None:
    widths = (12, 40, 30, 14, 22, 15, 12, 14)
    _head(sheet, texts["results"], widths, formats, rows=len(results.rows))
    for line, row in enumerate(results.rows, 1):
        told = ", ".join(reasons.name(reason, renderer.language) for reason in row.reasons)
        outcome = outcome_label(row.outcome, renderer.language) if row.outcome else ""
        _day(sheet, line, 0, row.told_on, formats)
        _text(sheet, line, 1, clean(row.client_name), formats.strong)
        _text(sheet, line, 2, told, formats.text)
        sheet.write_number(line, 3, float(row.money_at_risk), formats.money)
        _text(sheet, line, 4, outcome, formats.text)
        _day(sheet, line, 5, row.until_on, formats)
        _day(sheet, line, 6, row.ordered_on, formats)
        _number(sheet, line, 7, row.came, formats.money)
        sheet.set_row(line, _height([(clean(row.client_name), widths[1]), (told, widths[2]), (outcome, widths[4])]))
    _print_setup(sheet, texts, landscape=True)


def _reasons(
    sheet: Worksheet,
    rows: Sequence[FollowUp],
    results: Results,
    renderer: Renderer,
    texts: dict[str, Any],
    formats: _Formats,
) -> None:
    """Each reason of the list and of the last weeks once: what it is about today and what its calls were worth."""
    names = reasons.names(renderer.language)
    today = {reason for row in rows for reason in row.reasons}
    shown = [reason for reason in names if reason in today or reason in results.rules]
    widths = (34, 18, 16, 20, 12, 12, 13, 12, 16)
    _head(sheet, texts["reasons"], widths, formats, rows=len(shown))
    for line, reason in enumerate(shown, 1):
        record = results.rules.get(reason)
        _text(sheet, line, 0, names[reason], formats.strong)
        sheet.write_number(line, 1, sum(reason in row.reasons for row in rows), formats.number)
        sheet.write_number(line, 2, float(_money_of(rows, reason)), formats.money)
        counts = (record.told, record.right, record.wrong, record.unknown) if record else (None,) * 4
        for column, value in enumerate(counts, 3):
            _number(sheet, line, column, value, formats.number)
        _number(sheet, line, 7, record.precision if record else None, formats.share)
        _number(sheet, line, 8, record.came if record else None, formats.money)
    _print_setup(sheet, texts, landscape=True)


def _money_of(rows: Sequence[FollowUp], reason: str) -> Decimal:
    if reason == reasons.MISSED_ORDER:
        return sum((outlet.money_at_risk for row in rows for outlet in row.outlets), Decimal(0))
    found = (finding for row in rows for finding in row.findings if finding.reason == reason)
    return sum((finding.money_at_risk for finding in found), Decimal(0))


def _quality(
    sheet: Worksheet,
    rows: Sequence[FollowUp],
    quality: Quality,
    renderer: Renderer,
    texts: dict[str, Any],
    formats: _Formats,
) -> None:
    sheet.hide_gridlines(2)
    widths = (40, 56)
    for column, width in enumerate(widths):
        sheet.set_column(column, column, width)
    labels = STATUS_LABELS[renderer.language]
    known = [status for status in labels if quality.statuses.get(status)]
    others = sorted(status for status in quality.statuses if status not in labels)
    for column, label in enumerate(texts["quality"]):
        sheet.write_string(0, column, label, formats.head)
    line = 1
    for status in [*known, *others]:
        _text(sheet, line, 0, labels.get(status, status), formats.text)
        sheet.write_number(line, 1, quality.statuses[status], formats.number)
        line += 1
    line += 1
    sheet.write_string(line, 0, texts["held"], formats.title)
    if not quality.held:
        _text(sheet, line + 1, 0, texts["all_go"], formats.note)
    for offset, branch in enumerate(quality.held, 1):
        _text(sheet, line + offset, 0, clean(branch.name), formats.text)
        _text(sheet, line + offset, 1, branch.reason, formats.text)
        sheet.set_row(line + offset, _height([(clean(branch.name), widths[0]), (branch.reason, widths[1])]))
    _print_setup(sheet, texts, landscape=False)


def _head(sheet: Worksheet, labels: Sequence[str], widths: Sequence[int], formats: _Formats, *, rows: int) -> None:
    for column, (label, width) in enumerate(zip(labels, widths, strict=True)):
        sheet.set_column(column, column, width)
        sheet.write_string(0, column, label, formats.head)
    sheet.set_row(0, 32)
    sheet.freeze_panes(1, 2)
    sheet.autofilter(0, 0, max(rows, 1), len(labels) - 1)
    sheet.repeat_rows(0)


def _print_setup(sheet: Worksheet, texts: dict[str, Any], *, landscape: bool) -> None:
    sheet.set_paper(9)  # A4
    if landscape:
        sheet.set_landscape()
    sheet.fit_to_pages(1, 0)
    sheet.set_margins(left=0.4, right=0.4, top=0.5, bottom=0.6)
    sheet.set_footer(f"&L&A&R{texts['page']}")


def _text(sheet: Worksheet, line: int, column: int, value: str, fmt: Format) -> None:
    sheet.write_string(line, column, value[:_CELL_LIMIT], fmt)


def _number(sheet: Worksheet, line: int, column: int, value: Decimal | int | None, fmt: Format) -> None:
    if value is None:
        sheet.write_blank(line, column, None, fmt)
    else:
        sheet.write_number(line, column, float(value), fmt)


def _height(texts: Sequence[tuple[str, int]]) -> float:
    """Points that the tallest wrapped text needs: a spreadsheet does not grow rows that it did not write itself."""
    lines = max((math.ceil(1.15 * len(text) / width) for text, width in texts), default=1)
    return 13.0 * max(lines, 1) + 4.0


def _day(sheet: Worksheet, line: int, column: int, value: date | None, formats: _Formats) -> None:
    if value is None:
        sheet.write_blank(line, column, None, formats.day)
    else:
        sheet.write_datetime(line, column, value, formats.day)


def _total(rows: Sequence[FollowUp]) -> Decimal:
    return sum((row.money_at_risk for row in rows), Decimal(0))
