"""Writes what was checked into ops.check_result and ops.gate_verdict."""

import json
from collections.abc import Iterable, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from expectations.run import CheckResult
from expectations.suite import Suite
from expectations.wording import sentence
from warehouse.db import Connection
from warehouse.settings import Settings

if TYPE_CHECKING:
    from expectations.gate import BranchVerdict

_ROWS_KEPT = 20

_INSERT_CHECK = """
insert into ops.check_result
    (run_id, as_of, suite, instance, branch_id, expectation, subject, severity, success, observed, message)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""

_INSERT_VERDICT = """
insert into ops.gate_verdict
    (run_id, as_of, instance, branch_id, branch_name, verdict, reason_ru, reason_en, declared, evaluated)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""


def write_checks(
    conn: Connection,
    suite: Suite,
    results: Iterable[CheckResult],
    *,
    run_id: str,
    as_of: date,
    instance: str | None,
    settings: Settings,
    branch_ids: Sequence[str] = (),
) -> None:
    """One row per evaluated expectation; one per branch where the expectation tells branches apart."""
    zone = ZoneInfo(settings.time_zone)
    rows: list[tuple[Any, ...]] = []
    for result in results:
        expectation = result.expectation
        per_branch = expectation.scope == "branch" and bool(branch_ids)
        for branch_id in branch_ids if per_branch else (None,):
            mine = [row for row in result.rows if branch_id is None or row.get("branch_id") == branch_id]
            success = result.success or (per_branch and result.evaluated and result.complete and not mine)
            text = sentence(result, zone, mine[0] if mine else None)
            message = text.ru if settings.language == "ru" else text.en
            observed = {"value": result.observed, "evaluated": result.evaluated, "error": result.error}
            if not success:
                observed |= {"rows": mine[:_ROWS_KEPT], "message_ru": text.ru, "message_en": text.en}
            rows.append(
                (
                    run_id,
                    as_of,
                    suite.name,
                    instance,
                    branch_id,
                    expectation.id,
                    expectation.batch,
                    expectation.severity,
                    success,
                    json.dumps(observed, ensure_ascii=False, default=str),
                    "" if success else message,
                )
            )
    with conn.cursor() as cursor:
        cursor.executemany(_INSERT_CHECK, rows)


def write_verdicts(conn: Connection, verdicts: Iterable["BranchVerdict"], *, run_id: str, as_of: date) -> None:
    """One row per branch and look of the gate."""
    with conn.cursor() as cursor:
        cursor.executemany(
            _INSERT_VERDICT,
            [
                (
                    run_id,
                    as_of,
                    v.instance,
                    v.branch_id,
                    v.branch_name,
                    v.verdict,
                    v.reason_ru,
                    v.reason_en,
                    v.declared,
                    v.evaluated,
                )
                for v in verdicts
            ],
        )
