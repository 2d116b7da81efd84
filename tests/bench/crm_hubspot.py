"""HubSpot: a first load of deals with own fields and product rows, against the time that the account's limits allow.

The account runs in a process of its own, counts its limits for real and takes its time for every answer, as the real
one does. Measured is `extract` as a whole: list in lanes, product rows, landing with the archive, limits shared through
the warehouse, cursor.

    python -m tests.bench.crm_hubspot serve <deals>     (the account)
"""

import gc
import json
import math
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from urllib.request import urlopen

from clients.connection import Connection
from extractors.core.run import extract
from simulators.hubspot import TOKEN, Limits, Portal, build_app
from simulators.hubspot.portal import Seeded
from tests.bench.result import Result
from tests.support.delivery import serve
from warehouse.db import connect
from warehouse.settings import PROJECT_ROOT
from warehouse.sources import SourceConfig

DEALS = int(os.environ.get("POLKA_BENCH_HUBSPOT_DEALS", "100000"))
LIMITS = Limits()  # of a Professional account
PER_PAGE, PER_BATCH = 100, 100
LATENCY_SECONDS = 0.3
MEMORY_LIMIT_MB = 200
SOURCE = SourceConfig(id="hubspot_bench", kind="hubspot", connection="hubspot_bench", mapping="standard")


def run(database_url: str, say: Callable[[str], None]) -> list[Result]:
    """Measure in a migrated, empty warehouse."""
    with _account(DEALS) as address:
        done = subprocess.run(
            [sys.executable, "-m", "tests.bench.crm_hubspot", "load", address, database_url],
            cwd=PROJECT_ROOT, check=True, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        measured = json.loads(done.stdout.splitlines()[-1])
        with urlopen(f"{address}/_control/requests") as answer:
            requests: dict[str, int] = json.load(answer)
    with connect(database_url) as conn:
        row = conn.execute("select count(*) from raw.hubspot_deal where instance = %s", [SOURCE.id]).fetchone()
        lines = conn.execute(
            "select count(*) from raw.hubspot_deal_product where instance = %s", [SOURCE.id]
        ).fetchone()
    refused = requests.get("refused", 0)
    if row != (DEALS,) or lines != (DEALS,):
        raise AssertionError(f"{row} deals and {lines} product rows of {DEALS} landed")
    # One request per page of deals and one per hundred product rows. The requests of one span may leave at once, those
    # of the next one when it is over.
    needed = math.ceil(DEALS / PER_PAGE) + math.ceil(DEALS / PER_BATCH)
    allowed = (math.ceil(needed / LIMITS.requests) - 1) * LIMITS.seconds
    sent = sum(count for name, count in requests.items() if name != "refused")
    say(f"  HubSpot: {DEALS} deals in {measured['seconds']:.1f} s, {sent} requests for {needed}, {refused} refused")
    case = f"hubspot_{DEALS // 1000}k_deals"
    return [
        Result(case, "time", "s", measured["seconds"], "policy_limit", allowed, at_most=1.2),
        Result(case, "peak memory", "MB", measured["peak_mb"], "limit", MEMORY_LIMIT_MB, at_most=1.0),
    ]


@contextmanager
def _account(deals: int) -> Iterator[str]:
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.crm_hubspot", "serve", str(deals)],
        cwd=PROJECT_ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
    finally:
        server.terminate()
        server.wait(20)


def _serve(deals: int) -> None:
    app = build_app(None, limits=LIMITS, latency=LATENCY_SECONDS)
    _fill(app.state.portal, deals)
    gc.freeze()  # a sweep through so many records would hold up the answers
    gc.disable()
    with serve(app) as address:
        sys.stdout.write(address + "\n")
        sys.stdout.flush()
        while True:
            time.sleep(3600)


def _fill(portal: Portal, deals: int) -> None:
    """Deals of two years with a company and a product row each; ids with gaps, as in real accounts."""
    dice = random.Random(7)
    for name in ("competitor", "monthly_volume", "agreed_cadence"):
        portal.define("deals", {"name": name}, of_the_world=True)
    now = datetime.now(UTC)
    companies = range(5_000_000_001, 5_000_000_701)
    born = now - timedelta(days=800)
    portal.show(Seeded("companies", number, {"name": f"Компания {number}"}, born, born) for number in companies)

    def seeded() -> Iterator[Seeded]:
        number = 9_000_000_000
        for _ in range(deals):
            number += dice.choice((1, 1, 2, 7, 400))
            at = now - timedelta(seconds=7200 + 63_000_000 * dice.random() ** 2)
            item = number + 10_000_000_000
            row: dict[str, str | None] = {"name": "Кефир", "quantity": "10", "price": "66.80", "amount": "668.00"}
            yield Seeded("line_items", item, row, at, at)
            yield Seeded(
                "deals", number,
                {
                    "dealname": f"Поставки: точка {number}", "amount": f"{dice.randrange(1000, 200_000)}.50",
                    "pipeline": "default", "dealstage": "contractsent", "hs_is_closed": "false",
                    "hs_is_closed_won": "false", "deal_currency_code": "RUB", "competitor": "Молторг",
                    "monthly_volume": "120000.50", "agreed_cadence": "пн,чт",
                },
                at, at, links=[("companies", companies[number % 700], True), ("line_items", item, False)],
            )  # fmt: skip

    portal.show(seeded())


def _load(address: str, database_url: str) -> dict[str, float]:
    connection = Connection(url=address, password=TOKEN)
    started = time.monotonic()
    extract(SOURCE, "deal", connection, database_url=database_url)
    seconds = time.monotonic() - started
    return {"seconds": seconds, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000}


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        _serve(int(sys.argv[2]))
    else:
        sys.stdout.write(json.dumps(_load(sys.argv[2], sys.argv[3])) + "\n")
