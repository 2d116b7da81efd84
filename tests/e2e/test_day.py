"""One day of the seeded distributor through the real DAGs: read, built, checked, delivered, judged by the plan."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from polka.simulated import Simulated, simulators
from warehouse.db import connect
from warehouse.settings import PROJECT_ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.airflow]

AS_OF = date(2026, 3, 11)  # the Wednesday after a long weekend: due days have moved


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Simulated]:
    with simulators(tmp_path / "sim", as_of=AS_OF) as running:
        yield running


def polka(
    *arguments: str, world: Simulated, database: str, folder: Path, **extra: str
) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        **world.airflow_connections(),
        "PYTHONPATH": str(PROJECT_ROOT),
        "POLKA_DATABASE_URL": database,
        "POLKA_VAR_DIR": str(folder / "var"),
        "POLKA_BUSINESS_DATE": AS_OF.isoformat(),
        "POLKA_SEND": "true",
        **extra,
    }
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        env=environment,
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        timeout=800,
    )


def sent(database: str) -> list[tuple[str, str, str | None]]:
    with connect(database) as conn:
        rows = conn.execute("select followup_id, channel, external_id from ops.delivery_ledger where state = 'sent'")
        return sorted(rows.fetchall())


def test_a_day_delivers_exactly_the_planted_list_once(world: Simulated, database: str, tmp_path: Path) -> None:
    tables = str(world.state_dir / "reference")
    filled = polka("polka", "reference", "load", tables, world=world, database=database, folder=tmp_path)
    assert filled.returncode == 0, filled.stdout + filled.stderr
    first = polka("polka", "run", world=world, database=database, folder=tmp_path)
    assert first.returncode == 0, first.stdout[-3000:] + first.stderr[-3000:]

    judge = ["simulators", "judge", "--state-dir", str(world.state_dir), "--database-url", database]
    judged = polka(*judge, world=world, database=database, folder=tmp_path)
    assert judged.returncode == 0, judged.stdout[-3000:] + judged.stderr[-2000:]

    delivered = sent(database)
    planted = {p["client_id"] for p in world.manifest()["planted"] if p["kind"] == "missed_order"}
    assert planted
    with connect(database) as conn:
        rows = conn.execute(
            "select client_id, manager_id, 'missed_order' = any(reasons) from marts.follow_up where as_of = %s", [AS_OF]
        ).fetchall()
    assert {client for client, _, is_missed in rows if is_missed} == planted
    # A rep gets no more than his day holds.
    told = sum(min(count, 15) for count in Counter(manager for _, manager, _ in rows).values())
    assert len(delivered) == 2 * told, "each client once by task and once by e-mail"
    letters = sorted(path.name for path in (world.state_dir / "mail").glob("*.eml"))
    assert letters

    second = polka("polka", "run", world=world, database=database, folder=tmp_path)
    assert second.returncode == 0, second.stdout[-3000:] + second.stderr[-3000:]
    assert sent(database) == delivered
    assert sorted(path.name for path in (world.state_dir / "mail").glob("*.eml")) == letters
    assert polka(*judge, world=world, database=database, folder=tmp_path).returncode == 0
    with connect(database) as conn:
        written = conn.execute(
            """
            select entity, rows_inserted, rows_changed, rows_deleted
            from (select *, row_number() over (partition by entity order by load_id) as nth from ops.load_run) as runs
            where nth = 2 and rows_inserted + rows_changed + rows_deleted > 0
            """
        ).fetchall()
    assert written == []


def test_yesterdays_list_is_rebuilt_but_never_sent(world: Simulated, database: str, tmp_path: Path) -> None:
    done = polka(
        "polka", "run", "--as-of", AS_OF.isoformat(), "--steps", "extract,transform",
        world=world, database=database, folder=tmp_path, POLKA_BUSINESS_DATE="",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    with connect(database) as conn:
        listed = conn.execute("select count(*) from marts.follow_up where as_of = %s", [AS_OF]).fetchone()
        ledger = conn.execute("select count(*) from ops.delivery_ledger").fetchone()
    assert listed is not None
    assert listed[0] > 0
    assert ledger == (0,)
    assert list((world.state_dir / "mail").glob("*.eml")) == []
