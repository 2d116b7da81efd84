"""A served HubSpot account for tests: where it is, and the people who work there."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import requests

from clients.connection import Connection
from simulators.hubspot import TOKEN, Fault, Limits, Portal, build_app
from simulators.hubspot.portal import Owner
from simulators.world.build import World
from simulators.world.crm import CrmPicture, crm_on
from tests.support.delivery import Rep, serve

DAY = date(2025, 6, 10)
FREE = Limits(requests=1_000_000, per_day=10_000_000, searches_per_second=1_000_000)


@cache
def picture(day: date = DAY) -> CrmPicture:
    """The CRM of the seeded world on a morning."""
    return crm_on(World(7, DAY), day)


@dataclass
class Account:
    """A running account."""

    address: str
    portal: Portal

    def connection(self, **extra: str) -> Connection:
        often = {"requests_per_10_seconds": "1000000", "searches_per_second": "1000000", "requests_per_day": "10000000"}
        return Connection(url=self.address, password=TOKEN, extra={**often, **extra})

    def tasks(self) -> list[dict[str, Any]]:
        return [{"id": str(task.id), **task.values} for task in self.portal.records("tasks")]

    def requests(self) -> dict[str, int]:
        found: dict[str, int] = requests.get(f"{self.address}/_control/requests", timeout=10).json()
        return found

    def plan(self, *faults: Fault) -> None:
        body = [vars(fault) for fault in faults]
        requests.post(f"{self.address}/_control/faults", json=body, timeout=10).raise_for_status()


def employ(account: Account, reps: Sequence[Rep]) -> None:
    """Make the reps that have an account here its owners."""
    account.portal.owners += [
        Owner(int(rep.user_id), int(rep.user_id), rep.email or "", rep.name, "", True) for rep in reps if rep.user_id
    ]


@contextmanager
def running_account(
    journal: Path | None = None, shown: CrmPicture | None = None, *, limits: Limits = FREE, **options: Any
) -> Iterator[Account]:
    """An account on a free loopback port, by default without limits and with a search that is never late."""
    app = build_app(journal, shown, limits=limits, **({"index_lag": 0.0} | options))
    with serve(app) as address:
        yield Account(address, app.state.portal)
