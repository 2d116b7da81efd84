"""Simulated sources and channels as a child process: what demo, replay and the end-to-end tests run against."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal

from warehouse.processes import dies_with_parent
from warehouse.settings import PROJECT_ROOT

START_TIMEOUT_SECONDS = 180.0


class SimulatorsFailed(RuntimeError):
    """The simulators did not come up; the message names their log."""


@dataclass(frozen=True)
class Simulated:
    """Running simulators: where they listen and what was planted."""

    state_dir: Path
    endpoints: dict[str, Any]
    pid: int

    def manifest(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.state_dir / "manifest.json").read_text(encoding="utf-8"))
        return found

    def airflow_connections(self) -> dict[str, str]:
        """Environment variables AIRFLOW_CONN_* that lead to the simulators."""
        onec, smtp, bitrix24 = (self.endpoints[name] for name in ("onec", "smtp", "bitrix24"))
        return {
            "AIRFLOW_CONN_ONEC_MAIN": json.dumps(
                {"conn_type": "http", "host": onec["url"], "login": onec["login"], "password": onec["password"]}
            ),
            "AIRFLOW_CONN_B24_MAIN": json.dumps({"conn_type": "http", "host": bitrix24["url"]}),
            "AIRFLOW_CONN_SMTP_DEFAULT": json.dumps({"conn_type": "smtp", "host": smtp["host"], "port": smtp["port"]}),
        }


def load_reference(simulated: Simulated, url: str) -> int:
    """Load the tables that people fill, as the simulated world's people filled them; return the number of rows.

    Raises ValueError when a row is wrong.
    """
    from warehouse import clock
    from warehouse.db import connect
    from warehouse.reference import load
    from warehouse.reference_file import read

    content = read(simulated.state_dir / "reference")
    if content.problems:
        raise ValueError(f"the simulated reference tables are wrong: {content.problems[0]}")
    with connect(url) as conn:
        return sum(load(conn, content, now=clock.now()).values())


@contextmanager
def simulators(
    state_dir: Path,
    *,
    world: Literal["seeded", "replay"] = "seeded",
    as_of: date | None = None,
    horizon_days: int | None = None,
    data: Path | None = None,
    log: Path | None = None,
) -> Iterator[Simulated]:
    """Serve a world until the block ends. Raises SimulatorsFailed."""
    running = start(state_dir, world=world, as_of=as_of, horizon_days=horizon_days, data=data, log=log)
    try:
        yield running
    finally:
        stop(running.pid)


def start(
    state_dir: Path,
    *,
    world: Literal["seeded", "replay"],
    as_of: date | None = None,
    horizon_days: int | None = None,
    data: Path | None = None,
    log: Path | None = None,
) -> Simulated:
    """Start the simulators as a child process and wait until all of them listen.

    horizon_days: how far ahead a new seeded world is planned, where more than usual is needed.
    """
    state_dir.mkdir(parents=True, exist_ok=True)
    endpoints = state_dir / "endpoints.json"
    endpoints.unlink(missing_ok=True)
    command = [sys.executable, "-m", "simulators", "serve", "--world", world, "--state-dir", str(state_dir)]
    command += ["--as-of", as_of.isoformat()] if as_of else []
    command += ["--horizon-days", str(horizon_days)] if horizon_days else []
    command += ["--data", str(data)] if data else []
    log = log or state_dir / "simulators.log"
    with log.open("ab") as out:
        process = subprocess.Popen(
            command,
            cwd=PROJECT_ROOT,
            stdout=out,
            stderr=out,
            env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT)},
            preexec_fn=dies_with_parent(),
        )
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while not endpoints.exists():
        if process.poll() is not None:
            raise SimulatorsFailed(f"the simulators ended with code {process.returncode}; see {log}")
        if time.monotonic() > deadline:
            process.kill()
            raise SimulatorsFailed(f"the simulators did not start in {START_TIMEOUT_SECONDS:.0f} s; see {log}")
        time.sleep(0.1)
    return Simulated(state_dir, json.loads(endpoints.read_text(encoding="utf-8")), process.pid)


def stop(pid: int, timeout_seconds: float = 10.0) -> None:
    """End our child process, gently first."""
    for sent in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.kill(pid, sent)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline:
            ended, _ = os.waitpid(pid, os.WNOHANG)
            if ended:
                return
            time.sleep(0.05)
