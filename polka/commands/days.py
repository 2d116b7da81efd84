"""Days as people type them on the command line."""

from datetime import date

import typer


def parse_day(text: str, option: str) -> date:
    """A day like 2026-03-11. Raises typer.BadParameter naming the option."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{option} is a day like 2026-03-11, not '{text}'") from error
