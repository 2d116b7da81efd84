"""`dlt` merges pages of JSON into Postgres. Runs in an environment of its own: it imports nothing of the project.

    python dlt_merge.py URL FOLDER PAGES      prints {"seconds": ..., "cpu": ..., "peak_mb": ...}

The naming `direct` keeps Cyrillic names apart; the default one would collapse them into the same columns.
"""

import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

os.environ.update(
    SCHEMA__NAMING="direct",
    RUNTIME__DLTHUB_TELEMETRY="false",
    RUNTIME__LOG_LEVEL="ERROR",
    DLT_DATA_DIR=tempfile.mkdtemp(prefix="dlt"),
)

import dlt


def with_password(url: str) -> str:
    """dlt insists on a password, also where the server asks for none."""
    parts = urlsplit(url)
    if parts.password:
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.replace("@", ":none@", 1)))


def main(url: str, folder: str, pages: int) -> None:
    @dlt.resource(name="orders", primary_key="Ref_Key", write_disposition="merge")
    def orders() -> Iterator[list[dict[str, Any]]]:
        for number in range(pages):
            yield json.loads((Path(folder) / f"page{number:04}.json").read_bytes())["value"]

    pipeline = dlt.pipeline(
        "bench",
        destination=dlt.destinations.postgres(with_password(url)),
        dataset_name="dlt",
        pipelines_dir=tempfile.mkdtemp(prefix="dlt"),
    )
    started = time.perf_counter()
    pipeline.run(orders())
    seconds = time.perf_counter() - started
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    measured = {
        "seconds": seconds,
        "cpu": sum(one.ru_utime + one.ru_stime for one in usage),
        "peak_mb": max(one.ru_maxrss for one in usage) / 1000,
    }
    sys.stdout.write(json.dumps(measured) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
