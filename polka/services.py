"""Groups of long-running services (Airflow's, the simulators), each under a keeper process of its own."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polka.keeper import boot_id, identity, session_members, start_ticks
from warehouse.processes import dies_with_parent
from warehouse.settings import PROJECT_ROOT

STOP_SECONDS = 8.0  # Airflow's api-server often closes everything and then stays


class ServiceFailed(RuntimeError):
    """A service ended by itself; the message names it and its log."""


class AlreadyRunning(RuntimeError):
    """Somebody else keeps these services right now."""

    def __init__(self) -> None:
        super().__init__(
            "Polka's services are running already in this folder (`make up`, or another `make demo`); "
            "stop them with `make down`."
        )


@dataclass(frozen=True)
class Service:
    """One program of a group. `command` without the interpreter runs with our own Python."""

    name: str
    arguments: Sequence[str]


class ServiceGroup:
    """Services that are started and stopped together.

    `attached`: they end with the process that started them, and one that dies ends them all (`check` tells).
    Otherwise they run on after us, and one that dies is started again.
    """

    def __init__(self, name: str, run_dir: Path, *, stop_seconds: float = STOP_SECONDS) -> None:
        self.name = name
        self._run_dir = run_dir
        self._stop_seconds = stop_seconds
        self._state = run_dir / f"{name}.json"
        self._lock = run_dir / f"{name}.lock"
        self._owner = run_dir / f"{name}.owner"
        self._keeper: subprocess.Popen[bytes] | None = None

    def start(
        self, services: Sequence[Service], environment: Mapping[str, str], logs: Path, *, attached: bool = True
    ) -> None:
        """Start the services; first clear away what a killed predecessor left. Raises AlreadyRunning."""
        self._run_dir.mkdir(parents=True, exist_ok=True)
        logs.mkdir(parents=True, exist_ok=True)
        lock = self._take_lock()
        try:
            self._clear_leftovers()
            self._state.unlink(missing_ok=True)
            spec = self._run_dir / f"{self.name}.spec.json"
            spec.write_text(
                json.dumps(
                    {
                        "state": str(self._state),
                        "restart": not attached,
                        "stop_seconds": self._stop_seconds,
                        "services": [
                            {
                                "name": service.name,
                                "command": [sys.executable, *service.arguments],
                                "log": str(logs / f"{service.name}.log"),
                            }
                            for service in services
                        ],
                    },
                    ensure_ascii=False,
                ),
                encoding="utf-8",
            )
            self._owner.write_text(json.dumps(identity(os.getpid()) if attached else None), encoding="utf-8")
            with (logs / "keeper.log").open("ab") as log:
                self._keeper = subprocess.Popen(
                    [sys.executable, "-m", "polka.keeper", str(spec)],
                    cwd=PROJECT_ROOT,
                    env={**environment, "PYTHONPATH": str(PROJECT_ROOT)},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    pass_fds=[lock],  # held as long as the keeper lives
                    preexec_fn=dies_with_parent(signal.SIGTERM) if attached else None,
                )
        finally:
            os.close(lock)
        self._wait(lambda: self._state.exists() or self._keeper_ended(), 30.0)
        self.check()

    def check(self) -> None:
        """Raise ServiceFailed when a service of this group has ended by itself."""
        state = self._read_state()
        failed = state.get("failed") if state else None
        if failed:
            raise ServiceFailed(
                f"{failed['name']} ended by itself with code {failed['exit_code']}; its log: {failed['log']}"
                f"{_last_words(Path(failed['log']))}"
            )
        if state is None or self._keeper_ended():
            raise ServiceFailed(f"the keeper of {self.name} ended by itself; see keeper.log beside the services' logs")

    def is_running(self) -> bool:
        state = self._read_state()
        return state is not None and _is_alive(state["keeper"])

    def is_taken(self) -> bool:
        """Whether the services run on behalf of somebody who still lives, or of nobody (`up`)."""
        return self.is_running() and self._is_wanted()

    def stop(self) -> bool:
        """Stop all services and wait until no process of theirs is left; True when they were running."""
        state = self._read_state()
        was_running = state is not None and _is_alive(state["keeper"])
        if was_running and state is not None:
            _send(int(state["keeper"]["pid"]), signal.SIGTERM)
            self._wait(lambda: self._keeper_ended() or not _is_alive(state["keeper"]), self._stop_seconds + 10.0)
            if _is_alive(state["keeper"]):
                _send(int(state["keeper"]["pid"]), signal.SIGKILL)
        self._clear_leftovers()
        if self._keeper is not None:
            self._keeper.wait()
            self._keeper = None
        self._state.unlink(missing_ok=True)
        return was_running

    def pids(self) -> dict[str, int]:
        """Pids of the services that run now, by name."""
        state = self._read_state()
        return {entry["name"]: entry["pid"] for entry in state["services"] if entry["pid"]} if state else {}

    def _take_lock(self) -> int:
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + self._stop_seconds + 10.0
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return descriptor
            except BlockingIOError:
                # A keeper whose owner was killed is stopping its services: wait for it.
                if self._is_wanted() or time.monotonic() > deadline:
                    os.close(descriptor)
                    raise AlreadyRunning from None
                time.sleep(0.1)

    def _is_wanted(self) -> bool:
        """Whether the running keeper has a living owner, or needs none."""
        try:
            owner = json.loads(self._owner.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        return owner is None or _is_alive(owner)

    def _clear_leftovers(self) -> None:
        """Kill what is left of the recorded session after its keeper was killed.

        While a session has members, the kernel gives its number to nobody else; the working directory is another proof.
        """
        state = self._read_state()
        if state is None or state["keeper"]["boot"] != boot_id() or _is_alive(state["keeper"]):
            return
        session = int(state["keeper"]["pid"])
        if start_ticks(session) is not None:
            return  # the number was given to another process since: none of ours can be left
        deadline = time.monotonic() + 10.0
        while members := [pid for pid in session_members(session) if _works_here(pid)]:
            for pid in members:
                _send(pid, signal.SIGKILL)
            if time.monotonic() > deadline:
                raise ServiceFailed(f"processes {members} of an earlier run of {self.name} cannot be ended")
            time.sleep(0.05)

    def _read_state(self) -> dict[str, Any] | None:
        try:
            state: dict[str, Any] = json.loads(self._state.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return state

    def _keeper_ended(self) -> bool:
        return self._keeper is not None and self._keeper.poll() is not None

    @staticmethod
    def _wait(condition: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not condition() and time.monotonic() < deadline:
            time.sleep(0.02)


def _last_words(log: Path) -> str:
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return f", which ends with: {lines[-1].strip()}" if lines else ""


def _is_alive(process: Mapping[str, Any]) -> bool:
    """Whether this very process (number, start time, boot) still lives."""
    ticks = start_ticks(int(process["pid"]))
    return ticks is not None and ticks == process["start_ticks"] and process["boot"] == boot_id()


def _works_here(pid: int) -> bool:
    try:
        return Path(os.readlink(f"/proc/{pid}/cwd")).is_relative_to(PROJECT_ROOT)
    except OSError:
        return False


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return
