"""A load through HTTP from a simulated 1C base that works on few requests at once, against two other ways to fetch it.

Every request costs the base WORK_SECONDS, four are worked on at once. Peers ask for the same records in pages of the
size that our reader settled on: one request after another with `requests`, as a plain script does (some of the pages
only, rates are compared), and so many at once that the base is never idle, which is the least time in which it can give
its records away. Neither stores anything; ours is measured to the end, with the last commit, statistics and the end of
its sessions.

A catalog is loaded before, by ours too: a base describes itself once a day (`$metadata`) and not once a load, and the
simulated one sorts its records when it is first asked. Ours and the busy base take turns, medians count.
"""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests

from clients.connection import Connection
from extractors.core.run import extract
from warehouse.settings import PROJECT_ROOT, child_environment
from warehouse.sources import SourceConfig

WORK_SECONDS = 0.5
PARALLEL = 4
PAGE_TARGET_BYTES = 2_000_000  # the seeded base is small: this way it has many pages, like a grown one
REPEATS = 3
SEQUENTIAL_SHARE = 4  # of so many pages the plain loop asks for one
ENTITY, SET = "order", "Document_ЗаказКлиента"
CATALOG = "organisation"
ORDER = "&$orderby=Ref_Key"


@dataclass(frozen=True)
class Figures:
    """Seconds of the whole load, of the plain loop if it asked for all pages, and of the base when it is kept busy."""

    records: int
    pages: int
    ours: float
    sequential: float
    busy: float


def measure(url: str, folder: Path, latency: float) -> Figures:
    """Load all orders of the seeded base into the warehouse at `url`; the way takes `latency` seconds."""
    environment = child_environment({"POLKA_ONEC_PAGE_TARGET_BYTES": str(PAGE_TARGET_BYTES)})
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.landing_http", url, str(folder), str(latency)],
        cwd=PROJECT_ROOT, check=True, stdout=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    return Figures(**json.loads(done.stdout.splitlines()[-1]))


def _measure(url: str, folder: Path, latency: float) -> Figures:
    quirks = {"latency_seconds": latency, "work_seconds": WORK_SECONDS, "parallel_limit": PARALLEL}
    with _serving(folder, quirks) as base:
        ours: list[float] = []
        busy: list[float] = []
        for repeat in range(REPEATS):
            source = SourceConfig(
                id=f"http_{int(latency * 1000)}_{repeat}", kind="onec", connection="x", parallel_requests=PARALLEL
            )
            extract(source, CATALOG, base, database_url=url, triggered_by="bench")
            started = time.perf_counter()
            outcome = extract(source, ENTITY, base, database_url=url, triggered_by="bench")
            ours.append(time.perf_counter() - started)
            size = -(-outcome.rows_inserted // outcome.pages)
            places = range(0, outcome.rows_inserted, size)
            busy.append(_busy(base, places, size))
        some = places[::SEQUENTIAL_SHARE]
        started = time.perf_counter()
        with requests.Session() as session:
            for skip in some:
                _page(session, base, skip, size)
        sequential = (time.perf_counter() - started) * len(places) / len(some)
    return Figures(outcome.rows_inserted, outcome.pages, statistics.median(ours), sequential, statistics.median(busy))


def _busy(base: Connection, places: range, size: int) -> float:
    """Seconds in which the base gives all pages away when it never waits for a request."""
    started = time.perf_counter()
    with ThreadPoolExecutor(PARALLEL * 2) as pool:
        list(pool.map(lambda skip: _page(requests.Session(), base, skip, size), places))
    return time.perf_counter() - started


def _page(session: requests.Session, base: Connection, skip: int, size: int) -> Any:
    answer = session.get(
        f"{base.url}/{quote(SET)}?$format=json;odata=nometadata&$skip={skip}&$top={size}{ORDER}",
        auth=((base.login or "").encode(), (base.password or "").encode()),
        timeout=120,
    )
    answer.raise_for_status()
    return json.loads(answer.content)["value"]


@contextmanager
def _serving(folder: Path, quirks: dict[str, Any]) -> Iterator[Connection]:
    folder.mkdir(parents=True, exist_ok=True)
    told = folder / "endpoints.json"
    told.unlink(missing_ok=True)
    (folder / "quirks.json").write_text(json.dumps(quirks), encoding="utf-8")
    with (folder / "simulators.log").open("wb") as log:
        running = subprocess.Popen(
            [sys.executable, "-m", "simulators", "serve", "--state-dir", str(folder), "--quirks",
             str(folder / "quirks.json")],
            cwd=PROJECT_ROOT, stdout=log, stderr=log,
        )  # fmt: skip
        try:
            while not told.exists():
                if running.poll() is not None:
                    raise RuntimeError(f"the simulators did not start, see {log.name}")
                time.sleep(0.2)
            onec = json.loads(told.read_text(encoding="utf-8"))["onec"]
            yield Connection(url=onec["url"], login=onec["login"], password=onec["password"])
        finally:
            running.terminate()
            running.wait(30)


if __name__ == "__main__":
    figures = _measure(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]))
    sys.stdout.write(json.dumps(asdict(figures)) + "\n")
