"""`polka run`: one full daily run in this process, through the same DAGs, on the configured warehouse."""

import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from polka.commands.days import parse_day
from polka.commands.stack import plainly
from polka.stack import prepare_warehouse
from warehouse import clock
from warehouse.settings import PROJECT_ROOT, get_settings

console = Console()


def run(
    as_of: Annotated[
        str | None, typer.Option(help="Business date, YYYY-MM-DD; any day but today implies --no-send")
    ] = None,
    sources: Annotated[Path | None, typer.Option(help="Sources file instead of the configured one")] = None,
    send: Annotated[
        bool, typer.Option("--send/--no-send", help="Deliver the list (when POLKA_SEND=true), or only build it")
    ] = True,
    steps: Annotated[
        str, typer.Option(help="Which of extract,transform,follow_up to run")
    ] = "extract,transform,follow_up",
) -> None:
    """One full daily run in this process: extract, marts, checks, list.

    The DAGs run by `dag.test()` on a metadata database of their own, because it emits real asset events.
    """
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, _end_at_once)
    _configure(as_of, sources, send)
    chosen = steps.split(",")
    _warehouse_answers()
    if "extract" in chosen:
        _sources_answer()
    failed = [dag_id for dag_id in _dag_ids(chosen) if not _run_dag(dag_id)]
    if failed:
        console.print(f"[red]Not finished: {', '.join(failed)}. The lines above say why.[/red]")
        raise typer.Exit(1)


def _configure(as_of: str | None, sources: Path | None, send: bool) -> None:
    if sources:
        os.environ["POLKA_SOURCES"] = str(sources.resolve())
    if as_of:
        day = parse_day(as_of, "--as-of")
        if day != clock.company_time().date():
            send = False
        os.environ["POLKA_BUSINESS_DATE"] = day.isoformat()
    if not send:
        os.environ["POLKA_SEND"] = "false"
    get_settings.cache_clear()
    home = get_settings().var_dir / "airflow-run"
    home.mkdir(parents=True, exist_ok=True)
    os.environ.update(
        AIRFLOW_HOME=str(home),
        AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"sqlite:///{home / 'airflow.db'}",
        AIRFLOW__CORE__DAGS_FOLDER=str(PROJECT_ROOT / "dags"),
        AIRFLOW__CORE__LOAD_EXAMPLES="False",
        AIRFLOW__LOGGING__LOGGING_LEVEL="WARNING",
        AIRFLOW__LOGGING__BASE_LOG_FOLDER=str(home / "logs"),
    )
    if not (home / "migrated").exists():
        subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=True, stdout=subprocess.DEVNULL)
        (home / "migrated").touch()


def _end_at_once(number: int, _: object) -> None:
    """dag.test() takes an interrupt for a failed task and goes on; every step may be cut short at any statement."""
    os.write(1, b"Stopped; run the command again to go on.\n")  # a buffered stream may be in the middle of a write
    os._exit(128 + number)


def _refuse(message: str) -> NoReturn:
    console.print(f"[red]{escape(message)}[/red]")
    raise typer.Exit(1)


def _warehouse_answers() -> None:
    """Start the embedded server when it is the warehouse; migrate. Exits with a sentence."""
    from warehouse.db import database_url
    from warehouse.embedded import ensure_running

    settings = get_settings()
    with plainly():
        if settings.database_url is None:
            ensure_running(settings.var_dir)
        prepare_warehouse(database_url())


def _sources_answer() -> None:
    """One greeting to every 1C base before the real work, so that an ordinary mistake is one sentence."""
    from clients.errors import ClientError
    from clients.onec import OnecClient
    from polka import jobs
    from warehouse.sources import load_sources

    for source in load_sources():
        try:
            connection = jobs.connection(source.connection)
        except Exception as error:
            _refuse(
                f"Source {source.id}: connection '{source.connection}' is not there ({type(error).__name__}); "
                f"set AIRFLOW_CONN_{source.connection.upper()} as docs/connect-*.md show."
            )
        if source.kind != "onec":
            continue  # a portal counts every question; its first read says what is wrong
        try:
            with OnecClient(connection, timeout=get_settings().request_timeout_seconds, attempts=1) as client:
                client.greet()
        except ClientError as error:
            _refuse(f"Source {source.id}: {error}. `polka doctor` says more.")


def _dag_ids(steps: list[str]) -> list[str]:
    from warehouse.sources import load_sources

    ids: list[str] = []
    for step in steps:
        if step == "extract":
            ids += [f"extract__{source.id}" for source in load_sources()]
        elif step in ("transform", "follow_up"):
            ids.append(step)
        else:
            raise typer.BadParameter(f"unknown step '{step}': use extract, transform, follow_up")
    return ids


def _run_dag(dag_id: str) -> bool:
    dag = _dag_bag().dags[dag_id]
    started = time.monotonic()
    console.print(f"[bold]{dag_id}[/bold] …")
    run = dag.test()
    for task in sorted(run.get_task_instances(), key=lambda t: (t.start_date is None, t.start_date)):
        if str(task.state) not in ("success", "skipped", "removed"):
            index = f"[{task.map_index}]" if task.map_index >= 0 else ""
            console.print(f"  {task.task_id}{index}: {task.state}")
    console.print(f"  {run.state} in {time.monotonic() - started:.1f} s")
    return str(run.state) == "success"


def _dag_bag() -> Any:
    from airflow.dag_processing.dagbag import DagBag

    logging.getLogger("airflow").setLevel(logging.WARNING)
    bag = DagBag(dag_folder=str(PROJECT_ROOT / "dags"))
    if bag.import_errors:
        for file, error in bag.import_errors.items():
            console.print(f"[red]{file}[/red]\n{error}")
        raise typer.Exit(1)
    return bag
