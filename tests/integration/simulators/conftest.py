"""A simulated 1C on a real socket."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
import requests

from simulators.onec.server import OnecServer
from tests.support.serving import serve
from tests.support.simulated_onec import LOGIN, PASSWORD, Published, small_base


@pytest.fixture(scope="session")
def publish() -> Iterator[Callable[[OnecServer], str]]:
    """Serve applications until the session ends; returns the root address."""
    with ExitStack() as running:
        yield lambda server: running.enter_context(serve(server))


@pytest.fixture
def onec(publish: Callable[[OnecServer], str]) -> Published:
    server = OnecServer(small_base(), LOGIN, PASSWORD)
    session = requests.Session()
    session.auth = (LOGIN.encode(), PASSWORD.encode())
    return Published(server, publish(server), session)
