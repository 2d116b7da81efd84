"""A public client that knows the real amoCRM uses the simulator: aioamocrm, with its own models, limiter and tokens."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import aioamocrm as amo
import pytest

from simulators.amocrm import Fault, Limits
from tests.support.amocrm import INTEGRATION, Account, picture, running_account

Result = TypeVar("Result")
OPEN = "open"


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    with running_account(tmp_path, picture()) as running:
        yield running


def use(
    account: Account,
    work: Callable[[amo.AmoCRMClient], Awaitable[Result]],
    *,
    auth: amo.Auth | None = None,
    rate: float | None = None,
    attempts: int = 1,
) -> Result:
    async def run() -> Result:
        client = amo.AmoCRMClient(
            base_url=account.address,
            auth=auth or amo.LongLivedToken(INTEGRATION.long_lived_token),
            rate_limit=rate,
            retry=amo.RetryPolicy(max_attempts=attempts),
        )
        async with client:
            return await work(client)

    return asyncio.run(run())


def test_it_walks_all_pages_and_sees_what_the_world_holds(account: Account) -> None:
    async def read(client: amo.AmoCRMClient) -> list[amo.Lead]:
        return [lead async for lead in client.leads.iterate(with_=["contacts", "catalog_elements"])]

    leads = use(account, read)
    deals = {deal.id: deal for deal in picture().deals if deal.deleted_at is None}
    assert {lead.id for lead in leads} == set(deals)
    for lead in leads:
        deal = deals[lead.id or 0]
        assert lead.name == deal.title
        assert lead.created_at == int(deal.created_at.timestamp())
        assert [company.id for company in lead.embedded.companies or []] == (
            [deal.company_id] if deal.company_id else []
        )
        assert [contact.id for contact in lead.embedded.contacts or []] == list(deal.contact_ids)
    assert {lead.status_id for lead in leads if lead.closed_at} <= {142, 143}


def test_companies_carry_the_custom_fields_of_the_world(account: Account) -> None:
    async def read(client: amo.AmoCRMClient) -> tuple[list[amo.Company], list[amo.CustomField]]:
        companies = [company async for company in client.companies.iterate(limit=50)]
        return companies, [field async for field in client.companies.custom_fields.iterate(limit=50)]

    companies, fields = use(account, read)
    alive = {c.id: c for c in picture().companies if c.deleted_at is None and c.merged_into is None}
    assert {company.id for company in companies} == set(alive)
    inn = next(field.id for field in fields if field.name == "ИНН")
    assert inn is not None
    for company in companies:
        card = alive[company.id or 0]
        assert company.field_value(inn) == card.custom.get("inn")
        assert company.field_values("PHONE") == list(card.phones)
    formats = next(field for field in fields if field.name == "Формат точки")
    assert {enum.value for enum in formats.enums or []} >= {
        company.field_value(formats.id or 0) for company in companies
    } - {None}


def test_filters_and_order(account: Account) -> None:
    deals = [deal for deal in picture().deals if deal.deleted_at is None]
    middle = sorted(int(deal.modified_at.timestamp()) for deal in deals)[len(deals) // 2]

    async def read(client: amo.AmoCRMClient) -> tuple[list[amo.Lead], list[amo.Lead]]:
        span = {"updated_at": {"from": middle}}
        late = [lead async for lead in client.leads.iterate(filter=span, order={"updated_at": "asc"}, limit=7)]
        few = [lead async for lead in client.leads.iterate(filter={"id": [deals[0].id, deals[1].id]})]
        return late, few

    late, few = use(account, read)
    assert {lead.id for lead in late} == {d.id for d in deals if int(d.modified_at.timestamp()) >= middle}
    assert [lead.updated_at for lead in late] == sorted(lead.updated_at or 0 for lead in late)
    assert {lead.id for lead in few} == {deals[0].id, deals[1].id}


def test_nothing_found_is_an_empty_page(account: Account) -> None:
    async def read(client: amo.AmoCRMClient) -> int:
        page = await client.leads.get_page(filter={"id": [1]})
        return len(page.items)

    assert use(account, read) == 0


def test_pipelines_users_and_account(account: Account) -> None:
    async def read(client: amo.AmoCRMClient) -> tuple[list[amo.Pipeline], list[amo.User], amo.Account]:
        users = [user async for user in client.users.iterate()]
        return await client.pipelines.list(), users, await client.account.get()

    pipelines, users, about = use(account, read)
    assert [p.name for p in pipelines] == [p.name for p in picture().pipelines if p.owner == "deal"]
    assert {142, 143} <= {status.id for status in pipelines[1].embedded.statuses or []}
    assert {user.email for user in users} >= {user.email for user in picture().users}
    assert about.current_user_id in {user.id for user in users}


def test_a_task_is_created_completed_and_read_with_its_result(account: Account) -> None:
    company, user = picture().companies[0], picture().users[0]

    async def work(client: amo.AmoCRMClient) -> tuple[amo.Task, amo.Task, list[amo.Task]]:
        text = {"text": "Позвонить", "complete_till": 1_900_000_000, "responsible_user_id": user.id}
        link = {"entity_id": company.id, "entity_type": "companies"}
        made = (await client.tasks.create([{**text, **link}]))[0]
        assert made.request_id == "0"
        before = await client.tasks.get(made.id or 0)
        await client.tasks.complete(made.id or 0, result="Заказали")
        listed = client.tasks.iterate(filter={"entity_type": "companies", "entity_id": company.id, "is_completed": 1})
        return before, await client.tasks.get(made.id or 0), [task async for task in listed]

    before, after, listed = use(account, work)
    assert (before.is_completed, before.text, before.responsible_user_id) == (False, "Позвонить", user.id)
    assert after.is_completed
    assert after.result is not None
    assert after.result.text == "Заказали"
    assert after.id in {task.id for task in listed}


def test_cards_are_created_and_changed_in_batches(account: Account) -> None:
    async def work(client: amo.AmoCRMClient) -> list[amo.Lead]:
        made = await client.leads.create([amo.Lead(name=f"Сделка {n}", price=n) for n in range(60)])
        await client.leads.update([{"id": made[0].id, "status_id": 142}])
        await client.leads.notes.create([amo.Note.common(made[0].id or 0, "Перезвонить")])
        notes = [note async for note in client.leads.notes.iterate(entity_id=made[0].id)]
        assert [note.params for note in notes] == [{"text": "Перезвонить"}]
        return [lead async for lead in client.leads.iterate(filter={"id": [ref.id for ref in made]})]

    leads = use(account, work)
    assert sorted(lead.price or 0 for lead in leads) == list(range(60))
    assert [lead.price for lead in leads if lead.status_id == 142] == [0]


def test_errors_are_what_the_client_expects(account: Account) -> None:
    async def unknown(client: amo.AmoCRMClient) -> None:
        await client.leads.get(1)

    async def bad_task(client: amo.AmoCRMClient) -> None:
        await client.tasks.create([{"text": "Без срока"}])

    async def read(client: amo.AmoCRMClient) -> None:
        await client.leads.get_page()

    with pytest.raises(amo.NotFoundError):
        use(account, unknown)
    with pytest.raises(amo.ValidationError) as invalid:
        use(account, bad_task)
    assert [(issue.path, issue.code) for issue in invalid.value.errors] == [("complete_till", "FieldMissing")]
    with pytest.raises(amo.AuthError):
        use(account, read, auth=amo.LongLivedToken("wrong"))
    account.plan(Fault("not_paid"))
    with pytest.raises(amo.PaymentRequiredError):
        use(account, read)
    account.plan(Fault("bad_gateway"))
    with pytest.raises(amo.ServerError):
        use(account, read)


def test_refresh_tokens_work_once_and_the_client_lives_with_it(account: Account) -> None:
    storage = amo.MemoryTokenStorage()

    def auth() -> amo.OAuth2:
        return amo.OAuth2(INTEGRATION.client_id, INTEGRATION.client_secret, INTEGRATION.redirect_uri, storage=storage)

    async def first(client: amo.AmoCRMClient) -> amo.TokenSet:
        tokens = await client.exchange_code(INTEGRATION.code)
        await client.leads.get_page(limit=1)
        return tokens

    async def later(client: amo.AmoCRMClient) -> None:
        await client.leads.get_page(limit=1)

    tokens = use(account, first, auth=auth())
    account.app.access.end_access_tokens()
    use(account, later, auth=auth())  # renews after a 401
    assert account.app.access.refusals == 0
    stale = amo.MemoryTokenStorage(tokens)
    account.app.access.end_access_tokens()
    dead = amo.OAuth2(INTEGRATION.client_id, INTEGRATION.client_secret, INTEGRATION.redirect_uri, storage=stale)
    with pytest.raises(amo.AuthError):
        use(account, later, auth=dead)


def test_who_keeps_to_seven_a_second_is_never_refused_and_who_does_not_is_shut_out(tmp_path: Path) -> None:
    with running_account(tmp_path, picture(), limits=Limits(strikes=10, block_seconds=60)) as account:

        async def read(client: amo.AmoCRMClient) -> None:
            for _ in range(15):
                await client.leads.get_page(limit=1)

        began = time.monotonic()
        use(account, read, rate=6.0)
        assert time.monotonic() - began > 1.9
        assert account.app.gate.refused == 0

        async def rush(client: amo.AmoCRMClient) -> list[BaseException | amo.Page[amo.Lead]]:
            asked = [client.leads.get_page(limit=1) for _ in range(40)]
            return await asyncio.gather(*asked, return_exceptions=True)

        answers = use(account, rush)
        kinds = {type(answer) for answer in answers}
        assert {amo.RateLimitError, amo.ForbiddenError} <= kinds
        with pytest.raises(amo.ForbiddenError):
            use(account, read)
