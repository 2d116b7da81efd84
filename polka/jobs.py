"""What the tasks do: each function is the body of one Airflow task, callable without Airflow's scheduler.

Here the libraries meet that may not know each other: connections come from Airflow, rows go through the
extractors, marts through dbt, verdicts from the checks into the delivery. Arguments and results are JSON-able.
"""

import dataclasses
import logging
import textwrap
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import Any
from urllib.parse import urlsplit

from clients.connection import Connection
from clients.http import is_loopback
from warehouse import clock
from warehouse.settings import get_settings
from warehouse.sources import SourceConfig, load_sources

log = logging.getLogger(__name__)

BRANCH_HELD = "hold"
SHARES = 4
# Before a source has been read once, nobody knows better.
CATALOG_SECONDS, DOCUMENTS_SECONDS = 1.0, 60.0


class UnknownSource(ValueError):
    """The sources file has no source of that id."""


class NotToday(RuntimeError):
    """Somebody asked to send for a day that is not today."""


class EntitiesNotRead(RuntimeError):
    """Some entities of a share failed: the message says which and why."""


class DeliveryIncomplete(RuntimeError):
    """Some branches were held or some rows failed: the message says which and why."""


def source(instance: str) -> SourceConfig:
    """The configured source of that id. Raises UnknownSource."""
    for config in load_sources():
        if config.id == instance:
            return config
    raise UnknownSource(f"'{instance}' is not in {get_settings().sources}; add it there or correct the name")


def connection(conn_id: str) -> Connection:
    """An Airflow connection (environment, UI or secrets backend) as the clients know it."""
    from airflow.sdk import BaseHook

    found = BaseHook.get_connection(conn_id)
    host = found.host or ""
    if "://" not in host and found.conn_type in ("http", "https"):
        scheme = found.schema or found.conn_type
        host = f"{scheme}://{host}"
    if found.port and not urlsplit(host if "://" in host else f"//{host}").port:
        host = f"{host}:{found.port}"
    extra = {str(key): str(value) for key, value in (found.extra_dejson or {}).items()}
    return Connection(url=host, login=found.login, password=found.password, extra=extra)


# --- extract and reconcile ---------------------------------------------------------------------------------


def register(instance: str, *, with_history: bool = False) -> list[list[str]]:
    """Make sure the landing tables exist and the source is known; return the entities to read, in shares.

    with_history: only those that are not read whole every time anyway. A task costs seconds before it begins, most
    entities take less: a share holds entities of about a quarter of the work, by the time they took before.
    """
    from extractors.core.run import ensure_tables, entity_names, register_source
    from extractors.core.spec import load_entities
    from warehouse.coverage import seconds_taken
    from warehouse.db import connect

    config = source(instance)
    with connect() as conn:
        ensure_tables(conn)
        register_source(conn, config)
        taken = seconds_taken(conn, instance)
    entities = load_entities(config.kind)
    names = [name for name in entity_names(config) if not (with_history and entities[name].is_whole)]
    guess = {name: CATALOG_SECONDS if entities[name].is_whole else DOCUMENTS_SECONDS for name in names}
    return shares({name: taken.get(name, guess[name]) for name in names}, SHARES)


def shares(seconds: Mapping[str, float], number: int) -> list[list[str]]:
    """Split names into at most `number` shares of about the same sum, each in the given order."""
    filled: list[list[str]] = [[] for _ in range(number)]
    sums = [0.0] * number
    for name in sorted(seconds, key=lambda name: -seconds[name]):
        lightest = sums.index(min(sums))
        filled[lightest].append(name)
        sums[lightest] += seconds[name]
    order = list(seconds)
    return [sorted(share, key=order.index) for share in filled if share]


def share_label(share: list[str]) -> str:
    """What the share is called in Airflow's grid, whose column holds 250 characters and refuses the run beyond."""
    return textwrap.shorten(", ".join(share), width=250, placeholder=" …")


def extract_share(
    instance: str,
    share: list[str],
    *,
    triggered_by: str,
    window: tuple[str, str] | None = None,
    reconcile: bool = False,
) -> list[dict[str, Any]]:
    """Read the entities of a share one after another; one that fails does not stop the others.

    Raises Fatal when nothing but a person can help, EntitiesNotRead when trying again may.
    """
    from clients.errors import Fatal

    outcomes: list[dict[str, Any]] = []
    problems: dict[str, Exception] = {}
    for entity in share:
        try:
            outcomes.append(
                extract_entity(instance, entity, triggered_by=triggered_by, window=window, reconcile=reconcile)
            )
        except Exception as problem:
            log.exception("%s %s was not read", instance, entity)
            problems[entity] = problem
    if problems:
        said = f"{len(problems)} of {len(share)} entities were not read: " + "; ".join(
            f"{entity}: {problem}" for entity, problem in problems.items()
        )
        hopeless = all(isinstance(problem, Fatal) for problem in problems.values())
        raise Fatal(said) if hopeless else EntitiesNotRead(said)
    return outcomes


def extract_entity(
    instance: str, entity: str, *, triggered_by: str, window: tuple[str, str] | None = None, reconcile: bool = False
) -> dict[str, Any]:
    """Read one entity: from its cursor on, exactly the window of ISO moments [from, to), or compare all ids."""
    from extractors.core.run import extract

    config = source(instance)
    span = (datetime.fromisoformat(window[0]), datetime.fromisoformat(window[1])) if window else None
    outcome = extract(
        config,
        entity,
        connection(config.connection),
        mode="reconcile" if reconcile else "window" if span else "cursor",
        window=span,
        triggered_by=triggered_by,
    )
    return dataclasses.asdict(outcome)


def control_totals(instance: str) -> dict[str, Any]:
    """Take the source's own totals of the last days, once a business day; nothing for a source that has none."""
    from extractors.onec import control_totals as totals
    from warehouse.control_totals import days_taken
    from warehouse.db import connect

    config = source(instance)
    if config.kind != "onec":
        return {"taken": {}, "missing": []}
    settings = get_settings()
    today = clock.business_date()
    days = [today - timedelta(days=back) for back in range(settings.control_total_days, 0, -1)]
    this_morning = datetime.combine(clock.company_time().date(), time(), clock.company_time().tzinfo)
    with connect() as conn:
        known = days_taken(conn, instance, "revenue", this_morning)
    wanted = [day for day in days if day not in known]
    if not wanted:
        return {"taken": {}, "missing": []}
    outcome = totals.take(config, connection(config.connection), wanted, lambda: connect(autocommit=True))
    return dataclasses.asdict(outcome)


def explain_differences() -> dict[str, int]:
    """Where the marts disagree with a source's totals: take those days anew, document by document.

    Returns the number of documents per source. A source that does not answer is left for the next time: its days then
    stay as different as they are.
    """
    from clients.errors import ClientError
    from extractors.core.errors import ReadError
    from extractors.onec import control_totals as totals
    from warehouse.control_totals import differing_days
    from warehouse.db import connect

    looked_at: dict[str, int] = {}
    for config in load_sources():
        if config.kind != "onec":
            continue
        with connect() as conn:
            days = differing_days(conn, config.id)
        if not days:
            continue
        try:
            looked_at[config.id] = totals.explain(
                config, connection(config.connection), days, lambda: connect(autocommit=True)
            )
        except (ClientError, ReadError) as error:
            log.warning("%s: days that differ from 1C could not be compared by document: %s", config.id, error)
    return looked_at


def check_landing(instance: str, run_id: str) -> dict[str, Any]:
    """Run the landing suite; raises when a critical expectation fails."""
    from expectations import check_landing as check

    outcome = check(instance, kind=source(instance).kind, as_of=clock.business_date(), run_id=run_id)
    outcome.raise_if_failed()
    return outcome.summary()


def marts_are_behind(outcomes: list[list[dict[str, Any]]]) -> bool:
    """True when rows changed just now, or today's marts have not been built since the last change."""
    from warehouse.db import connect

    landed = (outcome for share in outcomes for outcome in share)
    if any(outcome["rows_inserted"] + outcome["rows_changed"] + outcome["rows_deleted"] for outcome in landed):
        return True
    with connect() as conn:
        row = conn.execute(
            """
            select exists (
                select 1 from ops.dbt_run as r
                where r.succeeded and r.as_of = %s
                  and r.started_at > coalesce((
                      select max(l.finished_at) from ops.load_run as l
                      where l.rows_inserted + l.rows_changed + l.rows_deleted > 0
                  ), '-infinity')
            )
            """,
            [clock.business_date()],
        ).fetchone()
    return not (row and row[0])


# --- transform ---------------------------------------------------------------------------------------------


def transform(*, triggered_by: str, as_of: str | None = None, full_refresh: bool = False) -> dict[str, Any]:
    """One `dbt build` for the business date (or an earlier `as_of`); results per model go to ops."""
    from warehouse.dbt_runner import build

    day = date.fromisoformat(as_of) if as_of else clock.business_date()
    if day == clock.business_date():
        take_outcomes(day)
    outcome = build(day, full_refresh=full_refresh, triggered_by=triggered_by)
    return {"as_of": day.isoformat(), "invocation_id": outcome.invocation_id}


def take_outcomes(day: date) -> int:
    """Read what reps wrote into their tasks, so that today's list keeps to it; a portal out of reach stops nothing."""
    from alerts.outcomes import read_outcomes
    from alerts.telegram_answers import take_answers

    taken = 0
    try:
        connections = _channel_connections()
        taken = read_outcomes(day, connections)
        if "telegram" in connections:
            taken += take_answers(connections["telegram"]).outcomes
    except Exception:
        log.exception("outcomes of calls were not read; the list is made without them")
    return taken


def check_marts(as_of: str, run_id: str) -> dict[str, Any]:
    """Run the suite of the marts; raises when a critical expectation fails."""
    from expectations import check_marts as check

    outcome = check(as_of=date.fromisoformat(as_of), run_id=run_id)
    outcome.raise_if_failed()
    return outcome.summary()


# --- forecast ----------------------------------------------------------------------------------------------


def forecast(as_of: str | None = None) -> list[dict[str, Any]]:
    """Forecast the demand of the weeks from that of the business date (or `as_of`) on, one result per source.

    The next build shows it in the marts.
    """
    from forecasting import make

    return [
        {**dataclasses.asdict(made), "week": made.week.isoformat()}
        for made in make(date.fromisoformat(as_of) if as_of else clock.business_date())
    ]


# --- follow-up ---------------------------------------------------------------------------------------------


def open_day(as_of: str | None = None) -> str:
    """The day of today's list. Raises NotToday for any other day: a past list is rebuilt, never sent."""
    today = clock.business_date()
    if as_of and date.fromisoformat(as_of) != today:
        raise NotToday(f"asked to send the list of {as_of}, but today is {today}; past lists are never sent")
    return today.isoformat()


def branches(as_of: str, run_id: str) -> list[str]:
    """Ids of the branches that get a list today, as 'instance/branch'."""
    from expectations.gate import evaluate

    verdicts = evaluate(date.fromisoformat(as_of), run_id=run_id)
    return [f"{verdict.instance}/{verdict.branch_id}" for verdict in verdicts]


def look_at_branch(as_of: str, branch: str, run_id: str) -> dict[str, Any]:
    """One look of the gate at one branch; the list is frozen into the ledger, planned or held.

    A warehouse that does not answer holds the branch, to be looked at again; there is nothing to freeze into then.
    """
    from alerts.freeze import freeze
    from expectations.gate import evaluate

    day = date.fromisoformat(as_of)
    instance, _, branch_id = branch.partition("/")
    verdicts = [v for v in evaluate(day, run_id=run_id) if v.instance == instance]
    blind = [v for v in verdicts if v.verdict == BRANCH_HELD and v.evaluated == 0]
    if blind:
        return {**dataclasses.asdict(blind[0]), "branch_id": branch_id}
    verdict = next((v for v in verdicts if v.branch_id == branch_id), None)
    if verdict is None:
        raise DeliveryIncomplete(f"the gate gave no verdict for branch {branch}")
    freeze(day, [verdict])
    return dataclasses.asdict(verdict)


def cut_off_passed(*, manual: bool) -> bool:
    """True when a held branch is not waited for any longer; a manual run looks once."""
    return manual or clock.company_time().time() >= get_settings().cut_off


def deliver_branch(as_of: str, verdict: dict[str, Any]) -> dict[str, Any]:
    """Deliver one branch's list, or tell its people why it is held."""
    from alerts.deliver import deliver, hold_notice

    settings = get_settings()
    day = date.fromisoformat(as_of)
    connections = _channel_connections()
    name = verdict["branch_name"] or verdict["instance"]
    if verdict["verdict"] == BRANCH_HELD:
        why = verdict["reason_ru"] if settings.language == "ru" else verdict["reason_en"]
        hold_notice(
            day,
            verdict["branch_id"],
            verdict["branch_name"],
            why,
            connections,
            rehearsal=not settings.send,
            instance=verdict["instance"],
        )
        return {"branch": name, "held": why}
    outcome = deliver(day, verdict["branch_id"], connections, rehearsal=not settings.send, instance=verdict["instance"])
    counts = dataclasses.asdict(outcome)
    # What a rehearsal would have sent stays in the log's counts: XComs are no place for letters.
    counts["would_send"] = len(counts["would_send"])
    return {"branch": name, **counts}


def settle(as_of: str, outcomes: list[dict[str, Any]], names: list[str]) -> dict[str, Any]:
    """Close the day: take back what was answered meanwhile, then say aloud what did not go out.

    `names` are the branches of the day; a branch whose delivery task died has no outcome. Raises DeliveryIncomplete.
    """
    from alerts.deliver import withdraw_answered
    from alerts.logistics import tell_logistics

    settings = get_settings()
    day, connections = date.fromisoformat(as_of), _channel_connections()
    withdrawn = withdraw_answered(day, connections, rehearsal=not settings.send)
    tell_logistics(day, connections, rehearsal=not settings.send)
    problems = [f"{o['branch']}: {o['held']}" for o in outcomes if o.get("held")]
    problems += [f"{o['branch']}: rows failed: {o['failed']}" for o in outcomes if o.get("failed")]
    problems += [
        f"{o['branch']}: letters that a person must check: {o['needs_attention']}"
        for o in outcomes
        if o.get("needs_attention")
    ]
    if len(outcomes) < len(names):
        problems.append(f"branches whose delivery task failed: {len(names) - len(outcomes)} of {len(names)}")
    if problems:
        raise DeliveryIncomplete("; ".join(problems))
    return {"sent": sum(o.get("sent", 0) for o in outcomes), "withdrawn": withdrawn}


def _channel_connections() -> dict[str, Connection]:
    settings = get_settings()
    ids = {
        "amocrm": settings.amocrm_connection,
        "bitrix24": settings.bitrix24_connection,
        "email": settings.email_connection,
        "hubspot": settings.hubspot_connection,
        "telegram": settings.telegram_connection,
    }
    found = {channel: connection(ids[channel]) for channel in settings.channels}
    if settings.send and settings.business_date not in (None, clock.company_time(settings).date()):
        for channel, target in found.items():
            if not _speaks_to_this_machine(target.url):
                raise NotToday(
                    f"POLKA_BUSINESS_DATE pins {settings.business_date}, which is not today: "
                    f"channel {channel} may then only speak to this machine; unset it or set POLKA_SEND=false"
                )
    return found


def _speaks_to_this_machine(url: str) -> bool:
    return is_loopback(urlsplit(url if "://" in url else f"//{url}").hostname)
