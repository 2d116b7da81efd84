"""The command line with what people type by mistake."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer

from polka.commands.backfill import json_of
from polka.commands.days import parse_day
from warehouse.settings import PROJECT_ROOT


def polka(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "polka", *arguments],
        cwd=PROJECT_ROOT,
        env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_a_day_in_the_russian_order_is_explained() -> None:
    with pytest.raises(typer.BadParameter, match=r"--as-of is a day like 2026-03-11, not '22\.11\.2026'"):
        parse_day("22.11.2026", "--as-of")


@pytest.mark.parametrize(
    ("printed", "ids"),
    [
        ('[{"run_id": "a"}, {"run_id": "b"}]\n', ["a", "b"]),
        ('2026-11-22T18:00:00Z [warning ] Could not import graphviz [x]\n[{"run_id": "a"}]\n', ["a"]),
        ("2026-11-22T18:00:00Z [warning ] no runs [x]\n[]\n", []),
    ],
)
def test_airflows_warnings_are_no_part_of_its_answer(printed: str, ids: list[str]) -> None:
    assert [run["run_id"] for run in json_of(printed)] == ids


def test_an_answer_without_a_list_is_an_error() -> None:
    with pytest.raises(ValueError, match="no list"):
        json_of("2026-11-22T18:00:00Z [error ] something\n")


def test_a_base_that_does_not_answer_is_one_sentence(database: str, tmp_path: Path) -> None:
    done = polka(
        "run", "--no-send", "--steps", "extract",
        POLKA_DATABASE_URL=database,
        POLKA_VAR_DIR=str(tmp_path),
        AIRFLOW_CONN_ONEC_MAIN='{"conn_type": "http", "host": "http://127.0.0.1:9/odata/standard.odata"}',
    )  # fmt: skip
    assert done.returncode == 1
    assert "Source onec_main:" in done.stdout
    assert "polka doctor" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_a_connection_that_is_not_set_is_one_sentence(database: str, tmp_path: Path) -> None:
    done = polka("run", "--no-send", "--steps", "extract", POLKA_DATABASE_URL=database, POLKA_VAR_DIR=str(tmp_path))
    assert done.returncode == 1
    assert "AIRFLOW_CONN_ONEC_MAIN" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_a_warehouse_that_does_not_answer_is_one_sentence(tmp_path: Path) -> None:
    done = polka(
        "run", "--no-send",
        POLKA_DATABASE_URL="postgresql://nobody@127.0.0.1:9/polka",
        POLKA_VAR_DIR=str(tmp_path),
    )  # fmt: skip
    assert done.returncode == 1
    assert "Cannot go on" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_a_stopped_database_is_said_with_the_command_that_starts_it(tmp_path: Path) -> None:
    state = tmp_path / "postgres" / "server.json"
    state.parent.mkdir()
    state.write_text('{"port": 9, "password": "secret", "home": "/nowhere"}')
    done = polka("list", "--day", "2026-11-20", POLKA_VAR_DIR=str(tmp_path))
    assert done.returncode == 1
    assert "the database does not answer" in done.stderr
    assert "polka up" in done.stderr
    assert "secret" not in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_ctrl_c_ends_a_run() -> None:
    code = """
import os, signal
from polka.commands.run import _end_at_once
signal.signal(signal.SIGINT, _end_at_once)
print("ready", flush=True)
while True:
    try:
        signal.pause()
    except KeyboardInterrupt:
        pass
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=PROJECT_ROOT)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGINT)
    started = time.monotonic()
    assert process.wait(timeout=30) == 130
    assert time.monotonic() - started < 30
