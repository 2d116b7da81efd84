"""`polka demo`, `up`, `down`, `db-url`, `migrate`, `clean`: the commands that start, stop and prepare things."""

import errno
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import typer
from rich.console import Console

from polka import airflow_env
from polka.airflow_api import AirflowApiError, RunFailed
from polka.airflow_env import AirflowNotPrepared
from polka.demo import JudgedWrong, build_marts
from polka.demo import demo as run_demo
from polka.progress import Steps
from polka.services import AlreadyRunning, ServiceFailed
from polka.simulated import SimulatorsFailed
from polka.stack import (
    ForeignWarehouse,
    NoSpace,
    Stack,
    dag_ids,
    ended_by_signals,
    hint,
    prepare_warehouse,
    simulated_environment,
    simulators_folder,
    undisturbed,
)
from warehouse.clock import business_date
from warehouse.db import WarehouseNotStarted
from warehouse.embedded import EmbeddedServer, EmbeddedServerError, ensure_running
from warehouse.migrate import MigrationError
from warehouse.settings import get_settings

console = Console(width=None if sys.stdout.isatty() else 120)  # a log file has room
EXPECTED = (
    AirflowApiError,
    AirflowNotPrepared,
    AlreadyRunning,
    EmbeddedServerError,
    ForeignWarehouse,
    JudgedWrong,
    MigrationError,
    NoSpace,
    RunFailed,
    ServiceFailed,
    SimulatorsFailed,
    WarehouseNotStarted,
    psycopg.Error,
)


@contextmanager
def plainly() -> Iterator[None]:
    """Expected failures become a sentence and exit code 1, Ctrl-C becomes exit code 130."""
    try:
        yield
    except KeyboardInterrupt:
        console.print("Stopped.")
        raise typer.Exit(130) from None
    except EXPECTED as error:
        is_unreachable = isinstance(error, psycopg.OperationalError) and error.sqlstate is None
        _refuse(_without_database(error) if is_unreachable else str(error))
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        _refuse("the disk is full; free some space and run the command again")


def _without_database(error: Exception) -> str:
    if get_settings().database_url:
        remedy = "does the server of POLKA_DATABASE_URL run, and are its name, port, user and password right?"
    else:
        remedy = f"it starts with `{hint()} up` (and everything with it) or with `{hint()} db-url` (alone)."
    return f"the database does not answer: {remedy} ({str(error).splitlines()[0]})"


def _refuse(message: str) -> None:
    folder = get_settings().var_dir
    if folder.exists() and shutil.disk_usage(folder).free < 50_000_000:
        message = "the disk is full; free some space and run the command again"
    Console(stderr=True).print(f"[red]Cannot go on:[/red] {message}", highlight=False, soft_wrap=True)
    raise typer.Exit(1)


def demo() -> None:
    """The whole road once: database, simulators, Airflow, marts, lists, deliveries. Leaves nothing running."""
    with plainly():
        run_demo(console)


def up() -> None:
    """Start the same stack in the background; services that die are started again. `polka down` stops it."""
    steps = Steps(console)
    stack = Stack(steps, attached=False)
    with plainly(), ended_by_signals():
        if stack.airflow.is_running():
            console.print(f"Already running: {_addresses()}", highlight=False)
            return
        with stack.exclusively():
            _start_for_a_person(stack, steps)
        console.print(_addresses(), highlight=False, soft_wrap=True)


def _start_for_a_person(stack: Stack, steps: Steps) -> None:
    try:
        url = stack.start_database()
        stack.start_simulators(simulators_folder(), business_date())
        stack.prepare_airflow()
        simulated = stack.wait_for_simulators(simulators_folder())
        api = stack.start_airflow(simulated_environment(simulated, url))
        build_marts(api, steps)
        # Last: its first run is due at once and looks at what was just built.
        for dag_id in dag_ids():
            api.unpause(dag_id)
    except BaseException:
        with undisturbed():
            stack.stop()
        raise


def _addresses() -> str:
    return (
        f"\n  Airflow     {airflow_env.api_address()}   user {airflow_env.LOGIN}, "
        f"password in {airflow_env.home() / 'passwords.json'}\n"
        f'  warehouse   psql "$({hint()} db-url)"\n'
        f"  letters     {simulators_folder() / 'mail'}\n"
        "  stop        make down"
    )


def down() -> None:
    """Stop everything that `up` or a killed `demo` left running."""
    with plainly(), undisturbed():
        stopped = Stack(Steps(console), attached=False).stop()
        console.print(f"Stopped: {', '.join(stopped)}" if stopped else "Nothing was running.")


def db_url() -> None:
    """Print the warehouse's URL, for psql and BI; starts the embedded server when it does not run."""
    with plainly():
        settings = get_settings()
        if settings.database_url:
            sys.stdout.write(settings.database_url + "\n")
            return
        was_running = EmbeddedServer(settings.var_dir).status().running
        sys.stdout.write(ensure_running(settings.var_dir) + "\n")
        if not was_running:
            Console(stderr=True).print("The database was started for you; `make down` stops it.", highlight=False)


def migrate() -> None:
    """Bring the warehouse up to date: migrations, landing tables, production calendar."""
    with plainly():
        settings = get_settings()
        console.print(prepare_warehouse(settings.database_url or ensure_running(settings.var_dir)))


def clean() -> None:
    """Remove the embedded database's files, also those outside of the checkout."""
    with plainly():
        EmbeddedServer(get_settings().var_dir).remove()


def watch_database() -> None:
    """Start the embedded server again whenever it has died; runs until it is stopped."""
    server = EmbeddedServer(get_settings().var_dir)
    parent = os.getppid()
    while os.getppid() == parent:
        if not server.status().running:
            server.start()
        time.sleep(1.0)
