"""Groups of services: one that dies is noticed, and nobody is left behind, whoever is killed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from polka.services import AlreadyRunning, Service, ServiceFailed, ServiceGroup
from warehouse.settings import PROJECT_ROOT

# A service with a child of its own that ignores SIGTERM and has left the process group, as task processes do.
FAMILY = """
import os, signal, subprocess, sys, time
child = "import os, signal, time; os.setpgid(0, 0); signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
subprocess.Popen([sys.executable, "-c", child, sys.argv[1]])
time.sleep(600)
"""


@pytest.fixture
def mark(tmp_path: Path) -> str:
    return f"polka-test-{tmp_path.name}-{os.getpid()}"


@pytest.fixture
def group(tmp_path: Path) -> Iterator[ServiceGroup]:
    group = ServiceGroup("things", tmp_path / "run", stop_seconds=0.5)
    yield group
    group.stop()


def start(group: ServiceGroup, tmp_path: Path, mark: str, *, attached: bool = True, **programs: str) -> None:
    services = [Service(name, ["-c", program, mark]) for name, program in programs.items()]
    group.start(services, dict(os.environ), tmp_path / "logs", attached=attached)


def alive(mark: str) -> list[int]:
    """Live processes that carry the mark on their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if mark.encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def eventually(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def complaint(group: ServiceGroup) -> str:
    try:
        group.check()
    except ServiceFailed as error:
        return str(error)
    return ""


def test_stop_leaves_nobody_behind(group: ServiceGroup, tmp_path: Path, mark: str) -> None:
    start(group, tmp_path, mark, one=FAMILY, two=FAMILY)
    eventually(lambda: len(alive(mark)) == 4)
    assert set(group.pids()) == {"one", "two"}
    group.check()
    assert group.stop()
    assert alive(mark) == []
    assert not group.stop()


def test_a_service_that_dies_is_noticed_with_its_log_and_ends_the_group(
    group: ServiceGroup, tmp_path: Path, mark: str
) -> None:
    start(group, tmp_path, mark, steady=FAMILY, doomed="import sys; sys.exit(3)")

    eventually(lambda: "doomed ended by itself with code 3" in complaint(group))
    assert str(tmp_path / "logs" / "doomed.log") in complaint(group)
    eventually(lambda: alive(mark) == [])


def test_a_service_killed_with_9_is_noticed(group: ServiceGroup, tmp_path: Path, mark: str) -> None:
    start(group, tmp_path, mark, one=FAMILY)
    os.kill(group.pids()["one"], signal.SIGKILL)
    eventually(lambda: "one ended by itself with code -9" in complaint(group))
    eventually(lambda: alive(mark) == [])


def test_kept_on_a_service_that_dies_is_started_again(group: ServiceGroup, tmp_path: Path, mark: str) -> None:
    start(group, tmp_path, mark, attached=False, one=FAMILY)
    first = group.pids()["one"]
    os.kill(first, signal.SIGKILL)
    eventually(lambda: group.pids().get("one") not in (None, first))
    group.check()


def test_a_second_start_is_refused_while_the_first_runs(group: ServiceGroup, tmp_path: Path, mark: str) -> None:
    start(group, tmp_path, mark, one=FAMILY)
    with pytest.raises(AlreadyRunning, match="make down"):
        start(ServiceGroup("things", tmp_path / "run"), tmp_path, mark, one=FAMILY)
    group.check()


STARTER = """
import json, os, sys, time
from pathlib import Path
from polka.services import Service, ServiceGroup
folder, mark, program = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
ServiceGroup("things", folder / "run", stop_seconds=0.5).start(
    [Service("one", ["-c", program, mark])], dict(os.environ), folder / "logs"
)
sys.stdout.write("started\\n")
sys.stdout.flush()
time.sleep(600)
"""


def started_elsewhere(folder: Path, mark: str) -> subprocess.Popen[str]:
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, str(folder), mark, FAMILY],
        cwd=PROJECT_ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert starter.stdout is not None
    assert starter.stdout.readline() == "started\n"
    eventually(lambda: len(alive(mark)) >= 3)
    return starter


def test_killing_the_starter_with_9_ends_its_services(group: ServiceGroup, tmp_path: Path, mark: str) -> None:
    starter = started_elsewhere(tmp_path, mark)
    starter.kill()
    starter.wait()
    # At once, while the old keeper is still stopping its services.
    start(group, tmp_path, mark, two=FAMILY)
    assert set(group.pids()) == {"two"}
    eventually(lambda: len(alive(mark)) == 2)


def test_killing_starter_and_keeper_at_once_is_cleaned_up_by_the_next_start(
    group: ServiceGroup, tmp_path: Path, mark: str
) -> None:
    starter = started_elsewhere(tmp_path, mark)
    keeper = json.loads((tmp_path / "run" / "things.json").read_text())["keeper"]["pid"]
    os.kill(keeper, signal.SIGSTOP)  # it cannot react any more
    starter.kill()
    os.kill(keeper, signal.SIGKILL)
    starter.wait()
    eventually(lambda: group.is_running() is False)
    start(group, tmp_path, mark, two=FAMILY)
    eventually(lambda: len(alive(mark)) == 2)
    group.stop()
    assert alive(mark) == []


def test_a_recorded_number_that_now_belongs_to_a_stranger_is_left_alone(
    group: ServiceGroup, tmp_path: Path, mark: str
) -> None:
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    try:
        start(group, tmp_path, mark, one=FAMILY)
        group.stop()
        state = {"keeper": {"pid": stranger.pid, "start_ticks": 1, "boot": "another"}, "services": [], "failed": None}
        (tmp_path / "run" / "things.json").write_text(json.dumps(state))
        assert not group.is_running()
        assert not group.stop()
        start(group, tmp_path, mark, one=FAMILY)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()
