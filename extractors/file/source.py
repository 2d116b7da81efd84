"""A watched folder as a source: what 1C exports or sends by itself, when its OData cannot be published.

The records land in the tables of 1C: to the marts a base that sends files is a base like any other.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from extractors.core.documents import Dialect
from extractors.core.errors import ReadError
from extractors.core.feed import Batch, page
from extractors.core.kinds import Opening
from extractors.core.spec import load_configuration
from extractors.file import commerceml
from extractors.file.errors import BadFile, Unfinished
from extractors.file.flat import FORMED, KEY, flatten, moment, record_id
from extractors.file.folder import Folder
from extractors.file.register import Accepted, Register
from extractors.file.tables import is_whole, needed_rows
from warehouse import clock
from warehouse.db import Connection as Database
from warehouse.landed import Landed

log = logging.getLogger(__name__)

DIALECT = Dialect(flatten=flatten, key=KEY, version=None, modified=FORMED, moment=moment)
BATCH_RECORDS = 1_000
BATCH_BYTES = 4_000_000
DELETED_PER_BATCH = 5_000
_encode = msgspec.json.Encoder().encode


@contextmanager
def open_entity(opening: Opening) -> Iterator["FileFeed"]:
    """The entity's records in the files of the folder that the connection names."""
    with opening.database() as conn:
        source = opening.source
        register = Register(
            conn,
            source.id,
            source.kind,
            load_configuration(source.kind, source.mapping),
            Folder.of(opening.connection),
            ZoneInfo(source.timezone),
        )
        settle = timedelta(seconds=opening.settings.file_settle_seconds)
        register.look(clock.now(), settle)
        yield FileFeed(opening, register, conn)


class FileFeed:
    """One entity of a watched folder."""

    mode = "files"

    def __init__(self, opening: Opening, register: Register, conn: Database) -> None:
        self._entity = opening.entity
        self._optional = opening.mapping.optional
        self._instance = opening.source.id
        self._register = register
        self._conn = conn
        self._landed = Landed(conn, opening.entity.table(), opening.source.id)
        self._delivered: list[int] = []

    def is_published(self) -> bool:
        return not self._optional or self._register.has_seen(self._entity.name)

    def batches(self, since: datetime | None, until: datetime | None) -> Iterator[Batch]:
        """All files that have not been read, oldest first. A window of the past has nothing to read again."""
        if until is not None:
            log.info(
                "%s: files are read when they come; a past window is in the archive (polka reland)", self._instance
            )
            return
        for file in self._register.to_read(self._entity.name):
            try:
                yield from self._file(file)
            except (BadFile, Unfinished, FileNotFoundError) as problem:
                raise ReadError(f"{file.name} was changed while it was read: {problem}") from None
            self._delivered.append(file.file_id)

    def _file(self, file: Accepted) -> Iterator[Batch]:
        late = self._is_late(file)
        absent = self._landed.alive() if self._is_whole(file) and not late else None
        for batch in _batched(self._told(file)):
            if absent is not None:
                absent.difference_update(batch.ids)
            ids = [key for key in batch.ids if key]
            newer = self._landed.changed_since(ids, file.formed_at) if late else set()
            kept = [body for key, body in zip(batch.ids, batch.bodies, strict=True) if key not in newer]
            # Prices and stock that an offer told before and does not tell now.
            silent = self._landed.others_of(batch.subjects, ids) if batch.subjects and not late else set()
            if kept or silent:
                yield Batch(body=page(kept) if kept else None, deleted=tuple(sorted(silent)))
        gone = tuple(sorted(absent or ()))
        for start in range(0, len(gone), DELETED_PER_BATCH):
            yield Batch(deleted=gone[start : start + DELETED_PER_BATCH])

    def _told(self, file: Accepted) -> Iterator["_Told"]:
        """What the file says about this entity, object by object."""
        formed = file.formed_at.astimezone(UTC).isoformat()
        name = self._entity.name
        if file.holds.startswith("table:"):
            for key, rows in self._register.table(file.path, name).records():
                yield _Told([(key, {"id": key, "formed": formed, "rows": needed_rows(rows)})])
            return
        for tag, found in commerceml.objects(file.path, commerceml.Head()):
            records = [
                (key, {"id": key, "formed": formed, "commerceml": {name: item}})
                for entity, item in commerceml.records(tag, found)
                if entity == name
                for key in [record_id(name, item)]
            ]
            subject = commerceml.offered(tag, found, name)
            if records or subject:
                yield _Told(records, subject)

    @staticmethod
    def _is_whole(file: Accepted) -> bool:
        return file.holds.startswith("table:") and is_whole(PurePosixPath(file.name).stem)

    def _is_late(self, file: Accepted) -> bool:
        """Whether records of a file that was formed later have landed already."""
        newer = self._conn.execute(
            """
            select 1 from ops.source_file
            where instance = %s and %s = any(read_entities) and formed_at > %s limit 1
            """,
            [self._instance, self._entity.name, file.formed_at],
        ).fetchone()
        return newer is not None

    def position(self) -> datetime | None:
        return None  # what has been read is known file by file

    def covered_until(self) -> datetime | None:
        """The forming of the newest file: an export that has stopped must not look like a quiet day."""
        return self._register.covered_until(self._entity.name)

    def committed(self) -> None:
        """Note the files as read; those that all entities have read go to done/."""
        self._register.note_read(self._entity.name, self._delivered)

    def ids(self) -> Iterator[Sequence[str]]:
        """What we hold: files say themselves what is gone, and nothing can vanish behind their back."""
        yield sorted(self._landed.alive())

    def records(self, ids: Sequence[str]) -> Iterator[Batch]:
        raise ReadError("files cannot be asked for single records")


@dataclass(frozen=True)
class _Told:
    """(id, record) of one object of a file. subject: (product, characteristic) that it tells everything about."""

    records: list[tuple[str | None, dict[str, Any]]]
    subject: tuple[str, str] | None = None


@dataclass
class _Collected:
    ids: list[str | None] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    subjects: list[tuple[str, str]] = field(default_factory=list)
    size: int = 0


def _batched(objects: Iterable[_Told]) -> Iterator[_Collected]:
    """Batches of a bounded size; the records of one object stay together."""
    batch = _Collected()
    for told in objects:
        for key, record in told.records:
            body = _encode(record)
            batch.ids.append(key)
            batch.bodies.append(body)
            batch.size += len(body)
        if told.subject:
            batch.subjects.append(told.subject)
        if max(len(batch.bodies), len(batch.subjects)) >= BATCH_RECORDS or batch.size >= BATCH_BYTES:
            yield batch
            batch = _Collected()
    if batch.bodies or batch.subjects:
        yield batch
