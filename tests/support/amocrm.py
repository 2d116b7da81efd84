"""A served amoCRM account for tests: where it is, and the people who work there."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from clients.connection import Connection
from simulators.amocrm import AmocrmApp, Fault, Integration, Limits, build_app
from simulators.world.build import World
from simulators.world.crm import CrmPicture, crm_on
from tests.support.delivery import Rep, serve

DAY = date(2025, 6, 10)
INTEGRATION = Integration()
FREE = Limits(per_second=100_000, account_per_second=1_000_000)
OFTEN = "100000"


@cache
def picture() -> CrmPicture:
    """The CRM of the seeded world on a morning."""
    return crm_on(World(7, DAY), DAY)


@dataclass
class Account:
    """A running account."""

    address: str
    app: AmocrmApp

    def connection(self, **extra: str) -> Connection:
        """By the long-lived token."""
        return Connection(
            url=self.address, password=INTEGRATION.long_lived_token, extra={"requests_per_second": OFTEN, **extra}
        )

    def oauth(self, *, code: str | None = INTEGRATION.code, **extra: str) -> Connection:
        """By the code that a person has copied."""
        application = {
            "client_id": INTEGRATION.client_id,
            "client_secret": INTEGRATION.client_secret,
            "redirect_uri": INTEGRATION.redirect_uri,
            "requests_per_second": OFTEN,
            **({"code": code} if code else {}),
            **extra,
        }
        return Connection(url=self.address, extra=application)

    def tasks(self) -> list[dict[str, Any]]:
        return list(self.app.portal.records["tasks"].values())

    def plan(self, *faults: Fault) -> None:
        self.app.faults.faults = list(faults)


def employ(account: Account, reps: Sequence[Rep]) -> None:
    """Make the reps that have an account here its users."""
    account.app.portal.users += [
        {"id": int(rep.user_id), "name": rep.name, "email": rep.email, "rights": {"is_active": True}}
        for rep in reps
        if rep.user_id
    ]


@contextmanager
def running_account(
    folder: Path, shown: CrmPicture | None = None, *, limits: Limits = FREE, **options: Any
) -> Iterator[Account]:
    """An account on a free loopback port, by default without limits."""
    app = build_app(folder, shown, limits=limits, **options)
    with serve(app) as address:
        yield Account(address, app)
