"""`polka demo` on the real scheduler: killed with -9 in the middle, then to its end, then once more."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from warehouse.db import connect
from warehouse.embedded import EmbeddedServer
from warehouse.settings import PROJECT_ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.airflow, pytest.mark.timeout(1500)]


@pytest.fixture
def var_dir() -> Iterator[Path]:
    """A var folder with a space and Cyrillic letters that PostgreSQL's unprivileged user may enter."""
    made = Path(tempfile.mkdtemp(prefix="polka demo Полка "))
    made.chmod(0o711)
    yield made / "var"
    polka(made / "var", "down")
    EmbeddedServer(made / "var").remove()
    shutil.rmtree(made, ignore_errors=True)


def environment(var_dir: Path) -> dict[str, str]:
    """As bare as a person's: no home, no settings."""
    home = var_dir.parent / "home"
    home.mkdir(exist_ok=True)
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "POLKA_VAR_DIR": str(var_dir),
        "PYTHONPATH": str(PROJECT_ROOT),
        "PYTHONUNBUFFERED": "1",
    }


def polka(var_dir: Path, command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "polka", command],
        cwd=PROJECT_ROOT,
        env=environment(var_dir),
        capture_output=True,
        text=True,
        check=False,
    )


def ours(var_dir: Path) -> set[int]:
    """Live processes that carry the folder in their environment or on their command line, whoever started them."""
    found = set()
    needle = os.fsencode(var_dir)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            for part in ("cmdline", "environ"):
                try:
                    if needle in (entry / part).read_bytes():
                        found.add(int(entry.name))
                except OSError:
                    continue
    return found | {pid for pid in sessions(var_dir) if pid != os.getpid()}


def sessions(var_dir: Path) -> set[int]:
    """Members of the sessions that the keepers of this folder lead; Airflow's processes overwrite their own names."""
    found = set()
    for state in (var_dir / "run").glob("*.json"):
        keeper = json.loads(state.read_text()).get("keeper")
        if keeper:
            listed = subprocess.run(
                ["ps", "-s", str(keeper["pid"]), "-o", "pid=,stat="], capture_output=True, text=True
            )
            found |= {int(line.split()[0]) for line in listed.stdout.splitlines() if "Z" not in line.split()[1]}
    return found


def kill_everything(var_dir: Path) -> None:
    for _ in range(3):
        for pid in ours(var_dir):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.2)


def delivered(var_dir: Path) -> list[tuple[str, str, str | None]]:
    url = polka(var_dir, "db-url").stdout.strip()
    with connect(url) as conn:
        rows = conn.execute("select followup_id, channel, external_id from ops.delivery_ledger where state = 'sent'")
        found = sorted(rows.fetchall())
    polka(var_dir, "down")
    return found


def letters_found_by_a_person(var_dir: Path) -> None:
    """Killed within the milliseconds in which the mail server takes a letter: settled as the runbook says."""
    url = polka(var_dir, "db-url").stdout.strip()
    with connect(url) as conn:
        conn.execute(
            """
            update ops.delivery_ledger set state = 'sent', settled_at = now()
            where channel = 'email' and state = 'sending' and leaving_at is not null
            """
        )
    polka(var_dir, "down")


def listed(output: str) -> list[str]:
    """The rows of the printed tables, and the totals."""
    wanted = ("│", "Клиентов:", "Deliveries")
    return [line for line in output.splitlines() if line.startswith(wanted)]


def test_killed_at_a_bad_moment_then_whole_then_again_sends_everything_once(var_dir: Path) -> None:
    var_dir.mkdir()
    log = var_dir / "first.log"
    with log.open("wb") as output:
        first = subprocess.Popen(
            [sys.executable, "-m", "polka", "demo"],
            cwd=PROJECT_ROOT,
            env=environment(var_dir),
            stdout=output,
            stderr=output,
        )
        ledger_begun(var_dir, first, log)
        kill_everything(var_dir)
        first.wait()
    assert ours(var_dir) == set()
    letters_found_by_a_person(var_dir)

    second = polka(var_dir, "demo")
    assert second.returncode == 0, second.stdout + second.stderr
    assert ours(var_dir) == set(), "nothing is left running"
    manifest = json.loads((var_dir / "sim" / "manifest.json").read_text())
    clients = {planted["client_id"] for planted in manifest["planted"] if planted["kind"] == "missed_order"}
    clients |= {planted["client_id"] for planted in manifest["reasons"]}
    said = re.search(r"Клиентов: (\d+), менеджеров: \d+", second.stdout)
    assert said
    assert int(said[1]) >= len(clients), "what is planted, and outlets that took nothing new for long"
    sent = delivered(var_dir)
    assert len(clients) < len(sent) <= 2 * int(said[1])

    third = polka(var_dir, "demo")
    assert third.returncode == 0, third.stdout + third.stderr
    assert listed(third.stdout) == listed(second.stdout)
    assert delivered(var_dir) == sent
    assert list((var_dir.parent / "home").iterdir()) == []


def ledger_begun(var_dir: Path, demo: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the first rows are sent: the worst moment to be killed."""
    deadline = time.monotonic() + 900
    while time.monotonic() < deadline:
        assert demo.poll() is None, log.read_text()
        if b"raw \xe2\x86\x92 marts (transform)" in log.read_bytes():
            url = polka(var_dir, "db-url").stdout.strip()
            with connect(url) as conn:
                if conn.execute("select 1 from ops.delivery_ledger where state <> 'planned' limit 1").fetchone():
                    return
        time.sleep(0.3)
    raise AssertionError(f"nothing was sent in time:\n{log.read_text()}")
