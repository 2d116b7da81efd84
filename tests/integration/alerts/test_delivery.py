"""The list reaches people: one task per client, one letter per rep, and the ledger says so."""

import io
from datetime import date, timedelta
from email.message import EmailMessage

import openpyxl
import pytest

from alerts.deliver import DeliveryUnfinished, deliver, hold_notice, withdraw_answered
from alerts.freeze import NotToday, freeze
from clients.connection import Connection
from simulators.bitrix24 import Fault
from tests.support.delivery import (
    AS_OF,
    INSTANCE,
    NORTH,
    REPS,
    SOUTH,
    Go,
    MailServer,
    PortalHandle,
    Rep,
    add_quiet_outlets,
    add_rows,
    build_marts,
    closed_port,
    follow_up,
    hold,
    ledger_rows,
    outlet,
    running_portal,
    states,
)
from warehouse.db import connect
from warehouse.settings import get_settings


def set_environment(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    for name, value in values.items():
        monkeypatch.setenv(f"POLKA_{name.upper()}", value)
    get_settings.cache_clear()


def attachment(message: EmailMessage) -> openpyxl.Workbook:
    part = next(message.iter_attachments())
    return openpyxl.load_workbook(io.BytesIO(part.get_content()))


def test_a_task_per_client_and_a_letter_per_rep(
    database: str, portal: PortalHandle, mail: MailServer, connections: dict[str, Connection]
) -> None:
    build_marts(database, [follow_up(1), follow_up(2), follow_up(3, rep=REPS[1])])

    frozen = freeze(AS_OF, [Go()], database_url=database)
    outcome = deliver(AS_OF, SOUTH, connections, rehearsal=False, database_url=database)

    assert (frozen.planned, frozen.held) == (6, 0)
    assert (outcome.sent, outcome.failed, outcome.in_doubt, outcome.problems) == (6, 0, 0, [])
    tasks = {task["XML_ID"]: task for task in portal.tasks()}
    assert {key: task["RESPONSIBLE_ID"] for key, task in tasks.items()} == {
        f"{1:032x}": "11",
        f"{2:032x}": "11",
        f"{3:032x}": "12",
    }
    task = tasks[f"{1:032x}"]
    assert task["DEADLINE"] == "2025-06-10T18:00:00+03:00"
    assert "пропущены 02.06 и 09.06" in task["DESCRIPTION"]
    assert "+7 900 000-00-01" in task["DESCRIPTION"]
    assert sorted(mail.recipients) == ["ivanov@distributor.example", "orlova@distributor.example"]
    rows = {(row["client_id"], row["channel"]): row for row in ledger_rows(database)}
    assert {row["state"] for row in rows.values()} == {"sent"}
    assert rows["client-1", "bitrix24"]["external_id"] == task["ID"]
    assert rows["client-1", "bitrix24"]["recipient"] == "user:11"
    assert rows["client-1", "email"]["external_id"] == rows["client-2", "email"]["external_id"]


def test_the_letter_holds_text_html_and_workbook_of_the_same_rows(
    database: str, mail: MailServer, connections: dict[str, Connection]
) -> None:
    several = [outlet("5а"), outlet("5б"), outlet("5в")]
    build_marts(database, [follow_up(1), follow_up(5, outlets=several, outlets_total=7)])
    freeze(AS_OF, [Go()], database_url=database)
    deliver(AS_OF, SOUTH, connections, rehearsal=False, database_url=database)

    [message] = mail.messages
    assert (
        message["Subject"]
        == "Список на вт 10.06: 2\N{NO-BREAK SPACE}клиента, под риском 147\N{NO-BREAK SPACE}200\N{NO-BREAK SPACE}₽"
    )
    text = message.get_body(("plain",)).get_content()
    html = message.get_body(("html",)).get_content()
    assert "Нет заказа в 3 из 7" in text
    assert "Нет заказа в 3 из 7" in html
    book = attachment(message)
    assert book.sheetnames == ["Сводка", "Список", "Точки", "Результаты 7 дней", "Причины", "Качество данных"]
    listing = book["Список"]
    assert [listing.cell(line, 12).value for line in (2, 3)] == [f"{1:032x}", f"{5:032x}"]
    assert [listing.cell(line, 7).value for line in (2, 3)] == [36800, 110400]
    assert [row[2].value for row in book["Точки"].iter_rows(min_row=2)] == [
        "Продукты № 1",
        "Продукты № 5а",
        "Продукты № 5б",
        "Продукты № 5в",
    ]


def test_running_again_sends_nothing_again(
    database: str, portal: PortalHandle, mail: MailServer, connections: dict[str, Connection]
) -> None:
    build_marts(database, [follow_up(1), follow_up(2)])
    for _ in range(3):
        freeze(AS_OF, [Go()], database_url=database)
        deliver(AS_OF, SOUTH, connections, rehearsal=False, database_url=database)
    assert len(portal.tasks()) == 2
    assert len(mail.messages) == 1


def test_a_lost_ledger_finds_the_tasks_that_are_there(
    database: str, portal: PortalHandle, connections: dict[str, Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_environment(monkeypatch, channels='["bitrix24"]')
    build_marts(database, [follow_up(1), follow_up(2)])
    freeze(AS_OF, [Go()], database_url=database)
    deliver(AS_OF, SOUTH, connections, rehearsal=False, database_url=database)
    with connect(database) as conn:
        conn.execute("delete from ops.delivery_ledger")

    freeze(AS_OF, [Go()], database_url=database)
    outcome = deliver(AS_OF, SOUTH, connections, rehearsal=False, database_url=database)

    assert (outcome.sent, outcome.found) == (0, 2)
    assert len(portal.tasks()) == 2


@pytest.mark.parametrize("other_day", [AS_OF - timedelta(days=1), AS_OF + timedelta(days=1)])
def test_only_todays_list_is_frozen_or_sent(database: str, connections: dict[str, Connection], other_day: date) -> None:
    with pytest.raises(NotToday):
        freeze(other_day, [Go()], database_url=database)
    with pytest.raises(NotToday):
        deliver(other_day, SOUTH, connections, rehearsal=False, database_url=database)
    with pytest.raises(NotToday):
        withdraw_answered(other_day, connections, rehearsal=False, database_url=database)
    with pytest.raises(NotToday):
        hold_notice(other_day, SOUTH, "Юг", "стоит", connections, rehearsal=False, database_url=database)


def test_rehearsal_does_everything_but_the_last_step(
    database: str, portal: PortalHandle, mail: MailServer, connections: dict[str, Connection]
) -> None:
    build_marts(database, [follow_up(1), follow_up(2, rep=REPS[1])])
    freeze(AS_OF, [Go()], database_url=database)
    before = ledger_rows(database)

    outcome = deliver(AS_OF, SOUTH, connections, rehearsal=True, database_url=database)

    assert [(r.channel, r.manager_id, r.followup_ids) for r in outcome.would_send] == [
        ("bitrix24", "m1", [f"{1:032x}"]),
        ("bitrix24", "m2", [f"{2:032x}"]),
        ("email", "m1", [f"{1:032x}"]),
        ("email", "m2", [f"{2:032x}"]),
    ]
    assert (portal.tasks(), mail.messages) == ([], [])
    assert portal.calls()["user.get"] == 2
    assert ledger_rows(database) == before


def test_a_held_branch_waits_and_the_others_go(
    database: str, portal: PortalHandle, mail: MailServer, connections: dict[str, Connection]
) -> None:
    build_marts(database, [follow_up(1), follow_up(2, rep=REPS[1], branch_id=NORTH, branch_name="Север")])
    reason = "данные 1С не обновлялись с 09.06 18:40"
    freeze(AS_OF, [Go(), hold(NORTH, reason)], database_url=database)
    for branch in (SOUTH, NORTH):
        deliver(AS_OF, branch, connections, rehearsal=False, database_url=database)
    assert [task["XML_ID"] for task in portal.tasks()] == [f"{1:032x}"]
    assert states(database, "bitrix24") == {"client-1": "sent", "client-2": "held"}
    assert {row["reason"] for row in ledger_rows(database) if row["state"] == "held"} == {reason}

    for _ in range(2):
        notice = hold_notice(AS_OF, NORTH, "Север", reason, connections, rehearsal=False, database_url=database)
    assert notice.sent == 0
    [letter] = [message for message in mail.messages if "не отправлен" in message["Subject"]]
    assert letter["To"].addresses[0].addr_spec == "orlova@distributor.example"
    body = letter.get_body(("plain",)).get_content()
    assert f"Список на 10.06 по филиалу «Север» не отправлен: {reason}." in body
    assert "Вчерашний список по этому филиалу не используйте" in body

    freeze(AS_OF, [Go(NORTH)], database_url=database)
    deliver(AS_OF, NORTH, connections, rehearsal=False, database_url=database)
    assert states(database, "bitrix24") == {"client-1": "sent", "client-2": "sent"}


def test_a_branch_that_turns_bad_before_sending_is_held(database: str, connections: dict[str, Connection]) -> None:
    build_marts(database, [follow_up(1)])
    freeze(AS_OF, [Go()], database_url=database)
    freeze(AS_OF, [hold(SOUTH, "нет данных")], database_url=database)
    outcome = deliver(AS_OF, SOUTH, connections, rehearsal=False, database_url=database)
    assert outcome.sent == 0
    assert states(database, "bitrix24") == {"client-1": "held"}


def test_freezing_one_branch_leaves_the_others_alone(database: str) -> None:
    build_marts(database, [follow_up(1), follow_up(2, branch_id=NORTH)])
    freeze(AS_OF, [Go(NORTH)], database_url=database)
    assert states(database, "bitrix24") == {"client-2": "planned"}


def test_a_rebuilt_list_replaces_what_was_not_sent(
    database: str, portal: PortalHandle, connections: dict[str, Connection]
) -> None:
    build_marts(database, [follow_up(1), follow_up(2), follow_up(3)])
    freeze(AS_OF, [hold(SOUTH, "ждём")], database_url=database)
    with connect(database) as conn:
        conn.execute("delete from marts.follow_up where client_id = 'client-2'")
        conn.execute("update marts.follow_up set followup_id = %s where client_id = 'client-3'", ["f" * 32])
    outcome = freeze(AS_OF, [Go()], database_url=database)
    assert outcome.withdrawn == 2  # one row per channel
    deliver(AS_OF, SOUTH, connections, rehearsal=False, database_url=database)
    assert states(database, "bitrix24") == {"client-1": "sent", "client-2": "withdrawn", "client-3": "sent"}
    assert sorted(task["XML_ID"] for task in portal.tasks()) == [f"{1:032x}", "f" * 32]


def test_one_task_per_client_and_day_even_when_the_episode_changes_after_sending(
    database: str, portal: PortalHandle, connections: dict[str, Connection]
) -> None:
    build_marts(database, [follow_up(1)])
    freeze(AS_OF, [Go()], database_url=database)
    deliver(AS_OF, SOUTH, connections, rehearsal=False, database_url=database)
    with connect(database) as conn:
        conn.execute("update marts.follow_up set followup_id = %s", ["f" * 32])
    freeze(AS_OF, [Go()], database_url=database)
    deliver(AS_OF, SOUTH, connections, rehearsal=False, database_url=database)
    assert [task["XML_ID"] for task in portal.tasks()] == [f"{1:032x}"]


def test_the_same_episode_is_not_told_again_the_next_day_but_a_held_one_is(
    database: str,
    portal: PortalHandle,
    mail: MailServer,
    connections: dict[str, Connection],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    build_marts(database, [follow_up(1), follow_up(2, branch_id=NORTH)])
    freeze(AS_OF, [Go(), hold(NORTH, "ждём")], database_url=database)
    deliver(AS_OF, SOUTH, connections, rehearsal=False, database_url=database)

    tomorrow = AS_OF + timedelta(days=1)
    add_rows(database, [follow_up(1, as_of=tomorrow), follow_up(2, as_of=tomorrow, branch_id=NORTH)])
    set_environment(monkeypatch, business_date=tomorrow.isoformat())
    freeze(tomorrow, [Go(), Go(NORTH)], database_url=database)
    for branch in (SOUTH, NORTH):
        deliver(tomorrow, branch, connections, rehearsal=False, database_url=database)

    assert sorted(task["XML_ID"] for task in portal.tasks()) == [f"{1:032x}", f"{2:032x}"]
    rows = {row["client_id"]: row for row in ledger_rows(database, "bitrix24")}
    assert rows["client-1"]["as_of"] == AS_OF
    assert rows["client-2"]["as_of"] == tomorrow
    assert rows["client-2"]["state"] == "sent"


def test_the_cap_counts_only_what_is_new_to_the_rep(
    database: str, portal: PortalHandle, connections: dict[str, Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_environment(monkeypatch, list_cap="2", channels='["bitrix24"]')
    build_marts(database, [follow_up(n) for n in range(1, 6)] + [follow_up(9, rep=REPS[1])])
    outcome = freeze(AS_OF, [Go()], database_url=database)
    assert (outcome.planned, outcome.beyond_cap) == (3, 3)
    deliver(AS_OF, SOUTH, connections, rehearsal=False, database_url=database)

    tomorrow = AS_OF + timedelta(days=1)
    add_rows(database, [follow_up(n, as_of=tomorrow) for n in range(1, 6)])
    set_environment(monkeypatch, business_date=tomorrow.isoformat())
    freeze(tomorrow, [Go()], database_url=database)
    deliver(tomorrow, SOUTH, connections, rehearsal=False, database_url=database)
    assert sorted(int(task["XML_ID"], 16) for task in portal.tasks()) == [1, 2, 3, 4, 9]


def test_a_manager_without_an_employee_fails_with_the_reason_and_the_others_go(
    database: str, portal: PortalHandle, mail: MailServer, connections: dict[str, Connection]
) -> None:
    nobody = Rep("m8", "Новый Сотрудник", "new@distributor.example", None)
    no_email = Rep("m9", "Без Почты", None, None)
    build_marts(
        database,
        [follow_up(1), follow_up(2, rep=nobody), follow_up(3, rep=no_email), follow_up(4, rep=None)],
        [*REPS, nobody, no_email],
    )
    freeze(AS_OF, [Go()], database_url=database)
    outcome = deliver(AS_OF, SOUTH, connections, rehearsal=False, database_url=database)
    assert (outcome.sent, outcome.failed) == (3, 5)
    reasons = {(row["client_id"], row["channel"]): row["reason"] for row in ledger_rows(database)}
    assert reasons["client-2", "bitrix24"] == "в CRM нет действующего сотрудника с e-mail этого менеджера"
    assert reasons["client-3", "bitrix24"] == "у менеджера в 1С не указан e-mail"
    assert reasons["client-4", "email"] == "у клиента в 1С не указан менеджер"
    assert states(database, "email")["client-2"] == "sent"
    assert [task["XML_ID"] for task in portal.tasks()] == [f"{1:032x}"]


def test_failed_rows_are_tried_again_after_the_list_is_frozen_again(
    database: str, portal: PortalHandle, connections: dict[str, Connection]
) -> None:
    nobody = Rep("m8", "Новый Сотрудник", None, None)
    build_marts(database, [follow_up(1, rep=nobody)], [nobody])
    freeze(AS_OF, [Go()], database_url=database)
    assert deliver(AS_OF, SOUTH, connections, rehearsal=False, database_url=database).failed == 2
    with connect(database) as conn:
        conn.execute("update intermediate.int_manager_contact set email = %s", [REPS[0].email])
    freeze(AS_OF, [Go()], database_url=database)
    assert deliver(AS_OF, SOUTH, connections, rehearsal=False, database_url=database).sent == 2
    assert len(portal.tasks()) == 1


def test_an_empty_day_is_said_aloud_once(database: str, mail: MailServer, connections: dict[str, Connection]) -> None:
    build_marts(database, [follow_up(1)])
    add_quiet_outlets(database, REPS[1], 214)
    for _ in range(2):
        freeze(AS_OF, [Go()], database_url=database)
        deliver(AS_OF, SOUTH, connections, rehearsal=False, database_url=database)
    [letter] = [m for m in mail.messages if m["To"].addresses[0].addr_spec == REPS[1].email]
    assert letter["Subject"] == "Список на вт 10.06: замечаний нет"
    text = letter.get_body(("plain",)).get_content().replace("\N{NO-BREAK SPACE}", " ")
    assert "Сегодня по вашим клиентам замечаний нет (проверено 214 точек" in text
    assert len(mail.messages) == 2


def test_rows_of_two_branches_travel_in_one_letter_and_a_late_branch_in_a_supplement(
    database: str, mail: MailServer, connections: dict[str, Connection]
) -> None:
    build_marts(database, [follow_up(1), follow_up(2, branch_id=NORTH), follow_up(3, branch_id="branch-east")])
    freeze(AS_OF, [Go(), Go(NORTH), hold("branch-east", "ждём")], database_url=database)
    for branch in (SOUTH, NORTH):
        deliver(AS_OF, branch, connections, rehearsal=False, database_url=database)
    assert [m["Subject"].split(":")[0] for m in mail.messages] == ["Список на вт 10.06"]
    freeze(AS_OF, [Go("branch-east")], database_url=database)
    deliver(AS_OF, "branch-east", connections, rehearsal=False, database_url=database)
    assert [m["Subject"].split(":")[0] for m in mail.messages] == [
        "Список на вт 10.06",
        "Дополнение к списку на вт 10.06",
    ]


def test_an_unreachable_portal_leaves_its_rows_planned_and_the_letters_go(
    database: str, mail: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_marts(database, [follow_up(1)])
    dead = Connection(url=f"http://127.0.0.1:{closed_port()}/rest/1/code/")
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    freeze(AS_OF, [Go()], database_url=database)
    with pytest.raises(DeliveryUnfinished) as unfinished:
        deliver(AS_OF, SOUTH, {"bitrix24": dead, "email": mail.connection()}, rehearsal=False, database_url=database)
    assert unfinished.value.outcome.waiting == 1
    assert states(database, "bitrix24") == {"client-1": "planned"}
    assert states(database, "email") == {"client-1": "sent"}


def test_a_revoked_webhook_is_one_problem_not_a_failure_of_every_row(
    database: str, portal: PortalHandle, mail: MailServer
) -> None:
    build_marts(database, [follow_up(n) for n in range(1, 4)])
    revoked = Connection(url=f"{portal.address}/rest/1/wrongcode/")
    freeze(AS_OF, [Go()], database_url=database)
    with pytest.raises(DeliveryUnfinished, match="revoked") as unfinished:
        deliver(AS_OF, SOUTH, {"bitrix24": revoked, "email": mail.connection()}, rehearsal=False, database_url=database)
    assert (unfinished.value.outcome.waiting, unfinished.value.outcome.failed) == (3, 0)
    assert "wrongcode" not in str(unfinished.value)
    assert set(states(database, "bitrix24").values()) == {"planned"}


def test_a_mail_server_that_refuses_one_address_fails_that_rep_only(
    database: str, mail: MailServer, connections: dict[str, Connection]
) -> None:
    build_marts(database, [follow_up(1), follow_up(2, rep=REPS[1])])
    mail.faults = ["refuse_recipient"]
    freeze(AS_OF, [Go()], database_url=database)
    outcome = deliver(AS_OF, SOUTH, connections, rehearsal=False, database_url=database)
    assert (outcome.sent, outcome.failed) == (3, 1)
    [failed] = [row for row in ledger_rows(database) if row["state"] == "failed"]
    assert failed["reason"] == "почтовый сервер не принял адрес менеджера"
    assert "@" not in failed["reason"]


def test_a_busy_mail_server_is_tried_again_by_the_next_run(
    database: str, mail: MailServer, connections: dict[str, Connection]
) -> None:
    build_marts(database, [follow_up(1)])
    mail.faults = ["busy"]
    freeze(AS_OF, [Go()], database_url=database)
    with pytest.raises(DeliveryUnfinished):
        deliver(AS_OF, SOUTH, connections, rehearsal=False, database_url=database)
    deliver(AS_OF, SOUTH, connections, rehearsal=False, database_url=database)
    assert len(mail.messages) == 1
    assert states(database, "email") == {"client-1": "sent"}


def test_an_answered_row_is_withdrawn_with_one_comment_and_a_closed_task(
    database: str, portal: PortalHandle, connections: dict[str, Connection]
) -> None:
    two = [outlet("2а"), outlet("2б")]
    build_marts(database, [follow_up(1), follow_up(2, outlets=two), follow_up(3)])
    freeze(AS_OF, [Go()], database_url=database)
    deliver(AS_OF, SOUTH, connections, rehearsal=False, database_url=database)
    with connect(database) as conn:
        for outlet_id in ("outlet-1", "outlet-2а"):
            conn.execute(
                "insert into marts.fct_order_occasion values (%s, %s, %s, 1, 17900)", [INSTANCE, outlet_id, AS_OF]
            )
            conn.execute(
                "insert into marts.fct_order_line values (%s, %s, %s, '2025-06-10 07:42+00')",
                [INSTANCE, outlet_id, AS_OF],
            )
    assert withdraw_answered(AS_OF, connections, rehearsal=True, database_url=database) == 1
    assert withdraw_answered(AS_OF, connections, rehearsal=False, database_url=database) == 1
    assert withdraw_answered(AS_OF, connections, rehearsal=False, database_url=database) == 0

    tasks = {task["XML_ID"]: task for task in portal.tasks()}
    closed = tasks[f"{1:032x}"]
    assert closed["STATUS"] == "5"
    assert [c.replace("\N{NO-BREAK SPACE}", " ") for c in closed["comments"]] == [
        "Снято: заказ поступил в 10:42, 17 900 ₽"
    ]
    assert tasks[f"{2:032x}"]["STATUS"] == "2"  # one of its outlets is still silent
    assert states(database, "bitrix24") == {"client-1": "withdrawn", "client-2": "sent", "client-3": "sent"}


def test_a_task_that_the_rep_closed_gets_no_comment(
    database: str, portal: PortalHandle, connections: dict[str, Connection]
) -> None:
    build_marts(database, [follow_up(1)])
    freeze(AS_OF, [Go()], database_url=database)
    deliver(AS_OF, SOUTH, connections, rehearsal=False, database_url=database)
    import requests

    requests.post(f"{portal.url}tasks.task.complete", json={"taskId": 1}, timeout=5).raise_for_status()
    with connect(database) as conn:
        conn.execute("insert into marts.fct_order_occasion values (%s, 'outlet-1', %s, 1, 1)", [INSTANCE, AS_OF])
    withdraw_answered(AS_OF, connections, rehearsal=False, database_url=database)
    assert portal.tasks()[0]["comments"] == []


def test_a_portal_that_ignores_the_filter_is_searched_by_walking(
    database: str, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pathlib import Path

    from simulators.bitrix24 import portal as portal_module

    set_environment(monkeypatch, channels='["bitrix24"]')
    monkeypatch.setattr(portal_module, "_FILTERS", portal_module._FILTERS - {"XML_ID"})
    build_marts(database, [follow_up(n) for n in range(1, 131)])
    set_environment(monkeypatch, list_cap="200")
    with running_portal(Path(str(tmp_path)) / "deaf.json") as portal:
        connections = {"bitrix24": portal.connection()}
        for _ in range(2):
            freeze(AS_OF, [Go()], database_url=database)
            deliver(AS_OF, SOUTH, connections, rehearsal=False, database_url=database)
            with connect(database) as conn:
                conn.execute("delete from ops.delivery_ledger")
        assert len(portal.tasks()) == 130


def test_no_personal_data_and_no_secret_in_the_log(
    database: str,
    portal: PortalHandle,
    mail: MailServer,
    connections: dict[str, Connection],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    build_marts(database, [follow_up(1), follow_up(2, rep=REPS[1])])
    portal.plan(Fault("internal_error", "user.get"), Fault("query_limit", "tasks.task.add"))
    mail.faults = ["refuse_recipient"]
    freeze(AS_OF, [Go()], database_url=database)
    deliver(AS_OF, SOUTH, connections, rehearsal=False, database_url=database)
    ours = "\n".join(r.getMessage() for r in caplog.records if r.name.split(".")[0] in ("alerts", "clients"))
    assert ours
    for secret in ("ivanov", "orlova", "900 000", "polkademo", "Петрова"):
        assert secret not in ours


def test_of_what_was_told_only_news_is_told_again(
    database: str, portal: PortalHandle, mail: MailServer, connections: dict[str, Connection]
) -> None:
    """One of two silent outlets has ordered: no second task. Another one has fallen silent: that is news."""
    build_marts(database, [follow_up(1, outlets=[outlet("a"), outlet("b")]), follow_up(2, outlets=[outlet("c")])])
    freeze(AS_OF, [Go()], database_url=database)
    deliver(AS_OF, SOUTH, connections, rehearsal=False, database_url=database)
    with connect(database) as conn:
        conn.execute("update ops.delivery_ledger set as_of = as_of - 1")
        conn.execute("delete from marts.follow_up")
    answered = follow_up(1, followup_id=f"{11:032x}", outlets=[outlet("b")])
    worse = follow_up(2, followup_id=f"{12:032x}", outlets=[outlet("c"), outlet("d")])
    add_rows(database, [answered, worse])

    freeze(AS_OF, [Go()], database_url=database)
    deliver(AS_OF, SOUTH, connections, rehearsal=False, database_url=database)

    assert {task["XML_ID"] for task in portal.tasks()} == {f"{1:032x}", f"{2:032x}", f"{12:032x}"}
    assert len(mail.messages) == 2
    assert states(database, "email") == {"client-1": "sent", "client-2": "sent"}


def test_a_rep_whose_clients_were_all_told_earlier_hears_that_nothing_is_new(
    database: str, mail: MailServer, connections: dict[str, Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_environment(monkeypatch, channels='["email"]')
    build_marts(database, [follow_up(1, outlets=[outlet("a"), outlet("b")])])
    add_quiet_outlets(database, REPS[0], 3)
    freeze(AS_OF, [Go()], database_url=database)
    deliver(AS_OF, SOUTH, connections, rehearsal=False, database_url=database)
    with connect(database) as conn:
        conn.execute("update ops.delivery_ledger set as_of = as_of - 1")
        conn.execute("delete from marts.follow_up")
    add_rows(database, [follow_up(1, followup_id=f"{11:032x}", outlets=[outlet("b")])])

    freeze(AS_OF, [Go()], database_url=database)
    outcome = deliver(AS_OF, SOUTH, connections, rehearsal=False, database_url=database)

    assert (outcome.sent, outcome.notices) == (0, 1)
    assert len(mail.messages) == 2
