"""The DAGs as Airflow sees them: exactly these, thin, safe to parse, refusing what they must refuse."""

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from polka.commands.backfill import airflow_range
from warehouse.sources import load_sources

DAGS_FOLDER = Path(__file__).resolve().parents[2] / "dags"
EXPECTED = {"transform", "follow_up", "forecast"} | {
    f"{kind}__{source.id}" for source in load_sources() for kind in ("extract", "reconcile")
}
pytestmark = pytest.mark.airflow

DESCRIBE = f"""
import json
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(dag_folder={str(DAGS_FOLDER)!r})
print(json.dumps({{
    "errors": bag.import_errors,
    "dags": {{
        dag.dag_id: {{
            "catchup": dag.catchup,
            "max_active_runs": dag.max_active_runs,
            "tags": sorted(dag.tags),
            "owner": dag.owner,
            "run_types": sorted(t.value for t in dag.allowed_run_types) if dag.allowed_run_types else None,
            "timetable": type(dag.timetable).__name__,
            "retries": {{task.task_id: task.retries for task in dag.tasks}},
        }}
        for dag in bag.dags.values()
    }},
}}))
"""


@pytest.fixture(scope="module")
def described(run_python: Callable[..., str]) -> dict:
    return json.loads(run_python(DESCRIBE).splitlines()[-1])


def test_the_dags_are_exactly_the_expected_ones(described: dict) -> None:
    assert described["errors"] == {}
    assert set(described["dags"]) == EXPECTED


def test_every_dag_has_an_owner_tags_one_active_run_and_no_catchup(described: dict) -> None:
    for dag_id, dag in described["dags"].items():
        assert dag["owner"] in {"data-engineering", "sales-operations"}, dag_id
        assert "polka" in dag["tags"], dag_id
        assert dag["max_active_runs"] == 1, dag_id
        assert dag["catchup"] is False, dag_id


def test_reading_and_delivering_are_retried_judging_is_not(described: dict) -> None:
    assert described["dags"]["extract__onec_main"]["retries"]["land"] >= 1
    assert described["dags"]["follow_up"]["retries"]["branch.deliver"] >= 1
    assert described["dags"]["follow_up"]["retries"]["open_day"] == 0
    assert described["dags"]["follow_up"]["retries"]["settle"] == 0


def test_follow_up_runs_by_clock_or_hand_only(described: dict) -> None:
    assert described["dags"]["follow_up"]["run_types"] == ["manual", "scheduled"]
    assert described["dags"]["follow_up"]["timetable"] == "CronTriggerTimetable"


def test_reconcile_has_real_intervals(described: dict) -> None:
    assert described["dags"]["reconcile__onec_main"]["timetable"] == "CronDataIntervalTimetable"


def test_the_word_manual_takes_a_schedule_away(run_python: Callable[..., str]) -> None:
    manual = {
        f"POLKA_{name}_SCHEDULE": "manual" for name in ("EXTRACT", "FOLLOW_UP", "FORECAST", "TRANSFORM", "RECONCILE")
    }
    dags = json.loads(run_python(DESCRIBE, **manual).splitlines()[-1])["dags"]
    assert dags["extract__onec_main"]["timetable"] == "NullTimetable"
    assert dags["follow_up"]["timetable"] == "NullTimetable"
    assert dags["forecast"]["timetable"] == "NullTimetable"
    assert dags["transform"]["timetable"] == "AssetTriggeredTimetable"


def test_two_sources_give_two_extract_and_two_reconcile_dags(run_python: Callable[..., str], tmp_path: Path) -> None:
    sources = tmp_path / "sources.yml"
    sources.write_text(
        "sources:\n"
        "  - {id: onec_north, kind: onec, connection: onec_north}\n"
        "  - {id: onec_south, kind: onec, connection: onec_south}\n",
        encoding="utf-8",
    )
    dags = json.loads(run_python(DESCRIBE, POLKA_SOURCES=str(sources)).splitlines()[-1])["dags"]
    assert set(dags) == {"transform", "follow_up", "forecast"} | {
        f"{kind}__onec_{name}" for kind in ("extract", "reconcile") for name in ("north", "south")
    }


@pytest.mark.parametrize("file", sorted(path.name for path in DAGS_FOLDER.glob("*.py")))
def test_parsing_a_dag_file_imports_nothing_heavy(file: str, run_python: Callable[..., str]) -> None:
    code = f"""
import runpy, sys
import airflow.sdk
before = set(sys.modules)
runpy.run_path({str(DAGS_FOLDER / file)!r})
heavy = {{"great_expectations", "dbt", "pandas", "msgspec", "psycopg", "xlsxwriter", "statsmodels"}}
print(sorted(heavy & (set(sys.modules) - before)))
"""
    assert run_python(code).splitlines()[-1] == "[]"


@pytest.mark.parametrize("file", sorted(DAGS_FOLDER.glob("*.py")))
def test_dag_files_are_thin(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 120
    assert "select " not in text.lower().replace("selected", "")
    assert not file.name.startswith("dbt_")  # dbt imports such files as plugins


def _backfill(env: dict[str, str], dag_id: str, first: date, last: date) -> subprocess.CompletedProcess[str]:
    reserialize = [sys.executable, "-m", "airflow", "dags", "reserialize"]
    subprocess.run(reserialize, env=env, check=True, capture_output=True)
    return subprocess.run(
        [
            sys.executable, "-m", "airflow", "backfill", "create", "--dag-id", dag_id,
            "--from-date", str(first), "--to-date", str(last),
        ],
        env=env, capture_output=True, text=True, timeout=300,
    )  # fmt: skip


def test_a_backfill_of_follow_up_is_refused(airflow_env: dict[str, str]) -> None:
    done = _backfill(airflow_env, "follow_up", date(2026, 1, 4), date(2026, 1, 25))
    assert done.returncode != 0
    assert "DagRunTypeNotAllowed" in done.stderr or "not allowed" in done.stderr.lower()


def test_a_backfill_of_reconcile_covers_every_asked_day_by_whole_weeks(
    airflow_env: dict[str, str], run_python: Callable[..., str]
) -> None:
    first, last = date(2026, 1, 4), date(2026, 1, 25)
    done = _backfill(airflow_env, "reconcile__onec_main", *airflow_range(first, last))
    assert done.returncode == 0, done.stderr[-2000:]
    code = """
from zoneinfo import ZoneInfo
from airflow.models.dagrun import DagRun
from airflow.utils.session import create_session
zone = ZoneInfo("Europe/Moscow")
with create_session() as session:
    for run in session.query(DagRun).filter(DagRun.dag_id == "reconcile__onec_main").order_by(DagRun.logical_date):
        interval = (run.data_interval_start, run.data_interval_end)
        print("run", *(moment.astimezone(zone).isoformat() for moment in interval))
"""
    spans = [
        (datetime.fromisoformat(line.split()[1]), datetime.fromisoformat(line.split()[2]))
        for line in run_python(code).splitlines()
        if line.startswith("run ")
    ]
    assert all(end - start == timedelta(days=7) for start, end in spans)
    assert all(spans[i][1] == spans[i + 1][0] for i in range(len(spans) - 1))
    assert spans[0][0].date() <= first
    assert spans[-1][1].date() > last
