"""`python -m tests.bench [PART]`: measure against peers in the same run; a table and var/bench/<part>.json."""

import importlib
import json
import os
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench.result import Result
from warehouse.settings import get_settings

PARTS = ("landing", "crm", "marts")


def main(arguments: list[str]) -> int:
    """Run the named part, or all of them. Exit code 1 when a figure misses its goal."""
    wanted = PARTS if not arguments or arguments == ["all"] else tuple(arguments)
    console = Console()
    unknown = [part for part in wanted if part not in PARTS]
    if unknown:
        console.print(f"There is no bench called {', '.join(unknown)}. Known: {', '.join(PARTS)}.")
        return 2
    missed = False
    for part in wanted:
        started = time.monotonic()
        results: list[Result] = importlib.import_module(f"tests.bench.{part}").run(console.print)
        path = _write(part, results)
        console.print(_table(part, results))
        console.print(f"{time.monotonic() - started:.0f} s, written to {path}")
        missed = missed or any(not result.meets_goal for result in results)
    return 1 if missed else 0


def _write(part: str, results: list[Result]) -> Path:
    folder = get_settings().var_dir / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{part}.json"
    body = {"part": part, "results": [result.as_json() for result in results]}
    path.write_text(json.dumps(body, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return path


def _table(part: str, results: list[Result]) -> Table:
    table = Table(title=f"bench: {part} ({os.cpu_count()} cores, load {os.getloadavg()[0]:.1f})")
    for heading in ("case", "metric", "unit", "ours", "peer", "peer's value", "ratio", "goal"):
        table.add_column(heading, justify="right" if heading in ("ours", "peer's value", "ratio", "goal") else "left")
    for result in results:
        mark = "" if result.meets_goal else " [red]missed[/red]"
        table.add_row(
            result.case,
            result.metric,
            result.unit,
            f"{result.ours:,.0f}",
            result.peer,
            f"{result.peer_value:,.0f}",
            f"{result.ratio:.2f}",
            result.goal + mark,
        )
    return table


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
