"""`polka preview`: the list as the reps would get it, without sending anything."""

from typing import Annotated

import typer
from rich.console import Console

from polka.commands.days import parse_day
from polka.lists import read_list, show_list
from warehouse import clock
from warehouse.settings import get_settings

console = Console()


def preview(
    rep: Annotated[str | None, typer.Option(help="A part of the rep's name")] = None,
    as_of: Annotated[str | None, typer.Option(help="A day whose marts were built; today when absent")] = None,
) -> None:
    """Show the list of a day without sending it."""
    day = parse_day(as_of, "--as-of") if as_of else clock.business_date()
    rows = read_list(None, day, rep)
    if not rows:
        if rep and read_list(None, day):
            console.print(f"The list of {day} has no rep whose name holds '{rep}'.")
            return
        console.print(f"No rows for {day}. Were the marts built for that day? `polka run --no-send` builds today's.")
        return
    show_list(console, rows, get_settings())
