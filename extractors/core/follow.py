"""A read of a source that says what changed: batches of its feed into landing, in their order.

Every batch commits by itself; cursor and coverage move after the last one, and only then is the source told that we
have everything. A crash anywhere is healed by reading again from the cursor: known content is recognised by its hash.
"""

import json
import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Literal

from extractors.core.errors import ReadError
from extractors.core.feed import Batch, Covering, Feed
from extractors.core.kinds import PageCodec, Window
from extractors.core.outcome import LoadOutcome, add, note_failure, outcome
from extractors.core.spec import Entity
from warehouse import clock
from warehouse.coverage import RunCounters, cursor_position, finish_run, start_run
from warehouse.db import Connection as Database
from warehouse.landing import TOMBSTONES_KEY, Landing, Page
from warehouse.settings import Settings

log = logging.getLogger(__name__)

LOOKUP_CHUNK = 500


class FeedLoad:
    """One run of one entity of a feed, under its lock."""

    def __init__(
        self, conn: Database, instance: str, spec: Entity, codec: PageCodec, feed: Feed, settings: Settings
    ) -> None:
        self._conn = conn
        self._instance = instance
        self._spec = spec
        self._codec = codec
        self._feed = feed
        self._settings = settings
        self._landing = Landing(conn, spec.table(), instance, codec.layout)
        self._counters = RunCounters()
        self._load_id = 0

    def run(
        self,
        mode: Literal["cursor", "window", "reconcile"],
        window: tuple[datetime, datetime] | None,
        triggered_by: str,
    ) -> LoadOutcome:
        started = clock.now()
        span: Window = window or (None, None)
        if mode == "cursor" and self._feed.mode != "full":
            position = cursor_position(self._conn, self._instance, self._spec.name)
            if position is not None:
                span = (position - timedelta(minutes=self._settings.modified_overlap_minutes), None)
        shown = self._feed.mode if mode == "cursor" else mode
        self._load_id = start_run(
            self._conn,
            instance=self._instance,
            entity=self._spec.name,
            mode=shown,
            window=span,
            started_at=started,
            triggered_by=triggered_by,
        )
        try:
            there = self._feed.is_published()
            if there and mode == "reconcile":
                self._reconcile()
            elif there:
                self._read(span)
            self._landing.refresh_statistics(self._counters.rows_inserted + self._counters.rows_changed)
            moves = mode == "cursor"
            position = self._feed.position() if there and moves else None
            covered = self._covered_until(started) if there else started
            finish_run(
                self._conn,
                self._load_id,
                self._counters,
                finished_at=clock.now(),
                cursor=min(position, started) if position else None,
                covered_until=covered if moves else None,
                published=there,
            )
            if there and moves:
                self._feed.committed()
        except Exception as error:
            note_failure(self._conn, self._load_id, self._counters, error)
            raise
        return outcome(
            self._load_id,
            self._instance,
            self._spec.name,
            shown,
            span,
            covered if moves else None,
            self._counters,
            published=there,
        )

    def _covered_until(self, started: datetime) -> datetime | None:
        if not isinstance(self._feed, Covering):
            return started
        covered = self._feed.covered_until()
        return min(covered, started) if covered else None

    def _read(self, span: Window) -> None:
        seen: set[str] = set()
        whole = self._feed.mode == "full"
        for keys in self._land(self._feed.batches(*span)):
            if whole:
                seen.update(keys)
        if whole:
            self._look_up(sorted(self._landing.present() - seen))

    def _reconcile(self) -> None:
        """Compare the ids that the source has with ours: look up what only one side knows."""
        listed = self._feed.ids()
        if listed is None:
            raise ReadError(f"{self._instance} {self._spec.name}: the source cannot list its records")
        alive = {record_id for chunk in listed for record_id in chunk}
        ours = self._landing.present()
        self._counters.rows_claimed = len(alive)
        if ours and not alive:
            # Far more often lost rights than an emptied portal: never throw everything away on one empty answer.
            raise ReadError(
                f"{self._instance} {self._spec.name}: the source shows no record at all where {len(ours)} are known; "
                "check the rights of its user"
            )
        self._look_up(sorted(ours ^ alive))
        self._counters.rows_seen = len(alive)

    def _look_up(self, ids: list[str]) -> None:
        if ids:
            log.info("%s %s: looking up %s records one by one", self._instance, self._spec.name, len(ids))
        for start in range(0, len(ids), LOOKUP_CHUNK):
            for _ in self._land(self._feed.records(ids[start : start + LOOKUP_CHUNK])):
                pass

    def _land(self, batches: Iterator[Batch]) -> Iterator[list[str]]:
        """Land the batches; yields the keys of each one's records."""
        for batch in batches:
            keys: list[str] = []
            if batch.body is not None:
                decoded = self._codec.decode(batch.body)
                keys = decoded.keys
                self._counters.rows_seen += decoded.count
                if decoded.count:
                    self._counters.pages += 1
                    self._counters.raw_bytes += len(batch.body)
                    page = Page(self._counters.pages, batch.body, decoded.records, decoded.rejected)
                    add(self._counters, self._landing.land(page, load_id=self._load_id, loaded_at=clock.now()))
            if batch.deleted or batch.merged:
                self._remove(batch)
            yield keys

    def _remove(self, batch: Batch) -> None:
        merged = dict(batch.merged)
        gone = sorted({*batch.deleted, *merged})
        self._counters.pages += 1
        counts = self._landing.tombstone(
            gone,
            load_id=self._load_id,
            page_no=self._counters.pages,
            at=clock.now(),
            body=json.dumps({TOMBSTONES_KEY: gone, "polka.merged": merged}).encode(),
            merged=merged,
        )
        add(self._counters, counts)
