"""Landing of order lines: JSON pages to merged typed rows, against what else one could do with them, in one run.

Pages and COPY text are written to files beforehand and read from them by all. Ours is the code that `extract` runs.
Peers:

    copy            raw COPY of the same rows and columns, made into text before, no archive
    dlt_merge       `dlt` by merge, naming `direct`; in an environment of its own
    pandas_to_sql, execute_values, executemany      see tests/bench/peers/drivers.py

Everything runs in processes of its own, in turns. Slow peers take fewer pages, rates are compared. All keep all fields:
ours and `copy` as typed columns (ours the rest in the archive), the others as typed columns.

POLKA_BENCH_PAGES (default 200, that is 10^6 lines), POLKA_BENCH_REPEATS (3), POLKA_BENCH_QUICK=1 leaves out the load
of 4x10^6 lines.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from psycopg import sql

from polka.airflow_env import BOUNDED_MEMORY
from tests.bench.database import fresh_database
from tests.bench.landing_http import measure
from tests.bench.landing_pages import DOCUMENTS, LINES, Files, write_pages
from tests.bench.landing_run import ENTITY
from tests.bench.result import Result
from warehouse.db import connect
from warehouse.landing import LandingTable
from warehouse.settings import PROJECT_ROOT, child_environment, get_settings

PAGES = int(os.environ.get("POLKA_BENCH_PAGES", "200"))
REPEATS = int(os.environ.get("POLKA_BENCH_REPEATS", "3"))
QUICK = os.environ.get("POLKA_BENCH_QUICK") == "1"
MEMORY_LIMIT_MB = 300
ROUNDS = 4  # how much bigger the big load is
PAGE_LINES = DOCUMENTS * LINES
# Pages of the slow peers: enough for a rate. dlt's start and its first migration are left out by a second run.
PEER_PAGES = {"execute_values": 20, "executemany": 10, "pandas_to_sql": 10, "dlt_merge": 10}
GOALS = {"dlt_merge": 12.0, "pandas_to_sql": 10.0}
Figures = dict[str, float]


class Bench:
    """A database and a folder of inputs for one run."""

    def __init__(self, url: str, folder: Path, say: Callable[[str], None]) -> None:
        self.url = url
        self.folder = folder
        self.files = Files(folder)
        self.say = say

    def empty(self) -> None:
        """Empty landing, and empty copies of its tables for the peers."""
        with connect(self.url, autocommit=True) as conn:
            names = sql.SQL(", ").join(sql.Identifier("raw", name) for name in _tables())
            history = sql.SQL(", ").join(sql.Identifier("raw_history", name) for name in _tables())
            conn.execute(sql.SQL("truncate {}, {}, raw.page_archive, ops.cursor").format(names, history))
            conn.execute("drop schema if exists peer cascade")
            conn.execute("create schema peer")
            for name in _tables():
                conn.execute(
                    sql.SQL("create table {} (like {} including all)").format(
                        sql.Identifier("peer", name), sql.Identifier("raw", name)
                    )
                )
            conn.execute("checkpoint")

    def run(self, kind: str, pages: int, **options: Any) -> Figures:
        """Ours, `copy` or `delete_insert`."""
        with connect(self.url, autocommit=True) as conn:
            conn.execute("truncate ops.cursor")  # a load reads everything, not only what is recent
        self._warm(pages, changed=options.get("changed", False))
        told = {"kind": kind, "url": self.url, "folder": str(self.folder), "pages": pages, **options}
        return self._process([sys.executable, "-m", "tests.bench.landing_run", json.dumps(told)], kind, pages, options)

    def _warm(self, pages: int, *, changed: bool) -> None:
        """Read the inputs once: what the disk takes is nobody's work, and it is counted as CPU of who reads first."""
        for page in range(pages):
            for path in (self.files.changed(page) if changed else self.files.page(page), self.files.lines(page)):
                path.read_bytes()

    def peer(self, name: str, pages: int) -> Figures | None:
        """One of the other peers; None when it cannot be run here."""
        if name != "dlt_merge":
            command = [sys.executable, "-m", "tests.bench.peers.drivers", name]
            return self._process([*command, self.url, str(self.folder), str(pages)], name, pages, {})
        python = peer_environment(self.say)
        if python is None:
            return None
        script = str(PROJECT_ROOT / "tests" / "bench" / "peers" / "dlt_merge.py")
        return self._process([str(python), script, self.url, str(self.folder), str(pages)], name, pages, {})

    def _process(self, command: list[str], kind: str, pages: int, options: dict[str, Any]) -> Figures:
        # As Airflow's tasks run, and the peers too.
        environment = child_environment(BOUNDED_MEMORY)
        done = subprocess.run(command, cwd=PROJECT_ROOT, check=True, stdout=subprocess.PIPE, text=True, env=environment)
        figures: Figures = json.loads(done.stdout.splitlines()[-1])
        lines = pages * PAGE_LINES * options.get("rounds", 1)
        figures["speed"] = lines / figures["seconds"]
        figures["all_cpu"] = figures["cpu"] + figures.get("server_cpu", 0.0)
        shown = ", ".join(f"{name} {value}" for name, value in options.items())
        self.say(
            f"  {kind}{f' ({shown})' if shown else ''}: {lines:,} lines in {figures['seconds']:.2f} s = "
            f"{figures['speed']:,.0f} a second; CPU {figures['cpu']:.2f} s, of the server "
            f"{figures.get('server_cpu', 0):.2f} s; peak {figures['peak_mb']:.0f} MB; load {os.getloadavg()[0]:.1f}"
        )
        return figures

    def equal(self) -> None:
        """Ours and `copy` must hold the same rows; what differs by nature (hash, load, moment) is left out."""
        table: LandingTable = ENTITY.table()
        with connect(self.url, autocommit=True) as conn:
            for name, columns in [(table.name, table.columns), *((one.name, one.columns) for one in table.children)]:
                key = ["record_id"] if name == table.name else ["record_id", "line_no"]
                chosen = sql.SQL(", ").join(sql.Identifier(c) for c in [*key, *(column.name for column in columns)])
                for one, other in (("raw", "peer"), ("peer", "raw")):
                    row = conn.execute(
                        sql.SQL(
                            "select count(*) from (select {c} from {a} except all select {c} from {b}) as d"
                        ).format(c=chosen, a=sql.Identifier(one, name), b=sql.Identifier(other, name))
                    ).fetchone()
                    if row is None or row[0]:
                        raise AssertionError(f"{name}: {row and row[0]} rows of {one} are not in {other}")
        self.say("  the rows of both are equal, column by column")


def run(say: Callable[[str], None]) -> list[Result]:
    """Measure everything; see the module's words."""
    folder = get_settings().var_dir / "bench" / "landing-data"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        say(f"writing {PAGES} pages of {DOCUMENTS} orders with {LINES} lines")
        written = write_pages(Files(folder), PAGES)
        with fresh_database() as url:
            bench = Bench(url, folder, say)
            return [
                *_empty_table(bench, written),
                *_changes(bench),
                *_memory(bench),
                *_peers(bench),
                *_http(bench),
            ]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _empty_table(bench: Bench, written: int) -> list[Result]:
    """First loads against raw COPY, with and without the archive, in turns."""
    results: list[Result] = []
    for case, pages in ((f"first_load_{_power(PAGES // 10)}", PAGES // 10), (f"first_load_{_power(PAGES)}", PAGES)):
        bench.say(case)
        taken: dict[str, list[Figures]] = {"copy": [], "ours": [], "bare": []}
        for repeat in range(REPEATS):
            bench.empty()
            taken["copy"].append(bench.run("copy", pages))
            taken["ours"].append(bench.run("ours", pages))
            if repeat == 0:
                bench.equal()
            bench.empty()
            taken["bare"].append(bench.run("ours", pages, archive=False))
        ours, copy = _median(taken["ours"], "speed"), _median(taken["copy"], "speed")
        results.append(Result(case, "speed", "lines/s", ours, "copy", copy, at_least=0.45))
    times = [_median(taken[kind], "seconds") for kind in ("ours", "bare")]
    peak = max(figures["peak_mb"] for figures in taken["ours"])
    archive = taken["ours"][-1]["archive_mb"]
    return [
        *results,
        Result("archive_time", "time", "s", times[0], "without archive", times[1], at_most=1.25),
        Result(f"memory_{_power(PAGES)}", "memory", "MB", peak, "limit", MEMORY_LIMIT_MB, at_most=1.0),
        Result("archive_size", "size", "MB", archive, "JSON", written / 1e6),
    ]


def _changes(bench: Bench) -> list[Result]:
    """Reading a full table again after an edit of 1 %: CPU against the first load, WAL against delete and insert."""
    bench.say("changed_1_percent")
    runs: dict[str, list[Figures]] = {"first": [], "again": [], "plain": []}
    for _ in range(REPEATS):
        bench.empty()
        runs["first"].append(bench.run("ours", PAGES))
        runs["again"].append(bench.run("ours", PAGES, changed=True))
        bench.run("copy", PAGES)
        runs["plain"].append(bench.run("delete_insert", PAGES))
    first, again, plain = (
        {name: _median(runs[kind], name) for name in ("all_cpu", "wal_mb", "seconds")} for kind in runs
    )
    return [
        Result("changed_1_percent", "cpu", "s", again["all_cpu"], "first load", first["all_cpu"], at_most=0.4),
        Result("changed_1_percent", "WAL", "MB", again["wal_mb"], "delete_insert", plain["wal_mb"], at_most=0.1),
        Result("changed_1_percent", "time", "s", again["seconds"], "delete_insert", plain["seconds"]),
    ]


def _memory(bench: Bench) -> list[Result]:
    if QUICK:
        return []
    bench.say(f"memory of {ROUNDS} times as many lines")
    once = 0.0
    for _ in range(2):  # which pages wait at the same moment is chance, and the big load takes four chances
        bench.empty()
        once = max(once, bench.run("ours", PAGES)["peak_mb"])
    bench.empty()
    big = bench.run("ours", PAGES, rounds=ROUNDS)["peak_mb"]
    return [
        Result(f"memory_{_power(PAGES * ROUNDS)}", "memory", "MB", big, "limit", MEMORY_LIMIT_MB, at_most=1.0),
        # Two runs of the same size differ by some per cent: what counts is that it does not grow with the load.
        Result(f"memory_{_power(PAGES * ROUNDS)}", "growth", "MB", big, _power(PAGES) + " lines", once, at_most=1.1),
    ]


def _peers(bench: Bench) -> list[Result]:
    """The usual ways on the empty table; each beside a load of ours at about the same time."""
    results = []
    for name, most in PEER_PAGES.items():
        bench.say(name)
        pages = min(most, PAGES)
        bench.empty()
        before = bench.run("ours", PAGES)["speed"]
        figures = bench.peer(name, pages)
        if figures is None:
            continue
        bench.empty()
        ours = statistics.mean([before, bench.run("ours", PAGES)["speed"]])
        results.append(
            Result(
                f"first_load_{_power(PAGES)}", "speed", "lines/s", ours, name, figures["speed"],
                at_least=GOALS.get(name),
            )
        )  # fmt: skip
    return results


def _http(bench: Bench) -> list[Result]:
    """A load through HTTP, at once and over a slow line."""
    results = []
    for milliseconds in (0, 150):
        bench.empty()
        figures = measure(bench.url, bench.folder / f"http_{milliseconds}", milliseconds / 1000)
        bench.say(
            f"http, {milliseconds} ms: {figures.records:,} orders in {figures.pages} pages: ours {figures.ours:.1f} s, "
            f"one request after another {figures.sequential:.1f} s, the base kept busy {figures.busy:.1f} s"
        )
        case = f"http_{milliseconds}ms"
        ours, plain = figures.records / figures.ours, figures.records / figures.sequential
        results += [
            Result(case, "speed", "records/s", ours, "requests in a loop", plain, at_least=1.0),
            Result(case, "time", "s", figures.ours, "base kept busy", figures.busy,
                   at_most=1.15 if milliseconds else None),
        ]  # fmt: skip
    return results


def peer_environment(say: Callable[[str], None]) -> Path | None:
    """Python of the environment with dlt, made when it is not there; None when it cannot be made."""
    folder = get_settings().var_dir / "bench" / "peers"
    wanted = (PROJECT_ROOT / "tests" / "bench" / "peers" / "requirements.txt").read_text(encoding="utf-8")
    stamp = folder / "stamp.txt"
    python = folder / "bin" / "python"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return python
    say("  making an environment with dlt (once)")
    shutil.rmtree(folder, ignore_errors=True)
    try:
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(
            [str(python), "-m", "pip", "install", "--quiet", "--requirement",
             str(PROJECT_ROOT / "tests" / "bench" / "peers" / "requirements.txt")],
            check=True,
        )  # fmt: skip
    except (subprocess.CalledProcessError, OSError) as problem:
        say(f"  dlt_merge is left out: its environment cannot be made here ({problem})")
        return None
    stamp.write_text(wanted, encoding="utf-8")
    return python


def _tables() -> list[str]:
    return [ENTITY.table().name, *(child.name for child in ENTITY.table().children)]


def _median(runs: list[Figures], name: str) -> float:
    return statistics.median(figures[name] for figures in runs)


def _power(pages: int) -> str:
    """1e6 for a million lines."""
    digits = f"{pages * PAGE_LINES:.0e}"
    return digits.replace("e+0", "e")
