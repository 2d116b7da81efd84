"""Public clients that know the real Bitrix24 use the simulator: fast_bitrix24 and the vendor's b24pysdk."""

import datetime
import ipaddress
from collections.abc import Iterator
from pathlib import Path

import pytest
from b24pysdk import BitrixWebhook, Client
from b24pysdk.errors import BitrixAPIError, BitrixAPIQueryLimitExceeded
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from fast_bitrix24 import Bitrix

from simulators.bitrix24 import WEBHOOK_CODE, Fault, Limits, build_app
from tests.support.delivery import PortalHandle, employees, running_portal, serve


@pytest.fixture
def portal(tmp_path: Path) -> Iterator[PortalHandle]:
    with running_portal(tmp_path / "portal.json") as handle:
        yield handle


@pytest.fixture
def fast(portal: PortalHandle) -> Bitrix:
    return Bitrix(portal.url, request_pool_size=10_000, requests_per_second=10_000.0, verbose=False)


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """b24pysdk speaks https only."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = tmp_path / "portal.crt", tmp_path / "portal.key"
    certificate_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate_file, key_file


@pytest.fixture
def sdk(tmp_path: Path, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate[0]))
    app = build_app(tmp_path / "sdk.json", employees(), limits=Limits(burst=60, drain_per_second=0.001))
    with serve(app, ssl_certfile=str(certificate[0]), ssl_keyfile=str(certificate[1])) as address:
        token = BitrixWebhook(domain=address.removeprefix("https://"), webhook_token=f"1/{WEBHOOK_CODE}")
        yield Client(token, max_retries=1)


def add_tasks(fast: Bitrix, count: int) -> None:
    fields = [
        {"fields": {"TITLE": f"Задача {n}", "RESPONSIBLE_ID": 11 + n % 2, "XML_ID": f"key-{n}"}} for n in range(count)
    ]
    fast.call("tasks.task.add", fields)


def test_fast_bitrix24_creates_in_batches_and_reads_all_pages(fast: Bitrix) -> None:
    add_tasks(fast, 173)
    tasks = fast.get_all("tasks.task.list", {"select": ["ID", "XML_ID", "RESPONSIBLE_ID"]})
    assert sorted(task["xmlId"] for task in tasks) == sorted(f"key-{n}" for n in range(173))
    assert {type(task["id"]) for task in tasks} == {str}
    assert all(task["group"] == [] for task in tasks)


def test_fast_bitrix24_filters(fast: Bitrix) -> None:
    add_tasks(fast, 60)
    mine = fast.get_all("tasks.task.list", {"filter": {"RESPONSIBLE_ID": 12}, "select": ["ID"]})
    assert len(mine) == 30
    one = fast.get_all("tasks.task.list", {"filter": {"XML_ID": "key-7"}, "select": ["ID", "TITLE"]})
    assert [task["title"] for task in one] == ["Задача 7"]
    late = fast.get_all("tasks.task.list", {"filter": {">ID": 55}, "select": ["ID"]})
    assert [task["id"] for task in late] == ["56", "57", "58", "59", "60"]
    users = fast.get_all("user.get", {"FILTER": {"EMAIL": "ORLOVA@distributor.example"}})
    assert [user["ID"] for user in users] == ["12"]


def test_fast_bitrix24_sees_the_errors_of_a_batch(fast: Bitrix) -> None:
    with pytest.raises(Exception, match="Responsible"):
        fast.call("tasks.task.add", [{"fields": {"TITLE": "x", "RESPONSIBLE_ID": 999}}, {"fields": {"TITLE": "y"}}])


def test_fast_bitrix24_survives_a_cut_connection(portal: PortalHandle, fast: Bitrix) -> None:
    add_tasks(fast, 3)
    portal.plan(Fault("reset_before_acting", "tasks.task.list"))
    assert len(fast.get_all("tasks.task.list", {"select": ["ID"]})) == 3


def test_the_vendors_client_creates_lists_completes_and_comments(sdk: Client) -> None:
    added = sdk.tasks.task.add(fields={"TITLE": "Позвонить", "RESPONSIBLE_ID": 11, "XML_ID": "key-1"})
    task = added.result["task"]
    assert (task["id"], task["xmlId"], task["status"], task["responsible"]["id"]) == ("1", "key-1", "2", "11")
    assert sdk.task.commentitem.add(1, {"POST_MESSAGE": "Снято"}).result == 1
    assert sdk.tasks.task.complete(1).result
    got = sdk.tasks.task.get(1, select=["ID", "STATUS", "CLOSED_DATE"]).result["task"]
    assert got["status"] == "5"
    assert got["closedDate"] is not None
    with pytest.raises(BitrixAPIError, match="not allowed"):
        _ = sdk.tasks.task.complete(1).result


def test_the_vendors_client_walks_pages(sdk: Client) -> None:
    batch = sdk.call_batch(
        {f"k{n}": sdk.tasks.task.add(fields={"TITLE": f"t{n}", "RESPONSIBLE_ID": 11}) for n in range(50)}
    )
    assert len(batch.result.result) == 50
    for n in range(50, 52):
        _ = sdk.tasks.task.add(fields={"TITLE": f"t{n}", "RESPONSIBLE_ID": 11}).result
    request = sdk.tasks.task.list(select=["ID"], order={"ID": "asc"})
    first = request.response
    assert (len(first.result["tasks"]), first.total, first.next) == (50, 52, 50)
    everything = list(request.as_list().result)
    assert len(everything) == 52


def test_the_vendors_client_is_stopped_by_the_request_limit(sdk: Client) -> None:
    for _ in range(60):
        assert sdk.profile().result is not None

    def two_more() -> None:  # the bucket leaks a drop while sixty calls last
        for _ in range(2):
            assert sdk.profile().result is not None

    with pytest.raises(BitrixAPIQueryLimitExceeded):
        two_more()
