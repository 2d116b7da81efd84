"""OAuth tokens shared by all workers: one row per grant, renewed under its lock, encrypted when a key is configured.

A refresh token works once, so the order matters: lock the row, look whether somebody else was faster, renew, commit,
only then use the new pair. A worker that dies before it asked the vendor leaves the old pair, one that dies after the
commit leaves the new one. When the database goes away between the vendor's answer and the commit, the new pair is
written over a fresh connection for as long as `PATIENCE_SECONDS`.
"""

import json
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Generic, Protocol, TypeVar

import psycopg
from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from warehouse import clock
from warehouse.db import Connection
from warehouse.settings import get_settings

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 300.0
_PAUSE_SECONDS = 2.0


class TokensUnreadable(RuntimeError):
    """Stored tokens cannot be read; the message says what to do."""


class Pair(Protocol):
    """What is kept. The clients have the class; this layer does not know it."""

    @property
    def access(self) -> str: ...
    @property
    def refresh(self) -> str: ...
    @property
    def expires_at(self) -> datetime: ...
    @property
    def seed(self) -> str: ...
    @property
    def extra(self) -> Mapping[str, str]: ...


PairT = TypeVar("PairT", bound=Pair)


class SharedTokens(Generic[PairT]):
    """The token store in `ops.oauth_token`. Safe for any number of workers on any number of machines."""

    def __init__(
        self,
        database: Callable[[], AbstractContextManager[Connection]],
        make: Callable[..., PairT],
        *,
        keys: str | None = None,
    ) -> None:
        """database: opens an autocommit connection. make: the pair's class, called with its fields by name.

        keys: Fernet keys, comma separated; the first one encrypts, all of them decrypt (default: POLKA_TOKEN_KEYS).
        """
        self._database = database
        self._make = make
        configured = get_settings().token_keys
        self._cipher = _cipher(keys if keys is not None else configured.get_secret_value() if configured else "")

    def now(self) -> datetime:
        """The clock by which pairs end, aware."""
        return clock.now()

    def get(self, key: str) -> PairT | None:
        """The stored pair, or None. Raises TokensUnreadable."""
        with self._database() as conn:
            row = conn.execute(
                "select secret, is_encrypted from ops.oauth_token where token_key = %s", [key]
            ).fetchone()
        return self._read(row[0], row[1]) if row and row[0] is not None else None

    def rotate(self, key: str, spent: PairT | None, renew: Callable[[PairT | None], PairT]) -> PairT:
        """Replace `spent` by what `renew` gives, one caller at a time; see clients.tokens.TokenStore.

        Raises what `renew` raises, TokensUnreadable, or psycopg.OperationalError when the new pair could not be stored
        in spite of all patience (it is lost then, and access has to be granted anew).
        """
        fresh: PairT | None = None
        generation = 0
        try:
            with self._database() as conn, conn.transaction():
                # A lost pair costs a person's time: neither a setting of the server nor a pause may lose it.
                conn.execute("set local synchronous_commit = on")
                conn.execute("set local idle_in_transaction_session_timeout = 0")
                conn.execute("insert into ops.oauth_token (token_key) values (%s) on conflict do nothing", [key])
                row = conn.execute(
                    "select secret, is_encrypted, generation from ops.oauth_token where token_key = %s for update",
                    [key],
                ).fetchone()
                if row is None:
                    raise psycopg.OperationalError("the row of the tokens vanished while it was locked")
                generation = row[2]
                stored = self._read(row[0], row[1]) if row[0] is not None else None
                if stored is not None and stored != spent:
                    return stored
                fresh = renew(stored)
                self._write(conn, key, fresh, generation)
        except psycopg.OperationalError:
            if fresh is None:
                raise
            self._rescue(key, fresh, generation)
        return fresh

    def _write(self, conn: Connection, key: str, pair: PairT, generation: int) -> int:
        plain = json.dumps(
            {
                "access": pair.access,
                "refresh": pair.refresh,
                "expires_at": pair.expires_at.isoformat(),
                "seed": pair.seed,
                "extra": dict(pair.extra),
            }
        ).encode()
        secret = self._cipher.encrypt(plain) if self._cipher else plain
        return conn.execute(
            """
            update ops.oauth_token
            set secret = %s, is_encrypted = %s, expires_at = %s, generation = %s, rotated_at = now()
            where token_key = %s and generation = %s
            """,
            [secret, self._cipher is not None, pair.expires_at, generation + 1, key, generation],
        ).rowcount

    def _rescue(self, key: str, pair: PairT, generation: int) -> None:
        """The vendor has given the pair and the commit failed: write it as soon as the database is back."""
        log.warning("the warehouse went away while tokens were renewed; storing them again")
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                with self._database() as conn:
                    conn.execute("insert into ops.oauth_token (token_key) values (%s) on conflict do nothing", [key])
                    self._write(conn, key, pair, generation)
                return
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_PAUSE_SECONDS)

    def _read(self, secret: bytes, is_encrypted: bool) -> PairT:
        if is_encrypted:
            if self._cipher is None:
                raise TokensUnreadable(
                    "stored tokens are encrypted: set POLKA_TOKEN_KEYS to the key that encrypted them"
                )
            try:
                secret = self._cipher.decrypt(bytes(secret))
            except InvalidToken:
                raise TokensUnreadable(
                    "stored tokens were encrypted with another key: add it to POLKA_TOKEN_KEYS, after the new one"
                ) from None
        fields = json.loads(secret)
        fields["expires_at"] = datetime.fromisoformat(fields["expires_at"])
        return self._make(**fields)


def _cipher(keys: str) -> MultiFernet | None:
    parts = [part.strip() for part in keys.split(",") if part.strip()]
    try:
        return MultiFernet([Fernet(part) for part in parts]) if parts else None
    except ValueError:
        raise TokensUnreadable(
            "POLKA_TOKEN_KEYS must be Fernet keys (32 url-safe base64 bytes each), comma separated"
        ) from None
