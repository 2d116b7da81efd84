"""A past day's list: as it was delivered, and as the rules would make it from what is known today, with the cause.

Neither is ever sent: the first is read from the ledger, the second from temporary tables (warehouse.rule_replay).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal

from alerts.followups import FollowUp, follow_up_from_payload
from alerts.freeze import would_be_told
from alerts.sent import SentMessage, sent_messages
from warehouse.db import Connection, connect
from warehouse.rule_replay import compile_rules, rules_of_day

Change = Literal["added", "gone", "changed"]
Cause = Literal["late", "back_dated", "edited", "deleted"]

# Documents that lists are made from: landing table -> how it names the client. Agreements have no day of their own.
_DOCUMENTS = {
    "order": "partner_id",
    "shipment": "partner_id",
    "return": "partner_id",
    "bank_receipt": "legal_entity_id",
    "cash_receipt": "legal_entity_id",
    "card_receipt": "legal_entity_id",
    "agreement": "partner_id",
}


NO_CHANNEL = "none"
"""Through which nothing has ever been told."""


class NoSuchList(RuntimeError):
    """Nothing is known of a list of that day."""


@dataclass(frozen=True)
class PastRow:
    """A row as it was: its state in the ledger ('sent', 'held', ...); None when it never came to sending."""

    follow_up: FollowUp
    channel: str | None
    state: str | None


@dataclass(frozen=True)
class KnownThen:
    """The list as it was frozen, and the words that reached the reps."""

    as_of: date
    rows: tuple[PastRow, ...]
    messages: tuple[SentMessage, ...]


@dataclass(frozen=True)
class Document:
    """A document of the client that the list did not know as it is known now.

    late: dated after the data the list was made of, landed later. back_dated: entered later with a date that the list
    had already covered. number, dated_on: None where the document has none.
    """

    kind: str
    record_id: str
    number: str | None
    dated_on: date | None
    cause: Cause
    landed_at: datetime


@dataclass(frozen=True)
class Difference:
    """A client whom the two lists do not tell alike. No documents: the rules, reference data or answers changed it."""

    change: Change
    then: FollowUp | None
    now: FollowUp | None
    fields: tuple[str, ...] = ()
    documents: tuple[Document, ...] = field(default=())


@dataclass(frozen=True)
class KnownNow:
    """The list as the rules make it today for that day. then_at: what landed after it was not known to the list."""

    as_of: date
    channel: str
    then_at: datetime
    rows: tuple[FollowUp, ...]
    differences: tuple[Difference, ...]


def known_then(as_of: date, url: str, *, channel: str | None = None) -> KnownThen:
    """Raises NoSuchList."""
    with connect(url) as conn:
        rows = _frozen(conn, as_of, channel) or _built(conn, as_of)
        messages = sent_messages(conn, as_of, channel)
    if not rows:
        raise NoSuchList(f"there is no list of {as_of}: neither delivered nor built")
    return KnownThen(as_of, tuple(rows), tuple(messages))


def known_now(as_of: date, url: str, *, channel: str | None = None) -> KnownNow:
    """Run the rules for the day and compare. channel: whose list; the first that had one when absent.

    Raises NoSuchList, RulesDoNotCompile.
    """
    then = known_then(as_of, url, channel=channel)
    told = channel or next((row.channel for row in then.rows if row.channel), NO_CHANNEL)
    before = {
        _client(row.follow_up): row.follow_up for row in then.rows if row.channel in (told, None) and _counts(row)
    }
    rules = compile_rules("follow_up", url)
    with connect(url) as conn:
        then_at = _known_at(conn, as_of)
        with rules_of_day(conn, rules, as_of):
            rows = would_be_told(conn, as_of, told, relation="pg_temp.follow_up")
        now = {_client(row): row for row in rows}
        found = compare(before, now)
        documents = changed_documents(
            conn, as_of, then_at, [(one.then or one.now).instance for one in found if one.then or one.now],  # type: ignore[union-attr]
            [(one.then or one.now).client_id for one in found if one.then or one.now],  # type: ignore[union-attr]
        )  # fmt: skip
        conn.rollback()
    differences = [
        Difference(one.change, one.then, one.now, one.fields, tuple(documents.get(_client(one.then or one.now), ())))
        for one in found
    ]
    return KnownNow(as_of, told, then_at, tuple(rows), tuple(differences))


def compare(then: Mapping[tuple[str, str], FollowUp], now: Mapping[tuple[str, str], FollowUp]) -> list[Difference]:
    """By (instance, client_id): who is new, who is gone, whose row tells something else."""
    found = []
    for client in sorted({*then, *now}):
        before, after = then.get(client), now.get(client)
        if before is None or after is None:
            found.append(Difference("gone" if after is None else "added", before, after))
        elif fields := _told_otherwise(before, after):
            found.append(Difference("changed", before, after, fields))
    return found


def _told_otherwise(before: FollowUp, after: FollowUp) -> tuple[str, ...]:
    """What of the row differs that a rep would see; neither its place nor the moment of the data counts."""
    compared = {
        "reasons": (before.reasons, after.reasons),
        "money_at_risk": (before.money_at_risk, after.money_at_risk),
        "outlets": (before.outlets, after.outlets),
        "findings": (_facts(before), _facts(after)),
        "manager": (before.manager_id, after.manager_id),
    }
    return tuple(name for name, (one, other) in compared.items() if one != other)


def _facts(row: FollowUp) -> list[tuple[object, ...]]:
    return [(f.reason, f.subject_id, f.money_at_risk, f.is_blocking, dict(f.facts)) for f in row.findings]


def _client(row: FollowUp | None) -> tuple[str, str]:
    return (row.instance, row.client_id) if row else ("", "")


def _counts(row: PastRow) -> bool:
    return row.state != "withdrawn"


def _frozen(conn: Connection, as_of: date, channel: str | None) -> list[PastRow]:
    rows = conn.execute(
        """
        select payload::text, list_rank, channel,
               case when state = 'withdrawn' and external_id is not null then 'sent' else state end
        from ops.delivery_ledger
        where as_of = %(as_of)s and (%(channel)s::text is null or channel = %(channel)s)
        order by channel, payload ->> 'manager_name', list_rank, client_id
        """,
        {"as_of": as_of, "channel": channel},
    ).fetchall()
    return [
        PastRow(follow_up_from_payload(payload, list_rank=rank), name, state) for payload, rank, name, state in rows
    ]


def _built(conn: Connection, as_of: date) -> list[PastRow]:
    """Nothing was frozen that day: what the marts keep of it."""
    if conn.execute("select to_regclass('marts.follow_up')").fetchone() == (None,):
        return []
    return [PastRow(row, None, None) for row in would_be_told(conn, as_of, NO_CHANNEL)]


def _known_at(conn: Connection, as_of: date) -> datetime:
    """When the build began whose rows were frozen; the earliest freezing where no build is on record."""
    row = conn.execute(
        """
        with frozen as (
            select min(planned_at) as first_at, max(coalesce(sending_at, planned_at)) as last_at
            from ops.delivery_ledger where as_of = %(as_of)s
        )
        select coalesce(
            (
                select max(r.started_at) from ops.dbt_run as r
                where r.as_of = %(as_of)s and r.succeeded and r.started_at <= coalesce(frozen.last_at, 'infinity')
            ),
            frozen.first_at,
            now()
        )
        from frozen
        """,
        {"as_of": as_of},
    ).fetchone()
    assert row is not None  # noqa: S101  -- an aggregate always has a row
    moment: datetime = row[0]
    return moment


def changed_documents(
    conn: Connection, as_of: date, then_at: datetime, instances: Sequence[str], clients: Sequence[str]
) -> dict[tuple[str, str], list[Document]]:
    """Documents of the clients, dated up to the day, that landed or changed after `then_at`."""
    if not clients:
        return {}
    statements = [_changed(kind, owner) for kind, owner in _DOCUMENTS.items()]
    rows = conn.execute(
        f"{_OWNERS} {' union all '.join(statements)} order by 4 nulls last, 5, 1, 6",
        {"as_of": as_of, "then_at": then_at, "instances": list(instances), "clients": list(clients)},
    ).fetchall()
    found: dict[tuple[str, str], list[Document]] = {}
    for kind, instance, client, dated_on, number, record_id, cause, landed_at in rows:
        found.setdefault((instance, client), []).append(Document(kind, record_id, number, dated_on, cause, landed_at))
    return found


def _changed(kind: str, owner: str) -> str:
    has_day = kind != "agreement"
    return _CHANGED.format(
        kind=f"'{kind}'",
        table=f"raw.onec_{kind}",
        history=f"raw_history.onec_{kind}",
        owner=owner,
        owners="partners" if owner == "partner_id" else "entities",
        dated="d.dated_at" if has_day else "null::timestamptz",
        posted="d.posted" if has_day else "true",
        posted_then="h.posted" if has_day else "true",
    )


_OWNERS = """
    with wanted as (
        select * from unnest(%(instances)s::text[], %(clients)s::text[]) as w (instance, client_id)
    ),
    partners as (
        select w.instance, w.client_id, o.partner_id as owner_id
        from wanted as w
        inner join intermediate.int_outlet as o on o.instance = w.instance and o.client_id = w.client_id
        union
        select w.instance, w.client_id, w.client_id from wanted as w
    ),
    entities as (
        select distinct p.instance, p.client_id, e.record_id as owner_id
        from partners as p
        inner join raw.onec_legal_entity as e on e.instance = p.instance and e.partner_id = p.owner_id
    ),
    base as (
        select s.instance, s.time_zone, c.covered_until
        from ops.source_instance as s
        left join ops.coverage as c on c.instance = s.instance and c.entity = 'order'
    )
"""
# Of the versions of a document the one that was there when the list was made is the one replaced soonest after.
_CHANGED = """
    select
        {kind} as kind, w.instance, w.client_id,
        ({dated} at time zone b.time_zone)::date as dated_on, d.number, d.record_id,
        case
            when was.record_id is not null and (d.deleted_at is not null or d.deletion_mark or not {posted})
                then 'deleted'
            when was.record_id is not null then 'edited'
            when {dated} < %(then_at)s
                and ({dated} at time zone b.time_zone)::date < %(as_of)s then 'back_dated'
            else 'late'
        end as cause,
        coalesce(greatest(d.loaded_at, d.deleted_at), d.loaded_at) as landed_at
    from {owners} as w
    inner join {table} as d on d.instance = w.instance and d.{owner} = w.owner_id
    inner join base as b on b.instance = d.instance
    left join lateral (
        select h.record_id from {history} as h
        where h.instance = d.instance and h.record_id = d.record_id
          and h.loaded_at <= %(then_at)s and h.replaced_at > %(then_at)s
          and h.deleted_at is null and not h.deletion_mark and {posted_then}
        union all
        select d.record_id where d.loaded_at <= %(then_at)s and d.deleted_at > %(then_at)s
        limit 1
    ) as was on true
    where (d.loaded_at > %(then_at)s or d.deleted_at > %(then_at)s)
      and coalesce(({dated} at time zone b.time_zone)::date <= %(as_of)s, true)
      -- What was no document then and is none now has changed nothing.
      and (was.record_id is not null or (d.deleted_at is null and not d.deletion_mark and {posted}))
"""
