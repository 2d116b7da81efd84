"""An Airflow home of the test session: its own folder, its own SQLite metadata."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

PROJECT_ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def airflow_env(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment for subprocesses that use Airflow on a migrated metadata database of their own."""
    home = tmp_path_factory.mktemp("airflow")
    env = {
        **{key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW", "POLKA_"))},
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT_ROOT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        "PYTHONPATH": str(PROJECT_ROOT),
    }
    subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], env=env, check=True, capture_output=True)
    return env


@pytest.fixture(scope="session")
def run_python(airflow_env: dict[str, str]) -> Callable[..., str]:
    """Run a Python snippet in a fresh process of that Airflow home; returns its standard output."""

    def run(code: str, **extra: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", code], env={**airflow_env, **extra}, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    return run
