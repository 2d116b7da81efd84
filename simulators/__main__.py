"""`python -m simulators serve|judge`: the simulated systems, and what came out against what was planted."""

import asyncio
import logging
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


class WorldKind(StrEnum):
    seeded = "seeded"
    replay = "replay"


class Configuration(StrEnum):
    ut11 = "ut11"
    unf = "unf"
    bp30 = "bp30"


class Crm(StrEnum):
    amocrm = "amocrm"
    hubspot = "hubspot"


def _day(moment: datetime | None) -> date | None:
    return moment.date() if moment else None


@app.command()
def serve(
    state_dir: Annotated[Path, typer.Option(help="Folder for endpoints.json, manifest.json, mail and portal state")],
    world: Annotated[
        WorldKind, typer.Option(help="A made-up distributor, or a real file of invoices")
    ] = WorldKind.seeded,
    as_of: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Serve the base as this morning knows it")
    ] = None,
    anchor: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Plant the truths around this day, not around --as-of")
    ] = None,
    seed: Annotated[int, typer.Option(help="Another seed is another distributor")] = 7,
    horizon_days: Annotated[
        int, typer.Option(help="How many days ahead a new seeded world is planned, where the usual 45 are too few")
    ] = 0,
    data: Annotated[Path | None, typer.Option(exists=True, help="The invoices to replay, .csv or .csv.gz")] = None,
    faults: Annotated[Path | None, typer.Option(exists=True, help="JSON list of planned faults")] = None,
    quirks: Annotated[Path | None, typer.Option(exists=True, help="JSON object with moods of the publication")] = None,
    configuration: Annotated[Configuration, typer.Option(help="Of the seeded world's 1C base")] = Configuration.ut11,
    also: Annotated[list[Crm] | None, typer.Option(help="Further CRMs with the same clients")] = None,
) -> None:
    """Serve 1C, Bitrix24 and a mail server on free loopback ports until SIGTERM."""
    from simulators.serve import Options, run

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    asyncio.run(
        run(
            Options(
                world=world.value,
                state_dir=state_dir,
                as_of=_day(as_of),
                anchor=_day(anchor),
                seed=seed,
                horizon_days=horizon_days,
                data=data,
                faults=faults,
                quirks=quirks,
                configuration=configuration.value,
                also=tuple(crm.value for crm in also or ()),
            )
        )
    )


@app.command()
def judge(
    state_dir: Annotated[Path, typer.Option(exists=True, help="The folder that `serve` writes to")],
    database_url: Annotated[str, typer.Option(help="The warehouse")],
) -> None:
    """Compare lists and deliveries with what was planted; exit code 0 only when they agree exactly."""
    from simulators.judge import judge as compare

    verdict = compare(state_dir, database_url)
    console = Console()
    table = Table(title="Planted and found")
    for header in ("", "planted", "found"):
        table.add_column(header, justify="left" if not header else "right")
    for row in verdict.rows:
        table.add_row(*row)
    console.print(table)
    for problem in verdict.problems:
        console.print(f"- {problem}", markup=False, highlight=False, soft_wrap=True)
    console.print("Exact." if not verdict.problems else f"{len(verdict.problems)} differences.")
    raise typer.Exit(0 if not verdict.problems else 1)


if __name__ == "__main__":
    app()
