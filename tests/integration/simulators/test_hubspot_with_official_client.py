"""HubSpot's own Python client uses the simulator as it uses the real account."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hubspot import HubSpot
from hubspot.crm.companies import ApiException as CompaniesError
from hubspot.crm.companies import Filter, FilterGroup, PublicObjectSearchRequest
from hubspot.crm.deals import BatchReadInputSimplePublicObjectId, SimplePublicObjectId
from hubspot.crm.objects import ApiException as ObjectsError
from hubspot.crm.objects import (
    AssociationSpec,
    PublicAssociationsForObject,
    PublicObjectId,
    SimplePublicObjectInput,
    SimplePublicObjectInputForCreate,
)
from hubspot.crm.properties import PropertyCreate
from starlette.applications import Starlette

from simulators.hubspot import TOKEN, Fault, Limits, build_app, hubspot_id
from simulators.hubspot.world import owner_id
from simulators.world.build import World
from simulators.world.crm import CrmPicture, crm_on
from tests.support.delivery import serve

DAY = date(2026, 11, 20)


@pytest.fixture(scope="module")
def picture() -> CrmPicture:
    return crm_on(World(7, DAY), DAY)


Open = Callable[..., tuple[HubSpot, Starlette]]


@pytest.fixture
def account(picture: CrmPicture) -> Iterator[Open]:
    with ExitStack() as stack:

        def start(**options: Any) -> tuple[HubSpot, Starlette]:
            token = options.pop("used_token", TOKEN)
            app = build_app(None, picture, **({"index_lag": 0.0} | options))
            return HubSpot(access_token=token, host=stack.enter_context(serve(app))), app

        yield start


def test_lists_are_paged_to_the_end_and_hide_what_is_merged_or_archived(account: Open, picture: CrmPicture) -> None:
    client, _ = account()
    companies = client.crm.companies.get_all(properties=["name", "inn", "hs_merged_object_ids"])
    alive = [c for c in picture.companies if c.merged_into is None and c.deleted_at is None]
    assert [company.id for company in companies] == sorted(str(hubspot_id(c.id)) for c in alive)
    inns = {company.id: company.properties["inn"] for company in companies}
    assert inns == {str(hubspot_id(c.id)): c.custom.get("inn") for c in alive}
    merged = [c for c in picture.companies if c.merged_into is not None]
    assert merged
    for old in merged:
        survivor = client.crm.companies.basic_api.get_by_id(hubspot_id(old.id), properties=["hs_merged_object_ids"])
        assert survivor.id == str(hubspot_id(old.merged_into or 0))
        assert str(hubspot_id(old.id)) in survivor.properties["hs_merged_object_ids"].split(";")
    archived = client.crm.companies.basic_api.get_page(limit=100, archived=True)
    gone = {str(hubspot_id(c.id)) for c in picture.companies if c.deleted_at is not None}
    assert {company.id for company in archived.results if company.archived_at} >= gone


def test_deals_come_with_stage_history_and_associations(account: Open, picture: CrmPicture) -> None:
    client, _ = account()
    deal = next(d for d in picture.deals if len(d.history) > 2 and d.rows and d.contact_ids and not d.deleted_at)
    found = client.crm.deals.basic_api.get_by_id(
        hubspot_id(deal.id),
        properties=["amount", "dealstage"],
        properties_with_history=["dealstage"],
        associations=["companies", "contacts", "line_items"],
    )
    assert found.properties["amount"] == f"{deal.amount / 100:.2f}"
    history = found.properties_with_history["dealstage"]
    assert [version.timestamp for version in reversed(history)] == [move.at for move in deal.history]
    assert [version.updated_by_user_id for version in reversed(history)] == [move.user_id for move in deal.history]
    types = {result.type for result in found.associations["companies"].results}
    assert types == {"deal_to_company", "deal_to_company_unlabeled"}
    # The client writes the names of associations in its own way.
    items = next(v for name, v in found.associations.items() if name.replace(" ", "_") == "line_items")
    assert {result.id for result in items.results} == {str(hubspot_id(row.id)) for row in deal.rows}


def test_a_batch_read_tells_what_it_did_not_find(account: Open, picture: CrmPicture) -> None:
    client, _ = account()
    number = next(d.id for d in picture.deals if d.deleted_at is None)
    answer = client.crm.deals.batch_api.read(
        BatchReadInputSimplePublicObjectId(
            properties=["dealname"],
            properties_with_history=[],
            inputs=[SimplePublicObjectId(str(hubspot_id(number))), SimplePublicObjectId("1")],
        )
    )
    assert [deal.id for deal in answer.results] == [str(hubspot_id(number))]
    assert answer.num_errors == 1
    assert answer.errors[0].category == "OBJECT_NOT_FOUND"
    assert answer.errors[0].context == {"ids": ["1"]}


def test_search_filters_sorts_and_pages(account: Open, picture: CrmPicture) -> None:
    client, _ = account(limits=Limits(searches_per_second=1000))
    since = datetime(2026, 6, 1, tzinfo=UTC)
    request = PublicObjectSearchRequest(
        filter_groups=[
            FilterGroup([Filter(property_name="hs_lastmodifieddate", operator="GTE", value=_ms(since))]),
        ],
        sorts=[{"propertyName": "hs_lastmodifieddate", "direction": "ASCENDING"}],
        properties=["hs_lastmodifieddate"],
        limit=20,
    )
    seen: list[Any] = []
    while True:
        page = client.crm.companies.search_api.do_search(request)
        seen += page.results
        if page.paging is None:
            break
        request.after = page.paging.next.after
    moments = [company.properties["hs_lastmodifieddate"] for company in seen]
    assert moments == sorted(moments)
    expected = {
        str(hubspot_id(c.id))
        for c in picture.companies
        if c.modified_at >= since and c.merged_into is None and c.deleted_at is None
    }
    # Survivors of merges changed at the merge, whatever the world says about their own last edit.
    assert expected <= {company.id for company in seen}
    assert page.total == len(seen)


@pytest.mark.parametrize(
    ("limit", "after"), [(200, 9900), (201, 0)], ids=["beyond the 10,000th result", "more than 200 at once"]
)
def test_search_refuses_what_is_too_much(account: Open, limit: int, after: int) -> None:
    client, _ = account()
    request = PublicObjectSearchRequest(filter_groups=[], sorts=[], properties=[], limit=limit, after=str(after))
    with pytest.raises(CompaniesError) as error:
        client.crm.companies.search_api.do_search(request)
    assert error.value.status == 400


def test_search_is_late(account: Open) -> None:
    moments = [datetime(2026, 11, 20, 9, tzinfo=UTC)]
    client, _ = account(index_lag=10.0, now=lambda: moments[0])
    made = client.crm.companies.basic_api.create(
        SimplePublicObjectInputForCreate(properties={"name": "Новый магазин"}, associations=[])
    )
    by_name = PublicObjectSearchRequest(
        filter_groups=[FilterGroup([Filter(property_name="name", operator="EQ", value="новый магазин")])],
        sorts=[],
        properties=[],
        limit=10,
    )
    assert client.crm.companies.basic_api.get_by_id(made.id).properties["name"] == "Новый магазин"
    assert client.crm.companies.search_api.do_search(by_name).total == 0
    moments[0] += timedelta(seconds=11)
    assert client.crm.companies.search_api.do_search(by_name).results[0].id == made.id


def test_v4_associations_carry_labels_and_name_what_has_none(account: Open, picture: CrmPicture) -> None:
    from hubspot.crm.associations.v4 import BatchInputPublicFetchAssociationsBatchRequest
    from hubspot.crm.associations.v4 import PublicFetchAssociationsBatchRequest as Input

    client, _ = account()
    linked = next(d for d in picture.deals if d.contact_ids and d.deleted_at is None)
    company = next(c.id for c in picture.companies if c.id == linked.company_id)
    answer = client.crm.associations.v4.batch_api.get_page(
        "deals",
        "companies",
        BatchInputPublicFetchAssociationsBatchRequest(inputs=[Input(id=str(hubspot_id(linked.id))), Input(id="1")]),
    )
    assert [str(target.to_object_id) for target in answer.results[0].to] == [str(hubspot_id(company))]
    assert {kind.label for kind in answer.results[0].to[0].association_types} == {None, "Primary"}
    assert answer.errors[0].sub_category == "crm.associations.NO_ASSOCIATIONS_FOUND"


def test_owners_pipelines_and_properties(account: Open, picture: CrmPicture) -> None:
    client, _ = account()
    active = client.crm.owners.get_all()
    gone = client.crm.owners.owners_api.get_page(archived=True).results
    assert {owner.email for owner in active} == {user.email for user in picture.users if user.is_active}
    assert [owner.id for owner in gone] == [str(owner_id(u.id)) for u in picture.users if not u.is_active]
    pipelines = client.crm.pipelines.pipelines_api.get_all("deals").results
    assert [stage.label for stage in pipelines[0].stages] == [stage.name for stage in picture.pipelines[0].stages]
    assert pipelines[0].stages[-1].metadata == {"isClosed": "true", "probability": "0.0"}
    own = {p.name for p in client.crm.properties.core_api.get_all("companies").results if not p.hubspot_defined}
    assert own == {field.code for field in picture.fields if field.owner == "company"}


def test_a_task_is_made_once_completed_and_archived(account: Open, picture: CrmPicture) -> None:
    client, app = account()
    client.crm.properties.core_api.create(
        "tasks",
        PropertyCreate(
            name="marker", label="Marker", type="string", field_type="text", group_name="x", has_unique_value=True
        ),
    )
    company = hubspot_id(next(c.id for c in picture.companies if c.merged_into is None and c.deleted_at is None))
    link = PublicAssociationsForObject(
        to=PublicObjectId(str(company)),
        types=[AssociationSpec(association_category="HUBSPOT_DEFINED", association_type_id=192)],
    )
    wanted = SimplePublicObjectInputForCreate(
        properties={"hs_timestamp": "2026-11-20T15:00:00Z", "hs_task_subject": "Позвонить", "marker": "abc"},
        associations=[link],
    )
    made = client.crm.objects.tasks.basic_api.create(wanted)
    with pytest.raises(ObjectsError, match="CONFLICTING_UNIQUE_VALUE"):
        client.crm.objects.basic_api.create("tasks", wanted)
    found = client.crm.objects.tasks.basic_api.get_by_id("abc", id_property="marker", associations=["companies"])
    assert found.id == made.id
    assert found.associations["companies"].results[0].id == str(company)
    done = SimplePublicObjectInput(properties={"hs_task_status": "COMPLETED"})
    client.crm.objects.tasks.basic_api.update(made.id, done)
    tasks = {task.id: task.values for task in app.state.portal.records("tasks")}
    assert tasks[int(made.id)]["hs_task_completion_date"]
    client.crm.objects.tasks.basic_api.archive(made.id)
    with pytest.raises(Exception, match="OBJECT_NOT_FOUND"):
        client.crm.objects.tasks.basic_api.get_by_id(made.id)


def test_a_merge_makes_a_new_record_to_which_both_ids_lead(account: Open, picture: CrmPicture) -> None:
    from hubspot.crm.companies import PublicMergeInput

    client, _ = account()
    first, second = [
        str(hubspot_id(c.id)) for c in picture.companies if c.merged_into is None and c.deleted_at is None
    ][:2]
    merged = client.crm.companies.basic_api.merge(PublicMergeInput(object_id_to_merge=second, primary_object_id=first))
    assert merged.id not in {first, second}
    for old in (first, second):
        assert client.crm.companies.basic_api.get_by_id(old).id == merged.id


@pytest.mark.parametrize(
    ("limits", "policy", "ask"),
    [
        (Limits(requests=2), "TEN_SECONDLY_ROLLING", lambda c: c.crm.companies.basic_api.get_page()),
        (Limits(per_day=2), "DAILY", lambda c: c.crm.companies.basic_api.get_page()),
        (
            Limits(searches_per_second=2),
            "SECONDLY",
            lambda c: c.crm.companies.search_api.do_search(
                PublicObjectSearchRequest(filter_groups=[], sorts=[], properties=[], limit=1, after="0")
            ),
        ),
    ],
    ids=["ten seconds", "day", "search"],
)
def test_limits_count(account: Open, limits: Limits, policy: str, ask: Callable[[HubSpot], Any]) -> None:
    client, _ = account(limits=limits, clock=lambda: 100.0)
    ask(client)
    ask(client)
    with pytest.raises(CompaniesError) as error:
        ask(client)
    assert error.value.status == 429
    assert f'"policyName":"{policy}"' in error.value.body


def test_a_wrong_token_a_missing_scope_and_a_broken_server(account: Open) -> None:
    stranger, _ = account(used_token="pat-na1-wrong")
    with pytest.raises(CompaniesError, match="INVALID_AUTHENTICATION"):
        stranger.crm.companies.basic_api.get_page()
    poor, _ = account(scopes_missing=["companies"])
    with pytest.raises(CompaniesError, match="MISSING_SCOPES"):
        poor.crm.companies.basic_api.get_page()
    unlucky, _ = account(faults=[Fault("bad_gateway", "GET /crm/v3/objects/companies")])
    with pytest.raises(CompaniesError) as error:
        unlucky.crm.companies.basic_api.get_page()
    assert error.value.status == 502


def _ms(moment: datetime) -> str:
    return str(int(moment.timestamp() * 1000))
