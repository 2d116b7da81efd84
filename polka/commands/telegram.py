"""`polka telegram`: join reps to the bot, and hear their buttons at once."""

import time

import typer
from rich.console import Console

from clients.errors import ClientError, Fatal
from warehouse.settings import get_settings

app = typer.Typer(help="The Telegram bot: links for the reps, and their answers.", no_args_is_help=True)
console = Console()

WAIT_SECONDS = 50
PAUSE_SECONDS = 5.0


@app.command()
def links() -> None:
    """Print each rep's own link to the bot: whoever opens it gets that rep's lists."""
    from alerts.telegram_answers import links as read_links
    from polka.jobs import connection

    try:
        found = read_links(connection(get_settings().telegram_connection))
    except ClientError as error:
        console.print(f"[red]{error}[/red]")
        raise typer.Exit(1) from None
    for link in found:
        joined = "✓" if link.is_joined else " "
        console.print(
            f"{joined} {link.manager.name or link.manager.manager_id}: {link.url}", highlight=False, soft_wrap=True
        )


@app.command()
def listen() -> None:
    """Hear the buttons as they are pressed, until stopped. Without it they are read before each build of the marts."""
    from alerts.telegram_answers import take_answers
    from polka.jobs import connection

    target = connection(get_settings().telegram_connection)
    while True:
        try:
            taken = take_answers(target, wait_seconds=WAIT_SECONDS)
            if taken.updates:
                console.print(f"outcomes: {taken.outcomes}, new links: {taken.links}", highlight=False)
        except Fatal as error:
            console.print(f"[red]{error}[/red]")
            raise typer.Exit(1) from None
        except ClientError as error:
            console.print(str(error), highlight=False)
            time.sleep(PAUSE_SECONDS)
