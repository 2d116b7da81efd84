"""Keeps a group of services: leads their session, notices who dies, and leaves nobody behind.

Runs as a process of its own (`python -m polka.keeper SPEC`), so that it can still clean up when whoever asked for the
services was killed with -9. Standard library only: it has to be running in a few milliseconds.

The spec is a JSON file: {"state": path, "restart": bool, "stop_seconds": n, "services": [{"name", "command", "log"}]}.
What happens is written to the state file; the environment of the services is the keeper's own.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
LONGEST_PAUSE_SECONDS = 30.0
STEADY_SECONDS = 60.0

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass
class Service:
    """One service as the state file shows it."""

    name: str
    command: list[str]
    log: str
    pid: int | None = None
    exit_code: int | None = None
    restarts: int = 0
    started_at: float = 0.0
    pause: float = 1.0

    def start(self) -> None:
        keeper = os.getpid()

        def tie_to_keeper() -> None:
            _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != keeper:
                os._exit(1)

        with open(self.log, "ab") as log:
            process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=tie_to_keeper
            )
        self.pid, self.exit_code, self.started_at = process.pid, None, time.monotonic()
        process.returncode = 0  # reaped by wait_for_children, not by Popen


class Keeper:
    def __init__(self, spec: dict[str, Any]) -> None:
        self.state_path = Path(spec["state"])
        self.restart = bool(spec["restart"])
        self.stop_seconds = float(spec["stop_seconds"])
        self.services = [Service(entry["name"], entry["command"], entry["log"]) for entry in spec["services"]]
        self.asked_to_stop = False
        self.failed: Service | None = None

    def run(self) -> int:
        _libc.prctl(PR_SET_CHILD_SUBREAPER, 1)  # orphans of our services become our children, so we can reap them
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        for service in self.services:
            service.start()
        self._write_state()
        while not self.asked_to_stop and self.failed is None:
            time.sleep(0.1)
            self._watch()
        self._write_state()
        self._stop_everything()
        return 1 if self.failed else 0

    def _on_signal(self, number: int, frame: object) -> None:
        self.asked_to_stop = True

    def _watch(self) -> None:
        for service in self._wait_for_children():
            if self.asked_to_stop:
                return
            if not self.restart:
                self.failed = service
                return
            if time.monotonic() - service.started_at > STEADY_SECONDS:
                service.pause = 1.0
            self._write_state()
        for service in self.services:
            if service.pid is None and self.restart and time.monotonic() - service.started_at > service.pause:
                service.pause = min(service.pause * 2, LONGEST_PAUSE_SECONDS)
                service.restarts += 1
                service.start()
                self._write_state()

    def _wait_for_children(self) -> list[Service]:
        """Reap whoever ended; return the services among them."""
        ended: list[Service] = []
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return ended
            if pid == 0:
                return ended
            for service in self.services:
                if service.pid == pid:
                    service.pid, service.exit_code = None, os.waitstatus_to_exitcode(status)
                    ended.append(service)

    def _stop_everything(self) -> None:
        for service in reversed(self.services):
            if service.pid is not None:
                _send(service.pid, signal.SIGTERM)
        deadline = time.monotonic() + self.stop_seconds
        while self._members() and time.monotonic() < deadline:
            self._wait_for_children()
            time.sleep(0.05)
        while members := self._members():
            for pid in members:
                sys.stderr.write(
                    f"killing {pid} {_name(pid)}: still there {self.stop_seconds:.0f} s after being asked\n"
                )
                _send(pid, signal.SIGKILL)
            time.sleep(0.05)
        self._wait_for_children()

    def _members(self) -> list[int]:
        return [pid for pid in session_members(os.getsid(0)) if pid != os.getpid()]

    def _write_state(self) -> None:
        state = {
            "keeper": identity(os.getpid()),
            "services": [asdict(service) for service in self.services],
            "failed": asdict(self.failed) if self.failed else None,
        }
        partial = self.state_path.with_suffix(".partial")
        partial.write_text(json.dumps(state, ensure_ascii=False), encoding="utf-8")
        partial.rename(self.state_path)


def identity(pid: int) -> dict[str, Any]:
    """What tells this process from a later one that got the same number."""
    return {"pid": pid, "start_ticks": start_ticks(pid), "boot": boot_id()}


def start_ticks(pid: int) -> int | None:
    """When the process started, in clock ticks since boot; None when it is gone or a zombie."""
    fields = _stat(pid)
    return int(fields[19]) if fields and fields[0] not in ("Z", "X") else None


def session_members(session: int) -> list[int]:
    """Pids of the live processes of a session."""
    members = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = _stat(int(entry.name))
            if fields and int(fields[3]) == session and fields[0] not in ("Z", "X"):
                members.append(int(entry.name))
    return members


def boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _stat(pid: int) -> list[str] | None:
    """Fields of /proc/<pid>/stat from the third on; the second may hold spaces and brackets."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")[:200]
    except OSError:
        return "?"


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


if __name__ == "__main__":
    sys.exit(Keeper(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))).run())
