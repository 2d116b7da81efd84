"""Forward-only SQL migrations, applied in order, each in a transaction of its own with its checksum."""

import hashlib
import logging
import re
from dataclasses import dataclass
from pathlib import Path

from warehouse.db import Connection, advisory_lock, connect

logger = logging.getLogger(__name__)

MIGRATIONS = Path(__file__).with_name("migrations")
_FILE_NAME = re.compile(r"^(?P<version>\d{4})_[a-z0-9_]+\.sql$")
_LOCK = "polka:migrate"


class MigrationError(RuntimeError):
    """The migrations and the database do not fit together; the message names the file."""


@dataclass(frozen=True)
class Migration:
    version: int
    name: str
    statements: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.statements.encode()).hexdigest()


def read_migrations(folder: Path = MIGRATIONS) -> list[Migration]:
    """All migrations in order. Raises MigrationError for a bad name, a repeated number or a gap."""
    migrations = []
    for path in sorted(folder.glob("*.sql")):
        match = _FILE_NAME.match(path.name)
        if match is None:
            raise MigrationError(f"{path.name}: a migration is named 0001_what_it_does.sql")
        # Text mode: a checkout with Windows line ends has the same checksum.
        migrations.append(Migration(int(match["version"]), path.stem, path.read_text(encoding="utf-8")))
    versions = [migration.version for migration in migrations]
    if versions != list(range(1, len(versions) + 1)):
        raise MigrationError(f"Migrations must be numbered 0001, 0002, ... without gaps or repeats, found {versions}")
    return migrations


def migrate(url: str | None = None, *, folder: Path = MIGRATIONS) -> list[str]:
    """Bring the database up to date; return the names applied now, in order.

    Safe to run from several processes at once. Raises MigrationError when an applied file was changed since,
    or when the database is newer than this code; a failing statement rolls back its whole file.
    """
    migrations = read_migrations(folder)
    with connect(url) as conn, advisory_lock(conn, _LOCK):
        conn.execute("create schema if not exists ops")
        conn.execute(
            """
            create table if not exists ops.schema_migration (
                version integer primary key,
                name text not null,
                checksum text not null,
                applied_at timestamptz not null default now()
            )
            """
        )
        conn.commit()
        pending = _pending(conn, migrations)
        for migration in pending:
            logger.info("applying migration %s", migration.name)
            conn.execute(migration.statements.encode())
            conn.execute(
                "insert into ops.schema_migration (version, name, checksum) values (%s, %s, %s)",
                [migration.version, migration.name, migration.checksum],
            )
            conn.commit()
    return [migration.name for migration in pending]


def _pending(conn: Connection, migrations: list[Migration]) -> list[Migration]:
    known = {migration.version: migration for migration in migrations}
    applied = set()
    for version, name, checksum in conn.execute("select version, name, checksum from ops.schema_migration order by 1"):
        if version not in known:
            raise MigrationError(f"The database has migration {name}, this code does not: install the newer version.")
        if known[version].checksum != checksum:
            raise MigrationError(
                f"Migration {known[version].name}.sql was changed after it was applied; "
                "restore the file and put the change into a new migration."
            )
        applied.add(version)
    return [migration for migration in migrations if migration.version not in applied]
