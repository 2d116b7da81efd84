"""`polka doctor` and `polka mapping init` as a new user meets them, against the simulated 1C and worse."""

import asyncio
import json
import logging
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from typer.testing import CliRunner, Result

from clients.connection import Connection
from clients.onec import OnecClient
from extractors.core import spec
from extractors.onec.metadata import Published, parse
from extractors.onec.needs import chosen, gaps
from polka.cli import app
from polka.doctor_words import TROUBLES
from simulators.onec.base import Base, simple_set
from simulators.onec.faults import FaultPlan
from simulators.onec.schema import SetSchema
from simulators.onec.server import PUBLICATION, OnecServer, Quirks
from simulators.world.build import World
from simulators.world.onec import base_on
from tests.support.serving import serve
from tests.support.simulated_onec import small_base
from warehouse import clock
from warehouse.settings import get_settings

LOGIN, PASSWORD = "Полка", "секрет-4711-xyz"


@dataclass
class Patient:
    """A simulated base on a real socket, and the command line pointed at it."""

    server: OnecServer
    root: str
    monkeypatch: pytest.MonkeyPatch

    def connect(self, **changes: str) -> None:
        fields = {"conn_type": "http", "host": self.root + PUBLICATION, "login": LOGIN, "password": PASSWORD}
        self.monkeypatch.setenv("AIRFLOW_CONN_ONEC_MAIN", json.dumps(fields | changes))

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(app, ["doctor", "--timeout", "20", *arguments])

    def examine(self) -> tuple[int, dict[str, Any]]:
        """Exit code and the JSON report of the only source."""
        result = self.run("--json")
        assert PASSWORD not in result.output
        report = json.loads(result.stdout)
        assert report["fit"] == (result.exit_code == 0)
        (source,) = report["sources"]
        return result.exit_code, source

    def problems(self) -> dict[str, str]:
        """Sentence by cause; at least one of them, and exit code 1."""
        code, source = self.examine()
        assert code == 1
        found = {item["cause"]: item["text"] for item in source["advice"] if item["level"] == "problem"}
        assert found
        return found

    def only_problem(self) -> tuple[str, str]:
        (found,) = self.problems().items()
        return found


@pytest.fixture(scope="module")
def world() -> Base:
    """The seeded world's base, built once; each test publishes its own selection of it."""
    day = date(2026, 9, 14)
    return base_on(World(7, day), day)


@pytest.fixture
def treat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Base], Patient]]:
    """Serve a base and point the command line at it, in a configuration of its own."""
    sources = tmp_path / "sources.yml"
    sources.write_text("sources:\n  - {id: onec_main, kind: onec, connection: onec_main}\n", encoding="utf-8")
    monkeypatch.setenv("POLKA_SOURCES", str(sources))
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "airflow"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    get_settings.cache_clear()
    running = []

    def start(base: Base) -> Patient:
        server = OnecServer(base, LOGIN, PASSWORD)
        context = serve(server)
        patient = Patient(server, context.__enter__(), monkeypatch)
        running.append(context)
        patient.connect()
        return patient

    yield start
    # Airflow sets logging up when it is first imported, on the output of the invocation that has ended.
    root = logging.getLogger()
    root.handlers[:] = [handler for handler in root.handlers if not is_closed(handler)]
    for context in running:
        context.__exit__(None, None, None)


def is_closed(handler: logging.Handler) -> bool:
    return bool(getattr(getattr(handler, "stream", None), "closed", False))


@pytest.fixture
def patient(treat: Callable[[Base], Patient], world: Base) -> Patient:
    return treat(Base(list(world.sets.values())))


def mapped() -> dict[str, spec.EntityMapping]:
    """What the mapping ut11 reads, by set; each set once."""
    return {mapping.source_set: mapping for mapping in spec.load_configuration("onec", "ut11").entities.values()}


def required_sets() -> list[str]:
    return [name for name, mapping in mapped().items() if not mapping.optional]


def countable_sets(base: Base) -> list[str]:
    """Sets that the base publishes and that are read as such, not through a virtual table."""
    return [name for name, mapping in mapped().items() if name in base.sets and mapping.function is None]


# --- a healthy base -------------------------------------------------------------------------------------------


def test_a_healthy_base_is_fit_and_its_figures_are_true(patient: Patient) -> None:
    code, source = patient.examine()
    assert code == 0
    assert [item for item in source["advice"] if item["level"] == "problem"] == []
    assert (source["reachable"], source["login_accepted"], source["tls"]) == (True, True, "plain_local")
    assert abs(source["clock_skew_seconds"]) < 5
    assert source["published_sets"] == len(patient.server.base.sets)
    rows = {entity["source_set"]: entity["rows"] for entity in source["entities"]}
    base = patient.server.base
    counted = {name: len(base.sets[name].rows) for name in countable_sets(base)}
    assert {name: count for name, count in rows.items() if count is not None} == counted
    assert set(required_sets()) <= set(counted)
    estimate = source["estimate"]
    assert estimate["rows"] == sum(counted.values())
    assert estimate["bytes"] == pytest.approx(whole_load(patient), rel=0.1)
    assert 0 < estimate["sampled_bytes"] < estimate["bytes"] / 5
    assert 0 < estimate["seconds_at_least"] <= estimate["seconds_at_most"]


def test_virtual_tables_are_asked_as_a_load_asks_them(treat: Callable[[Base], Patient], world: Base) -> None:
    code, source = treat(Base(list(world.sets.values()), list(world.registers.values()))).examine()
    assert [item for item in source["advice"] if item["level"] == "problem"] == []
    assert code == 0
    virtual = {name for name, mapping in mapped().items() if mapping.function is not None}
    asked = {entity["source_set"]: entity for entity in source["entities"] if entity["source_set"] in virtual}
    there = {name for name in virtual if name in world.registers}
    assert {name for name, entity in asked.items() if entity["published"]} == there
    assert len(there) >= 4
    assert all(asked[name]["sample"]["rows"] > 0 for name in there)


def whole_load(patient: Patient) -> int:
    """Bytes of all records, read page by page with nothing of the examination's code."""
    total = 0
    with OnecClient(Connection(patient.root + PUBLICATION, LOGIN, PASSWORD)) as client:
        for name in countable_sets(patient.server.base):
            for skip in range(0, len(patient.server.base.sets[name].rows), 2000):
                total += len(client.collection(name, {"$top": "2000", "$skip": str(skip), "$orderby": "Ref_Key"}))
    return total


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("ru", ["Объект 1С", "Базу можно загружать.", "Первая загрузка:", "логин и пароль"]),
        ("en", ["Object of 1C", "This base can be loaded.", "First load:", "login and password"]),
    ],
)
def test_the_table_speaks_the_settings_language(
    patient: Patient, monkeypatch: pytest.MonkeyPatch, language: str, words: list[str]
) -> None:
    monkeypatch.setenv("POLKA_LANGUAGE", language)
    monkeypatch.setattr("polka.commands.doctor.console.width", 160)  # a narrow window folds long names
    get_settings.cache_clear()
    result = patient.run()
    assert result.exit_code == 0, result.output
    for word in [*words, *mapped()]:
        assert word in result.stdout
    assert PASSWORD not in result.output


def test_every_trouble_has_words_in_both_languages() -> None:
    for russian, english in TROUBLES.values():
        assert any("а" <= letter <= "я" for letter in russian)
        assert russian.endswith(("{message}", "."))
        assert english.endswith(("{message}", "."))


def test_another_clock_is_a_note(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = clock.now
    monkeypatch.setattr(clock, "now", lambda: ours() + timedelta(minutes=10))
    code, source = patient.examine()
    assert code == 0
    assert source["clock_skew_seconds"] == pytest.approx(-600, abs=5)
    (note,) = [item for item in source["advice"] if item["cause"] == "clock"]
    assert note["level"] == "note"
    assert "отстают" in note["text"]
    assert "NTP" in note["text"]


# --- objects, fields, rights ----------------------------------------------------------------------------------


def test_half_of_the_objects_unpublished(patient: Patient) -> None:
    hidden = list(mapped())[::2]
    required = set(required_sets())
    patient.server.quirks = Quirks(unpublished=hidden)
    cause, text = patient.only_problem()
    assert cause == "not_published"
    for name in hidden:
        assert (name in text) == (name in required)
    assert "Состав" in text
    assert "polka mapping init --source onec_main" in text
    _, source = patient.examine()
    absent = {entity["source_set"] for entity in source["entities"] if not entity["published"]}
    assert absent == set(hidden) | (set(mapped()) - set(patient.server.base.sets))
    assert not set(hidden) & {name for name in patient.server.requests if patient.server.requests[name]}
    shown = patient.run().stdout
    assert "Пока загружать нельзя." in shown


def test_an_optional_object_may_be_absent_and_it_is_said_what_stands_in(patient: Patient) -> None:
    optional = sorted(set(mapped()) - set(required_sets()))
    patient.server.quirks = Quirks(unpublished=optional)
    code, source = patient.examine()
    assert code == 0
    (note,) = [item for item in source["advice"] if item["cause"] == "not_published_optional"]
    assert note["level"] == "note"
    lines = dict(line.split(": ", 1) for line in note["text"].splitlines()[1:])
    assert lines.keys() == set(optional)
    assert lines["AccumulationRegister_ВыручкаИСебестоимостьПродаж"] == (
        "выручка берётся из документов отгрузки и возврата, себестоимость неизвестна"
    )
    assert all(lines.values())
    absent = [entity for entity in source["entities"] if not entity["published"]]
    assert all(entity["without"].keys() == {"ru", "en"} and entity["rows"] is None for entity in absent)


def test_a_set_that_stands_in_for_another_is_examined_in_its_place(
    patient: Patient, shelf: Path, tmp_path: Path
) -> None:
    mapping = yaml.safe_load((shelf / "ut11.yml").read_text(encoding="utf-8"))
    mapping["entities"]["order"] |= {"set": "Document_СчетНаОплату", "instead": ["Document_ЗаказКлиента"]}
    (shelf / "invoices.yml").write_text(yaml.safe_dump(mapping, allow_unicode=True), encoding="utf-8")
    line = "sources:\n  - {id: onec_main, kind: onec, connection: onec_main, mapping: invoices}\n"
    (tmp_path / "sources.yml").write_text(line, encoding="utf-8")
    code, source = patient.examine()
    assert code == 0
    (order,) = [entity for entity in source["entities"] if entity["entity"] == "order"]
    assert (order["source_set"], order["stands_in_for"]) == ("Document_ЗаказКлиента", "Document_СчетНаОплату")
    assert order["rows"] == len(patient.server.base.sets["Document_ЗаказКлиента"].rows)
    (note,) = [item for item in source["advice"] if item["cause"] == "stands_in"]
    assert "вместо него читается Document_ЗаказКлиента" in note["text"]


def test_another_name_of_a_field_will_do(patient: Patient) -> None:
    without(patient.server.base, "Catalog_Контрагенты", ЮрФизЛицо="ЮридическоеФизическоеЛицо")
    assert patient.examine()[0] == 0
    without(patient.server.base, "Catalog_Контрагенты", "ЮридическоеФизическоеЛицо")
    cause, text = patient.only_problem()
    assert cause == "fields_missing"
    assert "ЮрФизЛицо" in text


def test_an_empty_composition(patient: Patient) -> None:
    patient.server.quirks = Quirks(unpublished=["*"])
    cause, text = patient.only_problem()
    assert cause == "empty_composition"
    assert "состав OData пуст" in text


def test_no_rights_and_some_rights(patient: Patient) -> None:
    patient.server.quirks = Quirks(no_rights=["Document_ЗаказКлиента"], restricted=["Catalog_Контрагенты"])
    cause, text = patient.only_problem()
    assert cause == "no_rights"
    assert "Document_ЗаказКлиента" in text
    assert "роль" in text
    _, source = patient.examine()
    rights = {entity["source_set"]: entity["rights"] for entity in source["entities"]}
    assert rights.pop("Document_ЗаказКлиента") == "none"
    assert rights.pop("Catalog_Контрагенты") == "part"
    assert {rights[name] for name in countable_sets(patient.server.base) if name in rights} == {"all"}
    (note,) = [item for item in source["advice"] if item["cause"] == "partial_rights"]
    assert "Catalog_Контрагенты" in note["text"]
    assert "order" in source["estimate"]["unknown"]
    assert not {"partner", "legal_entity", "shipment"} & set(source["estimate"]["unknown"])


def test_no_rights_at_all_gives_no_estimate_out_of_nothing(patient: Patient) -> None:
    patient.server.quirks = Quirks(no_rights=sorted(patient.server.base.sets))
    cause, _ = patient.only_problem()
    assert cause == "no_rights"
    told = " ".join(patient.run().output.split())
    assert "оценить нельзя" in told
    assert "записей 0" not in told


def without(base: Base, set_name: str, *fields: str, **renamed: str) -> None:
    """Take fields out of a set, or give them another name, as another configuration would."""
    schema = base.sets[set_name].schema
    kept = tuple(
        replace(field, name=renamed.get(field.name, field.name)) for field in schema.fields if field.name not in fields
    )
    base.sets[set_name] = simple_set(SetSchema(set_name, kept, schema.tables, ("Ref_Key",)), [])


def test_fields_missing_required_and_optional(patient: Patient) -> None:
    without(patient.server.base, "Catalog_Партнеры", "Клиент", "Полка_Канал", ОсновнойМенеджер_Key="Менеджер_Key")
    cause, text = patient.only_problem()
    assert cause == "fields_missing"
    assert "Клиент" in text
    assert "ОсновнойМенеджер_Key" in text
    assert "Полка_Канал" not in text
    _, source = patient.examine()
    notes = [item["text"] for item in source["advice"] if item["cause"] == "fields_optional"]
    (note,) = [text for text in notes if text.startswith("Catalog_Партнеры: ")]
    assert "Полка_Канал" in note


def test_a_field_of_another_type(patient: Patient) -> None:
    base = patient.server.base
    schema = base.sets["Catalog_Марки"].schema
    fields = tuple(replace(f, kind="string") if f.name == "DeletionMark" else f for f in schema.fields)
    base.sets["Catalog_Марки"] = simple_set(SetSchema(schema.name, fields, schema.tables, ("Ref_Key",)), [])
    cause, text = patient.only_problem()
    assert cause == "wrong_type"
    assert "Catalog_Марки: поле DeletionMark имеет тип Edm.String" in text


def test_one_object_that_cannot_be_read_does_not_hide_the_others(patient: Patient) -> None:
    patient.server.faults = FaultPlan.parse(
        [{"kind": "status", "status": 500, "match": "ЗаказКлиента?", "times": None}]
    )
    cause, text = patient.only_problem()
    assert cause == "too_large"
    assert text.startswith("Document_ЗаказКлиента: ")
    _, source = patient.examine()
    sampled = {entity["source_set"] for entity in source["entities"] if entity["sample"] is not None}
    assert sampled >= set(required_sets()) - {"Document_ЗаказКлиента"}
    assert "Document_ЗаказКлиента" not in sampled


# --- the way to the base --------------------------------------------------------------------------------------


def test_wrong_password(patient: Patient) -> None:
    patient.connect(password="not-the-one-8812")
    result = patient.run()
    assert result.exit_code == 1
    assert "1С не приняла логин или пароль. Проверьте их в соединении" in result.stdout
    assert "not-the-one-8812" not in result.output
    assert patient.only_problem()[0] == "login"
    assert patient.examine()[1]["login_accepted"] is False


@pytest.mark.parametrize(
    ("fault", "cause", "words"),
    [
        ({"kind": "html"}, "web_page", "пришла веб-страница, а не данные"),
        ({"kind": "session", "status": 406}, "no_licence", "нет свободной лицензии"),
        ({"kind": "session", "status": 403}, "session_refused", "Превышено количество доступных сеансов"),
        ({"kind": "status", "status": 403}, "forbidden", "Веб-сервер перед 1С запрещает"),
        ({"kind": "status", "status": 500}, "server_error", "(HTTP 500)"),
        ({"kind": "status", "status": 503, "retry_after": 200}, "server_error", "(HTTP 503)"),
        ({"kind": "status", "status": 404}, "no_odata", "кончается на /odata/standard.odata"),
        ({"kind": "reset"}, "broken_off", "оборвалось до ответа"),
    ],
)
def test_what_stands_before_the_base(patient: Patient, fault: dict[str, Any], cause: str, words: str) -> None:
    patient.server.faults = FaultPlan.parse([fault | {"times": None}])
    found, text = patient.only_problem()
    assert found == cause
    assert words in text


def test_too_slow(patient: Patient) -> None:
    patient.server.faults = FaultPlan.parse([{"kind": "timeout", "seconds": 3, "times": None}])
    result = patient.run("--timeout", "1", "--json")
    (item,) = json.loads(result.stdout)["sources"][0]["advice"]
    assert item["cause"] == "timeout"
    assert "--timeout" in item["text"]


def test_wrong_addresses(patient: Patient) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    secure = patient.root.replace("http://", "https://") + PUBLICATION
    for address, cause, word in [
        (f"http://127.0.0.1:{port}/ut/odata/standard.odata", "refused", "Проверьте порт"),
        ("ftp://1c.example/odata", "bad_address", "http:// или https://"),
        (f"{patient.root}/other/odata/standard.odata", "no_odata", "имя публикации"),
        (secure, "tls_not_spoken", "Замените https:// на http://"),
    ]:
        patient.connect(host=address)
        found, text = patient.only_problem()
        assert (found, address) == (cause, address)
        assert word in text


def test_a_name_that_does_not_exist(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_such_name(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(-2, "Name or service not known")

    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    patient.connect(host="http://no-such-host.invalid/ut/odata/standard.odata")
    monkeypatch.setattr(socket, "getaddrinfo", no_such_name)
    found, text = patient.only_problem()
    assert found == "unknown_host"
    assert "no-such-host.invalid" in text
    assert "опечатки" in text


def test_secrets_in_the_address_are_not_shown(patient: Patient) -> None:
    patient.connect(host=patient.root.replace("://", "://robot:hush-9000@") + "/nothing")
    for result in (patient.run(), patient.run("--json")):
        assert result.exit_code == 1
        assert "hush-9000" not in result.output


def test_a_web_server_that_wants_windows_sign_in(patient: Patient) -> None:
    class Iis(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(401)
            self.send_header("WWW-Authenticate", "Negotiate")
            self.send_header("WWW-Authenticate", "NTLM")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            return

    iis = ThreadingHTTPServer(("127.0.0.1", 0), Iis)
    threading.Thread(target=iis.serve_forever, daemon=True).start()
    try:
        patient.connect(host=f"http://127.0.0.1:{iis.server_port}/ut/odata/standard.odata")
        found, text = patient.only_problem()
    finally:
        iis.shutdown()
        iis.server_close()
    assert found == "login_scheme"
    assert "Basic" in text


# --- certificates ---------------------------------------------------------------------------------------------


def certificate(folder: Path, *, address: str = "127.0.0.1", expired: bool = False) -> tuple[Path, Path]:
    """A self-signed certificate of a server: files of the certificate and of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "1c.test")])
    now = clock.now()
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=30))
        .not_valid_after(now + timedelta(days=-1 if expired else 30))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "onec.crt", folder / "onec.key"
    certificate_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate_file, key_file


@contextmanager
def behind_tls(target: str, certificate_file: Path, key_file: Path) -> Iterator[str]:
    """A proxy that speaks TLS before the base, as a web server does."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate_file, key_file)
    host, port = target.removeprefix("http://").split(":")
    loop = asyncio.new_event_loop()
    started = threading.Event()
    address: list[str] = []

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(1 << 16):
            writer.write(chunk)
            await writer.drain()
        writer.close()

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        base_reader, base_writer = await asyncio.open_connection(host, int(port))
        await asyncio.gather(pump(reader, base_writer), pump(base_reader, writer), return_exceptions=True)

    async def main() -> None:
        server = await asyncio.start_server(pipe, "127.0.0.1", 0, ssl=context)
        address.append(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        started.set()

    task = loop.create_task(main())
    loop.set_exception_handler(lambda *_: None)  # refused handshakes are what is wanted here
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    assert started.wait(10), task
    try:
        yield address[0]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)


@pytest.mark.parametrize(
    ("made", "cause", "words"),
    [
        ({}, "tls_untrusted", "REQUESTS_CA_BUNDLE"),
        ({"expired": True, "trusted": True}, "tls_expired", "просрочен"),
        ({"address": "192.0.2.1", "trusted": True}, "tls_other_host", "выдан на другое имя"),
    ],
)
def test_certificates(
    patient: Patient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: Mapping[str, Any], cause: str, words: str
) -> None:
    options = dict(made)
    trusted = options.pop("trusted", False)
    files = certificate(tmp_path, **options)
    if trusted:
        trust(monkeypatch, files[0])
    with behind_tls(patient.root, *files) as address:
        patient.connect(host=address + PUBLICATION)
        found, text = patient.only_problem()
        assert found == cause
        assert words in text
        assert patient.examine()[1]["tls"] == "failed"


def test_the_remedy_for_a_private_authority_works(
    patient: Patient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = certificate(tmp_path)
    trust(monkeypatch, files[0])
    with behind_tls(patient.root, *files) as address:
        patient.connect(host=address + PUBLICATION)
        code, source = patient.examine()
    assert (code, source["tls"]) == (0, "verified")


def trust(monkeypatch: pytest.MonkeyPatch, certificate_file: Path) -> None:
    """As the sentence says."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate_file))


# --- configuration --------------------------------------------------------------------------------------------


def test_no_connection_yet(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_ONEC_MAIN")
    found, text = patient.only_problem()
    assert found == "no_connection"
    assert 'export AIRFLOW_CONN_ONEC_MAIN=\'{"conn_type": "http"' in text


def test_an_unknown_mapping(patient: Patient, tmp_path: Path) -> None:
    line = "sources:\n  - {id: onec_main, kind: onec, connection: onec_main, mapping: ut99}\n"
    (tmp_path / "sources.yml").write_text(line, encoding="utf-8")
    found, text = patient.only_problem()
    assert found == "bad_mapping"
    assert "there is no mapping 'ut99'" in text
    assert "ut11" in text


def test_an_unknown_source_and_no_sources_file(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    result = patient.run("--source", "nope")
    assert result.exit_code == 2
    assert "onec_main" in result.output
    monkeypatch.setenv("POLKA_SOURCES", "nowhere.yml")
    get_settings.cache_clear()
    result = patient.run()
    assert result.exit_code == 2
    assert "there is no sources file nowhere.yml" in result.output


def test_a_recorded_base_has_what_the_mapping_names(shared_dir: Path) -> None:
    recorded = shared_dir / "samples" / "1c_odata" / "cdc-1c_trade_demo" / "msg001_metadata.xml"
    base = Published(clock.now(), parse(recorded.read_bytes()))
    entities = spec.load_entities("onec")
    there = {
        name: gaps(base, found, entities[name])
        for name, mapping in spec.load_configuration("onec", "ut11").entities.items()
        if (found := chosen(base, mapping)) is not None
    }
    assert set(there) == {"legal_entity", "product", "order", "shipment", "stock", "revenue"}
    assert [gap for found in there.values() for gap in found if not gap.optional] == []
    assert "Document_ЗаказКлиента" in base.sets()
    assert "AccumulationRegister_ТоварыНаСкладах" in base.sets()
    assert not {"Document_ЗаказКлиента_Товары", "Document_ЗаказКлиента_Товары_RowType"} & set(base.sets())


# --- mapping init ---------------------------------------------------------------------------------------------


def propose(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["mapping", "init", "--source", "onec_main", *arguments])


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the extractors' descriptions, so that a proposed mapping can be put beside the shipped one."""
    for name in ("onec/entities.yml", *(f"mappings/onec/{name}.yml" for name in ("ut11", "unf", "bp30"))):
        target = tmp_path / "extractors" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text((spec.EXTRACTORS / name).read_text(encoding="utf-8"), encoding="utf-8")
    for path in (spec.EXTRACTORS / "schemas").glob("*.json"):
        target = tmp_path / "extractors" / "schemas" / path.name
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(path.read_bytes())
    monkeypatch.setattr(spec, "EXTRACTORS", tmp_path / "extractors")
    spec.load_entities.cache_clear()
    spec.load_configuration.cache_clear()
    yield tmp_path / "extractors" / "mappings" / "onec"
    spec.load_entities.cache_clear()
    spec.load_configuration.cache_clear()


def test_a_suitable_base_gets_the_shipped_mapping_back(patient: Patient, shelf: Path) -> None:
    result = propose("--output", str(shelf / "my_base.yml"))
    assert result.exit_code == 0, result.output
    assert PASSWORD not in result.output
    proposed, shipped = (spec.load_configuration("onec", name) for name in ("my_base", "ut11"))
    assert proposed.entities == shipped.entities
    assert proposed.outlet == shipped.outlet
    again = propose("--output", str(shelf / "my_base.yml"))
    assert again.exit_code == 2
    assert "--force" in again.output


def test_a_base_that_differs_gets_hints_and_passes_its_own_doctor(
    patient: Patient, shelf: Path, tmp_path: Path
) -> None:
    base = patient.server.base
    without(base, "Catalog_Партнеры", "Клиент", ОсновнойМенеджер_Key="Менеджер_Key")
    base.sets["Catalog_МаркиТоваров"] = simple_set(
        SetSchema("Catalog_МаркиТоваров", base.sets.pop("Catalog_Марки").schema.fields, (), ("Ref_Key",)), []
    )
    result = propose("--output", str(shelf / "my_base.yml"))
    assert result.exit_code == 0, result.output
    text = (shelf / "my_base.yml").read_text(encoding="utf-8")
    lines = {line.split(":")[0].strip(): line for line in text.splitlines() if "LOOK:" in line and line[:1] != "#"}
    assert lines["is_client"].endswith("# LOOK: not in this base")
    assert "set: Catalog_Марки  # LOOK: not published; similar: Catalog_МаркиТоваров" in text
    manager = next(line for line in text.splitlines() if "ОсновнойМенеджер_Key" in line)
    assert "{source: ОсновнойМенеджер_Key, optional: true}" in manager
    assert "similar: Менеджер_Key" in manager
    proposed = spec.load_configuration("onec", "my_base")
    assert proposed.entities["brand"].optional
    assert proposed.entities["partner"].fields["is_client"].optional
    assert not proposed.entities["partner"].fields["name"].optional
    assert patient.examine()[0] == 1
    line = "sources:\n  - {id: onec_main, kind: onec, connection: onec_main, mapping: my_base}\n"
    (tmp_path / "sources.yml").write_text(line, encoding="utf-8")
    assert patient.examine()[0] == 0


def test_the_proposal_goes_to_the_screen_without_an_output(treat: Callable[[Base], Patient]) -> None:
    treat(small_base())
    result = propose()
    assert result.exit_code == 0, result.output
    content = yaml.safe_load(result.stdout)
    assert content["configuration"] == "onec_main"
    assert content["entities"]["product"]["optional"] is True
    assert "Catalog_Номенклатура" in result.stderr


def test_mapping_init_explains_what_is_in_the_way(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    patient.connect(password="not-the-one-8812")
    result = propose()
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "1С не приняла логин или пароль" in result.stderr
    monkeypatch.delenv("AIRFLOW_CONN_ONEC_MAIN")
    result = propose()
    assert result.exit_code == 1
    assert "AIRFLOW_CONN_ONEC_MAIN" in result.stderr
