"""Who may start the stack: one at a time, and whoever is refused touches nothing."""

import os
import signal
from pathlib import Path

import pytest
from rich.console import Console

from polka.progress import Steps
from polka.services import AlreadyRunning, Service
from polka.stack import ForeignWarehouse, NoSpace, Stack, check_space, ended_by_signals
from warehouse.settings import get_settings


def stack() -> Stack:
    return Stack(Steps(Console(quiet=True)), attached=True)


def test_a_second_stack_is_refused_while_the_first_is_at_work() -> None:
    with stack().exclusively(), pytest.raises(AlreadyRunning, match="make down"), stack().exclusively():
        pytest.fail("both were let in")
    with stack().exclusively():
        pass


def test_services_kept_on_by_up_refuse_a_demo_and_live_on(tmp_path: Path) -> None:
    kept_on = stack()
    sleep = [Service("one", ["-c", "import time; time.sleep(600)"])]
    kept_on.airflow.start(sleep, dict(os.environ), tmp_path / "logs", attached=False)
    try:
        with pytest.raises(AlreadyRunning), stack().exclusively():
            pytest.fail("let in")
        assert kept_on.airflow.is_running()
    finally:
        assert stack().stop() == ["airflow"]
    with stack().exclusively():
        pass


def test_too_little_space_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda folder: type("Usage", (), {"free": 300_000_000})())
    with pytest.raises(NoSpace, match=r"0\.3 GB are free .* free some space"):
        check_space(get_settings().var_dir)


def test_sigterm_ends_like_ctrl_c() -> None:
    with pytest.raises(KeyboardInterrupt), ended_by_signals():
        signal.raise_signal(signal.SIGTERM)


def test_the_simulated_base_is_never_mixed_into_a_warehouse_of_yours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLKA_DATABASE_URL", "postgresql://analyst@warehouse.example.org/polka")
    get_settings.cache_clear()
    with pytest.raises(ForeignWarehouse, match="unset it"):
        stack().start_database()
