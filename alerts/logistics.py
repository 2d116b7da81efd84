"""Orders that we ourselves did not fulfil: one letter a day to logistics. Reps get no such rows."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import date

from alerts.channels.email import EmailChannel
from alerts.contacts import Manager
from alerts.followups import LogisticsRow
from alerts.freeze import refuse_other_days
from alerts.notices import NoticeOutcome, Outbox
from alerts.render import Renderer
from clients.connection import Connection as Address
from warehouse.db import Connection, connect
from warehouse.settings import get_settings

log = logging.getLogger(__name__)

ALL = "all"


def tell_logistics(
    as_of: date, connections: Mapping[str, Address], *, rehearsal: bool, database_url: str | None = None
) -> NoticeOutcome:
    """Send the day's faults to POLKA_LOGISTICS_EMAIL, once; without the address, or with nothing wrong, nobody is told.

    Branches that are held today are left out: their data are not to be trusted. Raises NotToday, or Retriable when the
    mail server could not be reached (safe to run again).
    """
    refuse_other_days(as_of)
    settings = get_settings()
    if not settings.logistics_email or "email" not in connections:
        return NoticeOutcome()
    renderer = Renderer(settings.language, settings.time_zone)
    channel = EmailChannel(connections["email"], renderer, sender=settings.email_from)
    try:
        with connect(database_url) as conn:
            rows = read_faults(conn, as_of)
            conn.commit()
            if not rows:
                return NoticeOutcome()
            outbox = Outbox(conn, channel, as_of, ALL, "logistics", settings.language)
            outbox.post(
                Manager(ALL, "logistics", email=settings.logistics_email),
                renderer.logistics_letter(as_of, rows),
                rehearsal=rehearsal,
            )
    finally:
        channel.close()
    if outbox.unreachable:
        raise outbox.unreachable
    return NoticeOutcome(outbox.sent, outbox.failed, outbox.needs_attention, outbox.would_send)


def read_faults(conn: Connection, as_of: date) -> list[LogisticsRow]:
    """What the mart holds for the day, the latest and dearest first, without the branches that are held."""
    rows = conn.execute(
        """
        select f.order_number, f.ordered_on, f.branch_name, f.client_name, f.outlet_name, f.address, f.fault,
               f.promised_on, f.days_late, f.ordered_amount, f.missing_amount, f.positions
        from marts.logistics_list as f
        where f.as_of = %(as_of)s and coalesce(
            (
                select v.verdict <> 'hold' from ops.gate_verdict as v
                where v.as_of = %(as_of)s and v.instance = f.instance and v.branch_id in (f.branch_id, 'all')
                order by v.checked_at desc, v.verdict_id desc limit 1
            ), true
        )
        order by f.days_late desc nulls last, f.missing_amount desc, f.order_id
        """,
        {"as_of": as_of},
    ).fetchall()
    found = []
    for *facts, positions in rows:
        missing = tuple((one["name"] or "", one["ordered"], one["shipped"]) for one in positions)
        found.append(replace(LogisticsRow(*facts), positions=missing))
    return found
