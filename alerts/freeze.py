"""Freeze the day's list into the ledger: `planned` where the gate says go, `held` where it says hold.

Freezing again is harmless and is how a held list is looked at again: what was not sent yet follows the marts and the
latest verdict, what was sent or may have been sent stays as it is.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol

from alerts.followups import FollowUp, follow_up_from_payload
from alerts.ledger import TOLD_EARLIER
from warehouse.clock import business_date
from warehouse.db import Connection, connect
from warehouse.settings import get_settings

log = logging.getLogger(__name__)

WHOLE_SOURCE = "all"


class NotToday(RuntimeError):
    """Only today's list is frozen or sent; past ones are rebuilt and looked at."""


class Verdict(Protocol):
    """The gate's word on one branch; `branch_id` is 'all' where the source has no branches."""

    @property
    def instance(self) -> str: ...
    @property
    def branch_id(self) -> str: ...
    @property
    def verdict(self) -> str: ...
    @property
    def reason_ru(self) -> str | None: ...
    @property
    def reason_en(self) -> str | None: ...


@dataclass(frozen=True)
class FreezeOutcome:
    """Ledger rows (client x channel) of the branches after freezing. beyond_cap: rows that did not fit a rep's day."""

    planned: int
    held: int
    settled: int
    withdrawn: int
    beyond_cap: int


# Nothing has reached anybody and nothing may have: such a row may be rewritten.
_UNSENT = """
    (l.state in ('planned', 'held', 'failed', 'withdrawn') and l.external_id is null and not l.needs_attention)
"""
_VANISHED = {"ru": "в пересчитанном списке клиента больше нет", "en": "the recalculated list has the client no more"}


def refuse_other_days(as_of: date) -> None:
    """Raises NotToday unless `as_of` is the company's business date."""
    today = business_date()
    if as_of != today:
        raise NotToday(f"{as_of} is not the business date {today}: only today's list can be frozen or sent")


def freeze(as_of: date, verdicts: Sequence[Verdict], *, database_url: str | None = None) -> FreezeOutcome:
    """Plan the day's rows of the verdicts' branches for every channel of the settings; other branches are not touched.

    What reached a channel on an earlier day is not planned again. Raises NotToday.
    """
    refuse_other_days(as_of)
    settings = get_settings()
    language = settings.language
    with connect(database_url) as conn:
        conn.execute("select pg_advisory_xact_lock(hashtextextended('alerts.freeze', 0))")
        withdrawn = beyond_cap = 0
        for verdict in verdicts:
            go = verdict.verdict == "go"
            reason = None if go else (verdict.reason_ru if language == "ru" else verdict.reason_en) or verdict.verdict
            for channel in settings.channels:
                values = {
                    "as_of": as_of,
                    "channel": channel,
                    "instance": verdict.instance,
                    "branch_id": verdict.branch_id,
                    "state": "planned" if go else "held",
                    "reason": reason,
                    "cap": settings.list_cap,
                    "vanished": _VANISHED[language],
                    # Whoever has not started the bot hears of his list elsewhere, if there is another channel.
                    "only_with_chat": channel == "telegram" and len(settings.channels) > 1,
                }
                withdrawn += _withdraw_vanished(conn, values)
                _rename_changed_episodes(conn, values)
                _plan(conn, values)
                beyond_cap += _beyond_cap(conn, values)
        counts = _count(conn, as_of, verdicts, settings.channels)
    outcome = FreezeOutcome(**counts, withdrawn=withdrawn, beyond_cap=beyond_cap)
    log.info("list of %s frozen: %s", as_of, outcome)
    return outcome


def _withdraw_vanished(conn: Connection, values: dict[str, object]) -> int:
    return conn.execute(
        f"""
        update ops.delivery_ledger as l
        set state = 'withdrawn', reason = %(vanished)s, settled_at = now()
        where l.as_of = %(as_of)s and l.channel = %(channel)s and l.instance = %(instance)s
          and l.branch_id = %(branch_id)s and {_UNSENT} and l.state <> 'withdrawn'
          and not exists (
              select 1 from marts.follow_up as f
              where f.as_of = l.as_of and f.instance = l.instance and f.client_id = l.client_id and not f.is_holdout
          )
        """,  # noqa: S608  -- conditions are constants of this module
        values,
    ).rowcount


def _rename_changed_episodes(conn: Connection, values: dict[str, object]) -> None:
    """The recalculated list tells another episode of the same client: its unsent row of today becomes that one."""
    conn.execute(
        f"""
        update ops.delivery_ledger as l set followup_id = f.followup_id
        from marts.follow_up as f
        where l.as_of = %(as_of)s and l.channel = %(channel)s and l.instance = %(instance)s
          and f.branch_id = %(branch_id)s and {_UNSENT}
          and f.as_of = l.as_of and f.instance = l.instance and f.client_id = l.client_id
          and f.followup_id <> l.followup_id
          and not exists (
              select 1 from ops.delivery_ledger as o where o.followup_id = f.followup_id and o.channel = l.channel
          )
        """,  # noqa: S608
        values,
    )


# A rep's day is counted over all branches, without what reached him on earlier days. Who keeps a place when the day is
# full is not who stands first: debts are always told.
_MART = "marts.follow_up"


def _numbered(relation: str = _MART) -> str:
    return f"""
    numbered as (
        select f.*, row_number() over (
            partition by f.instance, f.manager_id order by f.list_rank, f.followup_id
        ) as place, row_number() over (
            partition by f.instance, f.manager_id order by coalesce(f.keep_rank, f.list_rank), f.followup_id
        ) as turn
        from {relation} as f
        where f.as_of = %(as_of)s and (%(instance)s::text is null or f.instance = %(instance)s) and not f.is_holdout
          and not {TOLD_EARLIER}
    )
"""  # noqa: S608


# The rep's own capacity, where somebody has written it down, within the cap for everybody.
_CAP = "least(%(cap)s, coalesce(n.daily_calls, %(cap)s))"


def _plan(conn: Connection, values: dict[str, object]) -> None:
    conn.execute(
        f"""
        with {_numbered()}
        insert into ops.delivery_ledger as l
            (followup_id, channel, as_of, instance, client_id, branch_id, manager_id, state, list_rank, payload, reason)
        select
            n.followup_id, %(channel)s, n.as_of, n.instance, n.client_id, n.branch_id, n.manager_id,
            %(state)s, n.place, to_jsonb(n) - 'place' - 'turn', %(reason)s
        from numbered as n
        where n.branch_id = %(branch_id)s and n.turn <= {_CAP}
          and (
              not %(only_with_chat)s
              or exists (
                  select 1 from ops.telegram_chat as t where t.instance = n.instance and t.manager_id = n.manager_id
              )
          )
          and not exists (
              select 1 from ops.delivery_ledger as o
              where o.instance = n.instance and o.client_id = n.client_id and o.as_of = n.as_of
                and o.channel = %(channel)s and o.followup_id <> n.followup_id
          )
        on conflict (followup_id, channel) do update
        set as_of = excluded.as_of, branch_id = excluded.branch_id, manager_id = excluded.manager_id,
            state = excluded.state, list_rank = excluded.list_rank, payload = excluded.payload,
            reason = excluded.reason, settled_at = null
        where {_UNSENT}
        """,  # noqa: S608
        values,
    )


def would_be_told(conn: Connection, as_of: date, channel: str, *, relation: str = _MART) -> list[FollowUp]:
    """What the list of a day tells through a channel by `relation`, which is like marts.follow_up. Plans nothing."""
    rows = conn.execute(
        f"""
        with {_numbered(relation)}
        select (to_jsonb(n) - 'place' - 'turn')::text, n.place from numbered as n
        where n.turn <= {_CAP} order by n.manager_name, n.place, n.client_id
        """,  # noqa: S608
        {"as_of": as_of, "channel": channel, "instance": None, "cap": get_settings().list_cap},
    ).fetchall()
    return [follow_up_from_payload(payload, list_rank=place) for payload, place in rows]


def _beyond_cap(conn: Connection, values: dict[str, object]) -> int:
    row = conn.execute(
        f"with {_numbered()} select count(*) from numbered as n where n.branch_id = %(branch_id)s and n.turn > {_CAP}",  # noqa: S608
        values,
    ).fetchone()
    return int(row[0]) if row else 0


def _count(conn: Connection, as_of: date, verdicts: Sequence[Verdict], channels: Sequence[str]) -> dict[str, int]:
    row = conn.execute(
        """
        select count(*) filter (where state = 'planned'), count(*) filter (where state = 'held'),
               count(*) filter (where state in ('sending', 'sent', 'failed'))
        from ops.delivery_ledger
        where as_of = %s and channel = any(%s)
          and (instance, branch_id) in (select * from unnest(%s::text[], %s::text[]))
        """,
        [as_of, list(channels), [v.instance for v in verdicts], [v.branch_id for v in verdicts]],
    ).fetchone()
    planned, held, settled = row or (0, 0, 0)
    return {"planned": planned, "held": held, "settled": settled}
