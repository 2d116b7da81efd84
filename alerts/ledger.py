"""ops.delivery_ledger: what was planned, sent, is in doubt. Every function is one step; the caller commits.

    planned -> sending -> sent | failed        held <-> planned, while nothing was tried
                       -> planned              (certainly not sent: try again later)
    planned, held, failed, sent -> withdrawn    needs_attention: stays `sending`, a person has to look

Where nobody can look up afterwards, `leaving_at` parts what is in doubt from what certainly is not there.

A row goes to `sending`, committed, before anything leaves. `attempts` only grows and is the token of that claim: who
finds it changed has lost the row to somebody else. All times are the database's, so that several senders share one
clock.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from alerts.followups import FollowUp, follow_up_from_payload
from warehouse.db import Connection

# Longer than a request may take at both ends together, so that a lapsed lease means a dead sender.
LEASE_SECONDS = 180.0


@dataclass(frozen=True)
class Claim:
    """A row this sender owns until the lease lapses."""

    follow_up: FollowUp
    channel: str
    attempts: int
    planned_at: datetime
    tried_before: bool
    """An earlier claim was never settled: the message may already be there."""

    @property
    def key(self) -> str:
        return self.follow_up.followup_id


# Row `f` of marts.follow_up tells nothing that did not reach this channel on an earlier day: each of its outlets was
# told of, silent since the same order, and each other reason since the same day. A client of whose outlets one has
# ordered meanwhile is no news; a reason that came on top is. After an answer that asks for another call («перезвонить
# 16.06») what was told before it does not count.
TOLD_EARLIER = """
    exists (
        select 1 from ops.delivery_ledger as o
        where o.instance = f.instance and o.client_id = f.client_id and o.channel = %(channel)s and o.as_of < f.as_of
          and (o.state in ('sent', 'sending') or o.external_id is not null or o.needs_attention)
          and o.as_of > coalesce((f.evidence ->> 'asked_again_on')::date, '-infinity')
          and o.payload -> 'evidence' -> 'outlets' @> (
              select coalesce(
                  jsonb_agg(
                      jsonb_build_object('outlet_id', e -> 'outlet_id', 'last_ordered_on', e -> 'last_ordered_on')
                  ),
                  '[]'
              )
              from jsonb_array_elements(f.evidence -> 'outlets') as e
          )
          and coalesce(o.payload -> 'evidence' -> 'signs', '[]') @> coalesce(f.evidence -> 'signs', '[]')
    )
"""

_DUE = """
    as_of = %(as_of)s and channel = %(channel)s
    and branch_id = %(branch_id)s and (%(instance)s::text is null or instance = %(instance)s)
"""


def claim(
    conn: Connection,
    as_of: date,
    channel: str,
    branch_id: str,
    *,
    instance: str | None = None,
    limit: int = 20,
    exclude: Sequence[str] = (),
    lease_seconds: float = LEASE_SECONDS,
) -> list[Claim]:
    """Own up to `limit` rows that are planned (without `exclude`), or whose sender died.

    Rows that others own are skipped, not waited for.
    """
    rows = conn.execute(
        f"""
        with due as (
            select followup_id, channel, state = 'sending' as tried_before from ops.delivery_ledger
            where {_DUE}
              and (
                  (state = 'planned' and followup_id <> all(%(exclude)s))
                  or (state = 'sending' and not needs_attention and lease_until < now())
              )
            order by list_rank, followup_id
            limit %(limit)s
            for update skip locked
        )
        update ops.delivery_ledger as l
        set state = 'sending', attempts = l.attempts + 1, sending_at = now(), reason = null,
            lease_until = now() + make_interval(secs => %(lease)s)
        from due
        where l.followup_id = due.followup_id and l.channel = due.channel
        returning l.payload::text, l.list_rank, l.attempts, l.planned_at, due.tried_before
        """,  # noqa: S608  -- the condition is a constant of this module
        {
            "as_of": as_of,
            "channel": channel,
            "branch_id": branch_id,
            "instance": instance,
            "exclude": list(exclude),
            "limit": limit,
            "lease": lease_seconds,
        },
    ).fetchall()
    return _claims(rows, channel)


def managers_due(
    conn: Connection, as_of: date, channel: str, branch_id: str, *, instance: str | None = None
) -> list[tuple[str, str | None]]:
    """(instance, manager_id) with something planned in the branch."""
    rows = conn.execute(
        f"""
        select distinct instance, manager_id from ops.delivery_ledger
        where {_DUE} and state = 'planned' order by 1, 2
        """,  # noqa: S608
        {"as_of": as_of, "channel": channel, "branch_id": branch_id, "instance": instance},
    ).fetchall()
    return [(row[0], row[1]) for row in rows]


def claim_for_manager(
    conn: Connection,
    as_of: date,
    channel: str,
    instance: str,
    manager_id: str | None,
    *,
    lease_seconds: float = LEASE_SECONDS,
) -> list[Claim]:
    """Own everything planned for one manager, over all his branches that are go: it travels in one message."""
    # Two senders must not split one manager's rows into two messages: the second waits and finds nothing.
    conn.execute(
        "select pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"{channel}/{instance}/{manager_id}/{as_of}"]
    )
    rows = conn.execute(
        """
        update ops.delivery_ledger
        set state = 'sending', attempts = attempts + 1, sending_at = now(), reason = null, leaving_at = null,
            lease_until = now() + make_interval(secs => %s)
        where as_of = %s and channel = %s and instance = %s and manager_id is not distinct from %s
          and state = 'planned'
        returning payload::text, list_rank, attempts, planned_at, false
        """,
        [lease_seconds, as_of, channel, instance, manager_id],
    ).fetchall()
    return _claims(rows, channel)


def renew(conn: Connection, claim: Claim, *, lease_seconds: float = LEASE_SECONDS) -> bool:
    """Start the lease anew just before sending. False: somebody else has taken the row over."""
    cursor = conn.execute(
        """
        update ops.delivery_ledger set lease_until = now() + make_interval(secs => %s)
        where followup_id = %s and channel = %s and state = 'sending' and attempts = %s
        """,
        [lease_seconds, claim.key, claim.channel, claim.attempts],
    )
    return cursor.rowcount == 1


def leaves(conn: Connection, claim: Claim, *, lease_seconds: float = LEASE_SECONDS) -> bool:
    """Note that the message leaves now; until then it certainly is not there. False: somebody else owns the row."""
    cursor = conn.execute(
        """
        update ops.delivery_ledger set leaving_at = now(), lease_until = now() + make_interval(secs => %s)
        where followup_id = %s and channel = %s and state = 'sending' and attempts = %s
        """,
        [lease_seconds, claim.key, claim.channel, claim.attempts],
    )
    return cursor.rowcount == 1


def settle_sent(conn: Connection, claim: Claim, *, external_id: str | None, recipient: str | None) -> None:
    """It is there."""
    _settle(conn, claim, "sent", reason=None, external_id=external_id, recipient=recipient)


def settle_failed(conn: Connection, claim: Claim, reason: str) -> None:
    """It is certainly not there and will not be without a person's help."""
    _settle(conn, claim, "failed", reason=reason)


def release(conn: Connection, claim: Claim, reason: str) -> None:
    """It is certainly not there and may be tried again."""
    _settle(conn, claim, "planned", reason=reason)


def leave_in_doubt(conn: Connection, claim: Claim, reason: str, *, look_again_seconds: float) -> None:
    """It may be there: to be looked up when the other side has certainly finished with the request."""
    conn.execute(
        """
        update ops.delivery_ledger set reason = %s, lease_until = now() + make_interval(secs => %s)
        where followup_id = %s and channel = %s and state = 'sending' and attempts = %s
        """,
        [reason, look_again_seconds, claim.key, claim.channel, claim.attempts],
    )


def ask_a_person(conn: Connection, claim: Claim, reason: str) -> None:
    """It may be there and nobody but a person can find out. Never sent again by itself."""
    conn.execute(
        """
        update ops.delivery_ledger set reason = %s, needs_attention = true, lease_until = null
        where followup_id = %s and channel = %s and state = 'sending' and attempts = %s
        """,
        [reason, claim.key, claim.channel, claim.attempts],
    )


def recover_interrupted(conn: Connection, channel: str, reason: str) -> None:
    """Rows of a channel that cannot look up, whose sender died: planned again if nothing left, else for a person."""
    conn.execute(
        """
        update ops.delivery_ledger
        set state = case when leaving_at is null then 'planned' else state end,
            needs_attention = leaving_at is not null,
            reason = case when leaving_at is not null then %s end
        where channel = %s and state = 'sending' and not needs_attention and lease_until < now()
        """,
        [reason, channel],
    )


def claim_old_doubts(
    conn: Connection, before: date, channel: str, *, limit: int = 50, lease_seconds: float = LEASE_SECONDS
) -> list[Claim]:
    """Own rows of earlier days whose sender died: to be looked up, never to be sent any more."""
    rows = conn.execute(
        """
        with due as (
            select followup_id, channel from ops.delivery_ledger
            where as_of < %s and channel = %s and state = 'sending' and not needs_attention and lease_until < now()
            order by as_of, followup_id limit %s for update skip locked
        )
        update ops.delivery_ledger as l
        set attempts = l.attempts + 1, lease_until = now() + make_interval(secs => %s)
        from due where l.followup_id = due.followup_id and l.channel = due.channel
        returning l.payload::text, l.list_rank, l.attempts, l.planned_at, true
        """,
        [before, channel, limit, lease_seconds],
    ).fetchall()
    return _claims(rows, channel)


def due(conn: Connection, as_of: date, channel: str, branch_id: str, *, instance: str | None = None) -> list[Claim]:
    """What a sender would claim, looked at without claiming: for rehearsals."""
    rows = conn.execute(
        f"""
        select payload::text, list_rank, attempts, planned_at, state = 'sending' from ops.delivery_ledger
        where {_DUE}
          and (state = 'planned' or (state = 'sending' and not needs_attention and lease_until < now()))
        """,  # noqa: S608
        {"as_of": as_of, "channel": channel, "branch_id": branch_id, "instance": instance},
    ).fetchall()
    return _claims(rows, channel)


def count_open(
    conn: Connection, as_of: date, channel: str, branch_id: str, *, instance: str | None = None
) -> tuple[int, int, float]:
    """(rows in doubt that will be looked up, rows that need a person, seconds until the next look-up is due)."""
    row = conn.execute(
        f"""
        select count(*) filter (where not needs_attention), count(*) filter (where needs_attention),
               coalesce(extract(epoch from min(lease_until) filter (where not needs_attention) - now()), 0)::float8
        from ops.delivery_ledger where {_DUE} and state = 'sending'
        """,  # noqa: S608
        {"as_of": as_of, "channel": channel, "branch_id": branch_id, "instance": instance},
    ).fetchone()
    return (int(row[0]), int(row[1]), max(0.0, float(row[2]))) if row else (0, 0, 0.0)


def _settle(
    conn: Connection,
    claim: Claim,
    state: str,
    *,
    reason: str | None,
    external_id: str | None = None,
    recipient: str | None = None,
) -> None:
    conn.execute(
        """
        update ops.delivery_ledger
        set state = %s, reason = %s, external_id = coalesce(%s, external_id), recipient = coalesce(%s, recipient),
            needs_attention = false, lease_until = null,
            settled_at = case when %s = 'planned' then null else now() end,
            leaving_at = case when %s = 'planned' then null else leaving_at end
        where followup_id = %s and channel = %s and state = 'sending' and attempts = %s
        """,
        [state, reason, external_id, recipient, state, state, claim.key, claim.channel, claim.attempts],
    )


def _claims(rows: Sequence[tuple[Any, ...]], channel: str) -> list[Claim]:
    claims = [
        Claim(follow_up_from_payload(payload, list_rank=rank), channel, attempts, planned_at, tried_before)
        for payload, rank, attempts, planned_at, tried_before in rows
    ]
    return sorted(claims, key=lambda claim: (claim.follow_up.list_rank, claim.key))


def already_sent_to(conn: Connection, as_of: date, channel: str, instance: str, manager_id: str) -> bool:
    """Whether the rep has had a message of this day through the channel, or may have had one."""
    row = conn.execute(
        """
        select exists (
            select 1 from ops.delivery_ledger
            where as_of = %s and channel = %s and instance = %s and manager_id = %s
              and (state = 'sent' or needs_attention)
        )
        """,
        [as_of, channel, instance, manager_id],
    ).fetchone()
    return bool(row and row[0])
