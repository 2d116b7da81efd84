"""Compares what Polka found and sent with what was planted: exactly, to the kopeck."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from email import message_from_bytes
from email.policy import default as default_policy
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from simulators.bitrix24.app import WEBHOOK_USER

LIST_CAP = 15  # rows a rep gets in a day at most, by default
# What is compared of every missed order, beside who it is.
_DETAILS = ("basis", "last_ordered_on", "due_on", "missed_cycles", "median_amount", "money_at_risk")
_MONEY = {"median_amount", "money_at_risk"}
_MONEY_OF = {"debt_adjustment": sql.SQL("line.amount")}


@dataclass
class Verdict:
    """Rows of the printed table, and what differs."""

    rows: list[tuple[str, str, str]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def compare(self, subject: str, expected: object, found: object) -> None:
        self.rows.append((subject, str(expected), str(found)))
        if expected != found:
            self.problems.append(f"{subject}: expected {expected}, found {found}")

    def problem(self, text: str) -> None:
        self.problems.append(text)


def judge(state_dir: Path, database_url: str) -> Verdict:
    """Lists and deliveries against manifest.json, bitrix24.json and mail/ of the state folder."""
    manifest = json.loads((state_dir / "manifest.json").read_text(encoding="utf-8"))
    verdict = Verdict()
    with psycopg.connect(database_url, row_factory=dict_row) as conn:
        if manifest["world"] == "seeded":
            _judge_list(verdict, conn, manifest)
            _judge_reasons(verdict, conn, manifest)
            _judge_deliveries(verdict, conn, manifest["as_of"], state_dir)
        else:
            _judge_replay(verdict, conn, manifest)
    return verdict


def _judge_list(verdict: Verdict, conn: psycopg.Connection[dict[str, Any]], manifest: dict[str, Any]) -> None:
    rows = conn.execute(
        """
        select client_id, client_name, manager_id, branch_id, money_at_risk, outlets_total, outlets_affected, evidence
        from marts.follow_up where as_of = %s and 'missed_order' = any(reasons)
        """,
        [manifest["as_of"]],
    ).fetchall()
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        for outlet in row["evidence"]["outlets"]:
            if outlet["outlet_id"] in found:
                verdict.problem(f"{outlet['name']}: twice in the list")
            found[outlet["outlet_id"]] = {**outlet, "manager_id": row["manager_id"], "branch_id": row["branch_id"]}
    planted = {truth["outlet_id"]: truth for truth in manifest["planted"] if truth["kind"] == "missed_order"}
    traps: dict[str, list[str]] = {}
    for trap in manifest["traps"]:
        traps.setdefault(trap["outlet_id"], []).append(trap["kind"])

    for basis in ("agreed", "learned"):
        verdict.compare(
            f"missed orders, {basis}",
            sum(truth["basis"] == basis for truth in planted.values()),
            sum(outlet["basis"] == basis for outlet in found.values()),
        )
    for outlet_id in planted.keys() - found.keys():
        truth = planted[outlet_id]
        verdict.problem(f"{_title(truth, traps)}: planted ({_told(truth)}), not in the list")
    for outlet_id in found.keys() - planted.keys():
        verdict.problem(f"{_title(found[outlet_id], traps)}: in the list ({_told(found[outlet_id])}), not planted")
    exact = 0
    for outlet_id in planted.keys() & found.keys():
        differences = list(_differences(planted[outlet_id], found[outlet_id]))
        exact += not differences
        if differences:
            verdict.problem(f"{_title(planted[outlet_id], traps)}: {'; '.join(differences)}")
    verdict.compare("outlets right in every detail", len(planted), exact)
    expected_money = sum((Decimal(truth["money_at_risk"]) for truth in planted.values()), Decimal(0))
    # A client may be in the list for other reasons, too: their money is not that of missed orders.
    found_money = sum((row["money_at_risk"] - _money_of_other_reasons(row) for row in rows), Decimal(0))
    verdict.compare("roubles at risk", expected_money, found_money)
    verdict.compare("clients in the list", len({truth["client_id"] for truth in planted.values()}), len(rows))
    affected = Counter(truth["client_id"] for truth in planted.values())
    for row in rows:
        expected = affected.get(row["client_id"], 0)
        if row["outlets_affected"] != expected and not row["evidence"].get("findings"):
            verdict.problem(f"{row['client_name']}: {row['outlets_affected']} outlets affected, planted {expected}")


def _judge_reasons(verdict: Verdict, conn: psycopg.Connection[dict[str, Any]], manifest: dict[str, Any]) -> None:
    """Every other reason that the plans know of: with whom it is and its roubles, and nothing else of its kind."""
    planted = {(truth["reason"], truth["subject_id"]): truth for truth in manifest.get("reasons", [])}
    # What outlets order otherwise than usual is planned for one morning only.
    judged = {reason for reason, _ in planted}
    rows = conn.execute(
        "select client_id, manager_id, evidence from marts.follow_up where as_of = %s", [manifest["as_of"]]
    ).fetchall()
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        for finding in row["evidence"].get("findings") or []:
            key = (finding["reason"], finding["subject_id"])
            if finding["reason"] in judged:
                found[key] = {**finding, "client_id": row["client_id"], "manager_id": row["manager_id"]}
    for reason in sorted(judged):
        verdict.compare(
            f"{reason}: told", sum(key[0] == reason for key in planted), sum(key[0] == reason for key in found)
        )
    for key in planted.keys() - found.keys():
        verdict.problem(f"{key[0]} of {key[1]}: planted, not in the list")
    for key in found.keys() - planted.keys():
        verdict.problem(f"{key[0]} of {key[1]}: in the list, not planted")
    for key in planted.keys() & found.keys():
        truth, row = planted[key], found[key]
        for name in ("client_id", "manager_id"):
            if truth[name] != row[name]:
                verdict.problem(f"{key[0]} of {key[1]}: {name} planted {truth[name]}, found {row[name]}")
        if Decimal(truth["money_at_risk"]) != _own_money(row):
            verdict.problem(f"{key[0]} of {key[1]}: planted {truth['money_at_risk']} roubles, found {_own_money(row)}")


def _own_money(finding: dict[str, Any]) -> Decimal:
    return Decimal(str(finding["money_at_risk"]))


def _money_of_other_reasons(row: dict[str, Any]) -> Decimal:
    findings = row["evidence"].get("findings") or []
    return sum((Decimal(str(finding["money_at_risk"])) for finding in findings), Decimal(0))


def _differences(truth: dict[str, Any], outlet: dict[str, Any]) -> Iterable[str]:
    for name in (*_DETAILS, "manager_id", "branch_id"):
        expected, found = truth[name], outlet.get(name)
        if name in _MONEY and found is not None:
            expected, found = Decimal(str(expected)), Decimal(str(found))
        if expected != found:
            yield f"{name} planted {expected}, found {found}"


def _title(outlet: dict[str, Any], traps: dict[str, list[str]]) -> str:
    kinds = traps.get(outlet["outlet_id"])
    name = str(outlet.get("outlet_name") or outlet["name"])  # the manifest's and the mart's word for it
    return f"{name} [{', '.join(kinds)}]" if kinds else name


def _told(outlet: dict[str, Any]) -> str:
    return f"{outlet.get('basis')}, last {outlet.get('last_ordered_on')}, {outlet.get('missed_cycles')} missed"


def _judge_deliveries(verdict: Verdict, conn: psycopg.Connection[dict[str, Any]], as_of: str, state_dir: Path) -> None:
    """Every row of the list was told once per channel, today or on an earlier day, and nothing else was.

    A row is told when a message of its client named each of its outlets as silent since the same order.
    """
    ledger = conn.execute(
        "select followup_id, client_id, channel, as_of, state, external_id, payload from ops.delivery_ledger"
    ).fetchall()
    in_list = {
        row["followup_id"]: row
        for row in conn.execute(
            "select followup_id, client_id, manager_id, evidence from marts.follow_up where as_of = %s", [as_of]
        )
    }
    notices = {row["notice_id"] for row in conn.execute("select notice_id from ops.notice_ledger")}
    letters = Counter(key for key in _message_ids(state_dir) if key.strip("<>").split("@")[0] not in notices)
    arrived = {"bitrix24": _portal_tasks(state_dir), "email": letters}
    for channel in sorted({row["channel"] for row in ledger} | arrived.keys()):
        rows = [row for row in ledger if row["channel"] == channel]
        sent = [row for row in rows if row["state"] == "sent"]
        told = [(row["client_id"], _said(row["payload"]["evidence"])) for row in sent]
        # A full day has no room: the rest waits for tomorrow, but for debts.
        day = Counter(row["payload"]["manager_id"] for row in sent if row["as_of"].isoformat() == as_of)
        due = [
            row
            for row in in_list.values()
            if day[row["manager_id"]] < LIST_CAP or _is_told(row, told) or _names_a_debt(row["evidence"])
        ]
        verdict.compare(f"{channel}: rows told", len(due), sum(_is_told(row, told) for row in due))
        for row in rows:
            today = row["as_of"].isoformat() == as_of
            if today and row["state"] != "sent":
                verdict.problem(f"{channel}: {row['followup_id']} is {row['state']}")
            if today and row["followup_id"] not in in_list:
                verdict.problem(f"{channel}: {row['followup_id']} was sent today and is not in the list")
        if channel in arrived:
            known = {row["external_id"] for row in rows if row["external_id"] is not None}
            found = arrived[channel]
            verdict.compare(f"{channel}: messages in the ledger and at the receiver", len(known), len(found))
            for key in known ^ found.keys():
                where = "in the ledger only" if key in known else "at the receiver only"
                verdict.problem(f"{channel}: message {key} is {where}")
            for key, times in found.items():
                if times > 1:
                    verdict.problem(f"{channel}: message {key} came {times} times")


def _is_told(row: dict[str, Any], told: list[tuple[str, set[tuple[str, str]]]]) -> bool:
    return any(client == row["client_id"] and _said(row["evidence"]) <= named for client, named in told)


def _said(evidence: dict[str, Any]) -> set[tuple[str, str]]:
    """What a message tells: silent outlets by their last order, other reasons by the day since which they hold."""
    silences = {(outlet["outlet_id"], str(outlet["last_ordered_on"])) for outlet in evidence["outlets"]}
    signs = evidence.get("signs") or []
    return silences | {(f"{sign['reason']}:{sign['subject_id']}", str(sign.get("since"))) for sign in signs}


def _names_a_debt(evidence: dict[str, Any]) -> bool:
    return any(finding["reason"] == "overdue_debt" for finding in evidence.get("findings") or [])


def _portal_tasks(state_dir: Path) -> Counter[str]:
    path = state_dir / "bitrix24.json"
    state = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"tasks": []}
    # People have tasks of their own in the portal; the webhook's user makes none but ours.
    return Counter(task["ID"] for task in state["tasks"] if task.get("CREATED_BY", WEBHOOK_USER) == WEBHOOK_USER)


def _message_ids(state_dir: Path) -> Iterable[str]:
    for path in sorted((state_dir / "mail").glob("*.eml")):
        yield str(message_from_bytes(path.read_bytes(), policy=default_policy)["Message-ID"])


def _judge_replay(verdict: Verdict, conn: psycopg.Connection[dict[str, Any]], manifest: dict[str, Any]) -> None:
    """Every line of the file landed once, in the table of its class, and nothing was rejected."""
    for entity, expected in manifest["landing"].items():
        row = _one(conn, _landed(entity))
        verdict.compare(f"raw: {entity} documents", expected["documents"], row["documents"])
        verdict.compare(f"raw: {entity} lines", expected["lines"], row["lines"])
        verdict.compare(f"raw: {entity} money", Decimal(expected["money"]), row["money"])
    verdict.compare("rejected records", 0, _one(conn, "select count(*) as n from raw.rejected_record")["n"])


def _one(conn: psycopg.Connection[dict[str, Any]], query: LiteralString | sql.Composed) -> dict[str, Any]:
    row = conn.execute(query).fetchone()
    if row is None:
        raise LookupError("an aggregate gave no row")
    return row


def _landed(entity: str) -> sql.Composed:
    return sql.SQL(
        """
        select count(distinct (line.instance, line.record_id)) as documents, count(*) as lines,
               coalesce(sum({money}), 0) as money
        from raw.{lines} as line
        join raw.{documents} as document using (instance, record_id)
        where document.deleted_at is null
        """
    ).format(
        money=_MONEY_OF.get(entity, sql.SQL("line.quantity * line.price")),
        lines=sql.Identifier(f"onec_{entity}_line"),
        documents=sql.Identifier(f"onec_{entity}"),
    )
