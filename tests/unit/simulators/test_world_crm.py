"""The CRM side of the seeded world: what it promises to the simulators and to the manifest."""

from collections import Counter
from datetime import date, timedelta

import pytest

from simulators.world.build import World
from simulators.world.crm import crm_identity, crm_on, onec_codes
from simulators.world.onec import base_on
from simulators.world.people import phone_digits

DAY = date(2026, 11, 23)


@pytest.fixture(scope="module")
def world() -> World:
    return World(7, DAY)


def _digits(phone: str) -> str:
    return phone_digits(phone)[-10:]


def test_the_same_seed_gives_the_same_portal(world: World) -> None:
    assert crm_on(World(7, DAY), DAY) == crm_on(world, DAY)


def test_codes_are_those_of_the_1c_base(world: World) -> None:
    partners = base_on(world, DAY).sets["Catalog_Партнеры"]
    code = partners.reader("Code")
    published = {partners.key(row): str(code(row)).rstrip() for row in partners.rows}
    codes = onec_codes(world)
    assert codes == {key: published[key] for key in codes}


def test_what_a_card_is_found_by_leads_to_its_client_and_to_no_other(world: World) -> None:
    companies = {company.id: company for company in crm_on(world, DAY).companies}
    by_inn = {legal.inn: client.key for client in world.clients for legal in client.legal_entities}
    by_code = {code: key for key, code in onec_codes(world).items()}
    clients_of_phone: dict[str, set[str]] = {}
    for outlet in world.outlets:
        clients_of_phone.setdefault(_digits(outlet.phone), set()).add(outlet.client.key)
    seen: Counter[str] = Counter()
    for truth in crm_identity(world, DAY)["companies"]:
        company = companies[truth["company_id"]]
        inn = str(company.custom.get("inn", "")).replace(" ", "")
        phones = {client for phone in company.phones for client in clients_of_phone.get(_digits(phone), ())}
        assert by_inn.get(inn) == (truth["client_id"] if "inn" in truth["found_by"] else None)
        assert ("phone" in truth["found_by"]) == (truth["client_id"] is not None and phones == {truth["client_id"]})
        if "onec_code" in company.custom:
            assert by_code[company.custom["onec_code"]] == (truth["outlet_id"] or truth["client_id"])
        seen.update(truth["mess"])
    assert not {"prospect", "duplicate", "merged", "deleted_copy", "outlet_card", "name_only"} - set(seen)
    assert crm_identity(world, DAY)["only_in_onec"]


def test_a_portal_grows_with_the_days_and_never_forgets(world: World) -> None:
    before, after = crm_on(world, DAY), crm_on(world, DAY + timedelta(days=7))
    for kind in ("companies", "contacts", "leads", "deals", "activities", "tasks"):
        older = {record.id: record for record in getattr(before, kind)}
        newer = {record.id: record for record in getattr(after, kind)}
        assert older.keys() <= newer.keys()
        for number, record in older.items():
            assert record.modified_at <= before.moment
            changed = newer[number].modified_at > record.modified_at
            ended = getattr(newer[number], "deleted_at", None) or getattr(newer[number], "merged_at", None)
            assert changed or ended or newer[number] == record, f"{kind} {number} changed in silence"
    assert len(after.deals) > len(before.deals)


def test_ids_are_used_once_and_references_lead_somewhere(world: World) -> None:
    picture = crm_on(world, DAY)
    records = [*picture.companies, *picture.contacts, *picture.leads, *picture.deals, *picture.activities]
    ids = [record.id for record in [*records, *picture.tasks]]
    assert len(ids) == len(set(ids))
    companies, deals = {c.id for c in picture.companies}, {d.id for d in picture.deals}
    assert {deal.company_id for deal in picture.deals} <= companies
    assert {c.merged_into for c in picture.companies if c.merged_into} <= companies
    assert {lead.deal_id for lead in picture.leads if lead.deal_id} <= deals
    assert {record.user_id for record in records} <= {user.id for user in picture.users}


def test_scale_multiplies_prospects_only(world: World) -> None:
    one, four = crm_on(world, DAY), crm_on(world, DAY, scale=4)
    assert len(four.leads) > 3 * len(one.leads)
    assert len(four.deals) > len(one.deals)
