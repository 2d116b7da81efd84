"""What `demo` and `up` start and stop: the embedded database, the simulated systems, Airflow's services."""

import fcntl
import json
import os
import shutil
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from polka import airflow_env
from polka.airflow_api import AirflowApi
from polka.progress import Steps
from polka.services import AlreadyRunning, Service, ServiceFailed, ServiceGroup
from polka.simulated import Simulated
from warehouse.embedded import EmbeddedServer
from warehouse.settings import PROJECT_ROOT, get_settings

GIGABYTE = 1_000_000_000
SPACE_NEEDED = 1 * GIGABYTE
SIMULATORS_TIMEOUT_SECONDS = 180.0
SOURCE = "onec_main"
CRM = "b24_main"


class ForeignWarehouse(RuntimeError):
    """The simulated base would be written into a warehouse that is not this checkout's own."""


class NoSpace(RuntimeError):
    """The disk is full, or too full to begin."""


class Stack:
    """`attached`: everything but the database ends with this process, and a service that dies is an error."""

    def __init__(self, steps: Steps, *, attached: bool) -> None:
        self.var_dir = get_settings().var_dir.resolve()
        self.database = EmbeddedServer(self.var_dir, announce=self._announce)
        self.simulators = ServiceGroup("simulators", self.var_dir / "run")
        self.airflow = ServiceGroup("airflow", self.var_dir / "run")
        self._steps = steps
        self._attached = attached
        self._announcement = ""

    @contextmanager
    def exclusively(self) -> Iterator[None]:
        """Be the only one who starts and stops services of this folder. Raises AlreadyRunning, touching nothing."""
        folder = self.var_dir / "run"
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "stack.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise AlreadyRunning from None
            if self.airflow.is_taken() or self.simulators.is_taken():
                raise AlreadyRunning
            yield

    def start_database(self) -> str:
        """Start or reuse the embedded server, migrate the warehouse; return its URL. Raises ForeignWarehouse."""
        if get_settings().database_url:
            raise ForeignWarehouse(
                "POLKA_DATABASE_URL is set, but this stack reads a simulated base and would mix it into that "
                "warehouse; unset it: the embedded database is used."
            )
        check_space(self.var_dir)
        with self._steps.step("PostgreSQL (embedded)") as step:
            record = self.database.start()
            url = self.database.ensure_database("polka")
            step.done(f"127.0.0.1:{record.port}" + self._announcement)
        with self._steps.step("Warehouse: migrations, calendar") as step:
            step.done(prepare_warehouse(url))
        return url

    def start_simulators(self, state_dir: Path, as_of: date) -> None:
        """Begin to serve the seeded world; `wait_for_simulators` waits until it listens."""
        state_dir.mkdir(parents=True, exist_ok=True)
        (state_dir / "endpoints.json").unlink(missing_ok=True)
        arguments = ["-m", "simulators", "serve", "--world", "seeded", "--state-dir", str(state_dir)]
        arguments += ["--as-of", as_of.isoformat()]
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"} | {"PYTHONUTF8": "1"}
        self.simulators.start([Service("simulators", arguments)], environment, state_dir, attached=self._attached)

    def wait_for_simulators(self, state_dir: Path) -> Simulated:
        with self._steps.step("Simulators: 1C, Bitrix24, mail") as step:
            endpoints = state_dir / "endpoints.json"
            deadline = time.monotonic() + SIMULATORS_TIMEOUT_SECONDS
            while not endpoints.exists():
                self.simulators.check()
                if time.monotonic() > deadline:
                    raise ServiceFailed(f"the simulators did not start; their log: {state_dir / 'simulators.log'}")
                time.sleep(0.1)
            found = json.loads(endpoints.read_text(encoding="utf-8"))
            step.done(found["onec"]["url"])
            return Simulated(state_dir, found, self.simulators.pids()["simulators"])

    def prepare_airflow(self) -> None:
        with self._steps.step("Airflow: metadata database") as step:
            step.done("created" if airflow_env.prepare_metadata(self.database) else "as it was")

    def start_airflow(self, extra: Mapping[str, str]) -> AirflowApi:
        """Start Airflow's services; return a client of its API when they are healthy and the DAGs are known."""
        with self._steps.step("Airflow: api, scheduler, dag-processor") as step:
            airflow_env.choose_port()
            services = list(airflow_env.SERVICES)
            if not self._attached:
                services.insert(0, Service("database", ["-m", "polka", "watch-database"]))
            environment = airflow_env.local_environment(extra)
            self.airflow.start(services, environment, airflow_env.logs(), attached=self._attached)
            api = AirflowApi(airflow_env.api_address(), airflow_env.LOGIN, airflow_env.password(), watch=self.check)
            api.wait_until_healthy()
            step.doing("reading the DAGs")
            api.wait_for_dags(dag_ids())
            for dag_id in dag_ids():
                api.end_unfinished_runs(dag_id)
            step.done(airflow_env.api_address())
        return api

    def check(self) -> None:
        """Raise ServiceFailed when something that must run has died, NoSpace when that is why."""
        if not self._attached:
            return
        try:
            self.airflow.check()
            self.simulators.check()
        except ServiceFailed as error:
            if shutil.disk_usage(self.var_dir).free < GIGABYTE // 20:
                raise NoSpace("The disk is full; free some space and run the command again.") from error
            raise
        if not self.database.status().running:
            raise ServiceFailed("PostgreSQL ended by itself; its log: postgres.log beside its data")

    def stop(self) -> list[str]:
        """Stop everything that runs; return the names of what did."""
        stopped = [group.name for group in (self.airflow, self.simulators) if group.stop()]
        if self.database.stop():
            stopped.append("database")
        return stopped

    def _announce(self, sentence: str) -> None:
        self._announcement = f"; {sentence}"


def dag_ids() -> list[str]:
    reading = [f"{dag}__{source}" for source in (CRM, SOURCE) for dag in ("extract", "reconcile")]
    return [*reading, "transform", "forecast", "follow_up"]


def prepare_warehouse(url: str) -> str:
    """Migrate, create the landing tables, fill the calendar; return what was done, in words."""
    from extractors.core.run import ensure_tables
    from warehouse.calendar import fill_production_calendar
    from warehouse.db import connect
    from warehouse.migrate import migrate

    applied = migrate(url)
    with connect(url) as conn:
        ensure_tables(conn)
        days = fill_production_calendar(conn)
    return f"{len(applied)} migrations, {days} days of the calendar" if applied or days else "up to date"


def check_space(folder: Path) -> None:
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    if free < SPACE_NEEDED:
        raise NoSpace(f"{free / GIGABYTE:.1f} GB are free on the disk of {folder}, 1 GB is needed; free some space.")


def sources_file(folder: Path) -> Path:
    """A sources file with the simulated base and portal alone, whatever the person has configured."""
    path = folder / "sources.yml"
    path.write_text(
        f"sources:\n  - {{id: {SOURCE}, kind: onec, connection: {SOURCE}, mapping: ut11, "
        "timezone: Europe/Moscow, branches: by_organization}\n"
        f"  - {{id: {CRM}, kind: bitrix24, connection: {CRM}, timezone: Europe/Moscow}}\n",
        encoding="utf-8",
    )
    return path


def simulated_environment(simulated: Simulated, url: str) -> dict[str, str]:
    """What the DAGs need in order to read the simulated base and to speak to the simulated people."""
    return {
        **simulated.airflow_connections(),
        "POLKA_VAR_DIR": str(get_settings().var_dir.resolve()),
        "POLKA_DATABASE_URL": url,
        "POLKA_SOURCES": str(sources_file(simulated.state_dir)),
        "POLKA_SEND": "true",
    }


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP end the block like Ctrl-C does, so that its `finally` stops what was started."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def undisturbed() -> Iterator[None]:
    """A second Ctrl-C does not interrupt the cleaning up."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def simulators_folder() -> Path:
    return get_settings().var_dir.resolve() / "sim"


def hint() -> str:
    """How a person runs the command `polka` of this checkout."""
    return ".venv/bin/polka" if (PROJECT_ROOT / ".venv" / "bin" / "polka").exists() else "polka"
