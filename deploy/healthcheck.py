"""Is this service alive? Asks for its newest heartbeat, because a dead scheduler can still look healthy.

Usage: healthcheck.py heartbeat SchedulerJob | heartbeat DagProcessorJob | api http://127.0.0.1:8080
Exit code 0: alive; 1: not, with one sentence why.
"""

import json
import os
import socket
import sys
from urllib.request import urlopen

import psycopg2

MAX_AGE_SECONDS = 60
NEWEST_HEARTBEAT = """
select extract(epoch from now() - max(latest_heartbeat))
from job
where job_type = %s and hostname = any(%s) and state = 'running'
"""


def heartbeat(job_type: str) -> str | None:
    """None when the service of this container has beaten lately, else what is wrong."""
    url = os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("postgresql+psycopg2://", "postgresql://")
    connection = psycopg2.connect(url, connect_timeout=5)
    try:
        with connection.cursor() as cursor:
            cursor.execute(NEWEST_HEARTBEAT, [job_type, own_names()])
            age = cursor.fetchone()[0]
    finally:
        connection.close()
    if age is None:
        return f"no running {job_type} is known on {' / '.join(own_names())}"
    if age > MAX_AGE_SECONDS:
        return f"the last heartbeat of {job_type} is {age:.0f} s old"
    return None


def own_names() -> list[str]:
    """The names under which Airflow may have entered this container."""
    name = socket.gethostname()
    canonical = [
        found[3] for found in socket.getaddrinfo(name, None, type=socket.SOCK_DGRAM, flags=socket.AI_CANONNAME)
    ]
    return sorted({name, socket.getfqdn(), *filter(None, canonical)})


def api(address: str) -> str | None:
    """None when the API answers and reaches its database, else what is wrong."""
    with urlopen(f"{address}/api/v2/monitor/health", timeout=10) as answer:  # noqa: S310 (a fixed local address)
        health = json.load(answer)
    status = health["metadatabase"]["status"]
    return None if status == "healthy" else f"the metadata database is {status}"


CHECKS = {"heartbeat": heartbeat, "api": api}


def main(arguments: list[str]) -> int:
    if len(arguments) != 2 or arguments[0] not in CHECKS:
        sys.stderr.write(__doc__ or "")
        return 2
    try:
        problem = CHECKS[arguments[0]](arguments[1])
    except Exception as error:
        problem = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    if problem:
        sys.stderr.write(f"{problem}\n")
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
