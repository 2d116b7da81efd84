"""The dbt runner on a project of two models: what ran is recorded, what failed is named."""

import threading
from datetime import date
from pathlib import Path

import pytest

from warehouse import dbt_runner
from warehouse.db import connect
from warehouse.dbt_runner import DbtBuildFailed, build
from warehouse.landing import BUILD_LOCK

AS_OF = date(2025, 6, 10)
PROJECT = """
name: tiny
version: "1.0"
profile: tiny
vars: {as_of: null}
"""
PROFILE = """
tiny:
  target: warehouse
  outputs:
    warehouse:
      type: postgres
      schema: staging
      threads: 1
      host: "{{ env_var('POLKA_DBT_HOST') }}"
      port: "{{ env_var('POLKA_DBT_PORT') | as_number }}"
      user: "{{ env_var('POLKA_DBT_USER') }}"
      password: "{{ env_var('POLKA_DBT_PASSWORD') }}"
      dbname: "{{ env_var('POLKA_DBT_DBNAME') }}"
"""


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of the models of a tiny project that the runner takes for ours."""
    project = tmp_path / "dbt_project"
    (project / "models").mkdir(parents=True)
    (project / "dbt_project.yml").write_text(PROJECT)
    (project / "profiles.yml").write_text(PROFILE)
    (project / "models" / "day.sql").write_text(
        "{{ config(materialized='table') }} select cast('{{ var(\"as_of\") }}' as date) as as_of"
    )
    (project / "models" / "after.sql").write_text("select as_of from {{ ref('day') }}")
    monkeypatch.setattr(dbt_runner, "DBT_PROJECT", project)
    return project / "models"


def test_a_build_is_recorded_node_by_node(models: Path, database: str) -> None:
    outcome = build(AS_OF, triggered_by="test", database_url=database)
    assert outcome.succeeded
    assert outcome.counts() == {"success": 2}
    with connect(database) as conn:
        assert conn.execute("select as_of from staging.after").fetchall() == [(AS_OF,)]
        assert conn.execute("select invocation_id, as_of, succeeded, triggered_by from ops.dbt_run").fetchall() == [
            (outcome.invocation_id, AS_OF, True, "test")
        ]
        nodes = conn.execute(
            "select unique_id, resource_type, status, rows_affected from ops.dbt_node_run order by unique_id"
        ).fetchall()
    assert nodes == [("model.tiny.after", "model", "success", None), ("model.tiny.day", "model", "success", 1)]


def test_a_failed_build_names_the_node_and_is_recorded(models: Path, database: str) -> None:
    (models / "day.sql").write_text("select no_such_column")
    with pytest.raises(DbtBuildFailed, match=r"model\.tiny\.day") as caught:
        build(AS_OF, triggered_by="test", database_url=database)
    assert [node.unique_id for node in caught.value.outcome.failed] == ["model.tiny.day"]
    with connect(database) as conn:
        statuses = dict(conn.execute("select unique_id, status from ops.dbt_node_run").fetchall())
        assert conn.execute("select succeeded from ops.dbt_run").fetchall() == [(False,)]
    assert statuses == {"model.tiny.day": "error", "model.tiny.after": "skipped"}


def test_a_project_that_cannot_be_parsed_is_a_failed_build_too(models: Path, database: str) -> None:
    build(AS_OF, triggered_by="test", database_url=database)  # leaves results that must not be taken for new ones
    (models / "after.sql").write_text("select as_of from {{ ref('nowhere') }}")
    with pytest.raises(DbtBuildFailed, match="nowhere"):
        build(AS_OF, triggered_by="test", database_url=database)
    with connect(database) as conn:
        assert conn.execute("select succeeded from ops.dbt_run order by started_at").fetchall() == [(True,), (False,)]


def test_a_selection_of_nothing_is_no_success(models: Path, database: str) -> None:
    with pytest.raises(DbtBuildFailed, match="did not run a single node"):
        build(AS_OF, select="no_such_model", triggered_by="test", database_url=database)


@pytest.mark.parametrize("taken", ["pg_advisory_xact_lock", "pg_advisory_xact_lock_shared"])
def test_a_build_waits_for_another_and_for_pages_being_written(models: Path, database: str, taken: str) -> None:
    done = threading.Event()

    def second() -> None:
        build(AS_OF, triggered_by="second", database_url=database)
        done.set()

    with connect(database, autocommit=True) as conn:
        with conn.transaction():
            conn.execute(f"select {taken}(hashtextextended(%s, 0))", [BUILD_LOCK])
            thread = threading.Thread(target=second)
            thread.start()
            assert not done.wait(1.0)
        thread.join(120)
    assert done.is_set()
