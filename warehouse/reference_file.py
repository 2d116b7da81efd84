"""A workbook or CSV files with reference tables: read, and checked row by row in words for whoever typed them."""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar, cast

from openpyxl import load_workbook

from warehouse.reference import Content, Kind, Problem, Table, Value, tables

T = TypeVar("T")
_WEEKDAYS = ("пн", "вт", "ср", "чт", "пт", "сб", "вс")
_FORMATS = {
    "kiosk": "kiosk", "палатка": "kiosk", "neighbourhood_shop": "neighbourhood_shop", "у дома": "neighbourhood_shop",
    "магазин у дома": "neighbourhood_shop", "supermarket": "supermarket", "супермаркет": "supermarket",
    "horeca": "horeca", "кафе и рестораны": "horeca", "wholesale": "wholesale", "оптовик": "wholesale",
    "other": "other", "прочее": "other",
}  # fmt: skip
_BOOLEANS = {"да": True, "yes": True, "true": True, "1": True, "нет": False, "no": False, "false": False, "0": False}


def read(path: Path) -> Content:
    """Check a workbook (a sheet per table), a folder of CSV files, or one CSV file named like its table.

    Sheets and headings may be the names of reference.yml or their titles in Russian or English.
    """
    content = Content()
    for title, rows in _sheets(path):
        name = _table_named(title)
        if name is None:
            if path.suffix != ".xlsx":
                content.problems.append(_unknown_table(title))
            continue
        if name in content.rows:
            content.problems.append(Problem(name, 1, None, "таблица встречается дважды", "the table is there twice"))
            continue
        content.rows[name] = []
        _read_table(name, rows, content)
        content.problems += _repeats(name, content.rows[name])
    if not content.rows and not content.problems:
        known = ", ".join(tables())
        content.problems.append(
            Problem(
                path.name, 1, None, f"нет ни одной таблицы; бывают {known}", f"no table is in it; there are {known}"
            )
        )
    return content


def _sheets(path: Path) -> Iterator[tuple[str, list[Sequence[Any]]]]:
    if path.suffix == ".xlsx":
        book = load_workbook(path, read_only=True, data_only=True)
        try:
            for sheet in book.worksheets:
                yield str(sheet.title), list(sheet.iter_rows(values_only=True))
        finally:
            book.close()
        return
    for file in sorted(path.glob("*.csv")) if path.is_dir() else [path]:
        text = file.read_text(encoding="utf-8-sig")
        first = text.split("\n", 1)[0]
        delimiter = ";" if first.count(";") > first.count(",") else ","
        yield file.stem, list(csv.reader(text.splitlines(), delimiter=delimiter))


def _table_named(title: str) -> str | None:
    wanted = title.strip().lower()
    return next(
        (
            n
            for n, t in tables().items()
            if wanted in {n, t.title.ru.lower(), t.title.en.lower(), t.title.ru.lower()[:31]}
        ),
        None,
    )


def _unknown_table(title: str) -> Problem:
    known = ", ".join(tables())
    return Problem(title, 1, None, f"такой таблицы нет; бывают {known}", f"there is no such table; there are {known}")


def _read_table(name: str, rows: Iterable[Sequence[Any]], content: Content) -> None:
    table = tables()[name]
    columns: list[str | None] = []
    for number, cells in enumerate(rows, start=1):
        filled = [None if cell is None or str(cell).strip() == "" else cell for cell in cells]
        if not any(cell is not None for cell in filled):
            continue
        if not columns:
            columns = [_column_named(table, str(cell)) if cell is not None else None for cell in filled]
            found = _heading_problems(name, number, table, columns, filled)
            content.problems += found
            if found:
                return
            continue
        cells_by_column = {c: v for c, v in zip(columns, filled, strict=False) if c is not None}
        values, problems = _read_row(name, number, table, cells_by_column)
        content.problems += problems
        if not problems:
            content.rows[name].append((number, values))


def _column_named(table: Table, heading: str) -> str | None:
    wanted = heading.strip().lower()
    return next((c for c, s in table.all_columns.items() if wanted in {c, s.ru.lower(), s.en.lower()}), None)


def _heading_problems(
    name: str, row: int, table: Table, columns: Sequence[str | None], headings: Sequence[Any]
) -> list[Problem]:
    known = ", ".join(table.all_columns)
    problems = [
        Problem(name, row, str(h), f"такого столбца нет; бывают {known}", f"there is no such column; there are {known}")
        for c, h in zip(columns, headings, strict=True)
        if c is None and h is not None
    ]
    problems += [
        Problem(name, row, c, "столбец обязателен, а его нет", "the column is required and missing")
        for c, s in table.columns.items()
        if s.required and c not in columns
    ]
    return problems


def _read_row(name: str, row: int, table: Table, cells: Mapping[str, Any]) -> tuple[dict[str, Value], list[Problem]]:
    values: dict[str, Value] = {}
    problems = []
    for column, spec in table.all_columns.items():
        cell = cells.get(column)
        if cell is None:
            if spec.required:
                problems.append(Problem(name, row, column, "значение обязательно", "a value is required"))
            continue
        try:
            values[column] = _known(_value(spec.kind, cell), spec.known)
        except ValueError as error:
            ru, en = error.args
            problems.append(Problem(name, row, column, ru, en))
    problems += _row_problems(name, row, table, values) if not problems else []
    return values, problems


def _known(value: Value, known: Sequence[str]) -> Value:
    """The value, when the column takes it. Raises ValueError(Russian, English)."""
    if not known or value in known:
        return value
    near = get_close_matches(str(value), known, n=1)
    meant = (f"; может быть, {near[0]}?", f"; perhaps {near[0]}?") if near else ("", "")
    names = ", ".join(known)
    raise ValueError(f"«{value}» нет среди: {names}{meant[0]}", f"'{value}' is none of: {names}{meant[1]}")


def _row_problems(name: str, row: int, table: Table, values: Mapping[str, Value]) -> list[Problem]:
    problems = []
    if table.one_of and sum(values.get(column) is not None for column in table.one_of) != 1:
        names = ", ".join(table.one_of)
        problems.append(Problem(name, row, None, f"заполните ровно одно из: {names}", f"fill exactly one of: {names}"))
    first, last = values.get("valid_from"), values.get("valid_to")
    if isinstance(first, date) and isinstance(last, date) and last < first:
        problems.append(
            Problem(name, row, "valid_to", f"{last} раньше начала {first}", f"{last} is before the beginning {first}")
        )
    month = values.get("calendar_month")
    if isinstance(month, int) and not 1 <= month <= 12:
        problems.append(Problem(name, row, "calendar_month", "месяц от 1 до 12", "a month is from 1 to 12"))
    if name == "product_successor" and values.get("product_code") == values.get("successor_code"):
        problems.append(Problem(name, row, "successor_code", "код заменяет сам себя", "a code succeeds itself"))
    return problems


def _repeats(name: str, rows: Sequence[tuple[int, Mapping[str, Value]]]) -> list[Problem]:
    """Rows of the same key at the same time: two standards, two plans, two formats at once."""
    table = tables()[name]
    by_key: dict[tuple[Value, ...], list[tuple[date, date, int]]] = {}
    for number, values in rows:
        key = tuple(values.get(column) for column in ("instance", *table.key))
        first = cast("date", values.get("valid_from") or date.min)
        last = cast("date", values.get("valid_to") or date.max)
        by_key.setdefault(key, []).append((first, last, number))
    problems = []
    for key, spans in by_key.items():
        for (_, last, before), (first, _, number) in pairwise(sorted(spans)):
            if first <= last:
                what = ", ".join(str(part) for part in key if part is not None)
                problems.append(
                    Problem(
                        name, max(number, before), None,
                        f"{what}: действует одновременно со строкой {min(number, before)}",
                        f"{what}: valid at the same time as row {min(number, before)}",
                    )
                )  # fmt: skip
    return problems


def _value(kind: Kind, cell: Any) -> Value:
    """The cell as its kind. Raises ValueError(Russian, English)."""
    if isinstance(cell, datetime):
        cell = cell.date() if kind in {"date", "month"} else cell
    text = " ".join(str(cell).split())
    if kind == "text":
        return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else text
    if kind in {"date", "month"}:
        day = cell if isinstance(cell, date) else _day(text, month=kind == "month")
        return day.replace(day=1) if kind == "month" else day
    if kind in {"integer", "number"}:
        return _number(text, whole=kind == "integer")
    if kind == "boolean":
        return _one_of(text, _BOOLEANS)
    if kind == "format":
        return _one_of(text, _FORMATS)
    if kind == "time":
        return cell if isinstance(cell, time) else _time(text)
    return _weekdays(text)


def _day(text: str, *, month: bool) -> date:
    match = re.fullmatch(r"(?P<y>\d{4})-(?P<m>\d\d?)-(?P<d>\d\d?)|(?P<d2>\d\d?)\.(?P<m2>\d\d?)\.(?P<y2>\d{4})", text)
    if match is None and month:
        match = re.fullmatch(r"(?P<y>\d{4})-(?P<m>\d\d?)(?P<d>)|(?P<d2>)(?P<m2>\d\d?)\.(?P<y2>\d{4})", text)
    try:
        if match is not None:
            year, number, day = (match[part] or match[part + "2"] for part in "ymd")
            return date(int(year), int(number), int(day or 1))
    except ValueError:
        pass
    raise ValueError(f"«{text}» — не дата вида 11.03.2026", f"'{text}' is no date like 2026-03-11")


def _number(text: str, *, whole: bool) -> int | Decimal:
    try:
        number = Decimal(re.sub(r"[\s\u00a0]", "", text).replace(",", "."))
    except InvalidOperation:
        number = Decimal("nan")
    if not number.is_finite() or number < 0 or number >= 10**15:
        raise ValueError(f"«{text}» — не число от нуля", f"'{text}' is no number from zero")
    if not whole:
        return number
    if number != number.to_integral_value() or number >= 2**31:
        raise ValueError(f"«{text}» — не целое число", f"'{text}' is no whole number")
    return int(number)


def _time(text: str) -> time:
    match = re.fullmatch(r"([01]?\d|2[0-3])[:.]([0-5]\d)(?::00)?", text)
    if match is None:
        raise ValueError(f"«{text}» — не время вида 14:00", f"'{text}' is no time like 14:00")
    return time(int(match[1]), int(match[2]))


def _weekdays(text: str) -> str:
    words = [word for word in re.split(r"[^а-яё]+", text.lower()) if word]
    if not words or any(word not in _WEEKDAYS for word in words):
        raise ValueError(f"«{text}» — не дни недели вида пн,чт", f"'{text}' are no weekdays like пн,чт")
    return ",".join(day for day in _WEEKDAYS if day in words)


def _one_of(text: str, known: Mapping[str, T]) -> T:
    if text.lower() not in known:
        words = ", ".join(known)
        raise ValueError(f"«{text}»: бывает {words}", f"'{text}': there are {words}")
    return known[text.lower()]
