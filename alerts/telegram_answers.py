"""What reps press and write in Telegram: outcomes of calls, and the links by which a rep joins his chat to his name.

An update is taken in together with the number of the next one, in one transaction: nothing is lost and nothing counts
twice. Only then the rep is told. Telegram keeps what nobody has asked for one day.
"""

import hashlib
import hmac
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

from alerts.contacts import Manager
from alerts.outcome_names import outcome_label
from alerts.telegram_buttons import Button, Pressed, keyboard_after, read_button
from alerts.wording import Language, day
from clients.connection import Connection as Address
from clients.errors import ClientError, Fatal
from clients.telegram import TelegramClient, Update
from warehouse.clock import business_date
from warehouse.db import Connection, connect
from warehouse.settings import get_settings

log = logging.getLogger(__name__)

CHANNEL = "telegram"
_CODE_CHARACTERS = 32
_SAID: dict[Language, dict[str, str]] = {
    "ru": {
        "noted": "Записано: {}",
        "choose": "Чем закончился звонок?",
        "when": "На какой день?",
        "stranger": "Эта строка не ваша",
        "odd": "Кнопка устарела",
        "linked": "Готово, {}. Списки будут приходить сюда.",
        "unlinked": "Откройте бота по своей ссылке: её даст тот, кто ведёт Полку.",
    },
    "en": {
        "noted": "Noted: {}",
        "choose": "What came of the call?",
        "when": "For which day?",
        "stranger": "This row is not yours",
        "odd": "This button is out of date",
        "linked": "Done, {}. Your lists will come here.",
        "unlinked": "Open the bot by your own link: whoever runs Polka has it.",
    },
}


@dataclass(frozen=True)
class Taken:
    """Updates that were read, and how many of them were outcomes and new links."""

    updates: int = 0
    outcomes: int = 0
    links: int = 0

    def __add__(self, other: "Taken") -> "Taken":
        return Taken(self.updates + other.updates, self.outcomes + other.outcomes, self.links + other.links)


@dataclass(frozen=True)
class Link:
    """A rep and the address by which he joins the bot. The address is his alone."""

    manager: Manager
    url: str
    is_joined: bool


def take_answers(
    connection: Address, *, database_url: str | None = None, wait_seconds: int = 0, client: TelegramClient | None = None
) -> Taken:
    """Take in everything people did since the last time; return what it was.

    wait_seconds: how long to wait when there is nothing yet. Raises ClientError when Telegram cannot be asked.
    """
    bot = client or TelegramClient(connection)
    taken = Taken()
    try:
        while True:
            with connect(database_url) as conn:
                offset = _offset(conn, bot.bot_id)
            found = bot.updates(offset, wait_seconds=wait_seconds)
            if not found:
                return taken
            replies: list[Callable[[], None]] = []
            with connect(database_url) as conn:
                # Another reader may have taken them in meanwhile: the number decides.
                conn.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"telegram/{bot.bot_id}"])
                since = _offset(conn, bot.bot_id)
                fresh = [update for update in found if since is None or update.update_id >= since]
                for update in fresh:
                    one, reply = _take(conn, bot, update, connection)
                    taken += one
                    replies.append(reply)
                if fresh:
                    _keep_offset(conn, bot.bot_id, fresh[-1].update_id + 1)
            for reply in replies:
                _say(reply)
            wait_seconds = 0
    finally:
        if client is None:
            bot.close()


def links(connection: Address, *, database_url: str | None = None) -> list[Link]:
    """Every active rep and his own link to the bot. Raises ClientError."""
    bot = TelegramClient(connection)
    try:
        name = str(bot.me().get("username") or "")
    finally:
        bot.close()
    if not name:
        raise Fatal("Telegram did not say the bot's name")
    with connect(database_url) as conn:
        managers = _managers(conn, bot.bot_id)
    return [
        Link(manager, f"https://t.me/{name}?start={_code(connection, manager)}", manager.telegram_chat is not None)
        for manager in managers
    ]


def _take(
    conn: Connection, bot: TelegramClient, update: Update, connection: Address
) -> tuple[Taken, Callable[[], None]]:
    """Write down what it means; what is to be said about it is said later."""
    if update.query_id is not None:
        return _take_button(conn, bot, update)
    if update.text is not None and update.chat_id is not None:
        return _take_word(conn, bot, update, connection)
    return Taken(updates=1), lambda: None


def _take_button(conn: Connection, bot: TelegramClient, update: Update) -> tuple[Taken, Callable[[], None]]:
    language = get_settings().language
    said = _SAID[language]
    pressed = read_button(update.data)
    row = _row_of(conn, pressed.followup_id, bot.bot_id, update.chat_id) if pressed else None
    if pressed is None or row is None:
        return Taken(updates=1), _answer(bot, update, said["odd" if pressed is None else "stranger"])
    today = business_date()
    keyboard = keyboard_after(update.keyboard, pressed, today, _days_off(conn, today), language)
    if pressed.outcome is None or not pressed.is_final:
        return Taken(updates=1), _answer(bot, update, said["choose" if pressed.outcome is None else "when"], keyboard)
    instance, client_id = row
    conn.execute(
        """
        insert into ops.follow_up_outcome
            (channel, answer_id, followup_id, instance, client_id, outcome, until_on, comment, recorded_on)
        values (%s, %s, %s, %s, %s, %s, %s, null, %s)
        on conflict (channel, answer_id) do nothing
        """,
        [
            CHANNEL,
            f"{bot.bot_id}:{update.update_id}",
            pressed.followup_id,
            instance,
            client_id,
            pressed.outcome,
            pressed.until,
            today,
        ],
    )
    return Taken(updates=1, outcomes=1), _answer(
        bot, update, said["noted"].format(_label(pressed, today, language)), keyboard
    )


def _take_word(
    conn: Connection, bot: TelegramClient, update: Update, connection: Address
) -> tuple[Taken, Callable[[], None]]:
    language = get_settings().language
    words = (update.text or "").split()
    chat = update.chat_id
    assert chat is not None  # noqa: S101  -- the caller looked
    code = words[1] if len(words) == 2 and words[0] == "/start" else ""
    manager = next(
        (one for one in _managers(conn, bot.bot_id) if hmac.compare_digest(_code(connection, one), code)), None
    )
    if manager is None:
        return Taken(updates=1), lambda: _send(bot, chat, _SAID[language]["unlinked"])
    conn.execute(
        """
        insert into ops.telegram_chat (instance, manager_id, bot_id, chat_id) values (%s, %s, %s, %s)
        on conflict (instance, manager_id, bot_id) do update
        set chat_id = excluded.chat_id, linked_at = now(), blocked_at = null
        """,
        [manager.instance, manager.manager_id, bot.bot_id, chat],
    )
    name = (manager.name or "").replace("&", "&amp;").replace("<", "&lt;")
    return Taken(updates=1, links=1), lambda: _send(bot, chat, _SAID[language]["linked"].format(name))


def _send(bot: TelegramClient, chat: int, text: str) -> None:
    bot.send_message(chat, text)


def _answer(
    bot: TelegramClient, update: Update, text: str, keyboard: list[list[Button]] | None = None
) -> Callable[[], None]:
    def reply() -> None:
        if update.query_id is not None:
            bot.answer_button(update.query_id, text)
        if keyboard is not None and update.chat_id is not None and update.message_id is not None:
            bot.show_keyboard(update.chat_id, update.message_id, keyboard)

    return reply


def _say(reply: Callable[[], None]) -> None:
    """What was pressed is in the warehouse: a reply that fails is only a pity."""
    try:
        reply()
    except ClientError as error:
        log.warning("the rep could not be told: %s", error)


def _label(pressed: Pressed, today: date, language: Language) -> str:
    label = outcome_label(pressed.outcome or "", language)
    return f"{label} {day(pressed.until, today)}" if pressed.until else label


def _row_of(conn: Connection, followup_id: str, bot_id: int, chat_id: int | None) -> tuple[str, str] | None:
    """(instance, client_id) of a row that went to this very chat."""
    return conn.execute(
        """
        select l.instance, l.client_id
        from ops.delivery_ledger as l
        inner join ops.telegram_chat as t on t.instance = l.instance and t.manager_id = l.manager_id
        where l.followup_id = %s and l.channel = %s and t.bot_id = %s and t.chat_id = %s
        """,
        [followup_id, CHANNEL, bot_id, chat_id],
    ).fetchone()


def _days_off(conn: Connection, today: date) -> list[date]:
    rows = conn.execute(
        "select day from ops.production_calendar where day between %s and %s and not is_working_day",
        [today, today + timedelta(days=60)],
    ).fetchall()
    return [row[0] for row in rows]


def _managers(conn: Connection, bot_id: int) -> list[Manager]:
    rows = conn.execute(
        """
        select m.instance, m.manager_id, m.manager_name, null, m.is_active, t.chat_id
        from intermediate.int_manager_contact as m
        left join ops.telegram_chat as t
            on t.instance = m.instance and t.manager_id = m.manager_id and t.bot_id = %s
        where m.is_active order by m.manager_name, m.instance, m.manager_id
        """,
        [bot_id],
    ).fetchall()
    return [Manager(*row) for row in rows]


def _code(connection: Address, manager: Manager) -> str:
    """What only the bot's owner can know of a rep: nobody joins as somebody else."""
    key = (connection.password or "").encode()
    return hmac.new(key, f"{manager.instance}|{manager.manager_id}".encode(), hashlib.sha256).hexdigest()[
        :_CODE_CHARACTERS
    ]


def _offset(conn: Connection, bot_id: int) -> int | None:
    row = conn.execute("select next_update_id from ops.telegram_offset where bot_id = %s", [bot_id]).fetchone()
    return int(row[0]) if row else None


def _keep_offset(conn: Connection, bot_id: int, following: int) -> None:
    conn.execute(
        """
        insert into ops.telegram_offset as o (bot_id, next_update_id) values (%s, %s)
        on conflict (bot_id) do update set next_update_id = excluded.next_update_id, taken_at = now()
        """,
        [bot_id, following],
    )
