"""Telegram's Bot API for tests: chats, messages with buttons, polling, limits and failures."""

from simulators.telegram.app import TOKEN, build_app
from simulators.telegram.faults import Fault
from simulators.telegram.room import Limits, Room

__all__ = ["TOKEN", "Fault", "Limits", "Room", "build_app"]
