"""`polka replay`: a real invoice file, served as a 1C base, through the same DAGs, accounted for line by line."""

import os
import subprocess
import sys
import time
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from polka.simulated import simulators
from warehouse.settings import get_settings

console = Console()
DATABASE = "polka_replay"


def replay(
    data: Annotated[Path, typer.Argument(help="Invoice lines: CSV or CSV.GZ in the format of UCI Online Retail")],
    fresh: Annotated[bool, typer.Option(help="Drop the replay's database first")] = False,
) -> None:
    """Serve an invoice file as a 1C base and run extract, marts and checks on it. Nothing is sent."""
    if not data.is_file():
        console.print(f"[red]{data} is not a file; give the path of the invoice file, e.g. DATA=invoices.csv.gz[/red]")
        raise typer.Exit(2)
    url = _prepare_database(fresh)
    started = time.monotonic()
    with simulators(get_settings().var_dir / "replay", world="replay", data=data.resolve()) as running:
        manifest = running.manifest()
        as_of = date.fromisoformat(manifest["as_of"])
        console.print(f"Serving {data.name} as a 1C base; business date {as_of}")
        environment = {
            **os.environ,
            **running.airflow_connections(),
            "POLKA_DATABASE_URL": url,
            # The same entities and mapping as any base; a wholesaler abroad keeps its own time.
            "POLKA_SOURCES": str(_sources_file(running.state_dir)),
        }
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "polka",
                "run",
                "--as-of",
                as_of.isoformat(),
                "--no-send",
                "--steps",
                "extract,transform",
            ],
            env=environment,
            check=False,
        )
    if done.returncode:
        raise typer.Exit(done.returncode)
    accounted = _account(url, manifest["counts"])
    console.print(f"Replayed in {time.monotonic() - started:.0f} s; psql: polka db-url, database {DATABASE}")
    raise typer.Exit(0 if accounted else 1)


def _prepare_database(fresh: bool) -> str:
    """A database of its own on the embedded server: a replay never touches the warehouse."""
    from extractors.core.run import ensure_tables
    from warehouse.calendar import fill_production_calendar
    from warehouse.db import connect
    from warehouse.embedded import ensure_running
    from warehouse.migrate import migrate

    var_dir = get_settings().var_dir
    if fresh:
        with connect(ensure_running(var_dir, database="postgres"), autocommit=True) as conn:
            conn.execute(f"drop database if exists {DATABASE} with (force)")
    url = ensure_running(var_dir, database=DATABASE)
    migrate(url)
    with connect(url) as conn:
        fill_production_calendar(conn)
        ensure_tables(conn)
    return url


def _sources_file(folder: Path) -> Path:
    path = folder / "sources.yml"
    path.write_text(
        "sources:\n  - {id: onec_main, kind: onec, connection: onec_main, mapping: ut11, timezone: Europe/London}\n",
        encoding="utf-8",
    )
    return path


LINES_BY_CLASS = """
    select line_class, count(*) as lines, sum(signed_amount) as amount
    from (
        select line_class, signed_amount from marts.fct_shipment_line
        union all
        select line_class, signed_amount from marts.fct_return_line
        union all
        select line_class, signed_amount from marts.fct_adjustment_line
    ) as every_line
    group by line_class
    order by lines desc
"""


def _account(url: str, counts: dict[str, object]) -> bool:
    """Print lines and money by class; True when both totals equal the file's."""
    from warehouse.db import connect

    with connect(url) as conn:
        rows = conn.execute(LINES_BY_CLASS).fetchall()
    table = Table("class", "lines", "amount", title="Every line of the file, by class")
    for line_class, lines, amount in rows:
        table.add_row(line_class, f"{lines:,}", f"{amount:,.2f}")
    lines, amount = sum(row[1] for row in rows), sum((row[2] for row in rows), Decimal(0))
    table.add_section()
    table.add_row("all", f"{lines:,}", f"{amount:,.2f}")
    table.add_row("file", f"{counts['lines']:,}", f"{Decimal(str(counts['amount'])):,.2f}")
    console.print(table)
    return lines == counts["lines"] and amount == Decimal(str(counts["amount"]))
