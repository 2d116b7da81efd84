"""A small client of Airflow's public REST API: trigger runs, follow them, tell why they failed."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import requests

FINISHED = ("success", "failed")
POLL_SECONDS = 0.5


class AirflowApiError(RuntimeError):
    """The API refused or did not answer in time."""


class RunFailed(RuntimeError):
    """A DAG run ended without success; the message names its tasks, their errors and their logs."""


@dataclass(frozen=True)
class Run:
    dag_id: str
    run_id: str
    state: str
    run_type: str
    run_after: datetime


@dataclass(frozen=True)
class Task:
    """One task instance; `map_index` is -1 when the task is not mapped."""

    task_id: str
    map_index: int
    state: str | None
    try_number: int
    start_date: datetime | None
    end_date: datetime | None

    @property
    def label(self) -> str:
        return self.task_id if self.map_index < 0 else f"{self.task_id}[{self.map_index}]"


class AirflowApi:
    """`watch` is called while waiting; it may raise, for instance when a service died."""

    def __init__(self, address: str, login: str, password: str, watch: Callable[[], None] = lambda: None) -> None:
        self._address = address.rstrip("/")
        self._credentials = {"username": login, "password": password}
        self._watch = watch
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy of the environment has no business on 127.0.0.1

    def wait_until_healthy(self, timeout_seconds: float = 300.0) -> None:
        """Wait for the API, the scheduler and the dag-processor. Raises AirflowApiError."""
        self._until(self._healthy, timeout_seconds, "Airflow did not become healthy")

    def wait_for_dags(self, dag_ids: list[str], timeout_seconds: float = 300.0) -> None:
        """Wait until all of them are known. Raises AirflowApiError, with the import errors when there are any."""

        def known() -> bool:
            found = {dag["dag_id"] for dag in self._get("dags", limit=200)["dags"]}
            if set(dag_ids) <= found:
                return True
            errors = self._get("importErrors")["import_errors"]
            if errors:
                text = "\n".join(f"{error['filename']}: {error['stack_trace']}" for error in errors)
                raise AirflowApiError(f"DAG files cannot be imported:\n{text}")
            return False

        self._until(known, timeout_seconds, f"Airflow did not find the DAGs {dag_ids}")

    def unpause(self, dag_id: str) -> None:
        self._call("PATCH", f"dags/{dag_id}", {"is_paused": False})

    def end_unfinished_runs(self, dag_id: str) -> list[str]:
        """Mark runs that a killed scheduler left behind as failed: they would block new ones. Returns their ids."""
        ended = []
        for run in self.runs(dag_id):
            if run.state not in FINISHED:
                self._call("PATCH", f"dags/{dag_id}/dagRuns/{run.run_id}", {"state": "failed"})
                ended.append(run.run_id)
        return ended

    def trigger(self, dag_id: str) -> Run:
        return _run(self._call("POST", f"dags/{dag_id}/dagRuns", {"logical_date": None, "conf": {}}))

    def runs(self, dag_id: str) -> list[Run]:
        """The newest runs first."""
        return [
            _run(entry) for entry in self._get(f"dags/{dag_id}/dagRuns", order_by="-run_after", limit=50)["dag_runs"]
        ]

    def tasks(self, run: Run) -> list[Task]:
        listed = self._get(f"dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances", limit=500)["task_instances"]
        return [
            Task(
                entry["task_id"],
                entry["map_index"],
                entry["state"],
                entry["try_number"],
                _moment(entry["start_date"]),
                _moment(entry["end_date"]),
            )
            for entry in listed
        ]

    def wait_for_run_after(
        self, dag_id: str, moment: datetime, timeout_seconds: float = 90.0, longest_run_seconds: float = 1800.0
    ) -> Run:
        """The first run of `dag_id` that was created at `moment` or later.

        A run that is still going holds it up (one at a time): the wait of `timeout_seconds` begins when that has ended.
        """
        found: list[Run] = []

        def appeared() -> bool:
            found[:] = [run for run in reversed(self.runs(dag_id)) if run.run_after >= moment]
            return bool(found)

        def nothing_holds_it_up() -> bool:
            return appeared() or all(run.state in FINISHED for run in self.runs(dag_id))

        self._until(nothing_holds_it_up, longest_run_seconds, f"the run of {dag_id} before did not end")
        self._until(appeared, timeout_seconds, f"no run of {dag_id} began")
        return found[0]

    def wait_for_end(
        self, run: Run, progress: Callable[[list[Task]], None], timeout_seconds: float, task_logs: Path
    ) -> list[Task]:
        """Follow a run to its end, telling `progress` about its tasks. Raises RunFailed."""
        last: list[Task] = []

        def ended() -> bool:
            last[:] = self.tasks(run)
            progress(last)
            return self._state(run) in FINISHED

        self._until(ended, timeout_seconds, f"the run of {run.dag_id} did not end in {timeout_seconds:.0f} s")
        last[:] = self.tasks(run)
        progress(last)
        if self._state(run) != "success":
            raise RunFailed(_explain(run, last, task_logs))
        return last

    def _state(self, run: Run) -> str:
        return str(self._get(f"dags/{run.dag_id}/dagRuns/{run.run_id}")["state"])

    def _healthy(self) -> bool:
        health = self._session.get(f"{self._address}/api/v2/monitor/health", timeout=10).json()
        return all(health[part]["status"] == "healthy" for part in ("metadatabase", "scheduler", "dag_processor"))

    def _until(self, condition: Callable[[], bool], timeout_seconds: float, complaint: str) -> None:
        deadline = time.monotonic() + timeout_seconds
        while True:
            self._watch()
            try:
                if condition():
                    return
            except (requests.ConnectionError, requests.Timeout, requests.JSONDecodeError):
                pass  # still starting, or being restarted
            if time.monotonic() > deadline:
                raise AirflowApiError(f"{complaint} within {timeout_seconds:.0f} s")
            time.sleep(POLL_SECONDS)

    def _get(self, path: str, **parameters: Any) -> dict[str, Any]:
        return self._call("GET", path, parameters=parameters)

    def _call(
        self, method: str, path: str, body: dict[str, Any] | None = None, parameters: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        for attempt in (1, 2):
            if "Authorization" not in self._session.headers:
                self._log_in()
            answer = self._session.request(
                method, f"{self._address}/api/v2/{path}", json=body, params=parameters, timeout=30
            )
            if answer.status_code == 401 and attempt == 1:
                del self._session.headers["Authorization"]
                continue
            break
        if not answer.ok:
            raise AirflowApiError(f"Airflow answered {answer.status_code} to {method} {path}: {answer.text[:500]}")
        found: dict[str, Any] = answer.json()
        return found

    def _log_in(self) -> None:
        answer = self._session.post(f"{self._address}/auth/token", json=self._credentials, timeout=30)
        if not answer.ok:
            raise AirflowApiError(f"Airflow refused the login ({answer.status_code})")
        self._session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"


def _run(entry: dict[str, Any]) -> Run:
    return Run(
        entry["dag_id"],
        entry["dag_run_id"],
        entry["state"],
        entry["run_type"],
        datetime.fromisoformat(entry["run_after"]),
    )


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _explain(run: Run, tasks: list[Task], task_logs: Path) -> str:
    lines = [f"{run.dag_id} ended as failed:"]
    for task in tasks:
        if task.state == "failed":
            log = _log_of(run, task, task_logs)
            lines.append(f"  {task.label}: {_last_error(log) or 'no error in its log'}\n    log: {log}")
    return "\n".join(lines)


def _log_of(run: Run, task: Task, task_logs: Path) -> Path:
    folder = task_logs / f"dag_id={run.dag_id}" / f"run_id={run.run_id}" / f"task_id={task.task_id}"
    if task.map_index >= 0:
        folder /= f"map_index={task.map_index}"
    return folder / f"attempt={task.try_number}.log"


def _last_error(log: Path) -> str | None:
    """The last error of a task's log, which Airflow writes as lines of JSON."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    for line in reversed(lines):
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and entry.get("level") in ("error", "critical"):
            detail = entry.get("error_detail") or []
            if detail and isinstance(detail[0], dict) and detail[0].get("exc_value"):
                return f"{detail[0].get('exc_type')}: {detail[0]['exc_value']}"
            return str(entry.get("event"))
    return None
