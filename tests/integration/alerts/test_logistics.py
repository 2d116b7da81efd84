"""What we did not bring is told to logistics, once a day, and never to reps."""

import json

import pytest

from alerts.logistics import tell_logistics
from clients.connection import Connection
from tests.support.delivery import AS_OF, INSTANCE, NORTH, SOUTH, MailServer, build_marts
from warehouse.db import connect
from warehouse.settings import get_settings

TABLE = """
create table marts.logistics_list (
    as_of date, instance text, order_id text, order_number text, ordered_on date, branch_id text, branch_name text,
    client_name text, outlet_name text, address text, fault text, promised_on date, days_late integer,
    ordered_amount numeric(18, 2), missing_amount numeric(18, 2), positions jsonb
)
"""


@pytest.fixture
def faults(database: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("POLKA_LOGISTICS_EMAIL", "stock@distributor.example")
    get_settings.cache_clear()
    build_marts(database, [])
    positions = json.dumps([{"name": "=Кефир «1 %» <0,9 л>", "ordered": 6, "shipped": 2.5}])
    rows = [
        ("o1", "УТ-1", "2025-06-03", SOUTH, "Юг", "late", "2025-06-06", 4, 17900, 17900),
        ("o2", "УТ-2", "2025-06-08", SOUTH, "Юг", "short", "2025-06-09", None, 5000, 1200.50),
        ("o3", "УТ-3", "2025-06-08", NORTH, "Север", "refused", "2025-06-09", None, 3000, 3000),
    ]
    with connect(database) as conn:
        conn.execute(TABLE)
        for order, number, on, branch, name, fault, promised, late, amount, missing in rows:
            conn.execute(
                "insert into marts.logistics_list values "
                "(%s, %s, %s, %s, %s, %s, %s, 'ИП Петрова', 'Весна', 'Ленина, 1', %s, %s, %s, %s, %s, %s)",
                [AS_OF, INSTANCE, order, number, on, branch, name, fault, promised, late, amount, missing, positions],
            )
        # The North's data are not trusted today.
        conn.execute(
            "insert into ops.gate_verdict (run_id, as_of, instance, branch_id, verdict, declared, evaluated) "
            "values ('r', %s, %s, %s, 'hold', 1, 1)",
            [AS_OF, INSTANCE, NORTH],
        )
    return database


def test_faults_are_told_once_in_one_letter(faults: str, mail: MailServer) -> None:
    connections = {"email": mail.connection()}
    assert tell_logistics(AS_OF, connections, rehearsal=True, database_url=faults).would_send == 1
    assert mail.messages == []
    assert tell_logistics(AS_OF, connections, rehearsal=False, database_url=faults).sent == 1
    assert tell_logistics(AS_OF, connections, rehearsal=False, database_url=faults).sent == 0
    (letter,) = mail.messages
    assert mail.recipients == ["stock@distributor.example"]
    assert letter["Subject"].replace("\xa0", " ") == "Логистике на вт 10.06: 2 заказа, недовезли на 19 101 ₽"
    body = letter.get_body(("plain",))
    assert body is not None
    text = body.get_content().replace("\xa0", " ")
    assert "Заказ УТ-1 от 03.06 на 17 900 ₽: обещан 06.06, опаздываем на 4 дня." in text
    assert "Заказ УТ-2 от 08.06 на 5 000 ₽: закрыт недогруженным." in text
    assert "=Кефир «1 %» <0,9 л>: 2.5 из 6" in text
    assert "УТ-3" not in text


def test_nobody_is_told_without_an_address_or_without_faults(
    faults: str, mail: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections = {"email": mail.connection()}
    with connect(faults) as conn:
        conn.execute("delete from marts.logistics_list where branch_id = %s", [SOUTH])
    assert tell_logistics(AS_OF, connections, rehearsal=False, database_url=faults).sent == 0
    monkeypatch.delenv("POLKA_LOGISTICS_EMAIL")
    get_settings.cache_clear()
    dead = {"email": Connection(url="127.0.0.1:9")}
    assert tell_logistics(AS_OF, dead, rehearsal=False, database_url=faults).sent == 0
    assert mail.messages == []
