"""Marts as the history grows: a new day's build, a build of everything, and the questions of BI.

    python -m tests.bench.marts LINES    one history only, its models by what they cost (for development)

Peers: the same new day in a tenth of the history; bare CREATE TABLE AS of the same aggregates; the same questions put
to the flat table of lines. Everything is measured in one run, on databases of its own.
"""

import json
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from datetime import date, timedelta
from statistics import median

from tests.bench.database import fresh_database
from tests.bench.marts_data import History, working_day, write_new_day
from tests.bench.marts_peers import AGGREGATES, Say, ask, create_aggregates, p95
from tests.bench.marts_questions import QUESTIONS
from tests.bench.result import Result
from warehouse.calendar import fill_production_calendar
from warehouse.db import connect
from warehouse.dbt_runner import files_of, run_dbt
from warehouse.settings import get_settings

LINES = 10_000_000
TENTH = LINES // 10
NEW_DAYS = 3
# Marts of orders, distribution, clients and KPI with what they are made of, and what remembers from which keys.
SELECTED = (
    *(f"+path:models/marts/{folder}" for folder in ("order", "distribution", "client", "kpi")),
    *(
        f"+int_{kept}_built"
        for kept in (
            "order_basket_words",
            "meaning",
            "sku",
            "distribution_month",
            "sale_cost_words",
            "pnl_words",
            "receivable_words",
            "outlet_words",
        )
    ),
)


class Build:
    """Seconds of one build: of the whole command, and of each model."""

    def __init__(self, wall: float, models: dict[str, float]) -> None:
        self.wall, self.models = wall, models

    @property
    def seconds(self) -> float:
        return sum(self.models.values())


class Built:
    """A warehouse with so much history, built once; `new_day` adds the next working day and builds again."""

    def __init__(self, url: str, lines: int, say: Say) -> None:
        self.url, self.lines, self.say = url, lines, say
        self.days = 0
        say(f"  {lines:,} lines: landing a history of {History(lines).days:,} working days")
        started = time.monotonic()
        with connect(url) as conn:
            fill_production_calendar(conn)
            History(lines).write(conn)
        with connect(url, autocommit=True) as conn:
            conn.execute("vacuum analyze")
        say(f"  {lines:,} lines: landed in {time.monotonic() - started:.0f} s")
        say(f"  {lines:,} lines: building everything from nothing; the longest step")
        self._dbt("seed")
        self.full = self.build()
        say(f"  {lines:,} lines: full build {self.full.wall:.0f} s, its models {self.full.seconds:.0f} s")

    @property
    def as_of(self) -> date:
        """The morning after the last day."""
        return working_day(self.days) + timedelta(days=1)

    def new_day(self) -> Build:
        self.days += 1
        with connect(self.url) as conn:
            write_new_day(conn, self.days)
        done = self.build()
        self.say(f"  {self.lines:,} lines: new day {done.wall:.0f} s, its models {done.seconds:.1f} s")
        return done

    def build(self, *arguments: str, select: tuple[str, ...] = SELECTED) -> Build:
        started = time.monotonic()
        self._dbt("run", *arguments, "--select", *select, "--vars", json.dumps({"as_of": self.as_of.isoformat()}))
        wall = time.monotonic() - started
        written = (files_of(self.url) / "target" / "run_results.json").read_text(encoding="utf-8")
        models = {row["unique_id"].split(".")[-1]: row["execution_time"] for row in json.loads(written)["results"]}
        return Build(wall, models)

    def _dbt(self, *arguments: str) -> None:
        code, tail = run_dbt([*arguments], self.url)
        if code:
            raise RuntimeError("\n".join(tail))


def run(say: Say, *, lines: int = LINES, new_days: int = NEW_DAYS) -> list[Result]:
    """All cases: a history of a tenth of the lines first, then all of them; new days of both in turn."""
    with ExitStack() as stack:
        tenth, whole = (Built(stack.enter_context(fresh_database()), size, say) for size in (lines // 10, lines))
        days = [(tenth.new_day(), whole.new_day()) for _ in range(new_days)]
        small, large = (_typical([pair[side] for pair in days]) for side in (0, 1))
        results = [
            Result(
                f"new_day_{lines:.0e}", "time", "s", large.wall, f"new_day_{lines // 10:.0e}", small.wall, at_most=1.3
            ),
            Result(f"new_day_{lines:.0e}", "models", "s", large.seconds, f"new_day_{lines // 10:.0e}", small.seconds),
            Result(f"new_day_{lines:.0e}", "time", "s", large.wall, "full_refresh", whole.full.wall, at_most=1 / 6),
            *_aggregates(whole),
            *_questions(whole),
        ]
    return [_named(result) for result in results]


def _typical(builds: list[Build]) -> Build:
    middle = median(build.wall for build in builds)
    return min(builds, key=lambda build: abs(build.wall - middle))


def _aggregates(built: Built) -> list[Result]:
    """The same aggregates alone, one after the other: by dbt with indexes, contracts and comments, and bare."""
    built.say("  aggregates: bare statements, one after the other")
    with connect(built.url, autocommit=True) as conn:
        conn.execute(f"set work_mem = '{get_settings().build_work_mem}'".encode())  # what a build gets, the peer gets
        bare = sum(create_aggregates(conn).values())
    built.say(f"  aggregates: bare {bare:.0f} s; now the same models by dbt, in one thread")
    # A refreshed table takes the views on it along: the one that an aggregate reads is built again.
    selected = (*AGGREGATES, "int_active_placement")
    ours = built.build("--full-refresh", "--threads", "1", select=selected)
    built.say(f"  aggregates: bare {bare:.0f} s, ours {ours.seconds:.0f} s")
    return [Result(f"full_build_{built.lines:.0e}", "time", "s", ours.seconds, "create_table_as", bare, at_most=3.0)]


def _questions(built: Built) -> list[Result]:
    results = []
    with connect(built.url) as conn:
        some = {
            name: [row[0] for row in conn.execute(query.encode())]
            for name, query in {
                "product": "select record_id from raw.onec_product where not is_folder order by record_id limit 8",
                "outlet": "select record_id from raw.onec_partner order by record_id limit 8",
                "territory": "select record_id from raw.onec_business_region order by record_id limit 8",
                "manager": "select record_id from raw.onec_manager order by record_id limit 8",
            }.items()
        }
    built.say(f"  {len(QUESTIONS)} questions, by eight clients at once: from the marts, then from the flat lines")
    as_of = built.as_of
    month = (as_of.replace(day=1) - timedelta(days=1)).replace(day=1)
    for question in QUESTIONS:
        asked = [
            {name: values[number] for name, values in some.items()} | {"as_of": str(as_of), "month": str(month)}
            for number in range(8)
        ]
        marts = p95(ask(built.url, [question.mart.format(**values) for values in asked], 25))
        raw = p95(ask(built.url, [question.raw.format(**values) for values in asked], 1))
        built.say(f"  {question.name}: {marts:.1f} ms from the marts, {raw:.0f} ms from the lines")
        case = f"question_{question.name}"
        results.append(Result(case, "p95 speed", "1/s", 1000 / marts, "flat_lines", 1000 / raw, at_least=100.0))
    return results


def _named(result: Result) -> Result:
    """`1e+07` is `1e7` in the names of cases."""
    return replace(result, case=result.case.replace("e+0", "e"), peer=result.peer.replace("e+0", "e"))


def main(lines: int) -> None:
    def say(text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    with fresh_database() as url:
        built = Built(url, lines, say)
        days = [built.new_day() for _ in range(2)]
        say(f"{'model':40} {'full':>8} {'new day':>8}")
        for name, seconds in sorted(days[-1].models.items(), key=lambda item: -item[1])[:40]:
            say(f"{name:40} {built.full.models.get(name, 0):8.2f} {seconds:8.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]))
