"""The simulated Bot API seen by a client that is not ours: what python-telegram-bot understands, Telegram would say."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from simulators.telegram import TOKEN, Fault, Limits
from tests.support.delivery import REPS
from tests.support.telegram import CHATS, Bot, running_bot

telegram = pytest.importorskip("telegram")
CHAT = CHATS["m1"]


@pytest.fixture
def bot() -> Iterator[Bot]:
    with running_bot() as running:
        yield running


def ask(bot: Bot, what: Callable[[Any], Awaitable[Any]], token: str = TOKEN) -> Any:
    """Run one conversation with the independent client."""

    async def talk() -> Any:
        async with telegram.Bot(token, base_url=f"{bot.address}/bot") as client:
            return await what(client)

    return asyncio.run(talk())


def test_it_reads_the_bot_its_messages_and_buttons(bot: Bot) -> None:
    button = telegram.InlineKeyboardButton("1", callback_data="r:1")

    async def talk(client: Any) -> tuple[Any, Any]:
        sent = await client.send_message(
            CHAT, "<b>1. Рога &amp; Копыта</b>\nстрока", parse_mode="HTML",
            reply_markup=telegram.InlineKeyboardMarkup([[button]]), disable_notification=True,
        )  # fmt: skip
        return await client.get_me(), sent

    me, sent = ask(bot, talk)
    assert me.username == "polka_demo_bot"
    assert (sent.chat.id, sent.text, sent.chat.first_name) == (CHAT, "1. Рога & Копыта\nстрока", REPS[0].name)
    assert sent.reply_markup.inline_keyboard[0][0].callback_data == "r:1"
    assert bot.messages()[0]["silent"] is True


def test_it_reads_updates_and_an_offset_confirms_them(bot: Bot) -> None:
    message = ask(
        bot,
        lambda client: client.send_message(
            CHAT, "строка", reply_markup=telegram.InlineKeyboardMarkup.from_button(
                telegram.InlineKeyboardButton("1", callback_data="r:1")
            ),
        ),
    )  # fmt: skip
    bot.say(CHAT, "/start abc")
    bot.press(CHAT, message.message_id, "r:1")

    async def talk(client: Any) -> tuple[Any, Any]:
        found = await client.get_updates()
        query = found[1].callback_query
        await query.answer("Записано")
        await query.edit_message_reply_markup(
            telegram.InlineKeyboardMarkup.from_button(telegram.InlineKeyboardButton("✓ 1", callback_data="r:1"))
        )
        with pytest.raises(telegram.error.BadRequest, match="too old"):
            await query.answer("ещё раз")
        return found, await client.get_updates(offset=found[1].update_id)

    found, left = ask(bot, talk)
    assert found[0].message.text == "/start abc"
    assert found[1].callback_query.data == "r:1"
    assert [update.update_id for update in left] == [found[1].update_id]
    assert bot.answers() == ["Записано"]
    assert bot.messages()[0]["keyboard"][0][0]["text"] == "✓ 1"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("х" * 4097, "too long"),
        ("🐄" * 2049, "too long"),
        (" ", "empty"),
        ("1 < 2", "parse entities"),
        ("<b>не закрыт", "parse entities"),
        ("<h1>нет такого</h1>", "parse entities"),
    ],
)
def test_it_is_told_what_no_message_may_be(bot: Bot, text: str, said: str) -> None:
    with pytest.raises(telegram.error.BadRequest, match=said):
        ask(bot, lambda client: client.send_message(CHAT, text, parse_mode="HTML"))
    assert bot.messages() == []


def test_the_longest_message_counts_without_its_markup(bot: Bot) -> None:
    ask(bot, lambda client: client.send_message(CHAT, f"<b>{'&amp;' * 4096}</b>", parse_mode="HTML"))
    assert len(bot.messages()[0]["text"]) == 4096


def test_data_of_a_button_hold_64_bytes(bot: Bot) -> None:
    def keyboard(data: str) -> Any:
        return telegram.InlineKeyboardMarkup.from_button(telegram.InlineKeyboardButton("1", callback_data=data))

    ask(bot, lambda client: client.send_message(CHAT, "строка", reply_markup=keyboard("х" * 32)))
    with pytest.raises(telegram.error.BadRequest, match=r"(?i)button_data_invalid"):
        ask(bot, lambda client: client.send_message(CHAT, "строка", reply_markup=keyboard("х" * 33)))


def test_it_is_told_to_wait_and_for_how_long() -> None:
    with running_bot(limits=Limits(per_second=30, per_second_of_chat=1)) as bot:

        async def talk(client: Any) -> None:
            await client.send_message(CHAT, "первая")
            with pytest.raises(telegram.error.RetryAfter) as refused:
                await client.send_message(CHAT, "вторая в ту же секунду")
            assert "Retry in 1 seconds" in str(refused.value)

        ask(bot, talk)
        assert len(bot.messages()) == 1


def test_it_knows_who_cannot_be_reached_and_a_wrong_token(bot: Bot) -> None:
    bot.block(CHAT)
    with pytest.raises(telegram.error.Forbidden, match="blocked"):
        ask(bot, lambda client: client.send_message(CHAT, "строка"))
    with pytest.raises(telegram.error.BadRequest, match=r"(?i)chat not found"):
        ask(bot, lambda client: client.send_message(999, "строка"))
    with pytest.raises(telegram.error.InvalidToken):
        ask(bot, lambda client: client.get_me(), token="1:wrong")


def test_a_second_reader_ends_the_first_ones_waiting(bot: Bot) -> None:
    async def talk(client: Any) -> None:
        first = asyncio.create_task(client.get_updates(timeout=30))
        while not bot.requests().get("getUpdates"):
            await asyncio.sleep(0.02)
        async with telegram.Bot(TOKEN, base_url=f"{bot.address}/bot") as another:
            assert await another.get_updates(timeout=0) == ()
        with pytest.raises(telegram.error.Conflict):
            await first

    ask(bot, talk)


def test_an_answer_may_be_lost_after_the_message_went_out(bot: Bot) -> None:
    bot.plan(Fault(kind="reset_after_acting", request="sendMessage"))
    with pytest.raises(telegram.error.NetworkError):
        ask(bot, lambda client: client.send_message(CHAT, "строка"))
    assert len(bot.messages()) == 1
