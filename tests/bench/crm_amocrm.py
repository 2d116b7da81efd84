"""amoCRM: a first load of deals with custom fields, against the time that 7 requests a second and 250 rows allow.

The account runs in a process of its own, counts its limit for real and takes its time for every answer, as the real
one does. Measured is `extract` as a whole: reading, landing with the archive, limits shared through the warehouse,
events, cursor.

    python -m tests.bench.crm_amocrm serve <deals> <folder>     (the account)
"""

import gc
import json
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.request import urlopen

from clients.connection import Connection
from extractors.core.run import extract
from simulators.amocrm import Integration, build_app
from simulators.amocrm.store import Portal
from simulators.amocrm.translate import PIPELINE_BASE, STATUS_BASE
from tests.bench.result import Result
from tests.support.amocrm import picture
from tests.support.delivery import serve
from warehouse.db import connect
from warehouse.settings import PROJECT_ROOT
from warehouse.sources import SourceConfig

DEALS = int(os.environ.get("POLKA_BENCH_AMOCRM_DEALS", "100000"))
PER_SECOND, PER_PAGE = 7, 250
LATENCY_SECONDS = 0.3
MEMORY_LIMIT_MB = 200
TWO_YEARS = 63_000_000
SOURCE = SourceConfig(id="amo_bench", kind="amocrm", connection="amo_bench", mapping="standard")


def run(database_url: str, say: Callable[[str], None]) -> list[Result]:
    """Measure in a migrated, empty warehouse."""
    with TemporaryDirectory() as folder, _account(DEALS, Path(folder)) as address:
        done = subprocess.run(
            [sys.executable, "-m", "tests.bench.crm_amocrm", "load", address, database_url],
            cwd=PROJECT_ROOT, check=True, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        measured = json.loads(done.stdout.splitlines()[-1])
        with urlopen(f"{address}/_control/refused") as answer:
            refused = json.load(answer)["refused"]
    with connect(database_url) as conn:
        row = conn.execute("select count(*) from raw.amocrm_deal where instance = %s", [SOURCE.id]).fetchone()
    # On a machine that is busy with other things a request may come late enough to be one too many.
    if row != (DEALS,) or refused > DEALS / PER_PAGE / 50:
        raise AssertionError(f"{row} of {DEALS} deals landed, {refused} requests were refused")
    say(f"  amoCRM: {DEALS} deals in {measured['seconds']:.1f} s, {refused} requests refused")
    case, allowed = f"amocrm_{DEALS // 1000}k_deals", DEALS / PER_PAGE / PER_SECOND
    return [
        Result(case, "time", "s", measured["seconds"], "policy_limit", allowed, at_most=1.2),
        Result(case, "peak memory", "MB", measured["peak_mb"], "limit", MEMORY_LIMIT_MB, at_most=1.0),
    ]


@contextmanager
def _account(deals: int, folder: Path) -> Iterator[str]:
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.crm_amocrm", "serve", str(deals), str(folder)],
        cwd=PROJECT_ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
    finally:
        server.terminate()
        server.wait(20)


def _serve(deals: int, folder: Path) -> None:
    app = build_app(folder, picture(), latency=LATENCY_SECONDS)
    _fill(app.portal, deals)
    gc.freeze()  # a sweep through so many records would hold up the answers
    gc.disable()
    with serve(app) as address:
        sys.stdout.write(address + "\n")
        sys.stdout.flush()
        while True:
            time.sleep(3600)


def _fill(portal: Portal, deals: int) -> None:
    """Deals of two years, most of them changed lately, as in real accounts."""
    dice = random.Random(7)
    portal.records["leads"].clear()
    index = portal.index["leads"]
    for number in list(index.shown()):
        index.put(number, None)
    fields = [field["id"] for field in portal.fields["leads"]]
    now = portal.now()
    for number in range(1, deals + 1):
        age = int(TWO_YEARS * dice.random() ** 2) + 7200
        record: dict[str, Any] = {
            "id": number, "name": f"Поставки: точка {number}", "price": dice.randrange(1000, 200_000),
            "responsible_user_id": 11 + number % 9, "group_id": 0, "created_by": 11, "updated_by": 11,
            "status_id": STATUS_BASE + 120, "pipeline_id": PIPELINE_BASE + 1, "loss_reason_id": None, "source_id": None,
            "created_at": now - age - 86_400, "updated_at": now - age, "closed_at": None, "closest_task_at": None,
            "is_deleted": False, "score": None, "company_id": 1000 + number % 700, "contact_ids": [number % 900 + 1],
            "elements": [], "custom": {field: [{"value": f"Значение {number % 97}"}] for field in fields},
        }  # fmt: skip
        portal.add("leads", record, quietly=True)


def _load(address: str, database_url: str) -> dict[str, float]:
    connection = Connection(url=address, password=Integration().long_lived_token)
    started = time.monotonic()
    extract(SOURCE, "deal", connection, database_url=database_url)
    seconds = time.monotonic() - started
    return {"seconds": seconds, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000}


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        _serve(int(sys.argv[2]), Path(sys.argv[3]))
    else:
        sys.stdout.write(json.dumps(_load(sys.argv[2], sys.argv[3])) + "\n")
