"""The local Airflow: its home under var/, its environment, its metadata database on the embedded server."""

import json
import os
import secrets
import subprocess
import sys
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from polka.services import Service
from warehouse.db import connect, with_database
from warehouse.embedded import EmbeddedServer, free_port, recorded_url
from warehouse.processes import dies_with_parent
from warehouse.settings import PROJECT_ROOT, get_settings

DATABASE = "airflow"
LOGIN = "admin"
SERVICES = [
    Service("api-server", ["-m", "airflow", "api-server"]),
    Service("scheduler", ["-m", "airflow", "scheduler", "--skip-serve-logs"]),
    Service("dag-processor", ["-m", "airflow", "dag-processor"]),
]
# Every part that would report its use to somebody.
NO_TELEMETRY = {
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    "SCARF_ANALYTICS": "false",
    "DO_NOT_TRACK": "1",
    "GX_ANALYTICS_ENABLED": "False",
    "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    "DBT_VERSION_CHECK": "false",
}
# glibc keeps the room of large answers in the arenas of the threads that read them: a third of a load's peak.
BOUNDED_MEMORY = {"MALLOC_ARENA_MAX": "2", "MALLOC_MMAP_THRESHOLD_": "1048576"}


class AirflowNotPrepared(RuntimeError):
    """Airflow's metadata database could not be prepared; the message names the log."""


def home() -> Path:
    return get_settings().var_dir / "airflow"


def logs() -> Path:
    return home() / "service-logs"


def local_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Environment of every program of the local Airflow: services, its CLI, tasks.

    The API's port is the one that `choose_port` wrote down last. The embedded server must have been started before.
    """
    folder = home()
    folder.mkdir(parents=True, exist_ok=True)
    url = recorded_url(get_settings().var_dir, DATABASE)
    if url is None:
        raise AirflowNotPrepared("The embedded PostgreSQL was not started here yet: run `make up`.")
    keys = _keys(folder)
    port = _read_port()
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("AIRFLOW__") and name != "PYTHONDONTWRITEBYTECODE"
    }
    environment |= NO_TELEMETRY | BOUNDED_MEMORY
    environment |= {
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT_ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(folder / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "8",
        "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "120",
        "AIRFLOW__CORE__FERNET_KEY": keys["fernet"],
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{LOGIN}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(folder / "passwords.json"),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url.replace("postgresql://", "postgresql+psycopg2://", 1),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}/",
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__SECRET_KEY": keys["api"],
        "AIRFLOW__API_AUTH__JWT_SECRET": keys["jwt"],
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(folder / "logs"),
        # Without these two a task that has ended may be noticed up to five seconds later.
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.1",
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "AIRFLOW__DAG_PROCESSOR__DAG_FILE_PROCESSOR_TIMEOUT": "150",
        "PYTHONPATH": str(PROJECT_ROOT),
        "PYTHONUTF8": "1",
    }
    return environment | dict(extra or {})


def choose_port() -> int:
    """Pick a free port for the API and remember it for every later `local_environment`."""
    port = free_port(prefer=_read_port())
    folder = home()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "api-port").write_text(str(port), encoding="ascii")
    return port


def api_address() -> str:
    return f"http://127.0.0.1:{_read_port()}"


def password() -> str:
    return str(_keys(home())["password"])


def prepare_metadata(server: EmbeddedServer) -> bool:
    """Create or upgrade the metadata database; True when there was something to do. Raises AirflowNotPrepared.

    The version it was brought to is the database's comment. One without comment was left by a killed first attempt
    and is made anew: Airflow does not recover from half of its tables.
    """
    wanted = f"airflow {version('apache-airflow')}"
    url = server.ensure_database(DATABASE)
    found = _comment(url)
    if found == wanted:
        return False
    if found is None:
        with connect(with_database(url, "postgres"), autocommit=True) as conn:
            conn.execute(f"drop database {DATABASE} with (force)")
        url = server.ensure_database(DATABASE)
    logs().mkdir(parents=True, exist_ok=True)
    log_path = logs() / "db-migrate.log"
    with log_path.open("wb") as log:
        outcome = subprocess.run(
            [sys.executable, "-m", "airflow", "db", "migrate"],
            cwd=PROJECT_ROOT,
            env=local_environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            check=False,
            preexec_fn=dies_with_parent(),
        )
    if outcome.returncode != 0:
        raise AirflowNotPrepared(f"Preparing Airflow's metadata database failed; its log: {log_path}")
    with connect(url, autocommit=True) as conn:
        conn.execute(f"comment on database {DATABASE} is '{wanted}'")
    return True


def _comment(url: str) -> str | None:
    with connect(url) as conn:
        row = conn.execute(
            "select shobj_description(oid, 'pg_database') from pg_database where datname = current_database()"
        ).fetchone()
    return row[0] if row else None


def _read_port() -> int:
    try:
        return int((home() / "api-port").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 8080


def _keys(folder: Path) -> dict[str, str]:
    """Keys and the password of the UI's user, made once, in files that only we can read."""
    path = folder / "keys.json"
    if not path.exists():
        keys = {name: secrets.token_urlsafe(32) for name in ("jwt", "api")}
        keys["fernet"] = urlsafe_b64encode(secrets.token_bytes(32)).decode()
        keys["password"] = secrets.token_urlsafe(12)
        _write_private(path, keys)
    keys = json.loads(path.read_text(encoding="utf-8"))
    passwords = folder / "passwords.json"
    if not passwords.exists():
        _write_private(passwords, {LOGIN: keys["password"]})
    return {str(name): str(value) for name, value in keys.items()}


def _write_private(path: Path, content: dict[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
        json.dump(content, handle)
    partial.rename(path)
