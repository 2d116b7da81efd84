"""The watched folder: new files anywhere in it, and our own three folders inside.

    reading/     taken over, not committed by all entities yet (nobody overwrites them there)
    done/        committed
    quarantine/  put aside, each with a text file that says why

Moves are renames inside one file system: a file is always in exactly one place.
"""

import hashlib
import logging
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit

from clients.connection import Connection
from extractors.core.errors import ReadError
from extractors.file.tables import COLUMNS_FILE

log = logging.getLogger(__name__)

READING, DONE, QUARANTINE = "reading", "done", "quarantine"
ENDINGS = (".xml", ".csv", ".tsv", ".txt", ".xlsx", ".xls", ".zip")
_HASH_IN_NAME = re.compile(r"^[0-9a-f]{12}-")


@dataclass(frozen=True)
class Found:
    """A file that lies still. name: as it was put in; written_at: its modification time."""

    path: Path
    name: str
    written_at: datetime


class Folder:
    """One watched folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def of(cls, connection: Connection) -> "Folder":
        """The folder that a connection names: `path` in its extra, or its host. Raises ReadError."""
        told = connection.extra.get("path") or connection.url
        if told.startswith("file:"):
            told = unquote(urlsplit(told).path)
        if not told:
            raise ReadError('the connection names no folder: put {"path": "/srv/polka/inbox"} into its extra')
        folder = cls(Path(told).expanduser())
        if not folder.root.is_dir():
            raise ReadError(f"the folder {folder.root} does not exist, or this process may not enter it")
        return folder

    def prepare(self) -> None:
        """Make our own folders. Raises ReadError when this process may not write there."""
        try:
            for name in (READING, DONE, QUARANTINE):
                (self.root / name).mkdir(exist_ok=True)
        except OSError as problem:
            raise ReadError(
                f"Polka must be able to write into {self.root}, it moves the files that it has read: {problem.strerror}"
            ) from None

    def new_files(self, now: datetime, settle: timedelta) -> list[Found]:
        """Files that have not changed for `settle`, oldest first; those that a crash left in reading/ included."""
        found = [
            Found(path, path.relative_to(self.root).as_posix(), written)
            for path, written in self._walk()
            if not timedelta() <= now - written < settle
        ]
        return sorted(found, key=lambda file: (file.written_at, natural(file.name)))

    def left_in_reading(self) -> list[Found]:
        """What lies in reading/."""
        folder = self.root / READING
        return [
            Found(path, _HASH_IN_NAME.sub("", path.name), _written_at(path))
            for path in sorted(folder.iterdir())
            if path.is_file() and not path.is_symlink()
        ]

    def _walk(self) -> Iterator[tuple[Path, datetime]]:
        for place, folders, files in os.walk(self.root):
            here = Path(place)
            if here == self.root:
                folders[:] = [name for name in folders if name not in (READING, DONE, QUARANTINE)]
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(files):
                path = here / name
                if name.startswith((".", "~")) or not name.casefold().endswith(ENDINGS) or name == COLUMNS_FILE:
                    continue
                try:
                    if path.is_file() and not path.is_symlink():
                        yield path, _written_at(path)
                except FileNotFoundError:
                    continue  # replaced or taken away just now

    def take(self, found: Found, digest: str) -> str:
        """Move a file into reading/; returns where it lies, from the folder on."""
        return self._move(found.path, READING, f"{digest[:12]}-{_flat(found.name)}")

    def put_over(self, found: Found, stored_as: str) -> None:
        """Move another copy of a file over the first one."""
        found.path.replace(self.root / stored_as)

    def finish(self, stored_as: str, formed_at: datetime) -> str:
        """Move a file from reading/ to done/; harmless when it was moved before."""
        name = Path(stored_as).name
        stamp = formed_at.astimezone(UTC).strftime("%Y%m%dT%H%M%S")
        return self._move(self.root / stored_as, DONE, f"{stamp}-{name}")

    def put_aside(self, path: Path, name: str, digest: str, ru: str, en: str) -> str:
        """Move a file to quarantine/ with the reason beside it."""
        aside = f"{digest[:12]}-{_flat(name)}"
        (self.root / QUARANTINE / f"{aside}.why.txt").write_text(f"{ru}\n\n{en}\n", encoding="utf-8")
        return self._move(path, QUARANTINE, aside)

    def _move(self, path: Path, where: str, name: str) -> str:
        target = self.root / where / name
        try:
            path.replace(target)
        except FileNotFoundError:
            if not target.exists():
                raise ReadError(f"{path} vanished while it was read: nobody else may touch {self.root}") from None
        return f"{where}/{name}"


def digest_of(path: Path) -> tuple[str, int]:
    """(sha256 in hex, size in bytes)."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size


def natural(name: str) -> list[tuple[int, str]]:
    """Sorts import0_2.xml before import0_10.xml."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def _flat(name: str) -> str:
    """A path as one file name that every file system takes."""
    flat = name.replace("/", "_")
    while len(flat.encode()) > 180:
        flat = flat[1:]
    return flat


def _written_at(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)
