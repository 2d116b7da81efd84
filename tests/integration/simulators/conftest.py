"""A simulated 1C on a real socket."""

import asyncio
import threading
from collections.abc import Callable, Iterator

import pytest
import requests
import uvicorn

from simulators.onec.connections import TrackedProtocol
from simulators.onec.server import OnecServer
from simulators.serve import free_socket
from tests.support.simulated_onec import LOGIN, PASSWORD, Published, small_base


@pytest.fixture(scope="session")
def publish() -> Iterator[Callable[[OnecServer], str]]:
    """Serve applications until the session ends; returns the root address."""
    running: list[tuple[uvicorn.Server, threading.Thread]] = []

    def start(server: OnecServer) -> str:
        listener = free_socket()
        config = uvicorn.Config(server.app, http=TrackedProtocol, lifespan="off", log_config=None)
        web = uvicorn.Server(config)
        thread = threading.Thread(target=lambda: asyncio.run(web._serve([listener])), daemon=True)
        thread.start()
        while not web.started:
            assert thread.is_alive()
        running.append((web, thread))
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for web, _ in running:
        web.should_exit = web.force_exit = True
    for _, thread in running:
        thread.join(5)


@pytest.fixture
def onec(publish: Callable[[OnecServer], str]) -> Published:
    server = OnecServer(small_base(), LOGIN, PASSWORD)
    session = requests.Session()
    session.auth = (LOGIN.encode(), PASSWORD.encode())
    return Published(server, publish(server), session)
