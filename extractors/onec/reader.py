"""Reads one entity of a 1C base: which set, which filter, in which order, and what must be published for it."""

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from clients.connection import Connection
from clients.onec import OnecClient, local_time
from extractors.core.errors import MissingFields
from extractors.core.paging import Pager
from extractors.core.spec import EntityMapping
from extractors.onec.metadata import MAX_AGE, Published, published
from warehouse import clock
from warehouse.settings import Settings

log = logging.getLogger(__name__)

# Pages on their way, one being decoded and two being written must fit together.
MEMORY_BUDGET = 64_000_000
_RECHECK_AGE = timedelta(minutes=5)


class OnecReader:
    """One entity of one base. Close it to free the sessions."""

    def __init__(
        self,
        connection: Connection,
        mapping: EntityMapping,
        *,
        instance: str,
        zone: ZoneInfo,
        settings: Settings,
    ) -> None:
        self._client = OnecClient(connection, timeout=settings.request_timeout_seconds)
        self._address = connection.url
        self._mapping = mapping
        self._instance = instance
        self._zone = zone
        self._settings = settings
        self._target_bytes = min(settings.onec_page_target_bytes, MEMORY_BUDGET // (settings.onec_prefetch + 3))

    def __enter__(self) -> "OnecReader":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def is_published(self) -> bool:
        """Whether the set is there with every field that the mapping must have.

        False only for an entity that the mapping calls optional. Raises MissingFields.
        """
        base = self._published(MAX_AGE)
        if self._missing(base):
            # Somebody may just have published it: look again before complaining.
            base = self._published(_RECHECK_AGE)
        missing = self._missing(base)
        if not missing:
            return True
        if self._mapping.optional and not base.has(self._mapping.source_set):
            log.info("%s: optional %s is not published", self._instance, self._mapping.source_set)
            return False
        raise MissingFields(
            f"{self._instance}: 1C does not publish {', '.join(missing)}: tick it in the list of the standard OData "
            "interface, or mark it optional in the mapping"
        )

    def count(self, window: tuple[datetime | None, datetime | None]) -> int | None:
        """How many records the base claims to have for the window."""
        return self._client.count(self._mapping.source_set, self._options(window))

    def pages(self, window: tuple[datetime | None, datetime | None], claimed: int | None) -> Pager:
        """Pages of whole records, in a stable order."""
        options = self._options(window) | {"$orderby": "Ref_Key"}

        def fetch(skip: int, top: int) -> bytes:
            return self._client.collection(self._mapping.source_set, {**options, "$top": str(top), "$skip": str(skip)})

        return Pager(
            fetch,
            claimed,
            target_bytes=self._target_bytes,
            prefetch=self._settings.onec_prefetch,
        )

    def record(self, record_id: str) -> bytes | None:
        """One record as the base has it now; None when it is gone."""
        return self._client.record(self._mapping.source_set, record_id)

    def _options(self, window: tuple[datetime | None, datetime | None]) -> dict[str, str]:
        options = {"allowedOnly": "true"}
        bounds = [
            f"Date {operator} {local_time(moment.astimezone(self._zone).strftime('%Y-%m-%dT%H:%M:%S'))}"
            for operator, moment in zip(("ge", "lt"), window, strict=True)
            if moment is not None
        ]
        if bounds:
            options["$filter"] = " and ".join(bounds)
        return options

    def _published(self, max_age: timedelta) -> Published:
        return published(
            self._client.metadata,
            self._settings.var_dir,
            self._instance,
            self._address,
            clock.now(),
            max_age=max_age,
        )

    def _missing(self, base: Published) -> list[str]:
        return list(_missing(base, self._mapping))


def _missing(base: Published, mapping: EntityMapping) -> Iterator[str]:
    if not base.has(mapping.source_set):
        yield mapping.source_set
        return
    needed = [field.source for field in mapping.fields.values() if not field.optional]
    for name in base.missing(mapping.source_set, needed):
        yield f"{mapping.source_set}.{name}"
    for lines in mapping.lines.values():
        if base.missing(mapping.source_set, [lines.source]):
            if not lines.optional:
                yield f"{mapping.source_set}.{lines.source}"
            continue
        needed = [field.source for field in lines.fields.values() if not field.optional]
        for name in base.missing(mapping.source_set, needed, lines.source):
            yield f"{mapping.source_set}.{lines.source}.{name}"
