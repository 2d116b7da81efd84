"""The bot's chats: who has started it, who has blocked it, what was sent, and what the bot has not read yet."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from simulators.hubspot.limits import RollingWindow
from simulators.telegram.markup import BadMarkup, visible

MESSAGE_CHARACTERS, CALLBACK_BYTES, BUTTONS = 4096, 64, 100


@dataclass(frozen=True)
class Limits:
    """Messages a second, overall and into one chat."""

    per_second: int = 30
    per_second_of_chat: int = 1


class ApiError(Exception):
    """An answer that says no, as Telegram words it."""

    def __init__(self, status: int, description: str, retry_after: int | None = None) -> None:
        super().__init__(description)
        self.status = status
        self.description = description
        self.retry_after = retry_after


@dataclass
class Chat:
    """A private chat. Nobody can be written to before he has started the bot."""

    chat_id: int
    name: str
    is_blocked: bool = False


@dataclass
class Message:
    """A message of the bot. `text` as a person sees it, `markup` as it was sent."""

    message_id: int
    chat_id: int
    text: str
    markup: str
    silent: bool
    keyboard: list[list[dict[str, Any]]] = field(default_factory=list)

    def shown(self, chat: Chat, bot: Mapping[str, Any], at: int) -> dict[str, Any]:
        """As the API gives it."""
        told: dict[str, Any] = {
            "message_id": self.message_id,
            "from": dict(bot),
            "chat": {"id": chat.chat_id, "first_name": chat.name, "type": "private"},
            "date": at,
            "text": self.text,
        }
        if self.keyboard:
            told["reply_markup"] = {"inline_keyboard": self.keyboard}
        return told


class Room:
    """Everything one bot knows. Not for several threads."""

    def __init__(self, bot_id: int, limits: Limits, clock: Callable[[], float], now: Callable[[], int]) -> None:
        self.bot = {"id": bot_id, "is_bot": True, "first_name": "Полка", "username": "polka_demo_bot"}
        self.chats: dict[int, Chat] = {}
        self.messages: list[Message] = []
        self.answers: list[dict[str, str]] = []
        self.updates: list[dict[str, Any]] = []
        self._limits = limits
        self._clock = clock
        self._now = now
        self._all = RollingWindow(limits.per_second, 1.0, clock)
        self._of_chat: dict[int, RollingWindow] = {}
        self._message_ids = count(100)
        self._update_ids = count(700_000_001)
        self._queries: set[str] = set()

    # --- what people do ---

    def say(self, chat_id: int, text: str, name: str = "Представитель") -> None:
        """Somebody writes to the bot; the first word starts it, and whoever writes has not blocked it."""
        chat = self.chats.setdefault(chat_id, Chat(chat_id, name))
        chat.is_blocked = False
        message = {
            "message_id": next(self._message_ids),
            "from": {"id": chat_id, "is_bot": False, "first_name": chat.name},
            "chat": {"id": chat_id, "first_name": chat.name, "type": "private"},
            "date": self._now(),
            "text": text,
        }
        self._happened({"message": message})

    def press(self, chat_id: int, message_id: int, data: str) -> str:
        """Somebody presses a button; returns the query's id. Raises LookupError when there is no such button."""
        message = self._message(chat_id, message_id)
        if not any(key.get("callback_data") == data for row in message.keyboard for key in row):
            raise LookupError(f"the message has no button {data}")
        query_id = str(len(self._queries) + 4_000_000_000)
        self._queries.add(query_id)
        chat = self.chats[chat_id]
        query = {
            "id": query_id,
            "from": {"id": chat_id, "is_bot": False, "first_name": chat.name},
            "message": message.shown(chat, self.bot, self._now()),
            "chat_instance": str(chat_id),
            "data": data,
        }
        self._happened({"callback_query": query})
        return query_id

    # --- what the bot does ---

    def send(self, params: Mapping[str, Any]) -> dict[str, Any]:
        chat_id = int(params["chat_id"])
        chat = self._reachable(chat_id)
        text = self._text(params)
        keyboard = self._keyboard(params)
        self._count(chat_id)
        message = Message(
            next(self._message_ids),
            chat_id,
            text,
            str(params["text"]),
            bool(params.get("disable_notification")),
            keyboard,
        )
        self.messages.append(message)
        return message.shown(chat, self.bot, self._now())

    def edit_keyboard(self, params: Mapping[str, Any]) -> dict[str, Any]:
        chat_id = int(params["chat_id"])
        chat = self._reachable(chat_id)
        try:
            message = self._message(chat_id, int(params["message_id"]))
        except LookupError:
            raise ApiError(400, "Bad Request: message to edit not found") from None
        keyboard = self._keyboard(params)
        if keyboard == message.keyboard:
            raise ApiError(
                400,
                "Bad Request: message is not modified: specified new message content and reply markup are exactly the "
                "same as a current content and reply markup of the message",
            )
        self._count(chat_id)
        message.keyboard = keyboard
        return message.shown(chat, self.bot, self._now())

    def answer(self, params: Mapping[str, Any]) -> bool:
        query_id = str(params["callback_query_id"])
        if query_id not in self._queries:
            raise ApiError(400, "Bad Request: query is too old and response timeout expired or query ID is invalid")
        self._queries.discard(query_id)
        self.answers.append({"query": query_id, "text": str(params.get("text") or "")})
        return True

    def confirm(self, offset: int | None) -> None:
        """Forget what comes before `offset`."""
        if offset is not None:
            self.updates = [update for update in self.updates if update["update_id"] >= offset]

    # --- inside ---

    def _happened(self, what: dict[str, Any]) -> None:
        self.updates.append({"update_id": next(self._update_ids), **what})

    def _message(self, chat_id: int, message_id: int) -> Message:
        for message in self.messages:
            if (message.chat_id, message.message_id) == (chat_id, message_id):
                return message
        raise LookupError("no such message")

    def _reachable(self, chat_id: int) -> Chat:
        chat = self.chats.get(chat_id)
        if chat is None:
            raise ApiError(400, "Bad Request: chat not found")
        if chat.is_blocked:
            raise ApiError(403, "Forbidden: bot was blocked by the user")
        return chat

    def _text(self, params: Mapping[str, Any]) -> str:
        text = str(params.get("text") or "")
        if params.get("parse_mode") == "HTML":
            try:
                text = visible(text)
            except BadMarkup as error:
                raise ApiError(400, f"Bad Request: can't parse entities: {error}") from None
        text = text.strip()
        if not text:
            raise ApiError(400, "Bad Request: message text is empty")
        if len(text.encode("utf-16-le")) // 2 > MESSAGE_CHARACTERS:
            raise ApiError(400, "Bad Request: message is too long")
        return text

    def _keyboard(self, params: Mapping[str, Any]) -> list[list[dict[str, Any]]]:
        rows: Sequence[Sequence[dict[str, Any]]] = (params.get("reply_markup") or {}).get("inline_keyboard") or []
        keys = [key for row in rows for key in row]
        if len(keys) > BUTTONS:
            raise ApiError(400, "Bad Request: reply markup is too long")
        for key in keys:
            if not str(key.get("text") or "").strip():
                raise ApiError(400, "Bad Request: Text buttons are unallowed in the inline keyboard")
            if "callback_data" in key and not 1 <= len(str(key["callback_data"]).encode()) <= CALLBACK_BYTES:
                raise ApiError(400, "Bad Request: BUTTON_DATA_INVALID")
        return [list(row) for row in rows if row]

    def _count(self, chat_id: int) -> None:
        own = self._of_chat.setdefault(chat_id, RollingWindow(self._limits.per_second_of_chat, 1.0, self._clock))
        if not own.admit() or not self._all.admit():
            raise ApiError(429, "Too Many Requests: retry after 1", retry_after=1)
