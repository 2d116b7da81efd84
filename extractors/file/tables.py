"""CSV and XLSX tables as streams of records: one row per catalog item, one row per line of a document.

Which column is what: the names of the mapping `tables`, the names of the landing columns, and what the folder's
`columns.yml` adds. Other columns are kept in the archive under their own heading. Numbers are taken as 1C and Excel
write them (decimal comma, spaces); nothing in a cell is ever executed or interpreted as a formula.
"""

import csv
import re
import warnings
import zipfile
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from fnmatch import fnmatch
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

import numpy
import openpyxl
import xxhash
import yaml
from defusedxml.common import DefusedXmlException
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from extractors.core.errors import ReadError
from extractors.core.spec import Configuration, Entity, EntityMapping
from extractors.file.errors import BadFile
from extractors.file.flat import CONTACT_COLUMNS, CONTACTS, KEY, LINES, register_id

COLUMNS_FILE = "columns.yml"
PREVIEW_ROWS = 40
MAX_UNPACKED = 2_000_000_000
MAX_SHARED_STRINGS = 150_000_000
MAX_LINES = 100_000  # of one document
_DELIMITERS = ";\t,|"
_ID_NAMES = (KEY, "Ссылка", "record_id")
_WHOLE = ("full", "все", "полный")
_YES_NO = {
    "да": "true", "истина": "true", "true": "true", "yes": "true", "+": "true", "1": "true",
    "нет": "false", "ложь": "false", "false": "false", "no": "false", "-": "false", "0": "false",
}  # fmt: skip
_TOTALS = re.compile(r"\s*(итого|всего|total)\b", re.IGNORECASE)
Row = dict[str, str | None]


class TableColumns(BaseModel):
    """What `columns.yml` says about one entity."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    files: list[str] = Field([], description="Globs of file names that hold this entity")
    columns: dict[str, str] = Field({}, description="Heading in the file -> name of the mapping")


def read_columns(folder: Path) -> dict[str, TableColumns]:
    """The folder's `columns.yml`; empty when there is none. Raises ReadError."""
    path = folder / COLUMNS_FILE
    if not path.is_file():
        return {}
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8-sig")) or {}
        return TypeAdapter(dict[str, TableColumns]).validate_python(content)
    except (yaml.YAMLError, UnicodeDecodeError, ValidationError) as problem:
        raise ReadError(f"{path} is not understood: {str(problem).splitlines()[0]}") from None


def normal(name: str) -> str:
    """A heading as it is compared: case, spaces, punctuation and ё do not matter."""
    return "".join(letter for letter in name.casefold().replace("ё", "е") if letter.isalnum())


def entity_of(stem: str, configuration: Configuration, columns: Mapping[str, TableColumns]) -> str | None:
    """Which entity a file of this name (without its ending) holds: by columns.yml, or by the name it begins with.

    The names are the entity's own and its `set` of the mapping.
    """
    for name, told in columns.items():
        if name in configuration.entities and any(fnmatch(stem.casefold(), glob.casefold()) for glob in told.files):
            return name
    found: tuple[int, str] | None = None
    words = re.split(r"[^\w]|_|(?<=\D)(?=\d)", stem.casefold().replace("ё", "е"))
    for name, mapping in configuration.entities.items():
        for title in (name, mapping.source_set):
            parts = title.casefold().replace("ё", "е").split("_")
            if words[: len(parts)] == parts and (found is None or len(parts) > found[0]):
                found = (len(parts), name)
    return found[1] if found else None


def is_whole(stem: str) -> bool:
    """Whether the name says that the table is complete: what it does not hold is gone."""
    return any(word in _WHOLE for word in re.split(r"[^\w]|_", stem.casefold()))


@dataclass(frozen=True)
class Shape:
    """How an entity looks as a table."""

    entity: Entity
    names: Mapping[str, str]  # normal heading -> name of the mapping
    kinds: Mapping[str, str]
    required: tuple[str, ...]
    key: tuple[str, ...]  # names whose values make the id when there is no column for it
    has_lines: bool

    @classmethod
    def of(cls, entity: Entity, mapping: EntityMapping, told: TableColumns | None) -> "Shape":
        """Raises ReadError when columns.yml names something that the mapping does not know."""
        names: dict[str, str] = {normal(name): KEY for name in _ID_NAMES}
        kinds: dict[str, str] = {}
        required: list[str] = []
        has_lines = False
        fields = [(column, field, entity.columns[column]) for column, field in mapping.fields.items()]
        for child, lines in mapping.lines.items():
            if lines.source == LINES:
                has_lines = True
                fields += [(column, field, entity.lines[child][column]) for column, field in lines.fields.items()]
            elif lines.source == CONTACTS:
                names |= {normal(name): name for name in (*CONTACT_COLUMNS, "Город")}
        for column, field, kind in fields:
            if field.source:
                names.setdefault(normal(column), field.source)
                names[normal(field.source)] = field.source
                kinds[field.source] = kind
                if not field.optional:
                    required.append(field.source)
        known = {KEY, *names.values()}
        for heading, name in (told.columns if told else {}).items():
            if name not in known:
                raise ReadError(
                    f"{COLUMNS_FILE}: {entity.name} has no column '{name}'; known: {', '.join(sorted(known))}"
                )
            names[normal(heading)] = name
        if entity.key:
            key = tuple(mapping.fields[column].source for column in entity.key if column in mapping.fields)
        else:
            key = ("Номер", "Дата") if entity.read == "window" else ("Код",)
        return cls(entity, names, kinds, tuple(dict.fromkeys(required)), key, has_lines)


class Table:
    """A table in a file, recognised; iterate `records` as often as needed."""

    def __init__(self, path: Path, shape: Shape) -> None:
        self._path = path
        self._shape = shape
        self._text = None if _is_packed(path) else _text_format(path)
        self._skip, self._header = self._find_header()
        self._headings = self._name_columns()

    def examine(self) -> int:
        """Read all of it; returns the number of records.

        Raises BadFile: broken rows, ids that repeat, formulas without values.
        """
        if self._text is None:
            _check_formulas(self._path)
        ids, contents, places = array("Q"), array("Q"), array("L")
        for place, key, rows in self._groups():
            ids.append(xxhash.xxh3_64_intdigest((key or f"row {place}").encode()))
            contents.append(xxhash.xxh3_64_intdigest(repr(rows).encode()))
            places.append(place)
        self._check_repeats(ids, contents, places)
        return len(ids)

    def records(self) -> Iterator[tuple[str | None, list[Row]]]:
        """(id, rows) of each record; a record without an id is left to the codec to reject."""
        for _, key, rows in self._groups():
            yield key, rows

    # --- rows

    def _groups(self) -> Iterator[tuple[int, str | None, list[Row]]]:
        """(row of its beginning, id, rows): neighbouring rows of one document belong together."""
        start = 0
        current: str | None = None
        rows: list[Row] = []
        for place, row in self._rows():
            key = self._key(row)
            if rows and self._shape.has_lines and key is not None and key == current:
                rows.append(row)
                if len(rows) > MAX_LINES:
                    raise BadFile(
                        f"У одного документа больше {MAX_LINES} строк (строка {place} файла).",
                        f"One document has more than {MAX_LINES} lines (row {place} of the file).",
                    )
                continue
            if rows:
                yield start, current, rows
            start, current, rows = place, key, [row]
        if rows:
            yield start, current, rows

    def _key(self, row: Row) -> str | None:
        if row.get(KEY):
            return row[KEY]
        parts = [row.get(name) for name in self._shape.key]
        if self._shape.entity.key:
            found = register_id(parts)
        else:
            found = " ".join(part for part in parts if part) if all(parts) else None
        row[KEY] = found
        return found

    def _rows(self) -> Iterator[tuple[int, Row]]:
        kinds = [self._shape.kinds.get(name, "text") for name in self._headings]
        for place, cells in self._cells():
            if not any(cells):
                continue
            if _TOTALS.match(next(cell for cell in cells if cell)):
                continue
            yield (
                place,
                {
                    name: _written(cell, kind)
                    for name, kind, cell in zip_longest(self._headings, kinds, cells[: len(self._headings)])
                },
            )

    def _cells(self) -> Iterator[tuple[int, Sequence[str | None]]]:
        width = len(self._header)
        if self._text is None:
            for place, cells in enumerate(islice(_sheet_rows(self._path), self._skip, None), self._skip + 1):
                if any(cells[width:]):
                    _complain_of_width(place, more=True)
                yield place, cells
        else:
            yield from _text_rows(self._path, self._text, self._skip, width)

    # --- heading

    def _find_header(self) -> tuple[int, list[str]]:
        """(rows before the data, headings): of the first rows the one with the most known names."""
        best: tuple[int, int, list[str]] | None = None
        for encoding_format, preview in self._previews():
            for place, cells in enumerate(preview, start=1):
                score = len(
                    {self._shape.names[normal(cell)] for cell in cells if cell and normal(cell) in self._shape.names}
                )
                if score and (best is None or score > best[0]):
                    best = (score, place, [cell or "" for cell in cells])
                    if encoding_format is not None:
                        self._text = encoding_format
        if best is None:
            expected = ", ".join(self._shape.required) or ", ".join(sorted(set(self._shape.names.values())))
            raise BadFile(
                f"В первых {PREVIEW_ROWS} строках нет заголовков таблицы «{self._shape.entity.name}». "
                f"Нужны столбцы: {expected}.",
                f"The first {PREVIEW_ROWS} rows have no headings of the table '{self._shape.entity.name}'. Needed "
                f"columns: {expected}.",
            )
        header = best[2]
        while header and not header[-1]:
            header.pop()
        return best[1], header

    def _previews(self) -> Iterator[tuple["TextFormat | None", list[list[str | None]]]]:
        if self._text is None:
            yield None, [list(cells) for cells in islice(_sheet_rows(self._path), PREVIEW_ROWS)]
            return
        for delimiter in _DELIMITERS:
            tried = TextFormat(self._text.encoding, delimiter)
            with self._path.open(encoding=tried.encoding, newline="") as file:
                try:
                    rows = [
                        list[str | None](row) for row in islice(csv.reader(file, delimiter=delimiter), PREVIEW_ROWS)
                    ]
                except csv.Error:
                    continue
            yield tried, rows

    def _name_columns(self) -> list[str]:
        """Each heading's name in the mapping, or the heading itself. Raises BadFile."""
        headings: list[str] = []
        for position, heading in enumerate(self._header, start=1):
            name = self._shape.names.get(normal(heading), heading.strip() or f"столбец {position}")
            if name in headings:
                if normal(heading) in self._shape.names:
                    raise BadFile(
                        f"Столбец «{name}» встречается дважды: не ясно, какой из них читать.",
                        f"The column '{name}' is there twice: it is not clear which one to read.",
                    )
                name = f"{name} {position}"
            headings.append(name)
        missing = [name for name in self._shape.required if name not in headings]
        if KEY not in headings:
            missing += [name for name in self._shape.key if name not in headings and name not in missing]
        if missing:
            raise BadFile(
                f"Нет столбцов: {', '.join(missing)}. Добавьте их в выгрузку или назовите их в {COLUMNS_FILE}.",
                f"Columns are missing: {', '.join(missing)}. Add them to the export, or name them in {COLUMNS_FILE}.",
            )
        return headings

    def _check_repeats(self, ids: "array[int]", contents: "array[int]", places: "array[int]") -> None:
        keys = numpy.frombuffer(ids, dtype=numpy.uint64) if ids else numpy.empty(0, dtype=numpy.uint64)
        order = numpy.argsort(keys, kind="stable")
        for position in numpy.flatnonzero(keys[order][1:] == keys[order][:-1]):
            first, second = int(order[position]), int(order[position + 1])
            if self._shape.has_lines:
                raise BadFile(
                    f"Строки одного документа стоят не подряд (строки {places[first]} и {places[second]}). "
                    "Отсортируйте выгрузку по документу.",
                    f"The rows of one document do not stand together (rows {places[first]} and {places[second]}): sort "
                    "the export by document.",
                )
            if contents[first] != contents[second]:
                raise BadFile(
                    f"Один и тот же ключ в строках {places[first]} и {places[second]}, а содержимое разное.",
                    f"Rows {places[first]} and {places[second]} have the same key and different content.",
                )


# --- text


@dataclass(frozen=True)
class TextFormat:
    encoding: str
    delimiter: str


def _is_packed(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"PK"


def _text_format(path: Path) -> TextFormat:
    """The encoding by its bytes; the delimiter is found with the heading."""
    with path.open("rb") as file:
        beginning = file.read(4)
    if beginning.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    elif _decodes(path, "utf-8-sig"):
        encoding = "utf-8-sig"
    elif _decodes(path, "cp1251"):
        encoding = "cp1251"
    else:
        raise BadFile(
            "Кодировка файла не UTF-8, не UTF-16 и не windows-1251. Сохраните его в UTF-8.",
            "The file is neither UTF-8 nor UTF-16 nor windows-1251: save it as UTF-8.",
        )
    return TextFormat(encoding, ";")


def _decodes(path: Path, encoding: str) -> bool:
    try:
        with path.open(encoding=encoding, newline="") as file:
            while chunk := file.read(1 << 20):
                if "\x00" in chunk:
                    raise BadFile(
                        "В файле есть нулевые байты: это не таблица, либо она испорчена при передаче.",
                        "The file holds NUL bytes: it is no table, or the transfer damaged it.",
                    )
    except UnicodeDecodeError:
        return False
    return True


def _text_rows(path: Path, text: TextFormat, skip: int, width: int) -> Iterator[tuple[int, list[str | None]]]:
    """(line of the file, cells) behind the heading. Every row must be as wide as the heading: half a row is no row."""
    try:
        with path.open(encoding=text.encoding, newline="") as file:
            reader = csv.reader(file, delimiter=text.delimiter, strict=True)
            for cells in islice(reader, skip, None):
                if any(cells[width:]):
                    _complain_of_width(reader.line_num, more=True)
                if len(cells) < width and any(cells):
                    _complain_of_width(reader.line_num, more=False)
                yield reader.line_num, list[str | None](cells[:width])
    except (UnicodeDecodeError, csv.Error) as problem:
        raise BadFile(
            "Таблица обрывается или испорчена: кавычка не закрыта, либо ячейка слишком длинна.",
            f"The table breaks off or is damaged: {problem}.",
        ) from None


def _complain_of_width(place: int, *, more: bool) -> None:
    raise BadFile(
        f"В строке {place} {'больше' if more else 'меньше'} столбцов, чем в заголовке: файл неполный или испорчен.",
        f"Row {place} has {'more' if more else 'fewer'} columns than the heading: the file is incomplete or damaged.",
    )


# --- sheets


def _sheet_rows(path: Path, *, values: bool = True) -> Iterator[list[str | None]]:
    """Rows of the first sheet; of formulas the values that were saved with them."""
    for cells in _sheet_cells(path, values=values):
        yield [_cell_text(cell) for cell in cells]


def _sheet_cells(path: Path, *, values: bool) -> Iterator[Sequence[Any]]:
    _check_archive(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about styles and extensions that nobody reads here
            book = openpyxl.load_workbook(path, read_only=True, data_only=values, keep_links=False)
        try:
            sheet: Any = book.worksheets[0]
            sheet.reset_dimensions()  # what the file says about its size is often wrong
            yield from sheet.iter_rows()
        finally:
            book.close()
    except DefusedXmlException:
        raise BadFile(
            "В книге есть описание типа документа: такие файлы не читаются.",
            "The workbook holds a document type declaration: such files are not read.",
        ) from None
    except BadFile:
        raise
    except Exception as problem:  # openpyxl raises whatever a damaged workbook leads it to
        raise BadFile(
            "Книга XLSX испорчена или неполна: она не открывается. Сохраните её заново.",
            f"The XLSX workbook is damaged or incomplete ({type(problem).__name__}): save it again.",
        ) from None


def _check_archive(path: Path) -> None:
    """Refuse what would fill the memory when unpacked."""
    try:
        with zipfile.ZipFile(path) as packed:
            parts = packed.infolist()
    except zipfile.BadZipFile:
        raise BadFile(
            "Книга XLSX испорчена или неполна: она не открывается. Сохраните её заново.",
            "The XLSX workbook is damaged or incomplete: save it again.",
        ) from None
    if not any(part.filename == "xl/workbook.xml" for part in parts):
        raise BadFile(
            "Это архив, а не книга XLSX. Распакуйте его в эту папку.",
            "This is an archive and no XLSX workbook: unpack it into this folder.",
        )
    strings = sum(part.file_size for part in parts if part.filename.endswith("sharedStrings.xml"))
    if sum(part.file_size for part in parts) > MAX_UNPACKED or strings > MAX_SHARED_STRINGS:
        raise BadFile(
            "Книга слишком велика. Выгрузите таблицу в CSV: он читается любого размера.",
            "The workbook is too big: export the table as CSV, which may have any size.",
        )


def _check_formulas(path: Path) -> None:
    """A formula that was never calculated has no value to read."""
    for place, (formulas, saved) in enumerate(
        zip(_sheet_cells(path, values=False), _sheet_cells(path, values=True), strict=False), start=1
    ):
        for formula, cell in zip(formulas, saved, strict=False):
            if formula.value is not None and formula.data_type == "f" and cell.value is None:
                raise BadFile(
                    f"В строке {place} есть формула без вычисленного значения. Откройте книгу в Excel и сохраните её.",
                    f"Row {place} has a formula without a calculated value: open the workbook in Excel and save it.",
                )
            if cell.value is not None and cell.data_type == "e":
                raise BadFile(
                    f"В строке {place} вместо значения стоит ошибка формулы.",
                    f"Row {place} holds an error of a formula instead of a value.",
                )


def _cell_text(cell: Any) -> str | None:
    value = cell.value
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        # Excel keeps 15 digits; what stands behind them is the dust of binary fractions.
        return format(Decimal(f"{value:.15g}"), "f")
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    return str(value)


# --- cells


def _written(cell: str | None, kind: str | None) -> str | None:
    """A cell as the codec reads it: numbers with a point, yes and no as true and false, all else as it is."""
    if cell is None or kind is None:
        return cell
    if kind in ("number", "integer"):
        number = plain_number(cell)
        return re.sub(r"\.0*$", "", number) if kind == "integer" else number
    if kind == "boolean":
        return _YES_NO.get(cell.strip().casefold(), cell)
    return cell.strip() if kind in ("date", "timestamp", "ref") else cell


def plain_number(cell: str) -> str:
    """1 234,50 -> 1234.50. Of comma and point the last one is the decimal sign. No number stays as it is."""
    number = re.sub(r"[\s\u00a0\u202f']", "", cell).removesuffix("%").removesuffix("₽").removesuffix("руб.")
    comma, point = number.rfind(","), number.rfind(".")
    if comma >= 0 and point >= 0:
        number = number.replace("." if comma > point else ",", "")
    if number.count(",") == 1:
        number = number.replace(",", ".")
    return number if re.fullmatch(r"[-+]?\d*\.?\d+\.?", number) else cell


def needed_rows(rows: Iterable[Row]) -> list[Row]:
    """Rows without their empty cells: the archive need not hold them."""
    return [{name: cell for name, cell in row.items() if cell} for row in rows]
