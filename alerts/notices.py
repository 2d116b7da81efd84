"""Letters about no client: "nothing today" and "the list is held". Each at most once a day, rep and branch."""

import logging
from collections.abc import Mapping, MutableSequence
from dataclasses import dataclass
from datetime import date
from hashlib import sha256

from alerts.channels.base import ChannelDown, LetterChannel
from alerts.channels.registry import open_channels
from alerts.contacts import Manager, read_managers
from alerts.freeze import refuse_other_days
from alerts.ledger import TOLD_EARLIER
from alerts.quality import read_quality
from alerts.render import Letter, Renderer
from alerts.wording import Language, reason
from clients.connection import Connection as Address
from clients.errors import ClientError, Fatal, Retriable, Unknown
from warehouse.db import Connection, connect
from warehouse.settings import get_settings

log = logging.getLogger(__name__)

LEASE_SECONDS = 180.0


@dataclass(frozen=True)
class NoticeOutcome:
    """Letters by what became of them. needs_attention: may or may not have arrived."""

    sent: int = 0
    failed: int = 0
    needs_attention: int = 0
    would_send: int = 0


def hold_notice(
    as_of: date,
    branch_id: str,
    branch_name: str | None,
    why: str,
    connections: Mapping[str, Address],
    *,
    rehearsal: bool,
    instance: str | None = None,
    database_url: str | None = None,
) -> NoticeOutcome:
    """Tell the reps of a held branch that today's list does not come, why, and not to use yesterday's.

    A letter per rep, branch and channel a day; channels without letters are skipped. Raises NotToday, or Retriable when
    a channel could not be reached (safe to run again).
    """
    refuse_other_days(as_of)
    settings = get_settings()
    renderer = Renderer(settings.language, settings.time_zone)
    opened = open_channels(connections, settings, renderer, lambda: connect(database_url, autocommit=True))
    channels = [channel for channel in opened.values() if isinstance(channel, LetterChannel)]
    if not channels:
        log.info("branch %s is held; no channel for letters is configured", branch_id)
    outboxes: list[Outbox] = []
    try:
        with connect(database_url) as conn:
            for channel in channels:
                managers = _managers_of(conn, as_of, branch_id, instance, channel)
                others = _other_branches(conn, as_of, branch_id, managers, channel.name)
                outbox = Outbox(conn, channel, as_of, branch_id, "hold", settings.language)
                outboxes.append(outbox)
                for manager in managers:
                    letter = renderer.hold_letter(
                        as_of,
                        branch_name=branch_name,
                        reason=why,
                        other_branches=(manager.instance, manager.manager_id) in others,
                    )
                    outbox.post(manager, letter, rehearsal=rehearsal)
    finally:
        for found in opened.values():
            found.close()
    for outbox in outboxes:
        if outbox.unreachable:
            raise outbox.unreachable
    return NoticeOutcome(
        sum(outbox.sent for outbox in outboxes),
        sum(outbox.failed for outbox in outboxes),
        sum(outbox.needs_attention for outbox in outboxes),
        sum(outbox.would_send for outbox in outboxes),
    )


def send_empty_notices(
    conn: Connection,
    as_of: date,
    branch_id: str,
    channel: LetterChannel,
    *,
    rehearsal: bool,
    instance: str | None = None,
    problems: MutableSequence[str],
) -> int:
    """Tell the reps of a branch whose day is empty that it is; return how many letters were (or would be) sent."""
    settings = get_settings()
    renderer = Renderer(settings.language, settings.time_zone)
    outbox = Outbox(conn, channel, as_of, branch_id, "empty_list", settings.language)
    for manager, earlier in _managers_without_rows(conn, as_of, branch_id, instance, channel):
        quality = read_quality(conn, as_of, manager.instance, manager.manager_id, settings.language)
        letter = renderer.empty_letter(as_of, checked=quality.checked, earlier=earlier, data_as_of=quality.data_as_of)
        outbox.post(manager, letter, rehearsal=rehearsal)
    if outbox.unreachable:
        problems.append(f"{channel.name}: {outbox.unreachable}")
    return outbox.would_send if rehearsal else outbox.sent


class Outbox:
    """Sends notices of one kind through the ledger of notices: planned, sending, committed, sent, settled."""

    def __init__(
        self, conn: Connection, channel: LetterChannel, as_of: date, branch_id: str, kind: str, language: Language
    ) -> None:
        self._conn = conn
        self._channel = channel
        self._as_of = as_of
        self._branch_id = branch_id
        self._kind = kind
        self._language = language
        self.sent = self.failed = self.needs_attention = self.would_send = 0
        self.unreachable: ClientError | None = None

    def post(self, manager: Manager, letter: Letter, *, rehearsal: bool) -> None:
        """Send one notice unless it was sent, or may have been, or the mail server is down."""
        parts = [self._kind, self._as_of.isoformat(), manager.instance, self._branch_id, manager.manager_id]
        if self._channel.name != "email":  # letters were there first, their ids stay
            parts.append(self._channel.name)
        notice_id = sha256("|".join(parts).encode()).hexdigest()[:32]
        if rehearsal:
            self.would_send += not self._is_settled(notice_id)
            return
        if self.unreachable or not self._claim(notice_id, manager):
            return
        try:
            self._channel.send_letter(notice_id, manager, letter)
        except Unknown:
            self._settle(notice_id, "sending", reason("letter_in_doubt", self._language), needs_attention=True)
            self.needs_attention += 1
        except (ChannelDown, Retriable) as error:
            self._settle(notice_id, "planned", str(error))
            self.unreachable = error
        except Fatal as error:
            self._settle(notice_id, "failed", str(error))
            self.failed += 1
        else:
            self._settle(notice_id, "sent", None)
            self.sent += 1

    def _is_settled(self, notice_id: str) -> bool:
        row = self._conn.execute(
            "select state <> 'planned' from ops.notice_ledger where notice_id = %s", [notice_id]
        ).fetchone()
        return bool(row and row[0])

    def _claim(self, notice_id: str, manager: Manager) -> bool:
        self._conn.execute(
            """
            update ops.notice_ledger set needs_attention = true, reason = %s
            where notice_id = %s and state = 'sending' and not needs_attention and lease_until < now()
            """,
            [reason("letter_in_doubt", self._language), notice_id],
        )
        claimed = self._conn.execute(
            """
            insert into ops.notice_ledger as n
                (notice_id, kind, as_of, instance, branch_id, manager_id, state, attempts, sending_at, lease_until)
            values (%s, %s, %s, %s, %s, %s, 'sending', 1, now(), now() + make_interval(secs => %s))
            on conflict (notice_id) do update
            set state = 'sending', attempts = n.attempts + 1, sending_at = now(), lease_until = excluded.lease_until,
                reason = null
            where n.state in ('planned', 'failed')
            """,
            [
                notice_id,
                self._kind,
                self._as_of,
                manager.instance,
                self._branch_id,
                manager.manager_id,
                LEASE_SECONDS,
            ],
        ).rowcount
        self._conn.commit()
        return claimed == 1

    def _settle(self, notice_id: str, state: str, why: str | None, *, needs_attention: bool = False) -> None:
        self._conn.execute(
            """
            update ops.notice_ledger
            set state = %s, reason = %s, needs_attention = %s, lease_until = null, settled_at = now()
            where notice_id = %s and state = 'sending'
            """,
            [state, why, needs_attention, notice_id],
        )
        self._conn.commit()


def _managers_of(
    conn: Connection, as_of: date, branch_id: str, instance: str | None, channel: LetterChannel
) -> list[Manager]:
    """Active reps who sell in the branch: in the marts of the day, or of the last day that was built."""
    rows = conn.execute(
        """
        select distinct e.instance, e.manager_id from marts.order_expectation as e
        where e.branch_id = %(branch_id)s and (%(instance)s::text is null or e.instance = %(instance)s)
          and e.manager_id is not null and e.status not in ('closed', 'no_orders')
          and e.as_of = (
              select max(l.as_of) from marts.order_expectation as l
              where l.instance = e.instance and l.as_of <= %(as_of)s
          )
        order by 1, 2
        """,
        {"as_of": as_of, "branch_id": branch_id, "instance": instance},
    ).fetchall()
    known = read_managers(conn, [(row[0], row[1]) for row in rows])
    conn.commit()
    return [known[key] for key in sorted(known) if known[key].is_active and channel.knows(known[key])]


def _other_branches(
    conn: Connection, as_of: date, branch_id: str, managers: list[Manager], channel: str
) -> set[tuple[str, str]]:
    """Reps who have rows in another branch that go out today."""
    rows = conn.execute(
        """
        select distinct instance, manager_id from ops.delivery_ledger
        where as_of = %s and branch_id <> %s and state in ('planned', 'sending', 'sent') and channel = %s
        """,
        [as_of, branch_id, channel],
    ).fetchall()
    conn.commit()
    return {(row[0], row[1]) for row in rows} & {(m.instance, m.manager_id) for m in managers}


def _managers_without_rows(
    conn: Connection, as_of: date, branch_id: str, instance: str | None, channel: LetterChannel
) -> list[tuple[Manager, int]]:
    """Reps of the branch with nothing in the ledger for the day, with how many clients they still have open."""
    rows = conn.execute(
        f"""
        with known as (
            select l.instance, l.manager_id from ops.delivery_ledger as l
            where l.as_of = %(as_of)s and l.channel = %(channel)s and l.state <> 'withdrawn'
        ),
        open_rows as (
            select f.instance, f.manager_id, count(*) as clients from marts.follow_up as f
            where f.as_of = %(as_of)s and not f.is_holdout group by f.instance, f.manager_id
        )
        select e.instance, e.manager_id, coalesce(max(o.clients), 0)
        from marts.order_expectation as e
        left join open_rows as o on o.instance = e.instance and o.manager_id = e.manager_id
        where e.as_of = %(as_of)s and e.branch_id = %(branch_id)s and e.manager_id is not null
          and e.status not in ('closed', 'no_orders')
          and (%(instance)s::text is null or e.instance = %(instance)s)
          and not exists (
              select 1 from known as k where k.instance = e.instance and k.manager_id = e.manager_id
          )
          and not exists (
              -- Rows of another branch that the gate has not judged yet: his day may not be empty.
              select 1 from marts.follow_up as f
              where f.as_of = e.as_of and f.instance = e.instance and f.manager_id = e.manager_id
                and not f.is_holdout and not {TOLD_EARLIER}
          )
        group by e.instance, e.manager_id
        order by 1, 2
        """,  # noqa: S608
        {"as_of": as_of, "branch_id": branch_id, "instance": instance, "channel": channel.name},
    ).fetchall()
    known = read_managers(conn, [(row[0], row[1]) for row in rows])
    conn.commit()
    return [
        (known[row[0], row[1]], int(row[2]))
        for row in rows
        if (row[0], row[1]) in known and known[row[0], row[1]].is_active and channel.knows(known[row[0], row[1]])
    ]
