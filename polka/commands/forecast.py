"""`polka forecast`: the weekly demand forecast, by hand."""

import time
from typing import Annotated

import typer
from rich.console import Console

from polka.commands.days import parse_day
from polka.commands.stack import plainly

console = Console()


def forecast(
    as_of: Annotated[
        str | None, typer.Option(help="A day of the week to forecast from, YYYY-MM-DD; today when left out")
    ] = None,
) -> None:
    """Forecast eight weeks of demand and try the methods on past weeks; the next build shows it in the marts."""
    from polka import jobs

    started = time.monotonic()
    day = parse_day(as_of, "--as-of").isoformat() if as_of else None
    with plainly():
        results = jobs.forecast(day)
    for made in results:
        console.print(
            f"{made['instance']}: week of {made['week']}, {made['series']} positions, "
            f"history of up to {made['history_weeks']} weeks"
        )
    console.print(f"{len(results)} sources in {time.monotonic() - started:.0f} s")
