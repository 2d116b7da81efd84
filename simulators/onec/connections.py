"""Access to the TCP connection of a request, so that a fault can abort it."""

import asyncio
from typing import Any

from starlette.types import Scope
from uvicorn.protocols.http.h11_impl import H11Protocol

_transports: dict[tuple[str, int], asyncio.Transport] = {}


class TrackedProtocol(H11Protocol):
    """uvicorn's HTTP protocol that remembers the transport of every open connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        _transports[_peer(transport)] = transport

    def connection_lost(self, exc: Exception | None) -> None:
        _transports.pop(_peer(self.transport), None)
        super().connection_lost(exc)


def _peer(transport: Any) -> tuple[str, int]:
    host, port, *_ = transport.get_extra_info("peername") or ("", 0)
    return host, port


def abort(scope: Scope) -> None:
    """Drop the connection of this request at once, as a reset. Without a socket the scope says so."""
    scope["aborted"] = True
    client = scope.get("client")
    transport = _transports.get((client[0], client[1])) if client else None
    if transport is not None:
        transport.abort()
