"""`polka reference`: the tables that people fill, checked row by row and loaded."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from xlsxwriter import Workbook

from warehouse import clock
from warehouse.db import connect
from warehouse.reference import Content, load, tables
from warehouse.reference_file import read

app = typer.Typer(help="Reference tables: standards, plans, calendars that people fill.", no_args_is_help=True)
console = Console()
_SHOWN = 50

File = Annotated[Path, typer.Argument(help="Workbook (.xlsx), folder of CSV files, or a CSV file")]
Language = Annotated[Literal["ru", "en"], typer.Option(help="Language of the messages")]


@app.command()
def check(file: File, language: Language = "ru") -> None:
    """Say what is wrong with each row of a file; load nothing."""
    content = _checked(file, language)
    for name, rows in content.rows.items():
        console.print(f"{name}: {len(rows)}")


@app.command("load")
def load_file(file: File, language: Language = "ru") -> None:
    """Check a file and replace the rows of every table in it. A file with a wrong row is not loaded at all."""
    content = _checked(file, language)
    with connect() as conn:
        for name, rows in load(conn, content, now=clock.now()).items():
            console.print(f"{name}: {rows}")


@app.command()
def template(
    file: Annotated[Path, typer.Argument(help="New workbook (.xlsx) with a sheet per table")],
    language: Language = "ru",
) -> None:
    """Write an empty workbook to fill."""
    if file.exists():
        raise typer.BadParameter(f"{file} exists", param_hint="FILE")
    with Workbook(str(file)) as book:
        bold = book.add_format({"bold": True})
        for table in tables().values():
            sheet = book.add_worksheet(getattr(table.title, language)[:31])
            for number, column in enumerate(table.all_columns.values()):
                sheet.write(0, number, getattr(column, language), bold)
                sheet.set_column(number, number, 24)
            sheet.freeze_panes(1, 0)


def _checked(file: Path, language: Literal["ru", "en"]) -> Content:
    if not file.exists():
        raise typer.BadParameter(f"there is no {file.name}", param_hint="FILE")
    content = read(file)
    for problem in content.problems[:_SHOWN]:
        console.print(problem.text(language), style="red", markup=False)
    if content.problems:
        rest = len(content.problems) - _SHOWN
        if rest > 0:
            console.print(f"… {rest}", style="red")
        raise typer.Exit(1)
    return content
