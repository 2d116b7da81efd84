"""Telegram's Bot API: sending, buttons and polling, with the token kept out of every message and log.

The token is a part of each address. Sending has no key by which a message could be looked up again, so a request that
got no answer is Unknown and is never repeated here; 429 and refused connections are certain, and are.
"""

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from clients.connection import Connection
from clients.errors import ClientError, Fatal, Retriable, Unknown
from clients.http import HttpSession, Response, is_loopback, with_backoff
from clients.limits import Limit, LimitReached, Limits, LocalLimits, Window, wait_for

PUBLIC_URL = "https://api.telegram.org"
MESSAGE_CHARACTERS = 4096  # UTF-16 units of the text without its markup
CALLBACK_BYTES = 64
MESSAGES_PER_SECOND = 30
LONGEST_POLL_SECONDS = 50
BLOCKED, GONE = "blocked", "gone"
"""Codes of Fatal: the person has blocked the bot, or never spoke with it (or left Telegram)."""
_BLOCKED_SIGNS = ("bot was blocked", "user is deactivated", "bot was kicked", "bot can't initiate conversation")
_GONE_SIGNS = ("chat not found", "peer_id_invalid", "user not found")
_UNCHANGED = "message is not modified"
_TOO_OLD = ("query is too old", "query_id_invalid", "query id is invalid")
Button = Mapping[str, str]


@dataclass(frozen=True)
class Update:
    """Something a person did: pressed a button (`data`) or wrote (`text`). Chat and text are personal data."""

    update_id: int
    chat_id: int | None = field(repr=False)
    text: str | None = field(default=None, repr=False)
    query_id: str | None = field(default=None, repr=False)
    data: str | None = field(default=None, repr=False)
    message_id: int | None = None
    keyboard: Sequence[Sequence[Button]] = field(default=(), repr=False)


class TelegramClient:
    """Calls as one bot. For one thread at a time."""

    def __init__(
        self,
        connection: Connection,
        *,
        limits: Limits | None = None,
        timeout: float = 60.0,
        attempts: int = 4,
        longest_pause: float = 60.0,
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        """`connection.password` is the bot's token, `url` may stay empty (api.telegram.org).

        `extra` may name the limits `messages_per_second` and `messages_per_second_of_chat`. A pause longer than
        `longest_pause` seconds raises LimitReached. Raises Fatal when there is no token.
        """
        token = (connection.password or "").strip()
        bot, _, secret = token.partition(":")
        if not bot.isdigit() or not secret:
            raise Fatal("the Telegram connection has no token: put the one that @BotFather gave into its password")
        self.bot_id = int(bot)
        self._token = token
        self._base = _base(connection.url)
        self._attempts = attempts
        self._timeout = timeout
        self._longest_pause = longest_pause
        self._sleep = sleep or time.sleep
        self._limits: Limits = limits or LocalLimits(sleep=self._sleep)
        self._all = Limit(
            f"telegram:{bot}",
            (Window(int(connection.extra.get("messages_per_second") or MESSAGES_PER_SECOND), 1.0),),
        )
        self._of_chat = int(connection.extra.get("messages_per_second_of_chat") or 1)
        self._session = HttpSession(timeout=timeout, secrets=[token, secret])

    def me(self) -> Mapping[str, Any]:
        """The bot itself: `username` makes its links."""
        found = self._call("getMe", {}, repeatable=True)
        return found if isinstance(found, dict) else {}

    def send_message(
        self, chat_id: int, html: str, *, keyboard: Sequence[Sequence[Button]] = (), silent: bool = False
    ) -> int:
        """Send and return the message's id. Raises Unknown when it may or may not have been sent; Fatal with code
        BLOCKED or GONE when this person cannot be reached.
        """
        params: dict[str, Any] = {
            "chat_id": chat_id,
            "text": html,
            "parse_mode": "HTML",
            "link_preview_options": {"is_disabled": True},
            "disable_notification": silent,
        }
        if keyboard:
            params["reply_markup"] = {"inline_keyboard": keyboard}
        sent = self._call("sendMessage", params, repeatable=False, chat_id=chat_id)
        try:
            return int(sent["message_id"])
        except (KeyError, TypeError, ValueError):
            raise Unknown("Telegram took the message and did not say its id") from None

    def show_keyboard(self, chat_id: int, message_id: int, keyboard: Sequence[Sequence[Button]]) -> None:
        """Replace the buttons below a message of ours; the same ones again are no error."""
        params = {"chat_id": chat_id, "message_id": message_id, "reply_markup": {"inline_keyboard": keyboard}}
        try:
            self._call("editMessageReplyMarkup", params, repeatable=True, chat_id=chat_id)
        except Fatal as error:
            if error.code != "unchanged":
                raise

    def answer_button(self, query_id: str, text: str) -> None:
        """Tell the person that the button was heard; one who waited too long is told nothing."""
        try:
            self._call("answerCallbackQuery", {"callback_query_id": query_id, "text": text[:200]}, repeatable=True)
        except Fatal as error:
            if error.code != "too_old":
                raise

    def updates(self, offset: int | None, *, wait_seconds: int = 0, most: int = 100) -> list[Update]:
        """What people did, the oldest first; `offset` confirms everything before it. Telegram keeps it for a day."""
        params: dict[str, Any] = {
            "limit": most,
            "timeout": min(wait_seconds, LONGEST_POLL_SECONDS),
            "allowed_updates": ["message", "callback_query"],
        }
        if offset is not None:
            params["offset"] = offset
        found = self._call("getUpdates", params, repeatable=True, timeout=self._timeout + wait_seconds)
        if not isinstance(found, list):
            raise Retriable("Telegram's list of updates cannot be read", code="not_json")
        return [_update(one) for one in found]

    def close(self) -> None:
        self._session.close()

    # --- inside ---

    def _call(
        self,
        method: str,
        params: Mapping[str, Any],
        *,
        repeatable: bool,
        chat_id: int | None = None,
        timeout: float | None = None,
    ) -> Any:
        wanted = [self._all]
        if chat_id is not None:
            who = hashlib.sha256(f"{self._token}/{chat_id}".encode()).hexdigest()[:12]
            wanted.append(Limit(f"telegram:{self.bot_id}:{who}", (Window(self._of_chat, 1.0),)))

        def once() -> Any:
            wait_for(self._limits, *wanted, longest=self._longest_pause)
            url = f"{self._base}/bot{self._token}/{method}"
            answer = self._session.request("POST", url, json=params, repeatable=repeatable, timeout=timeout)
            return self._judge(method, answer, wanted[-1], repeatable=repeatable)

        return with_backoff(
            once,
            attempts=self._attempts,
            longest_pause=self._longest_pause,
            sleep=self._sleep,
            give_up_on=(LimitReached,),
        )

    def _judge(self, method: str, answer: Response, limit: Limit, *, repeatable: bool) -> Any:
        told = _told(answer.body)
        if answer.status == 200 and told.get("ok") is True:
            return told.get("result")
        if answer.status >= 500 or not told:
            said = f"Telegram failed with {answer.status} at {method}"
            if repeatable:
                raise Retriable(said, status=answer.status)
            raise Unknown(f"{said}, outcome unknown", status=answer.status)
        raise self._refused(method, answer.status, told, limit)

    def _refused(self, method: str, status: int, told: Mapping[str, Any], limit: Limit) -> ClientError:
        """An answer that says no: nothing was done. What Telegram writes may quote the message: it is not passed on."""
        why = str(told.get("description") or "").lower()
        parameters = told.get("parameters")
        if status == 429:
            asked = parameters.get("retry_after") if isinstance(parameters, dict) else None
            pause = float(asked) if isinstance(asked, (int, float)) else 1.0
            self._limits.pause(limit, pause)
            if pause > self._longest_pause:
                return LimitReached(f"Telegram asks to wait {pause:.0f} s", status=429, code="429", retry_after=pause)
            return Retriable("Telegram's limit of messages is reached", status=429, code="429", retry_after=pause)
        if status in (401, 404):
            return Fatal(
                "Telegram does not know the bot: put the token that @BotFather gave into the connection's password",
                status=401,
            )
        if status == 409:
            return Retriable(
                "somebody else reads this bot's updates, or a webhook is set: one reader is allowed", status=409
            )
        if any(sign in why for sign in _BLOCKED_SIGNS):
            return Fatal("the person has blocked the bot", status=status, code=BLOCKED)
        if any(sign in why for sign in _GONE_SIGNS):
            return Fatal("the person has no chat with the bot", status=status, code=GONE)
        if _UNCHANGED in why:
            return Fatal("nothing to change", status=status, code="unchanged")
        if any(sign in why for sign in _TOO_OLD):
            return Fatal("the button waited too long", status=status, code="too_old")
        kind = "markup" if "can't parse entities" in why else "length" if "too long" in why else str(status)
        return Fatal(f"Telegram refused {method}: {status} {kind}", status=status, code=kind)


def button(text: str, data: str) -> dict[str, str]:
    """A button below a message. Raises ValueError for data that do not fit."""
    if not 1 <= len(data.encode()) <= CALLBACK_BYTES:
        raise ValueError(f"a button's data must hold 1 to {CALLBACK_BYTES} bytes")
    return {"text": text, "callback_data": data}


def message_length(text: str) -> int:
    """How Telegram counts characters: in UTF-16 units, an emoji is two."""
    return len(text.encode("utf-16-le")) // 2


def _told(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _update(raw: Mapping[str, Any]) -> Update:
    query = raw.get("callback_query") or {}
    message = query.get("message") or raw.get("message") or {}
    chat = message.get("chat") or {}
    keyboard = (message.get("reply_markup") or {}).get("inline_keyboard") or ()
    return Update(
        update_id=int(raw["update_id"]),
        chat_id=chat.get("id") if chat.get("type", "private") == "private" else None,
        text=None if query else message.get("text"),
        query_id=query.get("id"),
        data=query.get("data"),
        message_id=message.get("message_id"),
        keyboard=keyboard,
    )


def _base(url: str) -> str:
    """The address without a slash at its end; an Airflow connection without a host names the public one."""
    base = url.strip().rstrip("/")
    if base in {"", "http:", "https:"}:
        return PUBLIC_URL
    parts = urlsplit(base)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise Fatal("the Telegram connection's address is no web address; leave it empty for the public one")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise Fatal("the Telegram connection's address must begin with https://, or be empty for the public one")
    return base
