"""A past list is shown in the very words that were sent, by every channel, whatever changes afterwards."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from html import unescape

import pytest

from alerts.deliver import deliver
from alerts.followups import FollowUp, follow_up_from_payload
from alerts.freeze import freeze
from alerts.render import Renderer
from alerts.sent import with_phones, without_phones
from clients.connection import Connection
from polka.past_lists import NoSuchList, changed_documents, compare, known_then
from tests.support import amocrm as amocrm_account
from tests.support import hubspot as hubspot_account
from tests.support import telegram as telegram_bot
from tests.support.delivery import AS_OF, REPS, SOUTH, Go, MailServer, PortalHandle, build_marts, follow_up, outlet
from warehouse.db import connect
from warehouse.settings import get_settings

PHONE = "+7 900 000-00-01"
ROWS = [
    follow_up(1, client_name="ООО «Торг & Сервис» <опт> 🍏 [Юг]"),
    follow_up(2, rep=REPS[1], outlets=[outlet(n, name=f'Магазин "Уют" № {n}') for n in range(20, 27)]),
    follow_up(3, rep=REPS[1]),
]


@dataclass(frozen=True)
class Way:
    """A channel: where it leads, and the words that arrived there."""

    connection: Connection
    arrived: Callable[[], list[str]]


@pytest.fixture
def ways(
    portal: PortalHandle,
    mail: MailServer,
    amocrm: amocrm_account.Account,
    hubspot: hubspot_account.Account,
    telegram: telegram_bot.Bot,
) -> dict[str, Way]:
    return {
        "bitrix24": Way(
            portal.connection(), lambda: [f"{task['TITLE']}\n\n{task['DESCRIPTION']}" for task in portal.tasks()]
        ),
        "amocrm": Way(amocrm.connection(), lambda: [str(task["text"]) for task in amocrm.tasks()]),
        "hubspot": Way(
            hubspot.connection(),
            lambda: [f"{task['hs_task_subject']}\n\n{task['hs_task_body']}" for task in hubspot.tasks()],
        ),
        "telegram": Way(telegram.connection(), lambda: [str(message["text"]) for message in telegram.messages()]),
        "email": Way(mail.connection(), lambda: [_letter(message) for message in mail.messages]),
    }


def _letter(message: object) -> str:
    body = message.get_body(("plain",))  # type: ignore[attr-defined]
    return f"{message['Subject']}\n\n{body.get_content()}"  # type: ignore[index]


@pytest.mark.parametrize("name", ["bitrix24", "amocrm", "hubspot", "telegram", "email"])
def test_the_words_of_a_past_list_are_those_that_were_sent(
    name: str, database: str, ways: dict[str, Way], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POLKA_CHANNELS", f'["{name}"]')
    get_settings.cache_clear()
    build_marts(database, ROWS)
    telegram_bot.join(database)
    with connect(database) as conn:
        conn.execute("update intermediate.int_client_contact set phone = '+7 900 111-11-11' where outlet_id like '%2_'")
    freeze(AS_OF, [Go()], database_url=database)
    deliver(AS_OF, SOUTH, {name: ways[name].connection}, rehearsal=False, database_url=database)
    arrived = sorted(ways[name].arrived())
    assert any(PHONE in words for words in arrived)

    # Neither the marts nor the templates of today have a say.
    with connect(database) as conn:
        conn.execute("update marts.follow_up set client_name = 'иначе', money_at_risk = 1")
    monkeypatch.setattr(Renderer, "_text", lambda *args, **values: "новый шаблон")
    then = known_then(AS_OF, database, channel=name)
    told = [message.text for message in then.messages]
    if name == "telegram":  # shows what its markup means
        told = [unescape(re.sub("<[^<>]*>", "", text)) for text in told]
    assert sorted(told) == arrived
    assert all(message.is_exact for message in then.messages)
    assert {row.state for row in then.rows} == {"sent"}
    assert [row.follow_up.client_name for row in then.rows if row.follow_up.client_id == "client-1"] == [
        ROWS[0]["client_name"]
    ]

    with connect(database) as conn:
        kept = conn.execute("select string_agg(m::text, '') from ops.sent_message as m").fetchone()
        assert kept is not None
        assert PHONE not in kept[0]
        conn.execute("update intermediate.int_client_contact set phone = '+7 900 222-22-22'")
    changed = known_then(AS_OF, database, channel=name)
    assert not any(message.is_exact for message in changed.messages)


def test_a_day_without_a_list_is_said(database: str) -> None:
    build_marts(database, [])
    with pytest.raises(NoSuchList, match="no list of 2025-06-10"):
        known_then(AS_OF, database)


def test_phones_come_back_to_their_places() -> None:
    phones = {"a": "+7 900 1", "b": "+7 900 12", "c": "<8> [доб. 3]", "d": "+7 900 1"}
    text = "+7 900 12, +7 900 1; &lt;8&gt; [доб. 3]; <8> (доб. 3); a: b; \u20ac +7 900 1"
    kept = without_phones(text, phones)
    assert not any(phone in kept for phone in phones.values())
    assert with_phones(kept, phones) == text
    assert with_phones(kept, {}).startswith(", ; ")


THEN = datetime(2025, 6, 10, 4, 0, tzinfo=UTC)
LATER = THEN + timedelta(days=1)
ORDER = """
insert into {} (instance, record_id, number, dated_at, posted, deletion_mark, partner_id, row_hash, loaded_at, load_id
                {}) values (%s, %s, %s, %s, %s, %s, 'p1', '\\x00', %s, 1 {})
"""


@pytest.mark.parametrize(
    ("dated", "loaded", "deleted", "posted", "was_posted", "cause"),
    [
        ("2025-06-08", LATER, None, True, None, "back_dated"),
        ("2025-06-10", LATER, None, True, None, "late"),
        ("2025-06-08", LATER, None, True, True, "edited"),
        ("2025-06-08", LATER, None, False, True, "deleted"),
        ("2025-06-08", THEN - timedelta(days=2), LATER, True, None, "deleted"),
        ("2025-06-08", LATER, None, True, False, "back_dated"),
        ("2025-06-08", LATER, None, False, None, None),
        ("2025-06-08", THEN - timedelta(days=2), None, True, None, None),
        ("2025-06-11", LATER, None, True, None, None),
    ],
)
def test_the_document_that_changed_a_list_is_named_with_what_became_of_it(
    database: str,
    dated: str,
    loaded: datetime,
    deleted: datetime | None,
    posted: bool,
    was_posted: bool | None,
    cause: str | None,
) -> None:
    with connect(database) as conn:
        conn.execute("create table intermediate.int_outlet (instance text, client_id text, partner_id text)")
        conn.execute("insert into intermediate.int_outlet values ('onec_main', 'client-1', 'p1')")
        conn.execute("insert into ops.source_instance (instance, kind, time_zone) values ('onec_main', 'onec', 'UTC')")
        conn.execute(
            ORDER.format("raw.onec_order", ", deleted_at", ", %s").encode(),
            ["onec_main", "o1", "УТ-1", f"{dated} 09:00+00", posted, False, loaded, deleted],
        )
        if was_posted is not None:
            conn.execute(
                ORDER.format("raw_history.onec_order", ", replaced_at, replaced_by_load_id", ", %s, 2").encode(),
                ["onec_main", "o1", "УТ-1", f"{dated} 09:00+00", was_posted, False, THEN - timedelta(days=2), LATER],
            )
        found = changed_documents(conn, AS_OF, THEN, ["onec_main"], ["client-1"])
    if cause is None:
        assert found == {}
    else:
        (document,) = found["onec_main", "client-1"]
        assert (document.kind, document.number, document.cause) == ("order", "УТ-1", cause)
        assert document.dated_on == date.fromisoformat(dated)
        assert document.landed_at == LATER


def test_two_lists_are_compared_client_by_client() -> None:
    def told(number: int, **changes: object) -> tuple[tuple[str, str], FollowUp]:
        row = follow_up_from_payload(json.dumps(follow_up(number, **changes), default=str))
        return (row.instance, row.client_id), row

    then = dict([told(1), told(2), told(3)])
    now = dict([told(2, list_rank=9), told(3, outlets=[outlet(3, missed_cycles=3, money_at_risk=55200)]), told(4)])
    found = {one.then.client_id if one.then else "new": (one.change, one.fields) for one in compare(then, now)}
    assert found == {
        "client-1": ("gone", ()),
        "client-3": ("changed", ("money_at_risk", "outlets")),
        "new": ("added", ()),
    }
