"""The simulators as a process: they tell where they are, end cleanly, and serve the same world some days later."""

import json
import os
import signal
import smtplib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import date
from email import message_from_bytes
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
import requests

from simulators.judge import judge
from warehouse.db import connect
from warehouse.settings import PROJECT_ROOT

DAY = date(2026, 3, 11)
Serve = Callable[..., tuple[subprocess.Popen[bytes], dict[str, Any]]]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    running: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str) -> tuple[subprocess.Popen[bytes], dict[str, Any]]:
        command = [sys.executable, "-m", "simulators", "serve", "--state-dir", str(tmp_path), *arguments]
        log = (tmp_path / "log").open("ab")
        process = subprocess.Popen(command, cwd=PROJECT_ROOT, stdout=log, stderr=log)
        running.append(process)
        endpoints = tmp_path / "endpoints.json"
        deadline = time.monotonic() + 120
        while not endpoints.exists():
            assert process.poll() is None, (tmp_path / "log").read_text(encoding="utf-8")
            assert time.monotonic() < deadline
            time.sleep(0.1)
        return process, json.loads(endpoints.read_text(encoding="utf-8"))

    yield start
    for process in running:
        process.kill()
        process.wait()


def orders(endpoints: dict[str, Any]) -> int:
    onec = endpoints["onec"]
    auth = (onec["login"].encode(), onec["password"].encode())
    return int(requests.get(onec["url"] + "/Document_ЗаказКлиента/$count", auth=auth, timeout=60).text)


def test_it_serves_everything_ends_cleanly_and_goes_on_some_days_later(serve: Serve, tmp_path: Path) -> None:
    process, endpoints = serve("--as-of", DAY.isoformat())
    manifest = json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8"))
    assert endpoints["pid"] == process.pid
    assert (tmp_path / "endpoints.json").stat().st_mode & 0o077 == 0
    assert orders(endpoints) == manifest["counts"]["orders"]

    tasks = requests.post(endpoints["bitrix24"]["url"] + "tasks.task.list.json", json={}, timeout=30).json()
    assert {"1"}.isdisjoint(task["createdBy"] for task in tasks["result"]["tasks"])  # only tasks that people made
    users = requests.get(endpoints["bitrix24"]["url"] + "user.get.json", timeout=30).json()["result"]
    assert "kuznetsova@distributor.example" in {user.get("EMAIL") for user in users}

    letter = EmailMessage()
    letter["From"], letter["To"], letter["Subject"] = "polka@localhost", "a@shop.example", "Список на сегодня"
    letter["Message-ID"] = "<1@localhost>"
    letter.set_content("Добрый день")
    with smtplib.SMTP(endpoints["smtp"]["host"], endpoints["smtp"]["port"], timeout=30) as smtp:
        smtp.send_message(letter)
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            smtp.sendmail("polka@localhost", ["nobody@refused.example"], letter.as_bytes())
        del letter["Message-ID"]
        with pytest.raises(smtplib.SMTPDataError):
            smtp.sendmail("polka@localhost", ["a@shop.example"], letter.as_bytes())
    (kept,) = sorted((tmp_path / "mail").glob("*.eml"))
    assert message_from_bytes(kept.read_bytes())["X-Envelope-To"] == "a@shop.example"

    process.send_signal(signal.SIGTERM)
    assert process.wait(15) == 0
    assert not (tmp_path / "endpoints.json").exists()

    _, endpoints = serve("--as-of", "2026-03-13")
    later = json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8"))
    assert (later["anchor"], later["as_of"]) == ("2026-03-11", "2026-03-13")
    assert orders(endpoints) == later["counts"]["orders"] > manifest["counts"]["orders"]

    moved = requests.post(
        endpoints["onec"]["url"].split("/trade/")[0] + "/_control/day", json={"as_of": "2026-03-16"}, timeout=60
    )
    assert moved.json()["as_of"] == "2026-03-16"
    assert orders(endpoints) > later["counts"]["orders"]


def test_a_day_far_from_the_worlds_own_is_refused_in_plain_words(tmp_path: Path) -> None:
    (tmp_path / "world.json").write_text('{"seed": 7, "anchor": "2025-01-15"}', encoding="utf-8")
    command = [sys.executable, "-m", "simulators", "serve", "--state-dir", str(tmp_path), "--as-of", "2026-03-11"]
    done = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, timeout=120, env=os.environ)
    assert done.returncode != 0
    assert "start with an empty --state-dir" in done.stderr


# The judge, over a list written by hand.

PLANTED = {
    "kind": "missed_order", "basis": "agreed", "client_id": "c1", "client_name": "Весна", "outlet_id": "o1",
    "outlet_name": "Весна № 1", "manager_id": "m1", "branch_id": "b1", "last_ordered_on": "2026-03-02",
    "due_on": "2026-03-09", "missed_cycles": 1, "median_amount": "1840.50", "money_at_risk": "1840.50",
}  # fmt: skip


@pytest.fixture
def day(database: str, tmp_path: Path) -> tuple[str, Path]:
    """A database with one follow-up that was sent by both channels, and the state folder that agrees with it."""
    manifest = {"world": "seeded", "as_of": "2026-03-11", "planted": [PLANTED], "traps": []}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    (tmp_path / "bitrix24.json").write_text('{"tasks": [{"ID": "77"}]}', encoding="utf-8")
    (tmp_path / "mail").mkdir()
    (tmp_path / "mail" / "0001.eml").write_bytes(b"Message-ID: <x@polka>\r\nFrom: a@b\r\n\r\nText")
    outlet = {
        k: v for k, v in PLANTED.items() if k not in {"kind", "client_id", "client_name", "manager_id", "branch_id"}
    }
    with connect(database) as conn:
        conn.execute(
            """
            create table marts.follow_up (
                followup_id text, as_of date, client_id text, client_name text, manager_id text, branch_id text,
                reasons text[], money_at_risk numeric, outlets_total int, outlets_affected int, evidence jsonb
            )
            """
        )
        conn.execute(
            "insert into marts.follow_up values"
            " ('f1', '2026-03-11', 'c1', 'Весна', 'm1', 'b1', '{missed_order}', 1840.50, 3, 1, %s)",
            [json.dumps({"outlets": [{**outlet, "median_amount": 1840.5, "money_at_risk": 1840.50}]})],
        )
        for channel, external in (("bitrix24", "77"), ("email", "<x@polka>")):
            conn.execute(
                """
                insert into ops.delivery_ledger
                    (followup_id, channel, as_of, instance, client_id, branch_id, state, list_rank, payload,
                     external_id)
                select 'f1', %s, '2026-03-11', 'onec_main', 'c1', 'b1', 'sent', 1, to_jsonb(f), %s
                from marts.follow_up as f
                """,
                [channel, external],
            )
    return database, tmp_path


def test_the_judge_is_content_only_with_an_exact_day(day: tuple[str, Path]) -> None:
    database, folder = day
    assert judge(folder, database).problems == []


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("delete from marts.follow_up", "not in the list"),
        ("update marts.follow_up set money_at_risk = 1840.51", "roubles at risk"),
        ("update marts.follow_up set manager_id = 'm2'", "manager_id planted m1, found m2"),
        ("update marts.follow_up set outlets_affected = 2", "2 outlets affected, planted 1"),
        (
            "update marts.follow_up set evidence = jsonb_set(evidence, '{outlets,0,missed_cycles}', '2')",
            "missed_cycles planted 1, found 2",
        ),
        (
            "update marts.follow_up set evidence = jsonb_set(evidence, '{outlets,0,outlet_id}', '\"o2\"')",
            "not planted",
        ),
        ("update ops.delivery_ledger set state = 'held' where channel = 'email'", "email: f1 is held"),
        ("delete from ops.delivery_ledger where channel = 'bitrix24'", "bitrix24: rows told: expected 1, found 0"),
        ("update ops.delivery_ledger set external_id = '78' where channel = 'bitrix24'", "78 is in the ledger only"),
    ],
)
def test_the_judge_tells_what_differs(day: tuple[str, Path], change: str, complaint: str) -> None:
    database, folder = day
    with connect(database) as conn:
        conn.execute(change)  # type: ignore[call-overload]
    problems = judge(folder, database).problems
    assert any(complaint in problem for problem in problems), problems


def test_the_judge_counts_messages_at_the_receiver(day: tuple[str, Path]) -> None:
    database, folder = day
    (folder / "bitrix24.json").write_text('{"tasks": [{"ID": "77"}, {"ID": "90"}]}', encoding="utf-8")
    (folder / "mail" / "0002.eml").write_bytes((folder / "mail" / "0001.eml").read_bytes())
    problems = judge(folder, database).problems
    assert any("message 90 is at the receiver only" in problem for problem in problems)
    assert any("<x@polka> came 2 times" in problem for problem in problems)


def test_the_judges_exit_code_is_the_verdict(day: tuple[str, Path]) -> None:
    database, folder = day
    command = [sys.executable, "-m", "simulators", "judge", "--state-dir", str(folder), "--database-url", database]
    run = {"cwd": PROJECT_ROOT, "capture_output": True, "text": True, "timeout": 120}
    right = subprocess.run(command, **run)  # type: ignore[call-overload]
    assert right.returncode == 0, right.stdout + right.stderr
    assert "Exact." in right.stdout
    with connect(database) as conn:
        conn.execute("delete from marts.follow_up")
    wrong = subprocess.run(command, **run)  # type: ignore[call-overload]
    assert wrong.returncode == 1
    assert "not in the list" in wrong.stdout
