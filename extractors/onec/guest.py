"""Being a good guest of a 1C base: few requests at once among all workers, and none in its quiet hours."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timedelta
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from clients.connection import Connection
from clients.errors import NotNow
from clients.onec import OnecClient
from warehouse import clock
from warehouse.db import Connection as Database
from warehouse.limits import SharedLimits
from warehouse.settings import Settings
from warehouse.sources import SourceConfig


def parallel_requests(source: SourceConfig, settings: Settings) -> int:
    """How many requests the base answers at once, for all workers together."""
    return source.parallel_requests or settings.onec_prefetch


def ensure_not_quiet(source: SourceConfig, moment: datetime) -> None:
    """Raises NotNow in the quiet hours of the base. What has landed stays; the next read goes on from there."""
    end = source.quiet_until(moment)
    if end is None:
        return
    now = moment.astimezone(ZoneInfo(source.timezone))
    until = datetime.combine(now.date(), end, now.tzinfo)
    if until <= now:
        until += timedelta(days=1)
    raise NotNow(
        f"{source.id}: the base is not to be touched until {end:%H:%M} ({source.timezone}): quiet_hours of the sources "
        f"file say {', '.join(source.quiet_hours)}",
        cause="quiet_hours",
        retry_after=(until - now).total_seconds(),
    )


@contextmanager
def visit(
    source: SourceConfig,
    connection: Connection,
    settings: Settings,
    database: Callable[[], AbstractContextManager[Database]],
) -> Iterator[OnecClient]:
    """A client of the base that keeps to its limits. database: opens a connection to share them with other workers."""
    most = parallel_requests(source, settings)
    key = _key(connection)
    with SharedLimits(database) as limits:

        def slot() -> AbstractContextManager[None]:
            ensure_not_quiet(source, clock.now())
            return limits.slot(key, client.pace.under_way(most))

        ensure_not_quiet(source, clock.now())
        with OnecClient(connection, timeout=settings.request_timeout_seconds, slot=slot) as client:
            yield client


def _key(connection: Connection) -> str:
    """The base behind an address, without login: two sources that read the same base share its limit."""
    address = urlsplit(connection.url)
    return f"onec:{address.hostname}:{address.port or ''}{address.path.rstrip('/')}"
