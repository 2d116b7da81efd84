"""A served Bitrix24 portal with a CRM for tests: where it is, what is in it, whose tokens open it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from simulators.bitrix24 import Crm, Limits, build_app
from simulators.bitrix24.crm import Method
from simulators.bitrix24.crm_world import build_world_app
from simulators.bitrix24.portal import BitrixUser
from simulators.world.build import World
from simulators.world.crm import CrmPicture, crm_on
from tests.support.delivery import NO_LIMITS, PortalHandle, employees, serve
from warehouse.sources import SourceConfig

DAY = date(2025, 6, 10)
SOURCE = SourceConfig(id="b24_main", kind="bitrix24", connection="b24_main", mapping="standard")


@cache
def picture() -> CrmPicture:
    """The CRM of the seeded world on a morning."""
    return crm_on(World(7, DAY), DAY)


@dataclass
class Clock:
    """The portal's clock; it moves when a test says so."""

    now: datetime = datetime(2025, 6, 10, 9, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, **span: float) -> None:
        self.now += timedelta(**span)


@dataclass
class CrmPortal(PortalHandle):
    """A running portal and the inside of its CRM; `crm_methods` may be replaced one by one."""

    crm: Crm
    clock: Clock
    crm_methods: dict[str, Method]


@contextmanager
def running_crm(
    folder: Path,
    *,
    of_the_world: bool = False,
    limits: Limits = NO_LIMITS,
    users: list[BitrixUser] | None = None,
    served_with: dict[str, Any] | None = None,
    **options: Any,
) -> Iterator[CrmPortal]:
    """A portal on a free loopback port, by default with an empty CRM and without limits.

    served_with: options of the web server, such as its certificate.
    """
    clock = Clock()
    crm = Crm("Europe/Moscow", clock)
    if of_the_world:
        app = build_world_app(folder / "portal.json", picture(), crm=crm, now=clock, limits=limits, **options)
    else:
        people = employees() if users is None else users
        app = build_app(folder / "portal.json", people, crm=crm, now=clock, limits=limits, **options)
    with serve(app, **(served_with or {})) as address:
        yield CrmPortal(address, crm, clock, app.state.methods)
