"""Public clients that know the real Bitrix24 use the CRM of the simulator: fast_bitrix24 and the vendor's b24pysdk."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from b24pysdk import BitrixWebhook, Client
from b24pysdk.errors import BitrixAPIError, BitrixAPIQueryLimitExceeded
from fast_bitrix24 import Bitrix

from simulators.bitrix24 import WEBHOOK_CODE, Fault, Limits
from simulators.bitrix24.shapes import COMPANY, CONTACT, DEAL
from tests.integration.simulators.test_bitrix24_with_independent_clients import certificate
from tests.support.bitrix24 import CrmPortal, picture, running_crm

__all__ = ["certificate"]


@pytest.fixture
def portal(tmp_path: Path) -> Iterator[CrmPortal]:
    with running_crm(tmp_path, of_the_world=True) as running:
        yield running


@pytest.fixture
def fast(portal: CrmPortal) -> Bitrix:
    return Bitrix(portal.url, request_pool_size=10_000, requests_per_second=10_000.0, verbose=False)


@pytest.fixture
def sdk(
    tmp_path: Path, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Client, CrmPortal]]:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate[0]))
    tls = {"ssl_certfile": str(certificate[0]), "ssl_keyfile": str(certificate[1])}
    with running_crm(
        tmp_path, of_the_world=True, limits=Limits(burst=60, drain_per_second=0.001), served_with=tls
    ) as running:
        token = BitrixWebhook(domain=running.address.removeprefix("https://"), webhook_token=f"1/{WEBHOOK_CODE}")
        yield Client(token, max_retries=1), running


def alive(records: Any) -> list[Any]:
    return [one for one in records if getattr(one, "merged_into", None) is None and one.deleted_at is None]


def test_fast_bitrix24_reads_all_records_of_the_older_methods(fast: Bitrix) -> None:
    world = picture()
    deals = fast.get_all("crm.deal.list", {"select": ["*", "UF_*"]})
    assert {(row["ID"], row["TITLE"]) for row in deals} == {(str(d.id), d.title) for d in alive(world.deals)}
    assert {type(value) for row in deals for value in row.values()} <= {str, type(None), list}
    companies = fast.get_all("crm.company.list", {"select": ["ID", "PHONE", "UF_CRM_INN"]})
    phones = {row["ID"]: [phone["VALUE"] for phone in row.get("PHONE", ())] for row in companies}
    assert phones == {str(c.id): list(c.phones) for c in alive(world.companies)}
    assert {row["ID"]: row["UF_CRM_INN"] for row in companies} == {
        str(c.id): c.custom.get("inn", "") for c in alive(world.companies)
    }


def test_fast_bitrix24_reads_the_universal_methods(fast: Bitrix) -> None:
    world = picture()
    items = fast.get_all("crm.item.list", {"entityTypeId": 3, "select": ["id", "lastName", "companyId"]})
    assert {(row["id"], row["lastName"], row["companyId"]) for row in items} == {
        (p.id, p.surname, p.company_id) for p in alive(world.contacts)
    }
    moves = fast.get_all("crm.stagehistory.list", {"entityTypeId": 2})
    assert len(moves) == sum(len(deal.history) for deal in alive(world.deals))
    statuses = fast.get_all("crm.status.list", {"filter": {"ENTITY_ID": "DEAL_STAGE"}})
    assert len(statuses) == len(next(p for p in world.pipelines if p.owner == "deal" and p.is_default).stages)


def test_fast_bitrix24_filters_by_time_and_field(fast: Bitrix) -> None:
    world = picture()
    middle = sorted(deal.modified_at for deal in alive(world.deals))[len(alive(world.deals)) // 2]
    late = fast.get_all("crm.deal.list", {"filter": {">=DATE_MODIFY": middle.isoformat()}, "select": ["ID"]})
    assert {row["ID"] for row in late} == {str(d.id) for d in alive(world.deals) if d.modified_at >= middle}
    one = world.users[0].id
    mine = fast.get_all("crm.company.list", {"filter": {"ASSIGNED_BY_ID": one}, "select": ["ID"]})
    assert {row["ID"] for row in mine} == {str(c.id) for c in alive(world.companies) if c.user_id == one}


def test_fast_bitrix24_gets_by_id_adds_changes_and_deletes(fast: Bitrix, portal: CrmPortal) -> None:
    added = fast.call("crm.contact.add", [{"fields": {"NAME": f"Имя {n}", "PHONE": [{"VALUE": f"+7900{n}"}]}}
                                          for n in range(60)])  # fmt: skip
    assert len(set(added)) == 60
    found = fast.get_by_ID("crm.contact.get", [str(number) for number in added])
    # Its batches run side by side: ids come in the order in which they are done.
    phones = {contact["NAME"]: contact["PHONE"][0]["VALUE"] for contact in found.values()}
    assert phones == {f"Имя {n}": f"+7900{n}" for n in range(60)}
    fast.call("crm.contact.update", [{"ID": added[0], "fields": {"LAST_NAME": "Новая"}}])
    assert portal.crm.items[CONTACT.number].rows[int(added[0])]["lastName"] == "Новая"
    fast.call("crm.contact.delete", [{"ID": number} for number in added[:2]])
    assert int(added[1]) not in portal.crm.items[CONTACT.number].rows


def test_the_vendors_client_lists_pages_and_details(sdk: tuple[Client, CrmPortal]) -> None:
    client, portal = sdk
    first = client.crm.deal.list(select=["ID", "TITLE"], order={"ID": "ASC"})
    assert len(first.result) == 50
    every = client.crm.deal.list(select=["ID"]).as_list().result
    assert len(list(every)) == len(portal.crm.items[DEAL.number].rows)
    quick = client.crm.item.list(entity_type_id=2, select=["id"]).as_list_fast().result
    assert {int(row["id"]) for row in quick} == set(portal.crm.items[DEAL.number].rows)
    some = int(first.result[0]["ID"])
    got = client.crm.deal.get(bitrix_id=some).result
    assert got["TITLE"] == portal.crm.items[DEAL.number].rows[some]["title"]


def test_the_vendors_client_writes_and_hears_errors(sdk: tuple[Client, CrmPortal]) -> None:
    client, portal = sdk
    number = client.crm.company.add(fields={"TITLE": "Ромашка", "UF_CRM_INN": "7707083893"}).result
    assert portal.crm.items[COMPANY.number].rows[number]["UF_CRM_INN"] == "7707083893"
    assert client.crm.company.update(bitrix_id=number, fields={"TITLE": "Ромашка 2"}).result is True
    with pytest.raises(BitrixAPIError, match="Not found"):
        _ = client.crm.company.get(bitrix_id=999_999_999).result
    with pytest.raises(BitrixAPIError, match="not allowed in filter"):
        _ = client.crm.item.list(entity_type_id=2, filter={"FIELD": 1}).result
    portal.plan(Fault("insufficient_scope", "crm.company.list"))
    with pytest.raises(BitrixAPIError):
        _ = client.crm.company.list().result


def test_the_vendors_client_meets_the_limit(sdk: tuple[Client, CrmPortal]) -> None:
    client, _ = sdk

    def ask(times: int) -> None:
        for _ in range(times):
            assert client.crm.deal.list(select=["ID"], start=-1).result

    with pytest.raises(BitrixAPIQueryLimitExceeded):
        ask(70)
