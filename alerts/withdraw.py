"""Take back what was answered: the client has ordered since, so the task is closed and says why."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from alerts.channels.base import ChannelDown, TaskChannel
from alerts.channels.registry import open_channels
from alerts.freeze import refuse_other_days
from alerts.render import Renderer
from clients.connection import Connection as Address
from clients.errors import ClientError
from warehouse.db import Connection, connect
from warehouse.settings import get_settings

log = logging.getLogger(__name__)

# Older tasks are the rep's own affair.
WATCHED_DAYS = 14
# An order is no answer to a debt, nor to what orders lack.
ANSWERED_BY_AN_ORDER = ("missed_order", "lapsed", "second_order", "pre_due_reminder")


@dataclass(frozen=True)
class _Answered:
    followup_id: str
    channel: str
    state: str
    external_id: str | None
    commented: bool
    orders: int
    amount: Decimal
    last_on: date
    last_at: datetime | None


def withdraw_answered(
    as_of: date,
    connections: Mapping[str, Address],
    *,
    rehearsal: bool,
    database_url: str | None = None,
) -> int:
    """Withdraw rows all of whose outlets have ordered since the row's day; return how many were (or would be).

    Rows not sent yet are only marked. Tasks get one comment, at most, and are closed; a task that the rep closed
    himself is left as it is. Letters cannot be taken back and stay `sent`. Raises NotToday; a portal out of reach is
    logged and tried at the next call.
    """
    refuse_other_days(as_of)
    settings = get_settings()
    renderer = Renderer(settings.language, settings.time_zone)
    opened = open_channels(connections, settings, renderer, lambda: connect(database_url, autocommit=True))
    channels = {name: channel for name, channel in opened.items() if isinstance(channel, TaskChannel)}
    down: set[str] = set()
    with connect(database_url) as conn:
        answered = _answered(conn, as_of, list(channels))
        conn.commit()
        if rehearsal:
            return len(answered)
        withdrawn = 0
        for row in answered:
            text = renderer.withdrawn(
                as_of,
                orders=row.orders,
                amount=row.amount,
                at=row.last_at if row.last_on == as_of and row.orders == 1 else None,
                on=row.last_on,
            )
            if row.state != "sent":
                withdrawn += _mark(conn, row, text)
            elif row.channel in channels and row.channel not in down:
                try:
                    withdrawn += _close_task(conn, channels[row.channel], row, text)
                except ChannelDown as error:
                    log.warning("tasks of %s are not withdrawn now: %s", row.channel, error)
                    down.add(row.channel)
                except ClientError as error:
                    log.warning("task %s is not withdrawn now: %s", row.external_id, error)
        for channel in opened.values():
            channel.close()
    log.info("%s rows withdrawn of %s answered", withdrawn, len(answered))
    return withdrawn


def _close_task(conn: Connection, channel: TaskChannel, row: _Answered, text: str) -> int:
    """Comment, close, record. The comment is recorded before it is made: better none than two."""
    assert row.external_id is not None  # noqa: S101
    if not row.commented:
        if channel.is_done(row.external_id) is not False:
            return _mark(conn, row, text)  # closed by the rep, or deleted: nothing to say there
        conn.execute(
            "update ops.delivery_ledger set reason = %s where followup_id = %s and channel = %s and state = 'sent'",
            [text, row.followup_id, row.channel],
        )
        conn.commit()
    channel.finish(row.external_id, None if row.commented else text)
    return _mark(conn, row, text)


def _mark(conn: Connection, row: _Answered, text: str) -> int:
    changed = conn.execute(
        """
        update ops.delivery_ledger set state = 'withdrawn', reason = %s, settled_at = now()
        where followup_id = %s and channel = %s and state = %s
        """,
        [text, row.followup_id, row.channel, row.state],
    ).rowcount
    conn.commit()
    return changed


def _answered(conn: Connection, as_of: date, task_channels: list[str]) -> list[_Answered]:
    """Open rows of the last days whose every affected outlet has an occasion after its last known one."""
    rows = conn.execute(
        """
        with outlets as (
            select
                l.followup_id, l.channel, l.state, l.external_id, l.reason, l.instance,
                o ->> 'outlet_id' as outlet_id,
                (o ->> 'last_ordered_on')::date as last_ordered_on
            from ops.delivery_ledger as l
            cross join lateral jsonb_array_elements(
                (l.payload -> 'evidence' -> 'outlets') || coalesce(l.payload -> 'evidence' -> 'findings', '[]')
            ) as o
            where l.as_of between %s and %s and not l.needs_attention
              and array(select jsonb_array_elements_text(l.payload -> 'reasons')) <@ %s::text[]
              and (
                  l.state in ('planned', 'held')
                  or (l.state = 'sent' and l.external_id is not null and l.channel = any(%s))
              )
        ),
        answers as (
            select
                outlets.*, occasion.ordered_on, occasion.amount_with_vat, occasion.orders_total,
                (
                    select max(line.ordered_at) from marts.fct_order_line as line
                    where line.instance = outlets.instance and line.outlet_id = outlets.outlet_id
                      and line.ordered_on = occasion.ordered_on
                ) as ordered_at
            from outlets
            left join lateral (
                select f.ordered_on, f.amount_with_vat, f.orders_total from marts.fct_order_occasion as f
                where f.instance = outlets.instance and f.outlet_id = outlets.outlet_id
                  and f.ordered_on > outlets.last_ordered_on
                order by f.ordered_on limit 1
            ) as occasion on true
        )
        select
            followup_id, channel, state, external_id, bool_or(state = 'sent' and reason is not null),
            coalesce(sum(orders_total), 0), coalesce(sum(amount_with_vat), 0), max(ordered_on), max(ordered_at)
        from answers
        group by followup_id, channel, state, external_id
        having bool_and(ordered_on is not null)
        order by followup_id, channel
        """,
        [as_of - timedelta(days=WATCHED_DAYS), as_of, list(ANSWERED_BY_AN_ORDER), task_channels],
    ).fetchall()
    return [_Answered(*row) for row in rows]
