"""100,000 deals with custom fields out of a Bitrix24 portal that counts its limits as the real one does.

Each client runs in a process of its own against a fresh portal (also a process): two requests a second after a burst of
fifty, a list command costs the portal 40 ms of work, four requests are worked on at a time. Peers:

policy_limit    what these rules allow: 40 batches of 50 commands of 50 rows, within the burst, plus the portal's work
plain_loop      page by page by offset, slowing down when refused; a part is measured, the rest goes on at its pace
fast_bitrix24   the public client, with its own way of keeping to the policy

    python -m tests.bench.crm_bitrix24 <server|ours|landed|fast_bitrix24|plain_loop> <address> <database>
"""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from clients.connection import Connection
from polka.airflow_env import BOUNDED_MEMORY
from simulators.bitrix24 import WEBHOOK_CODE, Crm, Limits, build_app
from simulators.bitrix24.portal import BitrixUser, Page
from simulators.bitrix24.shapes import DEAL, older_view
from tests.bench.result import Result
from warehouse.settings import PROJECT_ROOT, child_environment

DEALS = 100_000
BATCHES = DEALS // 2500
COMMAND_SECONDS = 0.04
WORKERS = 4
DRAIN, BURST = 2.0, 50.0
PLAIN_PAGES = 110
MEGABYTES = 200
CASE = "bitrix24_100k_deals"
SUSTAINED_FROM = 60


def run(database_url: str, say: Callable[[str], None]) -> list[Result]:
    """Measure ours and the peers, one after the other, in a migrated, empty warehouse."""
    measured: dict[str, dict[str, float]] = {}
    for client in ("ours", "landed", "fast_bitrix24", "plain_loop"):
        with _portal() as address:
            measured[client] = _client(client, address, database_url)
            refused = requests.get(f"{address}/_control/calls", timeout=10).json().get("_refused", 0)
            measured[client]["refused"] = refused
        say(f"  Bitrix24 {client}: {measured[client]['seconds']:.1f} s, {refused} requests refused")
    ours, landed = measured["ours"], measured["landed"]
    policy = max(0.0, (BATCHES - BURST) / DRAIN) + DEALS / 50 * COMMAND_SECONDS / WORKERS
    plain, fast = measured["plain_loop"], measured["fast_bitrix24"]
    results = [
        Result(CASE, "time", "s", ours["seconds"], "policy_limit", policy, at_most=1.2),
        Result(CASE, "speed", "rows/s", DEALS / ours["seconds"], "plain_loop", DEALS / plain["seconds"], at_least=10.0),
        Result(
            CASE, "speed", "rows/s", DEALS / ours["seconds"], "fast_bitrix24", DEALS / fast["seconds"], at_least=1.0
        ),
        Result(CASE, "memory", "MB", ours["megabytes"], "bound", MEGABYTES, at_most=1.0),
        Result(CASE, "memory", "MB", ours["megabytes"], "fast_bitrix24", fast["megabytes"]),
        Result(CASE, "limit errors", "", ours["refused"], "requests", float(BATCHES), at_most=0.0),
    ]
    return [
        *results,
        Result(f"{CASE}_landed", "time", "s", landed["seconds"], "policy_limit", policy, at_most=1.2),
        Result(f"{CASE}_landed", "memory", "MB", landed["megabytes"], "bound", MEGABYTES, at_most=1.0),
    ]


@contextmanager
def _portal() -> Iterator[str]:
    """A fresh portal in a process of its own; gives its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.crm_bitrix24", "server", "-", "-"],
        cwd=PROJECT_ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()


def _client(name: str, address: str, database_url: str) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.crm_bitrix24", name, address, database_url],
        cwd=PROJECT_ROOT,
        env=child_environment(BOUNDED_MEMORY),  # as the tasks of Airflow have it; for the peers as well
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _told(started: float, rows: int, seconds: float | None = None) -> None:
    if rows != DEALS:
        raise SystemExit(f"{rows} rows came instead of {DEALS}")
    spent = time.monotonic() - started if seconds is None else seconds
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(json.dumps({"seconds": round(spent, 2), "megabytes": round(megabytes)}) + "\n")


# --- the portal ---


def serve() -> None:
    """A portal full of deals, until it is killed."""
    import tempfile
    from datetime import UTC, datetime

    from tests.support.delivery import serve as serve_app

    crm = Crm("Europe/Moscow", lambda: datetime(2025, 6, 10, 9, tzinfo=UTC))
    for number in range(1, DEALS + 1):
        crm.items[DEAL.number].add(_deal(number), number)
    limits = Limits(
        DRAIN, BURST, operating_cost=tuple((m, COMMAND_SECONDS) for m in ("crm.item.list", "crm.deal.list")),
        workers=WORKERS,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        users = [BitrixUser("1", "integration@portal.example", "Интеграция", "")]
        app = build_app(Path(folder) / "portal.json", users, limits=limits, crm=crm)
        methods, shown = app.state.methods, {}
        items, rows = crm.items[DEAL.number], crm.items[DEAL.number].rows
        for number, row in rows.items():
            shown[number] = older_view(row, DEAL, ["*", "UF_*"])
        universal = methods["crm.item.list"]

        def older_list(params: dict[str, Any], user: str) -> Page:
            # What a real portal has in its memory, this one has ready: the time of a command is its 40 ms.
            page = universal({**params, "entityTypeId": 2, "select": ["id"], "filter": {}, "order": {}}, user)
            return Page([shown[row["id"]] for row in page.result["items"]], page.total, page.next)

        methods["crm.deal.list"] = older_list
        assert len(items.order) == DEALS
        with serve_app(app) as address:
            sys.stdout.write(address + "\n")
            sys.stdout.flush()
            time.sleep(3600)


def _deal(number: int) -> dict[str, Any]:
    moment = f"2024-{1 + number % 12:02d}-{1 + number % 28:02d}T10:{number % 60:02d}:00+03:00"
    custom = {f"UF_CRM_{1700000000 + field}": f"значение {number * field % 9973}" for field in range(12)}
    fields = {
        "id": number,
        "title": f"Сделка № {number}",
        "opportunity": number * 1.25,
        "stageId": "WON" if number % 3 else "NEW",
        "stageSemanticId": "S" if number % 3 else "P",
        "companyId": 1 + number % 20_000,
        "contactId": 1 + number % 30_000,
        "contactIds": [1 + number % 30_000],
        "createdTime": moment,
        "updatedTime": moment,
        "movedTime": moment,
        "lastActivityTime": moment,
        "hasProducts": "N",
    }
    return {**DEAL.defaults, **fields, **custom}


# --- the clients ---


def read_ours(address: str, database_url: str) -> None:
    """Our feed, every record gone through and let go."""
    from clients.bitrix24 import Bitrix24Client
    from extractors.bitrix24.feeds import ListFeed
    from warehouse.settings import get_settings

    started = time.monotonic()
    client = Bitrix24Client(Connection(_webhook(address)), longest_pause=900.0)
    rows = 0
    for batch in ListFeed(client, "deal", parallel=get_settings().bitrix24_parallel).batches(None, None):
        rows += (batch.body or b"").count(b'{"of":"deal"')
    _told(started, rows)


def read_and_land(address: str, database_url: str) -> None:
    """The whole way into the warehouse: decoded, archived, within limits shared through it."""
    from extractors.core.run import extract, register_source
    from warehouse.db import connect
    from warehouse.sources import SourceConfig

    source = SourceConfig(id="b24_bench", kind="bitrix24", connection="b24", mapping="standard")
    with connect(database_url, autocommit=True) as conn:
        register_source(conn, source)
    started = time.monotonic()
    outcome = extract(source, "deal", Connection(_webhook(address)), database_url=database_url)
    _told(started, outcome.rows_inserted)


def read_by_fast_bitrix24(address: str, database_url: str) -> None:
    from fast_bitrix24 import Bitrix

    started = time.monotonic()
    rows = Bitrix(_webhook(address), verbose=False).get_all("crm.deal.list", {"select": ["*", "UF_*"]})
    _told(started, len(rows))


def read_plainly(address: str, database_url: str) -> None:
    """Page after page; the time of all pages is the measured part and the rest at its last pace."""
    session, started, moments = requests.Session(), time.monotonic(), []
    while len(moments) < PLAIN_PAGES:
        query = {"select": ["*", "UF_*"], "start": len(moments) * 50}
        answer = session.post(f"{_webhook(address)}crm.deal.list", json=query, timeout=60)
        if answer.status_code == 503:
            time.sleep(0.5)
            continue
        moments.append(time.monotonic() - started)
        assert len(answer.json()["result"]) == 50
    pace = (moments[-1] - moments[SUSTAINED_FROM]) / (len(moments) - 1 - SUSTAINED_FROM)
    _told(started, DEALS, moments[-1] + (DEALS / 50 - PLAIN_PAGES) * pace)


def _webhook(address: str) -> str:
    return f"{address}/rest/1/{WEBHOOK_CODE}/"


if __name__ == "__main__":
    {
        "server": lambda address, database_url: serve(),
        "ours": read_ours,
        "landed": read_and_land,
        "fast_bitrix24": read_by_fast_bitrix24,
        "plain_loop": read_plainly,
    }[sys.argv[1]](*sys.argv[2:])
