"""Personal data, read at the moment of sending and kept nowhere: the rep's e-mail and chat, the client's phone."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from alerts.followups import FollowUp
from alerts.render import Contacts
from warehouse.db import Connection


@dataclass(frozen=True)
class Manager:
    """A sales rep. His repr shows no personal data."""

    instance: str
    manager_id: str
    name: str | None = field(default=None, repr=False)
    email: str | None = field(default=None, repr=False)
    is_active: bool = True
    telegram_chat: int | None = field(default=None, repr=False)


def read_managers(conn: Connection, keys: Iterable[tuple[str, str | None]]) -> dict[tuple[str, str], Manager]:
    """(instance, manager_id) -> Manager, for those that are known."""
    wanted = sorted({(instance, manager_id) for instance, manager_id in keys if manager_id})
    rows = conn.execute(
        """
        select m.instance, m.manager_id, m.manager_name, nullif(btrim(m.email), ''), m.is_active, t.chat_id
        from intermediate.int_manager_contact as m
        left join lateral (
            select c.chat_id from ops.telegram_chat as c
            where c.instance = m.instance and c.manager_id = m.manager_id
            order by c.linked_at desc, c.bot_id desc limit 1
        ) as t on true
        where (m.instance, m.manager_id) in (select * from unnest(%s::text[], %s::text[]))
        """,
        [[key[0] for key in wanted], [key[1] for key in wanted]],
    ).fetchall()
    return {(row[0], row[1]): Manager(*row) for row in rows}


def read_contacts(conn: Connection, instance: str, rows: Sequence[FollowUp]) -> Contacts:
    """Phones of the rows' outlets; of any outlet of the client for rows that are about none."""
    outlets = sorted({outlet for row in rows for outlet in row.contact_outlets})
    clients = sorted({row.client_id for row in rows if not row.contact_outlets})
    found = conn.execute(
        """
        select outlet_id, client_id, btrim(phone) from intermediate.int_client_contact
        where instance = %s and (outlet_id = any(%s) or client_id = any(%s)) and btrim(phone) <> ''
        order by client_id, outlet_id
        """,
        [instance, outlets, clients],
    ).fetchall()
    by_client: dict[str, list[str]] = {}
    for _, client, phone in found:
        by_client.setdefault(client, []).append(phone)
    return Contacts(
        {outlet: phone for outlet, _, phone in found}, {client: by_client.get(client, []) for client in clients}
    )
