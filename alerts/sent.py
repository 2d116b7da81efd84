"""The words of what was sent, kept without the clients' phones: a past list is read from here, byte for byte."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from hashlib import sha256
from html import escape

from alerts.channels.base import Channel, Delivery
from alerts.contacts import read_contacts
from alerts.followups import follow_up_from_payload
from alerts.render import Contacts
from warehouse.db import Connection

_OPEN, _CLOSE = "\u2983", "\u2984"  # rare brackets that stand around the place of a phone
_TOKEN = re.compile(f"{_OPEN}([012]):([^{_CLOSE}]*){_CLOSE}")


@dataclass(frozen=True)
class SentMessage:
    """One message as it reached the rep. is_exact: the text is, byte for byte, the one that was sent; it is not when a
    client's phone has changed since, which is kept nowhere.
    """

    channel: str
    instance: str
    manager_id: str
    followup_ids: tuple[str, ...]
    text: str = field(repr=False)
    is_exact: bool


def remember(conn: Connection, channel: Channel, delivery: Delivery) -> None:
    """Write down what is about to be sent; the caller commits before it is. A later try replaces an earlier one."""
    text = channel.words(delivery)
    conn.execute(
        """
        insert into ops.sent_message as m
            (channel, message_key, as_of, instance, manager_id, followup_ids, body, digest)
        values (%s, %s, %s, %s, %s, %s, %s, %s)
        on conflict (channel, message_key) do update
        set manager_id = excluded.manager_id, body = excluded.body, digest = excluded.digest, written_at = now()
        """,
        [
            channel.name,
            delivery.key.value,
            delivery.as_of,
            delivery.manager.instance,
            delivery.manager.manager_id,
            [row.followup_id for row in delivery.rows],
            without_phones(text, phones_by_place(delivery.contacts)),
            digest(text),
        ],
    )


def sent_messages(conn: Connection, as_of: date, channel: str | None = None) -> list[SentMessage]:
    """What reached the reps on a day, in the order of channels and reps, phones filled in as they are known now."""
    found = conn.execute(
        """
        select m.channel, m.instance, m.manager_id, m.followup_ids, m.body, m.digest,
               array(
                   select l.payload::text from ops.delivery_ledger as l
                   where l.channel = m.channel and l.followup_id = any(m.followup_ids)
               )
        from ops.sent_message as m
        where m.as_of = %(as_of)s and (%(channel)s::text is null or m.channel = %(channel)s)
          and exists (
              select 1 from ops.delivery_ledger as l
              where l.channel = m.channel and l.followup_id = any(m.followup_ids)
                and (l.state = 'sent' or l.external_id is not null)
          )
        order by m.channel, m.instance, m.manager_id, m.written_at, m.message_key
        """,
        {"as_of": as_of, "channel": channel},
    ).fetchall()
    messages = []
    for name, instance, manager_id, followup_ids, body, known, payloads in found:
        rows = [follow_up_from_payload(payload) for payload in payloads]
        text = with_phones(body, phones_by_place(read_contacts(conn, instance, rows)))
        messages.append(SentMessage(name, instance, manager_id, tuple(followup_ids), text, digest(text) == known))
    return messages


def digest(text: str) -> str:
    """Of the text as people read it."""
    return sha256(text.encode()).hexdigest()


def phones_by_place(contacts: Contacts) -> dict[str, str]:
    """Phone by the outlet (or the client) that it is of."""
    places = dict(contacts.phones)
    for client, phones in contacts.phones_of_clients.items():
        places |= {f"{client}/{number}": phone for number, phone in enumerate(phones)}
    return places


def without_phones(text: str, phones: Mapping[str, str]) -> str:
    """Every phone, however the channel has written it, gives way to the place it is of."""
    tokens: dict[str, str] = {}
    for place, phone in sorted(phones.items()):
        for way, written in enumerate(_ways(phone)):
            tokens.setdefault(written, f"{_OPEN}{way}:{place}{_CLOSE}")
    if not tokens:
        return text
    # The longest first: one phone may begin like another.
    longest_first = sorted(tokens, key=lambda written: (-len(written), written))
    return re.sub("|".join(map(re.escape, longest_first)), lambda found: tokens[found[0]], text)


def with_phones(body: str, phones: Mapping[str, str]) -> str:
    """The text again; a place that has no phone any more stays empty."""
    ways = {place: _ways(phone) for place, phone in phones.items()}
    return _TOKEN.sub(lambda found: ways[found[2]][int(found[1])] if found[2] in ways else "", body)


def _ways(phone: str) -> tuple[str, str, str]:
    """As it is, in HTML, in BBCode."""
    return phone, escape(phone, quote=False), phone.replace("[", "(").replace("]", ")")
