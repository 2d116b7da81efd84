"""Tokens: a long-lived one, and OAuth pairs whose refresh token works once and then is dead."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Integration:
    """An integration of the account. `code`: what a person who has granted access may use once."""

    client_id: str = "5b9b2a4e-1111-4a55-9c1e-polkademo0001"
    client_secret: str = field(default="demo-integration-secret", repr=False)
    redirect_uri: str = "https://polka.example/oauth"
    code: str = field(default="def50200-demo-authorization-code", repr=False)
    long_lived_token: str = field(default="eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.demo.long-lived", repr=False)


class Refused(Exception):
    """The token endpoint says no; `hint` is amoCRM's word for why."""

    def __init__(self, hint: str, status: int = 401) -> None:
        super().__init__(hint)
        self.hint = hint
        self.status = status


class Access:
    """Who may come in. Access tokens live `lifetime` seconds, whatever becomes of their refresh token."""

    def __init__(self, integration: Integration, clock: Callable[[], float], *, lifetime: float = 86_400.0) -> None:
        self.integration = integration
        self.lifetime = lifetime
        self.exchanges = 0
        self.refusals = 0
        self._clock = clock
        self._codes = {integration.code}
        self._refresh: str | None = None
        self._spent: set[str] = set()
        self._live: dict[str, float] = {}
        self._long_lived = {integration.long_lived_token}

    def grant_again(self) -> str:
        """A person opens the integration and gives access anew; returns the code that he sees."""
        code = f"def50200-{secrets.token_hex(16)}"
        self._codes.add(code)
        return code

    def revoke(self) -> None:
        """The integration is switched off: nothing that was given works any more."""
        self._codes.clear()
        self._live.clear()
        self._long_lived.clear()
        self._refresh = None

    def end_access_tokens(self) -> None:
        """As if their life was over."""
        self._live.clear()

    def admits(self, authorization: str) -> bool:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return False
        return token in self._long_lived or self._live.get(token, 0.0) > self._clock()

    def exchange(self, sent: dict[str, Any]) -> dict[str, Any]:
        """Answer the token endpoint. Raises Refused."""
        self.exchanges += 1
        known = self.integration
        if (sent.get("client_id"), sent.get("client_secret")) != (known.client_id, known.client_secret):
            raise self._refuse("Check the `client_id` and `client_secret` parameters")
        if sent.get("redirect_uri") != known.redirect_uri:
            raise self._refuse("Check the `redirect_uri` parameter", 400)
        if sent.get("grant_type") == "authorization_code":
            if sent.get("code") not in self._codes:
                raise self._refuse("Authorization code has been revoked", 400)
            self._codes.discard(str(sent["code"]))
        elif sent.get("grant_type") == "refresh_token":
            token = str(sent.get("refresh_token"))
            if token != self._refresh:
                raise self._refuse(
                    "Token has been revoked" if token in self._spent else "Cannot decrypt the refresh token"
                )
            self._spent.add(token)
        else:
            raise self._refuse("Check the `grant_type` parameter", 400)
        access, self._refresh = f"access-{secrets.token_hex(24)}", f"def502-{secrets.token_hex(24)}"
        self._live[access] = self._clock() + self.lifetime
        return {
            "token_type": "Bearer",
            "expires_in": int(self.lifetime),
            "server_time": int(self._clock()),
            "access_token": access,
            "refresh_token": self._refresh,
        }

    def _refuse(self, hint: str, status: int = 401) -> Refused:
        self.refusals += 1
        return Refused(hint, status)

    def dump(self) -> dict[str, Any]:
        return {
            "codes": sorted(self._codes), "refresh": self._refresh, "spent": sorted(self._spent), "live": self._live,
        }  # fmt: skip

    def load(self, saved: dict[str, Any]) -> None:
        self._codes, self._spent = set(saved["codes"]), set(saved["spent"])
        self._refresh, self._live = saved["refresh"], dict(saved["live"])
