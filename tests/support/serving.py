"""A simulated 1C on a real socket."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from simulators.onec.connections import TrackedProtocol
from simulators.onec.server import OnecServer
from simulators.serve import free_socket


@contextmanager
def serve(server: OnecServer) -> Iterator[str]:
    """Serve it in a thread; gives the address without a path."""
    listener = free_socket()
    config = uvicorn.Config(server.app, http=TrackedProtocol, lifespan="off", log_config=None)
    web = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(web._serve([listener])), daemon=True)
    thread.start()
    while not web.started:
        assert thread.is_alive()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        web.should_exit = web.force_exit = True
        thread.join(5)
