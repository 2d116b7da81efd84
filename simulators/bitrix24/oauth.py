"""OAuth of an application on the portal: access tokens live an hour, a refresh token works once."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

ACCESS_SECONDS = 3600


@dataclass
class OAuthApplication:
    """An installed application. Give `refresh_token` to the client, as the installation does."""

    client_id: str = "local.66a1.polka"
    client_secret: str = field(default_factory=lambda: secrets.token_hex(16))
    user: str = "1"
    clock: Callable[[], float] = time.time
    refresh_token: str = field(default_factory=lambda: secrets.token_hex(16))
    access: dict[str, float] = field(default_factory=dict)  # token -> until
    refreshed: int = 0

    def authorise(self, token: str) -> tuple[int, str, str] | None:
        """None when the token is good, otherwise the error: HTTP status, code, description."""
        until = self.access.get(token)
        if until is None:
            return 401, "invalid_token", "Unable to get application by token"
        if until <= self.clock():
            return 401, "expired_token", "The access token provided has expired."
        return None

    def token(self, params: dict[str, Any], endpoint: str) -> tuple[int, dict[str, Any]]:
        """Answer of the token endpoint: HTTP status and body."""
        if (params.get("client_id"), params.get("client_secret")) != (self.client_id, self.client_secret):
            return 401, {"error": "invalid_client", "error_description": "Client authentication failed"}
        if params.get("grant_type") != "refresh_token" or params.get("refresh_token") != self.refresh_token:
            return 400, {"error": "invalid_grant", "error_description": "The provided refresh token is invalid"}
        self.refresh_token = secrets.token_hex(16)
        self.refreshed += 1
        access = secrets.token_hex(16)
        self.access[access] = self.clock() + ACCESS_SECONDS
        return 200, {
            "access_token": access,
            "client_endpoint": endpoint,
            "domain": "oauth.bitrix.info",
            "expires": int(self.access[access]),
            "expires_in": ACCESS_SECONDS,
            "member_id": "a223c6b3710f85df22e9377d6c4f7553",
            "refresh_token": self.refresh_token,
            "scope": "crm,task,user",
            "server_endpoint": "https://oauth.bitrix.info/rest/",
            "status": "L",
            "user_id": int(self.user),
        }

    def expire(self) -> None:
        """All access tokens are out of date from now on."""
        self.access = dict.fromkeys(self.access, 0.0)
