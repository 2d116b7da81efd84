"""One `dbt build` as a child process; the results, model by model and test by test, go to ops.dbt_run and its nodes."""

import json
import logging
import subprocess
import sys
import uuid
from collections import Counter, deque
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import IO, Any

from psycopg.conninfo import conninfo_to_dict

from warehouse import clock, matching
from warehouse.db import Connection, advisory_lock, connect
from warehouse.db import database_url as configured_url
from warehouse.landing import BUILD_LOCK
from warehouse.processes import dies_with_parent
from warehouse.reference import ensure_tables as ensure_reference_tables
from warehouse.settings import PROJECT_ROOT, child_environment, get_settings

logger = logging.getLogger(__name__)

DBT_PROJECT = PROJECT_ROOT / "dbt_project"
_BAD = ("error", "fail", "runtime error")
_MESSAGE_LIMIT = 4000
_TAIL_LINES = 15


@dataclass(frozen=True)
class NodeResult:
    """Outcome of one model, seed, snapshot or test. `status` is dbt's own word."""

    unique_id: str
    resource_type: str
    status: str
    execution_seconds: float
    rows_affected: int | None
    failures: int | None
    message: str | None


@dataclass(frozen=True)
class DbtOutcome:
    invocation_id: str
    as_of: date
    started_at: datetime
    finished_at: datetime
    succeeded: bool
    nodes: tuple[NodeResult, ...]

    @property
    def failed(self) -> list[NodeResult]:
        return [node for node in self.nodes if node.status in _BAD]

    def counts(self) -> dict[str, int]:
        """How many nodes ended with which status."""
        return dict(Counter(node.status for node in self.nodes))


class DbtBuildFailed(RuntimeError):
    """Some nodes failed, or dbt did not come so far; the message names them. `outcome` has the details."""

    def __init__(self, message: str, outcome: DbtOutcome) -> None:
        super().__init__(message)
        self.outcome = outcome


def build(
    as_of: date,
    *,
    full_refresh: bool = False,
    select: str | None = None,
    unit_tests: bool = False,
    triggered_by: str,
    database_url: str | None = None,
) -> DbtOutcome:
    """Run `dbt build` for business date `as_of`; waits while another build of the same database runs.

    Landing stands still meanwhile: pages that come are written when the build is over.
    Unit tests judge the rules, not the day's data: they belong to development, a day's build leaves them out.
    Results are recorded whether it succeeds or not. Raises DbtBuildFailed.
    """
    url = database_url or configured_url()
    arguments = ["build", "--vars", json.dumps({"as_of": as_of.isoformat()})]
    if not unit_tests:
        arguments += ["--exclude-resource-type", "unit_test"]
    if full_refresh:
        arguments.append("--full-refresh")
    if select:
        # A test that compares a chosen model with others waits until those are there too.
        arguments += ["--select", select, "--indirect-selection", "buildable"]
    with connect(url, autocommit=True) as conn, advisory_lock(conn, BUILD_LOCK):
        target = files_of(url) / "target"
        results = target / "run_results.json"
        results.unlink(missing_ok=True)
        started_at = clock.now()
        matching.refresh(conn)
        return_code, tail = run_dbt(arguments, url)
        outcome = _read_outcome(results, as_of, started_at, succeeded=return_code == 0)
        _record(conn, outcome, triggered_by)
    if not outcome.succeeded:
        raise DbtBuildFailed(_explain(outcome, tail), outcome)
    logger.info("dbt build for %s: %s", as_of, outcome.counts())
    return outcome


def files_of(url: str) -> Path:
    """Folder of dbt's target and logs for this database: two databases never share a compiled project."""
    return get_settings().var_dir / "dbt" / str(conninfo_to_dict(url)["dbname"])


def run_dbt(arguments: list[str], url: str, *, files: Path | None = None) -> tuple[int, list[str]]:
    """Run a dbt command against `url`, its output into our log; return its exit code and the last lines.

    The tables that people fill exist from then on, so that the models always compile. files: where dbt keeps what it
    writes; by default where the builds of this database keep it.
    """
    files = files or files_of(url)
    files.mkdir(parents=True, exist_ok=True)
    with connect(url) as conn:
        ensure_reference_tables(conn)
    command = [sys.executable, "-c", "from dbt.cli.main import cli; cli()", "--no-use-colors", *arguments]
    command += ["--project-dir", str(DBT_PROJECT), "--profiles-dir", str(DBT_PROJECT)]
    command += ["--target-path", str(files / "target"), "--log-path", str(files / "logs")]
    tail: deque[str] = deque(maxlen=_TAIL_LINES)
    process = subprocess.Popen(
        command,
        cwd=DBT_PROJECT,
        env=child_environment(dbt_environment(url)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        preexec_fn=dies_with_parent(),
    )
    try:
        output: IO[str] = process.stdout  # type: ignore[assignment]  # a pipe, as asked above
        for line in output:
            tail.append(line.rstrip())
            logger.info("%s", line.rstrip())
        return process.wait(), list(tail)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def dbt_environment(url: str) -> dict[str, str]:
    """What profiles.yml reads, and switches that keep dbt from calling home."""
    parts = conninfo_to_dict(url)
    environment = {
        "POLKA_DBT_HOST": str(parts.get("host", "127.0.0.1")),
        "POLKA_DBT_PORT": str(parts.get("port", 5432)),
        "POLKA_DBT_USER": str(parts.get("user", "")),
        "POLKA_DBT_PASSWORD": str(parts.get("password", "")),
        "POLKA_DBT_DBNAME": str(parts["dbname"]),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "DBT_VERSION_CHECK": "false",
        "PYTHONUTF8": "1",
        "PGOPTIONS": " ".join([*build_options(), str(parts.get("options", ""))]).strip(),
    }
    if "sslmode" in parts:
        environment["PGSSLMODE"] = str(parts["sslmode"])
    return environment


def build_options() -> list[str]:
    """Options of the connections that build: few large statements, where the server expects many small ones."""
    settings = {"work_mem": get_settings().build_work_mem, "maintenance_work_mem": "256MB", "jit": "off"}
    return [f"-c {name}={value}" for name, value in settings.items()]


def _read_outcome(results: Path, as_of: date, started_at: datetime, *, succeeded: bool) -> DbtOutcome:
    content: dict[str, Any] = json.loads(results.read_text(encoding="utf-8")) if results.exists() else {}
    nodes = tuple(_node(result) for result in content.get("results", []))
    # dbt ends with 0 when a selection matches nothing: a build of nothing is no build.
    return DbtOutcome(
        invocation_id=content.get("metadata", {}).get("invocation_id") or str(uuid.uuid4()),
        as_of=as_of,
        started_at=started_at,
        finished_at=clock.now(),
        succeeded=succeeded and bool(nodes),
        nodes=nodes,
    )


def _node(result: dict[str, Any]) -> NodeResult:
    rows = (result.get("adapter_response") or {}).get("rows_affected")
    message = result.get("message")
    return NodeResult(
        unique_id=result["unique_id"],
        resource_type=result["unique_id"].split(".", 1)[0],
        status=result["status"],
        execution_seconds=round(float(result.get("execution_time") or 0), 3),
        rows_affected=int(rows) if rows is not None and int(rows) >= 0 else None,
        failures=result.get("failures"),
        message=str(message)[:_MESSAGE_LIMIT] if message is not None else None,
    )


def _record(conn: Connection, outcome: DbtOutcome, triggered_by: str) -> None:
    with conn.transaction(), conn.cursor() as cursor:
        cursor.execute(
            """
            insert into ops.dbt_run (invocation_id, as_of, started_at, finished_at, succeeded, triggered_by)
            values (%s, %s, %s, %s, %s, %s)
            """,
            [
                outcome.invocation_id,
                outcome.as_of,
                outcome.started_at,
                outcome.finished_at,
                outcome.succeeded,
                triggered_by,
            ],
        )
        cursor.executemany(
            """
            insert into ops.dbt_node_run (
                invocation_id, unique_id, resource_type, status, execution_seconds, rows_affected, failures, message
            ) values (%s, %s, %s, %s, %s, %s, %s, %s)
            """,
            [
                (
                    outcome.invocation_id,
                    node.unique_id,
                    node.resource_type,
                    node.status,
                    node.execution_seconds,
                    node.rows_affected,
                    node.failures,
                    node.message,
                )
                for node in outcome.nodes
            ],
        )


def _explain(outcome: DbtOutcome, tail: list[str]) -> str:
    if outcome.failed:
        lines = [f"{node.unique_id}: {(node.message or node.status).strip()}" for node in outcome.failed]
        return f"dbt build for {outcome.as_of}: {len(lines)} failed\n" + "\n".join(lines)
    return f"dbt build for {outcome.as_of} did not run a single node to its end:\n" + "\n".join(tail)
