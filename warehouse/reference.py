"""Tables that people fill (reference.yml): their shape in schema `reference`, and the loading of checked rows."""

from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Literal

import yaml
from psycopg import sql
from pydantic import BaseModel, ConfigDict

from warehouse.db import Connection, advisory_lock

Kind = Literal["text", "date", "month", "integer", "number", "boolean", "time", "weekdays", "format"]
Value = str | int | bool | Decimal | date | time | None
Language = Literal["ru", "en"]

_TYPES: dict[Kind, str] = {
    "text": "text", "date": "date", "month": "date", "integer": "integer", "number": "numeric", "boolean": "boolean",
    "time": "time", "weekdays": "text", "format": "text",
}  # fmt: skip
_LOCK = "polka:reference"


class Words(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    ru: str
    en: str


class Column(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind
    ru: str
    en: str
    required: bool = False
    known: tuple[str, ...] = ()  # the only values that mean something; of any others nobody would ever hear


class Table(BaseModel):
    """One reference table. `key` may not repeat; with validity dates it may not overlap in time."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: Words
    about: Words
    columns: dict[str, Column]
    key: tuple[str, ...]
    one_of: tuple[str, ...] = ()

    @property
    def all_columns(self) -> dict[str, Column]:
        return {"instance": Column(kind="text", ru="База", en="Source"), **self.columns}


@dataclass(frozen=True)
class Problem:
    """What is wrong with one row, in words for the person who typed it. `row` counts from 1 as the file shows it."""

    table: str
    row: int
    column: str | None
    ru: str
    en: str

    def text(self, language: Language) -> str:
        known = tables().get(self.table)
        table = getattr(known.title, language) if known else self.table
        spec = known.all_columns.get(self.column) if known and self.column else None
        column = getattr(spec, language) if spec else self.column
        place = f"{table}, {'строка' if language == 'ru' else 'row'} {self.row}"
        place += f", «{column}»" if column else ""
        return f"{place}: {self.ru if language == 'ru' else self.en}"


@dataclass
class Content:
    """Rows of a file: table -> [(row number, column -> value)], and what is wrong with it."""

    rows: dict[str, list[tuple[int, dict[str, Value]]]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


@cache
def tables() -> dict[str, Table]:
    """The reference tables by name, in the order of reference.yml."""
    raw = yaml.safe_load(Path(__file__).with_name("reference.yml").read_text(encoding="utf-8"))
    return {name: Table.model_validate(content) for name, content in raw.items()}


def ensure_tables(conn: Connection) -> None:
    """Create what is missing in schema `reference`; never drops anything."""
    with advisory_lock(conn, _LOCK):
        present = {
            (table, column)
            for table, column in conn.execute(
                "select table_name, column_name from information_schema.columns where table_schema = 'reference'"
            )
        }
        if not present:
            conn.execute("create schema if not exists reference")
            conn.execute("grant usage on schema reference to polka_transformer")
        for name, table in tables().items():
            _ensure_table(conn, name, table, {column for of, column in present if of == name})
        conn.commit()


def _ensure_table(conn: Connection, name: str, table: Table, present: set[str]) -> None:
    target = sql.Identifier("reference", name)
    if not present:
        conn.execute(
            sql.SQL("create table {} (row_no integer not null, loaded_at timestamptz not null)").format(target)
        )
        conn.execute(sql.SQL("grant select on {} to polka_transformer").format(target))
        about = sql.Literal(f"{table.about.ru} / {table.about.en}")
        conn.execute(sql.SQL("comment on table {} is {}").format(target, about))
    for column, spec in table.all_columns.items():
        if column not in present:
            conn.execute(
                sql.SQL("alter table {} add column {} {}").format(
                    target, sql.Identifier(column), sql.SQL(_TYPES[spec.kind])
                )
            )


def load(conn: Connection, content: Content, *, now: datetime) -> dict[str, int]:
    """Replace the rows of every table that the content has; tables it does not have stay as they are.

    Returns the number of rows per table. Raises ValueError when the content has problems: a file is loaded whole or
    not at all.
    """
    if content.problems:
        raise ValueError(f"the file has {len(content.problems)} problems")
    ensure_tables(conn)
    with conn.transaction(), conn.cursor() as cursor:
        for name, rows in content.rows.items():
            columns = ["row_no", "loaded_at", *tables()[name].all_columns]
            target = sql.Identifier("reference", name)
            cursor.execute(sql.SQL("delete from {}").format(target))
            cursor.executemany(
                sql.SQL("insert into {} ({}) values ({})").format(
                    target,
                    sql.SQL(", ").join(map(sql.Identifier, columns)),
                    sql.SQL(", ").join([sql.Placeholder()] * len(columns)),
                ),
                [[row_no, now, *(values.get(column) for column in columns[2:])] for row_no, values in rows],
            )
    return {name: len(rows) for name, rows in content.rows.items()}
