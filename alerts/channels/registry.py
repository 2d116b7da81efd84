"""The channels by their names in POLKA_CHANNELS."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

from alerts.channels.amocrm import AmocrmChannel
from alerts.channels.base import Channel
from alerts.channels.bitrix24 import Bitrix24Channel
from alerts.channels.email import EmailChannel
from alerts.channels.hubspot import HubspotChannel
from alerts.channels.telegram import TelegramChannel
from alerts.render import Renderer
from clients.connection import Connection
from clients.tokens import Tokens
from warehouse.db import Connection as Database
from warehouse.limits import SharedLimits
from warehouse.settings import Settings
from warehouse.tokens import SharedTokens

OpenDatabase = Callable[[], AbstractContextManager[Database]]


def _amocrm(connection: Connection, renderer: Renderer, settings: Settings, database: OpenDatabase | None) -> Channel:
    if database is None:
        return AmocrmChannel(connection, renderer)
    limits, tokens = SharedLimits(database), SharedTokens(database, Tokens)
    return AmocrmChannel(connection, renderer, limits=limits, tokens=tokens, release=limits.close)


def _hubspot(connection: Connection, renderer: Renderer, settings: Settings, database: OpenDatabase | None) -> Channel:
    if database is None:
        return HubspotChannel(connection, renderer)
    limits = SharedLimits(database)
    return HubspotChannel(connection, renderer, limits=limits, release=limits.close)


def _bitrix24(connection: Connection, renderer: Renderer, settings: Settings, database: OpenDatabase | None) -> Channel:
    if database is None:
        return Bitrix24Channel(connection, renderer)
    limits, tokens = SharedLimits(database), SharedTokens(database, Tokens)
    return Bitrix24Channel(connection, renderer, limits=limits, tokens=tokens, release=limits.close)


def _telegram(connection: Connection, renderer: Renderer, settings: Settings, database: OpenDatabase | None) -> Channel:
    if database is None:
        return TelegramChannel(connection, renderer)
    limits = SharedLimits(database)
    return TelegramChannel(connection, renderer, limits=limits, database=database, release=limits.close)


_CHANNELS: dict[str, Callable[[Connection, Renderer, Settings, OpenDatabase | None], Channel]] = {
    "amocrm": _amocrm,
    "bitrix24": _bitrix24,
    "email": lambda connection, renderer, settings, database: EmailChannel(
        connection, renderer, sender=settings.email_from
    ),
    "hubspot": _hubspot,
    "telegram": _telegram,
}


def open_channels(
    connections: Mapping[str, Connection],
    settings: Settings,
    renderer: Renderer,
    database: OpenDatabase | None = None,
) -> dict[str, Channel]:
    """Channels of the settings, in their order; no network yet. Raises ValueError for an unknown name or connection.

    database: opens an autocommit connection to the warehouse, where limits and tokens are shared with all workers;
    without it they are kept for this process alone.
    """
    opened: dict[str, Channel] = {}
    for name in settings.channels:
        if name not in _CHANNELS:
            raise ValueError(f"POLKA_CHANNELS names '{name}'; known channels: {', '.join(_CHANNELS)}")
        if name not in connections:
            raise ValueError(f"no connection was given for channel '{name}'")
        opened[name] = _CHANNELS[name](connections[name], renderer, settings, database)
    return opened
