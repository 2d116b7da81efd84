"""What came into a watched folder: every file is examined once, whole, before anything of it lands.

The register (ops.source_file) is shared by the tasks of all entities. One of them examines, under a lock; each one
lands the records of its own entity and notes so; with the last note the file goes to done/.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from extractors.core.spec import Configuration, load_entities
from extractors.file import commerceml
from extractors.file.commerceml import TOLD_BY
from extractors.file.errors import BadFile, Unfinished
from extractors.file.folder import READING, Folder, Found, digest_of, natural
from extractors.file.tables import Shape, Table, TableColumns, entity_of, is_whole, read_columns
from warehouse.db import Connection as Database
from warehouse.db import advisory_lock
from warehouse.landed import Landed

log = logging.getLogger(__name__)

STUCK_AFTER = timedelta(hours=1)  # a file whose end has not come by then will not come
MIN_SHARE = 0.5  # a whole table with fewer of the records that are known is taken for a broken export
SURE = "sure"


@dataclass(frozen=True)
class Accepted:
    """A file that may be read: its place in the folder, what it holds, when it was formed."""

    file_id: int
    name: str
    path: Path
    holds: str
    formed_at: datetime


@dataclass(frozen=True)
class _Content:
    holds: str
    formed_at: datetime
    entities: dict[str, int]


class Register:
    """The register of one source. Not for use by two threads at once."""

    def __init__(
        self, conn: Database, instance: str, kind: str, configuration: Configuration, folder: Folder, zone: ZoneInfo
    ) -> None:
        self._conn = conn
        self._instance = instance
        self._entities = load_entities(kind)
        self._configuration = configuration
        self._folder = folder
        self._zone = zone
        self.columns: dict[str, TableColumns] = {}

    def look(self, now: datetime, settle: timedelta) -> None:
        """Take in everything new that lies still. Raises ReadError when the folder itself cannot be used."""
        self._folder.prepare()
        self.columns = read_columns(self._folder.root)
        with advisory_lock(self._conn, f"files:{self._instance}"):
            self._finish_what_is_read()
            known = {stored for (stored,) in self._select("select stored_as from ops.source_file where instance = %s")}
            orphans = [found for found in self._folder.left_in_reading() if f"{READING}/{found.path.name}" not in known]
            for found in [*orphans, *self._folder.new_files(now, settle)]:
                self._take_in(found, now)

    def _select(self, query: str, *parameters: object) -> list[tuple[object, ...]]:
        return self._conn.execute(query, [self._instance, *parameters]).fetchall()

    def _take_in(self, found: Found, now: datetime) -> None:
        try:
            digest, size = digest_of(found.path)
        except FileNotFoundError:
            return  # replaced or taken away just now: the next look will see
        if self._is_known(found, digest):
            return
        try:
            content = self._examine(found)
        except Unfinished as unfinished:
            if now - found.written_at < STUCK_AFTER:
                log.info("%s: %s waits, %s", self._instance, found.name, unfinished)
                return
            bad = BadFile(
                "Файл обрывается: он выгружен или передан не до конца. Выгрузите его заново.",
                f"The file breaks off: it was not exported or transferred to its end ({unfinished}). Export it again.",
            )
            self._put_aside(found, digest, size, bad)
        except BadFile as bad:
            self._put_aside(found, digest, size, bad)
        else:
            if digest_of(found.path) != (digest, size):
                return  # it has grown meanwhile
            self._accept(found, digest, size, content)

    def _is_known(self, found: Found, digest: str) -> bool:
        """The same file once more only moves to where its first copy lies: what it said has been heard.

        A table does not say when it was formed: the same content written again later is a new statement.
        """
        known = self._conn.execute(
            """
            select stored_as from ops.source_file
            where instance = %s and content_hash = %s and state <> 'quarantine'
              and (holds not like 'table:%%' or formed_at = %s)
            """,
            [self._instance, digest, found.written_at],
        ).fetchone()
        if known is None:
            return False
        log.info("%s: %s has been read before", self._instance, found.name)
        self._folder.put_over(found, known[0])
        return True

    def _accept(self, found: Found, digest: str, size: int, content: _Content) -> None:
        wanted = sorted(content.entities)
        with self._conn.transaction():
            self._conn.execute(
                """
                insert into ops.source_file
                    (instance, name, content_hash, size_bytes, formed_at, holds, entities, records, state, stored_as)
                values (%s, %s, %s, %s, %s, %s, %s, %s, 'reading', %s)
                on conflict (instance, content_hash, formed_at) do update
                set name = excluded.name, holds = excluded.holds, entities = excluded.entities,
                    records = excluded.records, state = 'reading', stored_as = excluded.stored_as,
                    read_entities = '{}', reason_ru = null, reason_en = null, finished_at = null
                """,
                [
                    self._instance,
                    found.name,
                    digest,
                    size,
                    content.formed_at,
                    content.holds,
                    wanted,
                    sum(content.entities.values()),
                    self._folder.take(found, digest),
                ],
            )
        log.info("%s: %s holds %s: %s", self._instance, found.name, content.holds, content.entities or "nothing for us")
        self._finish_what_is_read()

    def _put_aside(self, found: Found, digest: str, size: int, bad: BadFile) -> None:
        log.warning("%s: %s is put aside: %s", self._instance, found.name, bad.en)
        with self._conn.transaction():
            self._conn.execute(
                """
                insert into ops.source_file
                    (instance, name, content_hash, size_bytes, formed_at, holds, state, stored_as, reason_ru, reason_en,
                     finished_at)
                values (%s, %s, %s, %s, %s, 'unknown', 'quarantine', %s, %s, %s, now())
                on conflict (instance, content_hash, formed_at) do update
                set state = 'quarantine', stored_as = excluded.stored_as, reason_ru = excluded.reason_ru,
                    reason_en = excluded.reason_en, finished_at = excluded.finished_at
                """,
                [
                    self._instance,
                    found.name,
                    digest,
                    size,
                    found.written_at,
                    self._folder.put_aside(found.path, found.name, digest, bad.ru, bad.en),
                    bad.ru,
                    bad.en,
                ],
            )

    # --- what is in a file

    def _examine(self, found: Found) -> _Content:
        with found.path.open("rb") as file:
            beginning = file.read(512)
        if not beginning:
            raise Unfinished("it is empty")
        if beginning.startswith(b"\xd0\xcf\x11\xe0"):
            raise BadFile(
                "Это книга старого формата XLS. Сохраните её как XLSX или CSV.",
                "This is a workbook of the old XLS format: save it as XLSX or CSV.",
            )
        if beginning.startswith(b"PK") or not _is_xml(beginning):
            return self._examine_table(found)
        head = commerceml.Head()
        entities: dict[str, int] = {}
        for tag, item in commerceml.objects(found.path, head):
            for entity, _ in commerceml.records(tag, item):
                if entity in self._configuration.entities:
                    entities[entity] = entities.get(entity, 0) + 1
        return _Content(head.holds, head.formed_at(self._zone) or found.written_at, entities)

    def _examine_table(self, found: Found) -> _Content:
        stem = Path(found.name).stem
        entity = entity_of(stem, self._configuration, self.columns)
        if entity is None:
            names = sorted({body.source_set for body in self._configuration.entities.values()})
            raise BadFile(
                "По имени файла не понять, что в нём. Назовите его одним из имён (дальше может стоять что угодно): "
                + ", ".join(names),
                "The name of the file does not say what it holds. Begin it with one of: " + ", ".join(names),
            )
        records = self.table(found.path, entity).examine()
        if is_whole(stem):
            self._check_share(entity, records, stem)
        return _Content(f"table:{entity}", found.written_at, {entity: records})

    def table(self, path: Path, entity: str) -> Table:
        """A table file as that entity. Raises BadFile, ReadError."""
        shape = Shape.of(self._entities[entity], self._configuration.entities[entity], self.columns.get(entity))
        return Table(path, shape)

    def _check_share(self, entity: str, records: int, stem: str) -> None:
        known = Landed(self._conn, self._entities[entity].table(), self._instance).count()
        if records < known * MIN_SHARE and SURE not in stem.casefold():
            raise BadFile(
                f"Файл назван полным, но в нём {records} записей из известных {known}: остальные были бы помечены "
                f"удалёнными. Если это правда так, добавьте к имени файла слово {SURE}.",
                f"The file is called complete, but has {records} records where {known} are known: the others would be "
                f"marked as deleted. If that is right, add the word {SURE} to its name.",
            )

    # --- reading

    def to_read(self, entity: str) -> Iterator[Accepted]:
        """Accepted files that hold records of the entity and were not noted as read, in the order of their forming."""
        rows = self._conn.execute(
            """
            select file_id, name, stored_as, holds, formed_at from ops.source_file
            where instance = %s and state = 'reading' and %s = any(entities) and not %s = any(read_entities)
            """,
            [self._instance, entity, entity],
        ).fetchall()
        for file_id, name, stored, holds, formed_at in sorted(rows, key=lambda row: (row[4], natural(row[1]))):
            yield Accepted(file_id, name, self._folder.root / stored, holds, formed_at)

    def note_read(self, entity: str, file_ids: list[int]) -> None:
        """The records of the entity in these files are committed. Files with nothing left to read go to done/."""
        self._conn.execute(
            """
            update ops.source_file set read_entities = array_append(read_entities, %s)
            where file_id = any(%s) and not %s = any(read_entities)
            """,
            [entity, file_ids, entity],
        )
        with advisory_lock(self._conn, f"files:{self._instance}"):
            self._finish_what_is_read()

    def _finish_what_is_read(self) -> None:
        for file_id, stored, formed_at in self._conn.execute(
            "select file_id, stored_as, formed_at from ops.source_file"
            " where instance = %s and state = 'reading' and entities <@ read_entities",
            [self._instance],
        ).fetchall():
            done = self._folder.finish(stored, formed_at)
            self._conn.execute(
                "update ops.source_file set state = 'done', stored_as = %s, finished_at = now() where file_id = %s",
                [done, file_id],
            )

    def has_seen(self, entity: str) -> bool:
        """Whether any usable file held records of the entity."""
        return bool(
            self._select(
                "select from ops.source_file"
                " where instance = %s and state <> 'quarantine' and %s = any(entities) limit 1",
                entity,
            )
        )

    def covered_until(self, entity: str) -> datetime | None:
        """Up to when the files told everything about the entity: the forming of the newest one of its kind.

        A file without a record of the entity says that there was none, when files of its kind have held some before.
        """
        row = self._conn.execute(
            """
            select max(formed_at) from ops.source_file
            where instance = %s and state <> 'quarantine' and holds in (
                select holds from ops.source_file
                where instance = %s and state <> 'quarantine' and %s = any(entities)
                  and (holds like 'table:%%' or holds = any(%s))
            )
            """,
            [self._instance, self._instance, entity, [kind for kind, told in TOLD_BY.items() if entity in told]],
        ).fetchone()
        return row[0] if row else None


def _is_xml(beginning: bytes) -> bool:
    text = beginning.removeprefix(b"\xef\xbb\xbf").removeprefix(b"\xff\xfe").removeprefix(b"\xfe\xff")
    return text.replace(b"\x00", b"").lstrip().startswith(b"<")
