"""Runs all simulators on free loopback ports until SIGTERM; tells where they are in endpoints.json."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import secrets
import signal
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import uvicorn
from starlette.types import ASGIApp

from simulators.bitrix24 import WEBHOOK_CODE, BitrixUser
from simulators.bitrix24 import build_app as build_bitrix24
from simulators.bitrix24.crm import Crm
from simulators.bitrix24.crm_world import build_world_app as build_bitrix24_world
from simulators.bitrix24.crm_world import refill
from simulators.mail import MailSink, smtp_protocol
from simulators.onec.base import Base
from simulators.onec.connections import TrackedProtocol
from simulators.onec.exchange import ExchangePlan
from simulators.onec.faults import FaultPlan
from simulators.onec.server import PUBLICATION, OnecServer, Quirks
from simulators.world.build import Manager, World
from simulators.world.crm import CrmPicture, crm_on
from simulators.world.manifest import manifest
from simulators.world.onec import base_on
from simulators.world.plan import HORIZON_DAYS, LAST_DAYS
from simulators.world.reference import write as write_reference
from warehouse.clock import business_date

LOGIN = "Полка"
logger = logging.getLogger(__name__)


@dataclass
class Options:
    """What to serve. `anchor` is the day around which the seeded world's truths are planted."""

    world: Literal["seeded", "replay"]
    state_dir: Path
    as_of: date | None = None  # None: today, or the day after the last invoice of a replay
    anchor: date | None = None
    seed: int = 7
    horizon_days: int = 0  # a new world is planned so far ahead of its anchor, or as far as usual when that is more
    data: Path | None = None
    faults: Path | None = None
    quirks: Path | None = None
    configuration: str = "ut11"  # of the seeded world's 1C base: ut11, unf or bp30
    also: tuple[str, ...] = ()  # further CRMs to serve: amocrm, hubspot


def write_json(path: Path, payload: Any) -> None:
    """Write a file so that a reader sees the old one or the whole new one."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(json.dumps(payload, ensure_ascii=False, indent=2), encoding="utf-8")
    temporary.replace(path)


class SeededDay:
    """The seeded world served as of one day, and moved to a later one."""

    def __init__(self, options: Options, day: date) -> None:
        self._folder = options.state_dir
        self._configuration = options.configuration
        self._shows: list[Callable[[CrmPicture], object]] = []
        self.world = self._world(options, day)
        self.base = Base([], plan=ExchangePlan())
        self.move(day)
        picture = crm_on(self.world, day)
        crm = Crm("Europe/Moscow", lambda: datetime.now(UTC))
        self._shows.append(lambda later: refill(crm, later))
        self.bitrix24: ASGIApp = build_bitrix24_world(options.state_dir / "bitrix24.json", picture, crm=crm)
        self.others = {name: self._crm(name, picture) for name in options.also}

    def _world(self, options: Options, day: date) -> World:
        """The world of the state folder, so that a later start serves the same one some days on."""
        path = self._folder / "world.json"
        known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        if known.get("seed") != options.seed:
            known = {}
        anchor = options.anchor or (date.fromisoformat(known["anchor"]) if known else day)
        horizon = int(known.get("horizon_days") or max(HORIZON_DAYS, options.horizon_days))
        if not anchor <= day <= anchor + timedelta(days=horizon - LAST_DAYS):
            raise SystemExit(
                f"The world of {self._folder} was made around {anchor} and cannot be served as of {day}:"
                " start with an empty --state-dir (and an empty warehouse)."
            )
        write_json(path, {"seed": options.seed, "anchor": anchor.isoformat(), "horizon_days": horizon})
        return World(options.seed, anchor, horizon_days=horizon)

    def move(self, day: date) -> dict[str, Any]:
        """Serve the morning of `day` and write its manifest."""
        self.base.become(base_on(self.world, day, self._configuration))
        if self._shows:
            picture = crm_on(self.world, day)
            for show in self._shows:
                show(picture)
        truths = manifest(self.world, day)
        write_reference(self.world, self._folder / "reference")
        write_json(self._folder / "manifest.json", truths)
        return {"as_of": truths["as_of"], "planted": len(truths["planted"])}

    def _crm(self, name: str, picture: CrmPicture) -> tuple[ASGIApp, str]:
        """A further CRM that shows this world, and the token that its API takes."""
        folder = self._folder / name
        folder.mkdir(exist_ok=True)
        if name == "amocrm":
            from simulators.amocrm import Integration
            from simulators.amocrm import build_app as build_amocrm

            integration = Integration()
            account = build_amocrm(folder, picture, integration=integration)
            self._shows.append(account.show)
            return account, integration.long_lived_token
        if name == "hubspot":
            from simulators.hubspot import TOKEN, fill
            from simulators.hubspot import build_app as build_hubspot

            app = build_hubspot(folder / "written.jsonl", picture)
            self._shows.append(lambda later: fill(app.state.portal, later))
            return app, TOKEN
        raise SystemExit(f"No such CRM to serve: {name}")


@dataclass(frozen=True)
class _Served:
    """The systems of one world. `others` (application, token) are served beside 1C and Bitrix24."""

    base: Base
    bitrix24: ASGIApp
    others: Mapping[str, tuple[ASGIApp, str]] = field(default_factory=dict)
    on_day: Callable[[str], Any] | None = None


def _build(options: Options) -> _Served:
    if options.world == "seeded":
        seeded = SeededDay(options, options.as_of or business_date())
        return _Served(seeded.base, seeded.bitrix24, seeded.others, lambda text: seeded.move(date.fromisoformat(text)))
    from simulators.replay import Replay  # pandas is slow to import

    if options.data is None:
        raise SystemExit("serve --world replay needs --data FILE")
    replay = Replay.read(options.data)
    write_json(options.state_dir / "manifest.json", replay.manifest())
    users = [_portal_user(number, manager) for number, manager in enumerate(replay.managers(), start=11)]
    return _Served(replay.base(), build_bitrix24(options.state_dir / "bitrix24.json", users))


def _portal_user(number: int, manager: Manager) -> BitrixUser:
    surname, name, *patronymic = manager.name.split()
    return BitrixUser(str(number), manager.email, name, surname, " ".join(patronymic), "Торговый представитель")


def free_socket() -> socket.socket:
    """A listening socket on a free loopback port."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", 0))
    return listener


class _Server(uvicorn.Server):
    """One of several servers in a process: signals are handled once, by `run`."""

    def __init__(self, app: ASGIApp) -> None:
        config = uvicorn.Config(
            app, http=TrackedProtocol, lifespan="off", log_config=None, access_log=False, timeout_keep_alive=120
        )
        super().__init__(config)

    def install_signal_handlers(self) -> None:  # pragma: no cover - older uvicorn
        return


async def run(options: Options) -> None:
    """Serve until SIGTERM or SIGINT."""
    options.state_dir.mkdir(parents=True, exist_ok=True)
    endpoints_path = options.state_dir / "endpoints.json"
    endpoints_path.unlink(missing_ok=True)
    served = _build(options)
    password = secrets.token_urlsafe(12)
    faults = FaultPlan.parse(json.loads(options.faults.read_text(encoding="utf-8"))) if options.faults else FaultPlan()
    quirks = Quirks(**json.loads(options.quirks.read_text(encoding="utf-8"))) if options.quirks else Quirks()
    onec = OnecServer(served.base, LOGIN, password, quirks=quirks, faults=faults, on_day=served.on_day)

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    sink = MailSink(options.state_dir / "mail")
    mail = await loop.create_server(lambda: smtp_protocol(sink), "127.0.0.1", 0)
    apps: list[ASGIApp] = [onec.app, served.bitrix24, *(app for app, _ in served.others.values())]
    servers = [_Server(app) for app in apps]
    sockets = [free_socket() for _ in servers]
    tasks = [
        asyncio.create_task(server._serve([listener]))  # without uvicorn's own signal handling
        for server, listener in zip(servers, sockets, strict=True)
    ]
    while not all(server.started for server in servers):
        await asyncio.sleep(0.01)
    ports = [listener.getsockname()[1] for listener in sockets]
    host, mail_port = mail.sockets[0].getsockname()[:2]
    write_json(
        endpoints_path,
        {
            "pid": os.getpid(),
            "world": options.world,
            "onec": {"url": f"http://127.0.0.1:{ports[0]}{PUBLICATION}", "login": LOGIN, "password": password},
            "bitrix24": {"url": f"http://127.0.0.1:{ports[1]}/rest/1/{WEBHOOK_CODE}/"},
            **{
                name: {"url": f"http://127.0.0.1:{port}", "token": token}
                for (name, (_, token)), port in zip(served.others.items(), ports[2:], strict=True)
            },
            "smtp": {"host": host, "port": mail_port},
        },
    )
    endpoints_path.chmod(0o600)
    logger.info("serving the %s world", options.world)
    await stop.wait()
    endpoints_path.unlink(missing_ok=True)
    mail.close()
    for server in servers:
        server.should_exit = True
        server.force_exit = True
    await asyncio.gather(*tasks, return_exceptions=True)
