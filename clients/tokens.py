"""OAuth tokens that change with every renewal, kept where all workers see them.

A refresh token of amoCRM or Bitrix24 works once: whoever renews must store the new pair before anybody else tries.
Clients ask a `TokenStore` for that; the shared one lives in the warehouse.
"""

import hashlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True)
class Tokens:
    """One pair. Its repr shows no secret.

    expires_at: when `access` ends, aware. seed: fingerprint of the code or token that a person gave first; another
    seed in the connection means that access was granted anew. extra: whatever else the vendor gave with the pair.
    """

    access: str = field(repr=False)
    refresh: str = field(repr=False)
    expires_at: datetime
    seed: str = ""
    extra: Mapping[str, str] = field(default_factory=dict, repr=False)


class TokenStore(Protocol):
    """Keeps pairs by a key such as `amocrm:example.amocrm.ru:<integration>`."""

    def now(self) -> datetime:
        """The clock by which pairs end, aware."""
        ...

    def get(self, key: str) -> Tokens | None:
        """The pair as it is now; None when there never was one."""
        ...

    def rotate(self, key: str, spent: Tokens | None, renew: Callable[[Tokens | None], Tokens]) -> Tokens:
        """The pair that replaces `spent` (what the caller saw last; None when it saw nothing).

        One caller at a time per key. When somebody else has replaced `spent` meanwhile, theirs is returned. Otherwise
        `renew` is called with what is stored, and its answer is on disk before this returns. What `renew` raises is
        raised; the stored pair stays.
        """
        ...


class MemoryTokens:
    """A store for one process: tools and tests. Pairs are lost with the process."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.now = now
        self._pairs: dict[str, Tokens] = {}
        self._lock = threading.Lock()

    def get(self, key: str) -> Tokens | None:
        return self._pairs.get(key)

    def rotate(self, key: str, spent: Tokens | None, renew: Callable[[Tokens | None], Tokens]) -> Tokens:
        with self._lock:
            stored = self._pairs.get(key)
            if stored is not None and stored != spent:
                return stored
            self._pairs[key] = renew(stored)
            return self._pairs[key]


def fingerprint(secret: str) -> str:
    """A short name for a secret that tells nothing about it."""
    return hashlib.sha256(secret.encode()).hexdigest()[:16]
