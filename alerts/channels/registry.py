"""The channels by their names in POLKA_CHANNELS."""

from collections.abc import Callable, Mapping

from alerts.channels.base import Channel
from alerts.channels.bitrix24 import Bitrix24Channel
from alerts.channels.email import EmailChannel
from alerts.render import Renderer
from clients.connection import Connection
from warehouse.settings import Settings

_CHANNELS: dict[str, Callable[[Connection, Renderer, Settings], Channel]] = {
    "bitrix24": lambda connection, renderer, settings: Bitrix24Channel(connection, renderer),
    "email": lambda connection, renderer, settings: EmailChannel(connection, renderer, sender=settings.email_from),
}


def open_channels(connections: Mapping[str, Connection], settings: Settings, renderer: Renderer) -> dict[str, Channel]:
    """Channels of the settings, in their order; no network yet. Raises ValueError for an unknown name or connection."""
    opened: dict[str, Channel] = {}
    for name in settings.channels:
        if name not in _CHANNELS:
            raise ValueError(f"POLKA_CHANNELS names '{name}'; known channels: {', '.join(_CHANNELS)}")
        if name not in connections:
            raise ValueError(f"no connection was given for channel '{name}'")
        opened[name] = _CHANNELS[name](connections[name], renderer, settings)
    return opened
