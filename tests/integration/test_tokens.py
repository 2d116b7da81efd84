"""OAuth pairs in the warehouse: one renewal at a time, nothing lost by crashes, nothing readable with a key."""

import logging
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from cryptography.fernet import Fernet

from clients.errors import Retriable
from clients.tokens import Tokens
from warehouse.db import Connection, connect
from warehouse.tokens import SharedTokens, TokensUnreadable

KEY = "amocrm:example.amocrm.ru:integration"
SOON = datetime.now(UTC) + timedelta(hours=24)


class Vendor:
    """Gives the next pair for the live refresh token, and only for that one."""

    def __init__(self) -> None:
        self.live = "refresh-0"
        self.given = 0
        self.refused = 0
        self._lock = threading.Lock()

    def renew(self, stored: Tokens | None) -> Tokens:
        with self._lock:
            if (stored.refresh if stored else "refresh-0") != self.live:
                self.refused += 1
                raise Retriable("the refresh token was used before")
            self.given += 1
            self.live = f"refresh-{self.given}"
            return Tokens(f"access-{self.given}", self.live, SOON, "seed", {"domain": "example.amocrm.ru"})


def store(url: str, keys: str = "") -> SharedTokens[Tokens]:
    return SharedTokens(lambda: connect(url, autocommit=True), Tokens, keys=keys)


def test_a_pair_is_kept_with_all_its_fields(database: str) -> None:
    tokens = store(database)
    assert tokens.get(KEY) is None
    given = tokens.rotate(KEY, None, Vendor().renew)
    assert given == Tokens("access-1", "refresh-1", SOON, "seed", {"domain": "example.amocrm.ru"})
    assert store(database).get(KEY) == given
    assert tokens.get("another") is None


def test_many_workers_renew_once_and_all_get_the_same_pair(database: str) -> None:
    vendor = Vendor()
    got: list[Tokens] = []
    first = store(database).rotate(KEY, None, vendor.renew)
    start = threading.Barrier(8)

    def work() -> None:
        tokens = store(database)
        start.wait()
        got.append(tokens.rotate(KEY, first, vendor.renew))

    workers = [threading.Thread(target=work) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert (vendor.given, vendor.refused) == (2, 0)
    assert {pair.access for pair in got} == {"access-2"}


def test_a_failed_renewal_leaves_the_old_pair(database: str) -> None:
    vendor, tokens = Vendor(), store(database)
    first = tokens.rotate(KEY, None, vendor.renew)

    def fail(stored: Tokens | None) -> Tokens:
        raise Retriable("no answer")

    with pytest.raises(Retriable):
        tokens.rotate(KEY, first, fail)
    assert tokens.get(KEY) == first
    assert tokens.rotate(KEY, first, vendor.renew).access == "access-2"


class Died(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("when", ["before the vendor is asked", "after the commit"])
def test_a_worker_that_dies_loses_nothing(database: str, when: str) -> None:
    vendor, tokens = Vendor(), store(database)
    first = tokens.rotate(KEY, None, vendor.renew)

    def die(stored: Tokens | None) -> Tokens:
        raise Died

    if when == "after the commit":
        tokens.rotate(KEY, first, vendor.renew)  # and its caller never saw it
    else:
        with pytest.raises(Died):
            tokens.rotate(KEY, first, die)
    survivor = store(database)
    current = survivor.get(KEY)
    assert current is not None
    assert survivor.rotate(KEY, current, vendor.renew).refresh == vendor.live
    assert vendor.refused == 0


def test_the_pair_survives_a_database_that_goes_away_before_the_commit(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("warehouse.tokens._PAUSE_SECONDS", 0.01)
    vendor = Vendor()
    first = store(database).rotate(KEY, None, vendor.renew)
    opened: list[Connection] = []
    refusals = [True, True]

    def database_that_breaks() -> AbstractContextManager[Connection]:
        if opened and refusals:
            refusals.pop()
            raise psycopg.OperationalError("the database is starting up")
        opened.append(connect(database, autocommit=True))
        return opened[-1]

    def renew_and_lose_the_database(stored: Tokens | None) -> Tokens:
        pair = vendor.renew(stored)
        with connect(database, autocommit=True) as other:
            other.execute("select pg_terminate_backend(%s)", [opened[0].info.backend_pid])
        return pair

    pair = SharedTokens(database_that_breaks, Tokens, keys="").rotate(KEY, first, renew_and_lose_the_database)
    assert pair.refresh == vendor.live
    assert store(database).get(KEY) == pair


def test_with_a_key_nothing_readable_is_stored_and_keys_can_change(database: str) -> None:
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    vendor = Vendor()
    first = store(database, old).rotate(KEY, None, vendor.renew)
    assert b"access-1" not in stored_bytes(database)
    assert store(database, f"{new},{old}").get(KEY) == first
    with pytest.raises(TokensUnreadable, match="POLKA_TOKEN_KEYS"):
        store(database, new).get(KEY)
    with pytest.raises(TokensUnreadable, match="POLKA_TOKEN_KEYS"):
        store(database).get(KEY)
    second = store(database, f"{new},{old}").rotate(KEY, first, vendor.renew)
    assert store(database, new).get(KEY) == second


def test_a_plain_pair_is_encrypted_by_its_next_renewal(database: str) -> None:
    vendor, key = Vendor(), Fernet.generate_key().decode()
    first = store(database).rotate(KEY, None, vendor.renew)
    assert b"access-1" in stored_bytes(database)
    store(database, key).rotate(KEY, first, vendor.renew)
    assert b"access-2" not in stored_bytes(database)


def test_a_bad_key_is_said_before_anything_is_asked() -> None:
    unused: Callable[[], AbstractContextManager[Connection]] = lambda: connect("postgresql://nowhere")  # noqa: E731
    with pytest.raises(TokensUnreadable, match="Fernet"):
        SharedTokens(unused, Tokens, keys="secret")


def test_tokens_are_in_no_log_and_no_repr(database: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    pair = store(database).rotate(KEY, None, Vendor().renew)
    assert "access-1" not in repr(pair)
    assert "refresh-1" not in repr(pair)
    assert "access-1" not in caplog.text
    assert "refresh-1" not in caplog.text


def stored_bytes(url: str) -> bytes:
    with connect(url) as conn:
        row = conn.execute("select secret from ops.oauth_token where token_key = %s", [KEY]).fetchone()
    assert row is not None
    return bytes(row[0])
