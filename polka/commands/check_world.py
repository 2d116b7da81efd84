"""`polka check-world`: several business days of the seeded world through the DAGs, each list judged by the plan."""

import os
import shutil
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from polka.commands.stack import plainly
from polka.progress import Steps
from polka.simulated import Simulated, simulators
from polka.stack import check_space, prepare_warehouse, simulated_environment
from warehouse.calendar import production_days
from warehouse.clock import business_date
from warehouse.db import connect
from warehouse.embedded import EmbeddedServer
from warehouse.settings import PROJECT_ROOT, get_settings

console = Console()
DATABASE = "polka_check_world"
LONGEST = 60
BEYOND_DAYS = 10  # the world is planned further than it is served


def check_world(
    days: Annotated[int, typer.Option(min=1, max=LONGEST, help="How many business days")] = 5,
    first: Annotated[str | None, typer.Option(help="First day, YYYY-MM-DD; today when absent")] = None,
) -> None:
    """Run business days one after the other on a database of its own; exit 0 only when every list is exact."""
    with plainly():
        steps = Steps(console)
        folder = get_settings().var_dir.resolve() / "check-world"
        check_space(folder)
        server = EmbeddedServer(get_settings().var_dir)
        was_running = server.status().running
        server.start()
        try:
            url = _fresh_database(server)
            shutil.rmtree(folder, ignore_errors=True)  # the world of an earlier check
            chosen = business_days(_first(first), days)
            horizon = (chosen[-1] - chosen[0]).days + BEYOND_DAYS
            wrong = [day for day in chosen if not _run_day(steps, day, folder, url, horizon)]
        finally:
            if not was_running:
                server.stop()
    if wrong:
        console.print(f"[red]Not exact: {', '.join(map(str, wrong))}[/red]")
        raise typer.Exit(1)
    console.print(f"[green]All {days} lists are exactly what was planted.[/green]")


def business_days(first: date, count: int) -> list[date]:
    """The first `count` working days of the Russian production calendar from `first` on."""
    horizon = production_days(first.year, (first + timedelta(days=120)).year)
    return [day for day, working, _ in horizon if working and day >= first][:count]


def _first(text: str | None) -> date:
    try:
        return date.fromisoformat(text) if text else business_date()
    except ValueError as error:
        raise typer.BadParameter("--first is a day like 2026-03-11") from error


def _fresh_database(server: EmbeddedServer) -> str:
    with connect(server.ensure_database("postgres"), autocommit=True) as conn:
        conn.execute(f"drop database if exists {DATABASE} with (force)")
    url = server.ensure_database(DATABASE)
    prepare_warehouse(url)
    return url


def _run_day(steps: Steps, day: date, world: Path, url: str, horizon_days: int) -> bool:
    with simulators(world, as_of=day, horizon_days=horizon_days) as running, steps.step(str(day)) as step:
        environment = {**os.environ, **simulated_environment(running, url), "POLKA_BUSINESS_DATE": day.isoformat()}
        for what, command in _commands(running, url):
            step.doing(what)
            outcome = subprocess.run(
                [sys.executable, "-m", *command],
                cwd=PROJECT_ROOT,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            if outcome.returncode != 0:
                console.print(f"{outcome.stdout}\n{outcome.stderr[-4000:]}", highlight=False, markup=False)
                step.done(f"[red]{what}: not exact[/red]")
                return False
        planted = running.manifest()["planted"]
        step.done(f"exact: {len(planted)} planted")
        return True


def _commands(running: Simulated, url: str) -> list[tuple[str, list[str]]]:
    return [
        ("reference tables", ["polka", "reference", "load", str(running.state_dir / "reference")]),
        ("extract, marts, lists", ["polka", "run"]),
        ("judge", ["simulators", "judge", "--state-dir", str(running.state_dir), "--database-url", url]),
    ]
