"""What a read did, as its task returns it and as ops.load_run keeps it."""

import logging
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from clients.errors import ClientError
from clients.http import redact
from extractors.core.errors import ReadError
from extractors.core.kinds import Window
from warehouse import clock
from warehouse.coverage import RunCounters, fail_run
from warehouse.db import Connection as Database
from warehouse.landing import Counts

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadOutcome:
    """What a read did; JSON-able. Rows are records (documents, catalog items), not lines; moments are ISO, UTC."""

    load_id: int
    instance: str
    entity: str
    mode: str
    published: bool
    window_from: str | None
    window_to: str | None
    covered_until: str | None
    rows_claimed: int | None
    rows_seen: int
    rows_inserted: int
    rows_changed: int
    rows_unchanged: int
    rows_deleted: int
    rows_rejected: int
    pages: int
    raw_bytes: int


def outcome(
    load_id: int,
    instance: str,
    entity: str,
    mode: str,
    span: Window,
    covered: datetime | None,
    counters: RunCounters,
    *,
    published: bool = True,
) -> LoadOutcome:
    def shown(moment: datetime | None) -> str | None:
        return moment.astimezone(UTC).isoformat() if moment else None

    return LoadOutcome(
        load_id=load_id,
        instance=instance,
        entity=entity,
        mode=mode,
        published=published,
        window_from=shown(span[0]),
        window_to=shown(span[1]),
        covered_until=shown(covered),
        **asdict(counters),
    )


def note_failure(conn: Database, load_id: int, counters: RunCounters, error: BaseException) -> None:
    """Note a failed run. A broken database connection cannot: the next run closes the record then."""
    if conn.closed:
        return
    known = isinstance(error, (ClientError, ReadError))
    text = str(error) if known else f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    try:
        fail_run(conn, load_id, counters, finished_at=clock.now(), error=redact(text))
    except Exception:
        log.exception("the failed run %s could not be noted", load_id)


def add(counters: RunCounters, counts: Counts) -> None:
    """Add what happened to the records of a page to the counters of its run."""
    counters.rows_inserted += counts.inserted
    counters.rows_changed += counts.changed
    counters.rows_unchanged += counts.unchanged
    counters.rows_deleted += counts.deleted
    counters.rows_rejected += counts.rejected
