"""May we speak to people now? go, or hold with the reason, per source and branch.

Everything that was not looked at holds: a missing table, a dead database, an expectation that raised, no rows.
Freshness is a question about the present moment, so it is asked here, at send time, of `ops.coverage`.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal
from zoneinfo import ZoneInfo

from expectations.record import write_checks, write_verdicts
from expectations.run import CheckResult, run_suite
from expectations.suite import load_suite
from expectations.wording import Sentence, sentence
from warehouse import clock
from warehouse.db import Connection, WarehouseNotStarted, connect
from warehouse.db import database_url as configured_url
from warehouse.settings import Settings, get_settings
from warehouse.sources import CRM_KINDS, SourceConfig, load_sources

log = logging.getLogger(__name__)

WHOLE_SOURCE = "all"
_REASONS_SAID = 3
_NO_CONNECTION = {"OperationalError", "ConnectionTimeout", "AdminShutdown", "CannotConnectNow", "InterfaceError"}

# The newest build counts, also one of an earlier day: the branches must be the same before and after today's build.
# A branch that has ordered nothing for half a year is not expected to get a list any more.
_BRANCH_QUERIES = {
    "marts.order_expectation": """
        select b.branch_id, o.name
        from (
            select e.branch_id from marts.order_expectation as e
            where e.instance = %(instance)s and e.days_since_last <= 180 and e.status <> 'closed' and e.as_of = (
                select max(l.as_of) from marts.order_expectation as l
                where l.instance = %(instance)s and l.as_of <= %(as_of)s
            )
            union
            select branch_id from marts.follow_up where instance = %(instance)s and as_of = %(as_of)s
        ) as b
        left join raw.onec_organisation as o on o.instance = %(instance)s and o.record_id = b.branch_id
        where b.branch_id is not null
    """,
    "raw.onec_organisation": """
        select record_id, name from raw.onec_organisation where instance = %(instance)s and deleted_at is null
    """,
}


@dataclass(frozen=True)
class BranchVerdict:
    """`branch_id` is the organisation's record_id, or 'all' where the source has no branches.

    The reasons say only the cause, without a full stop; both are None for a go.
    """

    instance: str
    branch_id: str
    branch_name: str | None
    verdict: Literal["go", "hold"]
    reason_ru: str | None
    reason_en: str | None
    declared: int
    evaluated: int


def evaluate(as_of: date, *, run_id: str, database_url: str | None = None) -> list[BranchVerdict]:
    """A verdict for every branch of every configured accounting base; written to ops.check_result and ops.gate_verdict.

    Never raises because of the data or the database: what cannot be looked at is held.
    Raises only for a broken suite or sources file (SuiteInvalid, pydantic.ValidationError).
    """
    settings = get_settings()
    verdicts: list[BranchVerdict] = []
    for source in load_sources():
        if source.kind in CRM_KINDS:
            continue  # A list is about clients who order: a CRM has no branches of its own.
        verdicts += _evaluate_source(source, as_of, run_id, database_url, settings)
    for verdict in verdicts:
        log.info("gate %s/%s: %s %s", verdict.instance, verdict.branch_id, verdict.verdict, verdict.reason_en or "")
    return verdicts


def _evaluate_source(
    source: SourceConfig, as_of: date, run_id: str, database_url: str | None, settings: Settings
) -> list[BranchVerdict]:
    suite = load_suite("list")
    declared = len(suite.declared())
    try:
        url = database_url or configured_url()
        with connect(url) as conn:
            branches = _branches(conn, source, as_of)
    except Exception as problem:
        return [_unreachable(source, declared, problem)]
    results = run_suite(
        suite,
        url,
        {
            "instance": source.id,
            "as_of": as_of,
            "now": clock.now(),
            "time_zone": settings.time_zone,
            "coverage_max_age_hours": settings.coverage_max_age_hours,
            "branches": source.branches,
            "branch_ids": list(branches),
        },
    )
    verdicts = judge(source.id, branches, results, declared, settings)
    try:
        with connect(url) as conn:
            write_checks(
                conn,
                suite,
                results,
                run_id=run_id,
                as_of=as_of,
                instance=source.id,
                settings=settings,
                branch_ids=list(branches),
            )
            write_verdicts(conn, verdicts, run_id=run_id, as_of=as_of)
    except Exception as problem:
        # A verdict that left no trace cannot be answered for later.
        return [_unreachable(source, declared, problem)]
    return verdicts


def judge(
    instance: str,
    branches: dict[str, str | None],
    results: Sequence[CheckResult],
    declared: int,
    settings: Settings,
) -> list[BranchVerdict]:
    """Turn the results of the suite into one verdict per branch; with no branch known, one hold for the source."""
    zone = ZoneInfo(settings.time_zone)
    evaluated = sum(result.evaluated for result in results)
    verdicts = []
    for branch_id, branch_name in (branches or {WHOLE_SOURCE: None}).items():
        reasons: list[Sentence] = []
        for result in results:
            reasons += _reasons(result, branch_id, zone)
        if evaluated < declared or len(results) < declared or declared == 0:
            reasons.append(
                Sentence(
                    ru=f"выполнено проверок: {evaluated} из {declared}",
                    en=f"only {evaluated} of {declared} checks were evaluated",
                )
            )
        if not branches and not reasons:
            reasons.append(Sentence(ru="у источника нет ни одного филиала", en="the source has no branch"))
        verdicts.append(
            BranchVerdict(
                instance=instance,
                branch_id=branch_id,
                branch_name=branch_name,
                verdict="hold" if reasons else "go",
                reason_ru=_join([reason.ru for reason in reasons]),
                reason_en=_join([reason.en for reason in reasons]),
                declared=declared,
                evaluated=evaluated,
            )
        )
    return verdicts


def _reasons(result: CheckResult, branch_id: str, zone: ZoneInfo) -> list[Sentence]:
    """Why this result holds this branch; nothing when it does not."""
    if result.success:
        return []
    if not result.evaluated:
        return [sentence(result, zone)]
    if result.expectation.severity != "critical":
        return []
    if result.expectation.scope == "branch":
        mine = [row for row in result.rows if row.get("branch_id") == branch_id]
        strays = [row for row in result.rows if row.get("branch_id") is None]
        if not mine and not strays and result.complete:
            return []
        return [sentence(result, zone, (mine or strays or list(result.rows) or [{}])[0])]
    return [sentence(result, zone)]


def _join(reasons: Sequence[str]) -> str | None:
    distinct = list(dict.fromkeys(reasons))
    return "; ".join(distinct[:_REASONS_SAID]) or None


def _branches(conn: Connection, source: SourceConfig, as_of: date) -> dict[str, str | None]:
    """Names of the branches by id: those that order; before the first build ever, all organisations."""
    if source.branches == "none":
        return {WHOLE_SOURCE: None}
    names = {"instance": source.id, "as_of": as_of}
    for table, query in _BRANCH_QUERIES.items():
        try:
            with conn.transaction():
                found = conn.execute(query, names).fetchall()
        except Exception as problem:
            if conn.closed:
                raise
            # A missing table is no reason to stop here: the suite will say so for every branch.
            log.warning("gate %s: %s does not answer (%s)", source.id, table, type(problem).__name__)
            continue
        if found:
            return {str(branch_id): name for branch_id, name in sorted(found, key=lambda row: str(row[1] or row[0]))}
    return {}


def _unreachable(source: SourceConfig, declared: int, problem: Exception) -> BranchVerdict:
    log.error("gate %s: the warehouse could not be asked (%s)", source.id, type(problem).__name__)
    if isinstance(problem, WarehouseNotStarted) or type(problem).__name__ in _NO_CONNECTION:
        said = Sentence(
            ru="хранилище не отвечает, проверить данные нельзя",
            en="the warehouse does not answer, the data cannot be checked",
        )
    else:
        said = Sentence(
            ru="не удалось прочитать или записать служебные таблицы хранилища, проверить данные нельзя",
            en="the warehouse's own tables could not be read or written, the data cannot be checked",
        )
    return BranchVerdict(
        instance=source.id,
        branch_id=WHOLE_SOURCE,
        branch_name=None,
        verdict="hold",
        reason_ru=said.ru,
        reason_en=said.en,
        declared=declared,
        evaluated=0,
    )
