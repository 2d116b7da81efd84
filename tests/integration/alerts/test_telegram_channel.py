"""The list in Telegram: split between clients, told once, answered by buttons; what went wrong is seen by a person."""

import json
import logging
from typing import Any

import pytest

from alerts.deliver import DeliveryUnfinished, deliver, hold_notice
from alerts.freeze import freeze
from alerts.telegram_answers import links, take_answers
from clients.connection import Connection
from clients.errors import ClientError, Fatal
from clients.telegram import TelegramClient, message_length
from simulators.telegram import TOKEN, Fault, Limits
from tests.support.delivery import (
    AS_OF,
    REPS,
    SOUTH,
    Go,
    add_quiet_outlets,
    build_marts,
    follow_up,
    ledger_rows,
    outlet,
    states,
)
from tests.support.telegram import CHATS, Bot, join, running_bot
from warehouse.db import connect
from warehouse.settings import get_settings

LONG = "«Торговый дом „Рога & <Копыта>“ & сыновья 🐄🐄 — очень длинное имя, каких в 1С много» " * 2
CHAT = CHATS["m1"]


@pytest.fixture(autouse=True)
def telegram_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLKA_CHANNELS", '["telegram"]')
    monkeypatch.setenv("POLKA_LIST_CAP", "100")
    get_settings.cache_clear()


def send(database: str, connection: Connection) -> Any:
    freeze(AS_OF, [Go()], database_url=database)
    return deliver(AS_OF, SOUTH, {"telegram": connection}, rehearsal=False, database_url=database)


def many(number: int) -> list[dict[str, Any]]:
    return [
        follow_up(n, client_name=f"{LONG}{n}", outlets=[outlet(n, name=f"{LONG} {n}", address=LONG)])
        for n in range(1, number + 1)
    ]


def outcomes(database: str) -> list[tuple[Any, ...]]:
    with connect(database) as conn:
        return conn.execute(
            "select client_id, outcome, until_on::text from ops.follow_up_outcome order by recorded_at, answer_id"
        ).fetchall()


def test_a_long_list_is_split_between_clients_and_each_has_its_button(database: str, telegram: Bot) -> None:
    build_marts(database, many(40))
    join(database)
    assert send(database, telegram.connection()).sent == 40
    messages = telegram.messages()
    assert len(messages) > 1
    assert all(message_length(message["text"]) <= 4096 for message in messages)
    head = messages[0]["text"].replace("\N{NO-BREAK SPACE}", " ")
    assert head.startswith("Список на вт 10.06: 40 клиентов, под риском 1 472 000 ₽\n\n1. ")
    assert "Данные 1С на 06:10" in messages[-1]["text"]
    numbers = [key["text"] for message in messages for row in message["keyboard"] for key in row]
    assert numbers == [str(number) for number in range(1, 41)]
    for message in messages:
        mine = [int(key["text"]) for row in message["keyboard"] for key in row]
        assert [int(line.split(".")[0]) for line in message["text"].splitlines() if "Рога & <Копыта>" in line[:60]
                and line[0].isdigit()] == mine  # fmt: skip
    # Each row knows the message it went with.
    by_message = {row["external_id"] for row in ledger_rows(database)}
    assert by_message == {str(message["message_id"]) for message in messages}


def test_an_empty_day_and_a_held_one_are_said_aloud_once(database: str, telegram: Bot) -> None:
    build_marts(database, [])
    join(database, REPS[0])
    add_quiet_outlets(database, REPS[0], 3)
    add_quiet_outlets(database, REPS[1], 3)  # has not started the bot: nobody to tell
    for _ in range(2):
        send(database, telegram.connection())
        hold_notice(
            AS_OF, SOUTH, "Юг", "данные 1С не обновлялись", {"telegram": telegram.connection()}, rehearsal=False,
            database_url=database,
        )  # fmt: skip
    texts = [message["text"].replace("\N{NO-BREAK SPACE}", " ") for message in telegram.messages()]
    assert len(texts) == 2
    assert "замечаний нет (проверено 3 точки" in texts[0]
    assert "не отправлен: данные 1С не обновлялись" in texts[1]


def test_a_message_in_doubt_is_shown_to_a_person_and_the_others_are_sent(database: str, telegram: Bot) -> None:
    build_marts(database, many(40))
    join(database)
    telegram.plan(Fault(kind="reset_after_acting", request="sendMessage", skip=1))
    freeze(AS_OF, [Go()], database_url=database)
    with pytest.raises(DeliveryUnfinished) as stopped:
        deliver(AS_OF, SOUTH, {"telegram": telegram.connection()}, rehearsal=False, database_url=database)
    first, doubtful = telegram.messages()
    rows = ledger_rows(database)
    sent = {row["followup_id"] for row in rows if row["state"] == "sent"}
    in_doubt = {row["followup_id"] for row in rows if row["needs_attention"]}
    assert sent == {key["callback_data"][2:] for row in first["keyboard"] for key in row}
    assert in_doubt == {key["callback_data"][2:] for row in doubtful["keyboard"] for key in row}
    assert stopped.value.outcome.waiting == 40 - len(sent) - len(in_doubt)
    # The next run sends what nobody began to send, and nothing else.
    assert send(database, telegram.connection()).sent == 40 - len(sent) - len(in_doubt)
    shown = [key["callback_data"] for message in telegram.messages() for row in message["keyboard"] for key in row]
    assert len(shown) == len(set(shown)) == 40
    assert telegram.messages()[2]["text"].startswith("Дополнение к списку")


def test_whoever_blocked_the_bot_or_never_started_it_fails_with_the_reason(database: str, telegram: Bot) -> None:
    build_marts(database, [follow_up(1), follow_up(2, rep=REPS[1]), follow_up(3, rep=REPS[2])])
    join(database, REPS[0], REPS[2])
    telegram.block(CHATS["m3"])
    assert send(database, telegram.connection()).failed == 2
    reasons = {row["client_id"]: row["reason"] for row in ledger_rows(database)}
    assert states(database, "telegram") == {"client-1": "sent", "client-2": "failed", "client-3": "failed"}
    assert "не подключил бота" in reasons["client-2"]
    assert "заблокировал бота" in reasons["client-3"]
    with connect(database) as conn:
        blocked = conn.execute("select manager_id from ops.telegram_chat where blocked_at is not null").fetchall()
    assert blocked == [("m3",)]


def test_beside_another_channel_only_those_who_joined_are_planned(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POLKA_CHANNELS", '["email", "telegram"]')
    get_settings.cache_clear()
    build_marts(database, [follow_up(1), follow_up(2, rep=REPS[1])])
    join(database, REPS[0])
    freeze(AS_OF, [Go()], database_url=database)
    assert set(states(database, "email")) == {"client-1", "client-2"}
    assert set(states(database, "telegram")) == {"client-1"}


def test_a_flood_is_waited_for_and_nothing_comes_twice(database: str, telegram: Bot) -> None:
    build_marts(database, [follow_up(1)])
    join(database)
    telegram.plan(Fault(kind="flood", request="sendMessage", seconds=1.0))
    assert send(database, telegram.connection()).sent == 1
    assert len(telegram.messages()) == 1
    assert telegram.requests()["sendMessage"] == 2


def test_the_limits_of_a_chat_are_kept_without_a_refusal(database: str) -> None:
    with running_bot(limits=Limits()) as bot:
        build_marts(database, many(20))
        join(database)
        connection = Connection(url=bot.address, password=TOKEN)
        assert send(database, connection).sent == 20
        assert len(bot.messages()) > 1
        assert "refused 429" not in bot.requests()


def test_on_a_day_off_the_message_comes_without_a_sound(database: str, telegram: Bot) -> None:
    build_marts(database, [follow_up(1)])
    join(database)
    with connect(database) as conn:
        conn.execute(
            "insert into ops.production_calendar values (%s, false, 'выходной') "
            "on conflict (day) do update set is_working_day = false",
            [AS_OF],
        )
    send(database, telegram.connection())
    assert [message["silent"] for message in telegram.messages()] == [True]


def test_two_taps_are_an_outcome_and_a_third_one_its_day(database: str, telegram: Bot) -> None:
    build_marts(database, [follow_up(1), follow_up(2), follow_up(3, rep=REPS[1])])
    join(database)
    send(database, telegram.connection())
    own = next(message for message in telegram.messages() if message["chat_id"] == CHAT)
    connection = telegram.connection()

    def tap(label: str) -> None:
        message = next(one for one in telegram.messages() if one["message_id"] == own["message_id"])
        key = next(key for row in message["keyboard"] for key in row if key["text"].endswith(label))
        telegram.press(CHAT, own["message_id"], key["callback_data"])
        take_answers(connection, database_url=database)

    tap("1")
    assert outcomes(database) == []
    tap("Отказ: цена")
    assert outcomes(database) == [("client-1", "refused_price", None)]
    tap("2")
    tap("Перезвонить…")
    tap("16.06,\N{NO-BREAK SPACE}пн")
    assert outcomes(database)[1:] == [("client-2", "call_back", "2025-06-16")]
    assert telegram.answers() == [
        "Чем закончился звонок?", "Записано: Отказ: цена", "Чем закончился звонок?", "На какой день?",
        "Записано: Перезвонить 16.06",
    ]  # fmt: skip
    message = next(one for one in telegram.messages() if one["message_id"] == own["message_id"])
    assert [key["text"] for row in message["keyboard"] for key in row] == ["✓ 1", "✓ 2"]


def test_updates_count_once_whatever_dies_in_between(
    database: str, telegram: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_marts(database, [follow_up(1)])
    join(database)
    send(database, telegram.connection())
    message = telegram.messages()[0]
    key = message["keyboard"][0][0]["callback_data"]
    telegram.press(CHAT, message["message_id"], key)
    connection = telegram.connection()
    take_answers(connection, database_url=database)
    telegram.press(CHAT, message["message_id"], f"o:{key[2:]}:no_answer")

    def dies(*args: Any) -> None:
        raise RuntimeError("killed before the commit")

    with monkeypatch.context() as patch:
        patch.setattr("alerts.telegram_answers._keep_offset", dies)
        with pytest.raises(RuntimeError, match="killed"):
            take_answers(connection, database_url=database)
    assert outcomes(database) == []
    # Killed after the commit: Telegram offers the same update again, the stored number skips it.
    with monkeypatch.context() as patch:
        patch.setattr("alerts.telegram_answers._say", dies)
        with pytest.raises(RuntimeError, match="killed"):
            take_answers(connection, database_url=database)
    assert telegram.room.updates != []
    assert take_answers(connection, database_url=database).outcomes == 0
    assert outcomes(database) == [("client-1", "no_answer", None)]
    assert telegram.room.updates == []


def test_nobody_answers_for_another_rep(database: str, telegram: Bot) -> None:
    build_marts(database, [follow_up(1), follow_up(2, rep=REPS[1])])
    join(database)
    send(database, telegram.connection())
    own = next(message for message in telegram.messages() if message["chat_id"] == CHAT)
    other = f"o:{follow_up(2)['followup_id']}:outlet_closed"
    own_in_room = next(one for one in telegram.room.messages if one.message_id == own["message_id"])
    own_in_room.keyboard = [[{"text": "чужая", "callback_data": other}]]
    telegram.press(CHAT, own["message_id"], other)
    assert take_answers(telegram.connection(), database_url=database).outcomes == 0
    assert outcomes(database) == []
    assert telegram.answers() == ["Эта строка не ваша"]


def test_a_rep_joins_by_his_own_link_and_by_no_other(database: str, telegram: Bot) -> None:
    build_marts(database, [follow_up(1)])
    connection = telegram.connection()
    found = {link.manager.manager_id: link for link in links(connection, database_url=database)}
    assert not any(link.is_joined for link in found.values())
    telegram.say(555, "/start")
    telegram.say(555, "/start 00000000000000000000000000000000")
    assert take_answers(connection, database_url=database).links == 0
    telegram.say(777, f"/start {found['m1'].url.partition('start=')[2]}")
    assert take_answers(connection, database_url=database).links == 1
    with connect(database) as conn:
        rows = conn.execute("select manager_id, chat_id from ops.telegram_chat").fetchall()
    assert rows == [("m1", 777)]
    assert send(database, connection).sent == 1
    assert "Готово, Иванов Пётр" in telegram.messages()[2]["text"]


def test_the_token_is_in_no_message_and_in_no_log(
    database: str, telegram: Bot, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    build_marts(database, [follow_up(1)])
    join(database)
    send(database, telegram.connection())
    telegram.plan(Fault(kind="reset_before_acting", times=9), Fault(kind="internal_error", times=9))
    client = TelegramClient(telegram.connection(), attempts=1)
    errors = []
    for _ in range(2):
        with pytest.raises(ClientError) as raised:
            client.send_message(CHAT, "текст")
        errors.append(str(raised.value))
        telegram.plan(Fault(kind="internal_error", times=9))
    dead = TelegramClient(Connection(url="http://127.0.0.1:1", password=TOKEN), attempts=1)
    with pytest.raises(ClientError) as raised:
        dead.updates(None)
    secret = TOKEN.partition(":")[2]
    assert secret not in json.dumps([*errors, str(raised.value)])
    assert secret not in caplog.text
    assert str(CHAT) not in caplog.text
    wrong = TelegramClient(telegram.connection().__class__(url=telegram.address, password="1:wrong"), attempts=1)
    telegram.plan()
    with pytest.raises(Fatal, match="BotFather"):
        wrong.send_message(CHAT, "текст")
