"""`polka bench`: the measurements of tests/bench, in a process of their own."""

import subprocess
import sys
from typing import Annotated

import typer

from warehouse.settings import PROJECT_ROOT


def bench(
    part: Annotated[str, typer.Argument(help="Which measurement: landing, ... or all")] = "all",
) -> None:
    """Measure against peers in the same run; ratios as a table and as var/bench/<part>.json."""
    done = subprocess.run([sys.executable, "-m", "tests.bench", part], cwd=PROJECT_ROOT, check=False)
    raise typer.Exit(done.returncode)
