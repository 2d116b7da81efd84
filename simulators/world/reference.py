"""The tables that people fill, as far as the world's planted truths need them: one CSV each."""

from __future__ import annotations

import csv
from pathlib import Path

from simulators.world.build import World


def write(world: World, folder: Path) -> None:
    """Write `<table>.csv` for each table, ready for `polka reference load FOLDER`."""
    folder.mkdir(parents=True, exist_ok=True)
    for table, rows in world.plantings.reference.items():
        with (folder / f"{table}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
