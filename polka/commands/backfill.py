"""`polka backfill`: re-read a range of days by weekly windows, through the scheduler, with progress."""

import json
import os
import re
import subprocess
import sys
import time
from datetime import date, timedelta
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from polka.commands.days import parse_day
from warehouse.sources import load_sources

console = Console()
FINISHED = {"success", "failed"}


def backfill(
    from_: Annotated[str, typer.Option("--from", help="First day, YYYY-MM-DD")],
    to: Annotated[str, typer.Option("--to", help="Last day, YYYY-MM-DD")],
    source: Annotated[str | None, typer.Option(help="Source id; all configured sources when absent")] = None,
    dry_run: Annotated[bool, typer.Option(help="Show the weekly windows and do nothing")] = False,
) -> None:
    """Re-read documents dated in a range. Never moves a cursor and never sends anything."""
    first, last = parse_day(from_, "--from"), parse_day(to, "--to")
    if first > last:
        raise typer.BadParameter("--from is later than --to")
    ids = [config.id for config in load_sources() if source in (None, config.id)]
    if not ids:
        raise typer.BadParameter(f"no source '{source}' in the sources file")
    failed = [instance for instance in ids if not _backfill_source(instance, first, last, dry_run)]
    if failed:
        console.print(f"[red]Not complete: {', '.join(failed)}. Failed runs are in the DAG reconcile__<source>.[/red]")
        raise typer.Exit(1)


def airflow_range(first: date, last: date) -> tuple[date, date]:
    """Dates for `airflow backfill create` whose weekly windows cover every day from first to last.

    Airflow takes windows that *start* between the midnights of both dates, so the window that was already
    open on the first day starts up to a week before, and the last date must lie after the last day.
    """
    return first - timedelta(days=7), last + timedelta(days=1)


def _backfill_source(instance: str, first: date, last: date, dry_run: bool) -> bool:
    dag_id = f"reconcile__{instance}"
    start, end = airflow_range(first, last)
    if not dry_run:
        # Runs of a paused DAG would stay queued for ever, without a word.
        _airflow("dags", "unpause", dag_id, "--yes")
    before = {run["run_id"] for run in _backfill_runs(dag_id)}
    command = ["backfill", "create", "--dag-id", dag_id, "--from-date", str(start), "--to-date", str(end)]
    command += ["--max-active-runs", "1", "--reprocess-behavior", "completed"]
    done = _airflow(*command, *(["--dry-run"] if dry_run else []))
    if dry_run:
        console.print(done)
        return True
    runs = _follow(dag_id, before)
    return all(run["state"] == "success" for run in runs)


def _follow(dag_id: str, before: set[str]) -> list[dict[str, Any]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task(f"{dag_id}: weekly windows", total=None)
        while True:
            runs = [
                run for run in _backfill_runs(dag_id) if run["run_id"] not in before or run["state"] not in FINISHED
            ]
            finished = [run for run in runs if run["state"] in FINISHED]
            progress.update(bar, total=len(runs), completed=len(finished))
            if len(finished) == len(runs):
                return runs
            time.sleep(5)


def _backfill_runs(dag_id: str) -> list[dict[str, Any]]:
    listed = json_of(_airflow("dags", "list-runs", dag_id, "--output", "json"))
    return [run for run in listed if run["run_id"].startswith("backfill__")]


def json_of(printed: str) -> list[dict[str, Any]]:
    """The JSON list in the output of an Airflow command, which prints its warnings to the same stream."""
    found = re.search(r"^\[\s*(\{.*\}\s*)?\]\s*$", printed, re.MULTILINE | re.DOTALL)
    if found is None:
        raise ValueError(f"no list in Airflow's answer: {printed[-200:]!r}")
    listed: list[dict[str, Any]] = json.loads(found.group(0))
    return listed


def _airflow(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "airflow", *arguments], env=_environment(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        last = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), "no message")
        console.print(f"[red]airflow {' '.join(arguments[:2])} failed: {last}[/red]")
        raise typer.Exit(1)
    return done.stdout


def _environment() -> dict[str, str]:
    """The container's own Airflow when there is one, otherwise the local one of `polka up`."""
    if "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN" in os.environ:
        return dict(os.environ)
    from polka.airflow_env import local_environment

    return local_environment()
