"""What the tests of the delivery share: a portal and a mail server that really listen, marts made by hand."""

import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Literal

import requests
import uvicorn
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from starlette.applications import Starlette

from clients.connection import Connection
from simulators.bitrix24 import WEBHOOK_CODE, BitrixUser, Fault, Limits, build_app
from warehouse.db import connect

AS_OF = date(2025, 6, 10)
INSTANCE = "onec_main"
SOUTH, NORTH = "branch-south", "branch-north"
NO_LIMITS = Limits(drain_per_second=10_000, burst=100_000)

MARTS = """
create table marts.follow_up (
    followup_id text not null, as_of date not null, instance text not null, client_id text not null, client_name text,
    branch_id text not null, branch_name text, manager_id text, manager_name text, reasons text[] not null,
    rule_id text not null, rule_version integer not null, outlets_total integer not null,
    outlets_affected integer not null, outlet_ids text[] not null, money_at_risk numeric(18, 2) not null,
    list_rank integer not null, confidence text not null, evidence jsonb not null,
    is_holdout boolean not null default false, daily_calls integer, keep_rank integer,
    unique (as_of, instance, client_id)
);
create table marts.order_expectation (
    as_of date not null, instance text not null, outlet_id text not null, client_id text, branch_id text,
    manager_id text, status text not null
);
create table marts.fct_order_occasion (
    instance text, outlet_id text, ordered_on date, orders_total bigint, amount_with_vat numeric(18, 2)
);
create table marts.fct_order_line (instance text, outlet_id text, ordered_on date, ordered_at timestamptz);
create table marts.follow_up_outcome (
    as_of date not null, instance text not null, followup_id text not null, client_id text not null, manager_id text,
    rule_id text not null, is_told boolean not null, is_complete boolean, ordered_on date,
    came_amount numeric(18, 2) not null, is_self_cured boolean, is_false_alarm boolean not null
);
create table marts.follow_up_precision (
    instance text, rule_id text, manager_id text, told_rows integer, right_rows integer, wrong_rows integer,
    unknown_rows integer, came_amount numeric(18, 2)
);
create table intermediate.int_manager_contact (
    instance text, manager_id text, manager_name text, email text, phone text, is_active boolean
);
create table intermediate.int_client_contact (
    instance text, client_id text, outlet_id text, outlet_name text, phone text, email text
);
"""


@dataclass(frozen=True)
class Go:
    """A verdict of the gate."""

    branch_id: str = SOUTH
    instance: str = INSTANCE
    verdict: Literal["go", "hold"] = "go"
    reason_ru: str | None = None
    reason_en: str | None = None


def hold(branch_id: str, reason: str) -> Go:
    return Go(branch_id, INSTANCE, "hold", reason, reason)


@dataclass(frozen=True)
class Rep:
    """A manager of the world; `user_id` is his employee in the portal, None when he has none."""

    manager_id: str
    name: str
    email: str | None
    user_id: str | None


REPS = (
    Rep("m1", "Иванов Пётр", "ivanov@distributor.example", "11"),
    Rep("m2", "Орлова Анна", "orlova@distributor.example", "12"),
    Rep("m3", "Кузнецов Олег", "kuznetsov@distributor.example", "13"),
)


def outlet(number: int | str, **changes: Any) -> dict[str, Any]:
    """Evidence of one outlet: weekly on Mondays by agreement, two orders missed."""
    return {
        "outlet_id": f"outlet-{number}",
        "name": f"Продукты № {number}",
        "format": "Магазин у дома",
        "address": f"Ленина, {number}",
        "basis": "agreed",
        "cadence_days": 7.0,
        "weekdays": "пн",
        "every_weeks": 1,
        "last_ordered_on": "2025-05-26",
        "last_order_number": f"УТ-{number}",
        "due_on": "2025-06-02",
        "missed_due_dates": ["2025-06-02", "2025-06-09"],
        "missed_cycles": 2,
        "median_amount": 18400.00,
        "usual_positions": 10,
        "money_at_risk": 36800.00,
        **changes,
    }


def follow_up(number: int, *, rep: Rep | None = REPS[0], **changes: Any) -> dict[str, Any]:
    """A row of marts.follow_up as the mart would hold it."""
    outlets = changes.pop("outlets", None) or [outlet(number)]
    row = {
        "followup_id": f"{number:032x}",
        "as_of": AS_OF,
        "instance": INSTANCE,
        "client_id": f"client-{number}",
        "client_name": f"ИП Петрова, магазин {number}",
        "branch_id": SOUTH,
        "branch_name": "Юг",
        "manager_id": rep.manager_id if rep else None,
        "manager_name": rep.name if rep else None,
        "reasons": ["missed_order"],
        "rule_id": "missed_order",
        "rule_version": 1,
        "outlets_total": len(outlets),
        "outlets_affected": len(outlets),
        "outlet_ids": [item["outlet_id"] for item in outlets],
        "money_at_risk": sum(Decimal(str(item["money_at_risk"])) for item in outlets),
        "list_rank": number,
        "confidence": "ok",
        "evidence": {
            "outlets": outlets,
            "next_shipping_day": "2025-06-11",
            "data_as_of": "2025-06-10T03:10:00Z",
        },
    }
    return {**row, **changes}


def build_marts(url: str, rows: Sequence[Mapping[str, Any]], reps: Sequence[Rep] = REPS) -> None:
    """Hand-made marts: the rows, an expectation for each of their outlets, contacts of the reps and clients."""
    with connect(url) as conn:
        conn.execute(MARTS)
        for rep in reps:
            conn.execute(
                "insert into intermediate.int_manager_contact values (%s, %s, %s, %s, null, true)",
                [INSTANCE, rep.manager_id, rep.name, rep.email],
            )
    add_rows(url, rows)


def add_rows(url: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """More rows of marts.follow_up, with an expectation and a phone for each of their outlets."""
    with connect(url) as conn:
        for row in rows:
            values = {**row, "evidence": json.dumps(row["evidence"], ensure_ascii=False)}
            names = ", ".join(values)
            places = ", ".join(f"%({name})s" for name in values)
            conn.execute(f"insert into marts.follow_up ({names}) values ({places})", values)
            for outlet_id in row["outlet_ids"]:
                conn.execute(
                    "insert into marts.order_expectation values (%s, %s, %s, %s, %s, %s, 'missed_order')",
                    [row["as_of"], INSTANCE, outlet_id, row["client_id"], row["branch_id"], row["manager_id"]],
                )
                conn.execute(
                    "insert into intermediate.int_client_contact values (%s, %s, %s, null, %s, null)",
                    [INSTANCE, row["client_id"], outlet_id, "+7 900 000-00-01"],
                )


def add_quiet_outlets(url: str, rep: Rep, count: int, branch_id: str = SOUTH, as_of: date = AS_OF) -> None:
    """Outlets that ordered as expected."""
    with connect(url) as conn:
        conn.execute(
            "insert into marts.order_expectation select %s, %s, 'quiet-' || n, 'quiet-' || n, %s, %s, 'on_time' "
            "from generate_series(1, %s) as n",
            [as_of, INSTANCE, branch_id, rep.manager_id, count],
        )


def ledger_rows(url: str, channel: str | None = None) -> list[dict[str, Any]]:
    """The delivery ledger, by client and channel."""
    with connect(url) as conn:
        cursor = conn.execute(
            "select * from ops.delivery_ledger where %s::text is null or channel = %s order by client_id, channel",
            [channel, channel],
        )
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def states(url: str, channel: str) -> dict[str, str]:
    """client_id -> state."""
    return {row["client_id"]: row["state"] for row in ledger_rows(url, channel)}


def lapse_leases(url: str) -> None:
    """As if the senders had died long ago."""
    with connect(url) as conn:
        conn.execute("update ops.delivery_ledger set lease_until = now() - interval '1 second' where state = 'sending'")
        conn.execute("update ops.notice_ledger set lease_until = now() - interval '1 second' where state = 'sending'")


# --- the portal ---


@dataclass
class PortalHandle:
    """A running portal: where it is and what came of the calls."""

    address: str

    @property
    def url(self) -> str:
        return f"{self.address}/rest/1/{WEBHOOK_CODE}/"

    def connection(self, **extra: str) -> Connection:
        return Connection(url=self.url, extra={"requests_per_second": "10000", "burst": "100000", **extra})

    def tasks(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = requests.get(f"{self.address}/_control/tasks", timeout=10).json()
        return found

    def calls(self) -> dict[str, int]:
        found: dict[str, int] = requests.get(f"{self.address}/_control/calls", timeout=10).json()
        return found

    def plan(self, *faults: Fault) -> None:
        body = [vars(fault) for fault in faults]
        requests.post(f"{self.address}/_control/faults", json=body, timeout=10).raise_for_status()


@contextmanager
def serve(app: Starlette, **options: Any) -> Iterator[str]:
    """Run an ASGI application on a free loopback port in a thread; gives its address."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(100)
        config = uvicorn.Config(app, log_level="error", lifespan="off", timeout_graceful_shutdown=1, **options)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        deadline = time.monotonic() + 60
        while not server.started:
            if time.monotonic() > deadline:
                raise TimeoutError("the server did not start")
            time.sleep(0.01)
        scheme = "https" if options.get("ssl_certfile") else "http"
        try:
            yield f"{scheme}://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(10)


def employees(reps: Sequence[Rep] = REPS) -> list[BitrixUser]:
    """The portal's employees: the reps that have an account."""
    return [
        BitrixUser(rep.user_id, rep.email or "", rep.name.split()[-1], rep.name.split()[0])
        for rep in reps
        if rep.user_id
    ]


@contextmanager
def running_portal(
    state: Path, users: Sequence[BitrixUser] | None = None, *, limits: Limits = NO_LIMITS, **options: Any
) -> Iterator[PortalHandle]:
    """A portal with the reps as employees, by default without limits."""
    app = build_app(state, list(employees() if users is None else users), limits=limits, **options)
    with serve(app) as address:
        yield PortalHandle(address)


# --- the mail server ---

MailFault = Literal["refuse_recipient", "busy", "lost_after_data", "lost_before_data"]


@dataclass
class MailServer:
    """A real SMTP server; `messages` hold what it took, `faults` what happens to the next ones."""

    host: str = ""
    port: int = 0
    messages: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    faults: list[MailFault | None] = field(default_factory=list)
    connections: int = 0

    def connection(self) -> Connection:
        return Connection(url=f"{self.host}:{self.port}")

    def next_fault(self, *kinds: MailFault) -> bool:
        if self.faults and self.faults[0] in kinds:
            self.faults.pop(0)
            return True
        return False

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        self.connections += 1
        session.host_name = hostname
        return responses

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.next_fault("refuse_recipient"):
            return f"550 <{address}> no such mailbox"
        if self.next_fault("busy"):
            return "451 try later"
        if self.next_fault("lost_before_data"):
            server.transport.abort()
            return "250 OK"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        content = envelope.content
        raw = content if isinstance(content, bytes) else (content or "").encode()
        message = message_from_bytes(raw, policy=policy.default)
        self.messages.append(message)  # type: ignore[arg-type]
        self.recipients += envelope.rcpt_tos
        if self.next_fault("lost_after_data"):
            server.transport.abort()
        elif self.faults and self.faults[0] is None:
            self.faults.pop(0)
        return "250 OK queued"


@contextmanager
def running_mail_server() -> Iterator[MailServer]:
    """A mail server on a free loopback port."""
    server = MailServer(host="127.0.0.1")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        server.port = probe.getsockname()[1]
    controller = Controller(server, hostname="127.0.0.1", port=server.port, ready_timeout=20)
    controller.start()
    try:
        yield server
    finally:
        controller.stop()


def closed_port() -> int:
    """A port where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
