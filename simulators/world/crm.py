"""The CRM side of the seeded world: one picture of users, companies, deals and tasks that all three CRMs serve.

The companies are the clients of the 1C base with the identity mess of real life: cards without ИНН, with a mistyped
one, with two phones, twice, merged, per outlet; prospects that 1C has never heard of, and clients that the CRM has not.
Nothing here is in the terms of one vendor: a simulator translates it. All moments are aware, in Moscow time; all money
is in kopecks; ids count through all kinds of records, so that none is used twice.

    picture = crm_on(world, day)                # what a portal holds on that morning
    truth = crm_identity(world, day)            # which card is which client, for the manifest
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from itertools import count
from random import Random
from typing import Any, Literal, TypeVar
from zoneinfo import ZoneInfo

from simulators.world import names, people
from simulators.world.build import FORMATS, Client, World, morning
from simulators.world.workdays import DAY, next_working

MOSCOW = ZoneInfo("Europe/Moscow")
FIRST_USER_ID = 11  # the first manager of the world; the others follow
PROSPECTS = 48

Outcome = Literal["open", "won", "lost"]
FieldKind = Literal["string", "integer", "number", "boolean", "date", "enum"]
ActivityKind = Literal["call", "email", "meeting"]
OwnerKind = Literal["company", "contact", "lead", "deal"]


@dataclass(frozen=True)
class CrmUser:
    """A person with a login. `manager_key` is the user of 1C, None for those who are in the CRM only."""

    id: int
    surname: str
    name: str
    patronymic: str
    email: str
    phone: str
    is_active: bool
    manager_key: str | None


@dataclass(frozen=True)
class CrmStage:
    """A stage of a pipeline; `sort` grows along it, `probability` is percent."""

    code: str
    name: str
    sort: int
    outcome: Outcome
    probability: int


@dataclass(frozen=True)
class CrmPipeline:
    """A funnel of deals, or of leads. `is_default`: the portal's first one."""

    id: int
    code: str
    name: str
    owner: Literal["deal", "lead"]
    is_default: bool
    stages: tuple[CrmStage, ...]

    def stage(self, code: str) -> CrmStage:
        return next(stage for stage in self.stages if stage.code == code)


@dataclass(frozen=True)
class CrmField:
    """A field that this company added to its CRM. `options` are the texts of an enum."""

    id: int
    owner: OwnerKind
    code: str
    name: str
    kind: FieldKind
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class CrmMove:
    """A deal or lead entered a stage. The first one is its creation."""

    id: int
    at: datetime
    stage: str
    user_id: int


@dataclass(frozen=True)
class CrmRow:
    """A product row; price and amount in kopecks with VAT, discount in percent."""

    id: int
    product_id: int
    product_key: str
    name: str
    quantity: int
    price: int
    discount_percent: int
    vat_percent: int

    @property
    def amount(self) -> int:
        whole = self.price * self.quantity
        return whole - (whole * self.discount_percent + 50) // 100


@dataclass(frozen=True)
class _Record:
    id: int
    user_id: int
    created_at: datetime
    modified_at: datetime


_Kind = TypeVar("_Kind", bound=_Record)


@dataclass(frozen=True)
class CrmCompany(_Record):
    """A card of a company. `custom`: values by CrmField.code; what is not filled is not there.

    merged_into: the card that swallowed this one at `merged_at`; deleted_at: thrown away.
    """

    name: str
    phones: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    city: str = ""
    address: str = ""
    custom: dict[str, Any] = field(default_factory=dict)
    merged_into: int | None = None
    merged_at: datetime | None = None
    deleted_at: datetime | None = None


@dataclass(frozen=True)
class CrmContact(_Record):
    """A person at a company. `birthday` and consent live in `custom`."""

    surname: str
    name: str
    patronymic: str
    position: str
    company_id: int | None
    phones: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    custom: dict[str, Any] = field(default_factory=dict)
    merged_into: int | None = None
    merged_at: datetime | None = None
    deleted_at: datetime | None = None


@dataclass(frozen=True)
class CrmLead(_Record):
    """An inquiry. `company_id` and `deal_id` are set when it was converted."""

    title: str
    source: str
    contact_name: str
    phones: tuple[str, ...]
    pipeline_id: int
    history: tuple[CrmMove, ...]
    company_id: int | None = None
    deal_id: int | None = None
    custom: dict[str, Any] = field(default_factory=dict)
    deleted_at: datetime | None = None

    @property
    def stage(self) -> str:
        return self.history[-1].stage


@dataclass(frozen=True)
class CrmDeal(_Record):
    """A deal with all its moves and product rows. `closed_at` is the move to a final stage."""

    title: str
    pipeline_id: int
    history: tuple[CrmMove, ...]
    rows: tuple[CrmRow, ...]
    company_id: int | None
    contact_ids: tuple[int, ...] = ()
    closed_at: datetime | None = None
    custom: dict[str, Any] = field(default_factory=dict)
    deleted_at: datetime | None = None

    @property
    def stage(self) -> str:
        return self.history[-1].stage

    @property
    def amount(self) -> int:
        return sum(row.amount for row in self.rows)


@dataclass(frozen=True)
class CrmActivity(_Record):
    """A call, letter or meeting about a record. `seconds` is how long a call or meeting took."""

    kind: ActivityKind
    direction: Literal["in", "out"]
    subject: str
    text: str
    started_at: datetime
    seconds: int
    owner_kind: OwnerKind
    owner_id: int
    contact_id: int | None = None


@dataclass(frozen=True)
class CrmTask(_Record):
    """A task of a user about a record, made by people (Polka's own tasks are written by Polka)."""

    title: str
    text: str
    deadline: datetime
    owner_kind: OwnerKind
    owner_id: int
    completed_at: datetime | None = None
    result: str = ""

    @property
    def is_done(self) -> bool:
        return self.completed_at is not None


@dataclass(frozen=True)
class CrmProduct:
    """An entry of the CRM's price list; price in kopecks with VAT."""

    id: int
    key: str
    name: str
    unit: str
    price: int
    vat_percent: int


@dataclass(frozen=True)
class CrmPicture:
    """Everything a portal holds at one moment. Merged and deleted cards are in it, marked as such."""

    moment: datetime
    users: tuple[CrmUser, ...]
    pipelines: tuple[CrmPipeline, ...]
    fields: tuple[CrmField, ...]
    products: tuple[CrmProduct, ...]
    companies: tuple[CrmCompany, ...]
    contacts: tuple[CrmContact, ...]
    leads: tuple[CrmLead, ...]
    deals: tuple[CrmDeal, ...]
    activities: tuple[CrmActivity, ...]
    tasks: tuple[CrmTask, ...]

    def pipeline(self, pipeline_id: int) -> CrmPipeline:
        return next(pipeline for pipeline in self.pipelines if pipeline.id == pipeline_id)


@dataclass(frozen=True)
class CrmTruth:
    """Who a company card really is.

    client_key: the partner of 1C, None for a prospect. outlet_key: set when the card is one outlet's own.
    found_by: what is on the card, correct, and belongs to this client alone ('inn', 'onec_code', 'phone', 'email');
    empty when only a person can tell. mess: what is wrong with the card.
    """

    company_id: int
    client_key: str | None
    outlet_key: str | None
    found_by: tuple[str, ...]
    mess: tuple[str, ...]


def crm_on(world: World, day: date, *, scale: int = 1) -> CrmPicture:
    """The portal as one morning knows it. `scale` multiplies the prospects and their deals, for measurements."""
    return _side(world, scale).on(morning(day).replace(tzinfo=MOSCOW))


def crm_identity(world: World, day: date) -> dict[str, Any]:
    """The truth of who is who on the morning of `day`, as JSON-able data for the manifest."""
    side = _side(world, 1)
    known = {company.id: company for company in crm_on(world, day).companies}
    cards = [
        {
            "company_id": truth.company_id,
            "client_id": truth.client_key,
            "outlet_id": truth.outlet_key,
            "found_by": list(truth.found_by),
            "mess": list(truth.mess),
            "merged_into": known[truth.company_id].merged_into,
            "deleted": known[truth.company_id].deleted_at is not None,
        }
        for truth in side.truths
        if truth.company_id in known
    ]
    in_crm = {card["client_id"] for card in cards}
    return {
        "companies": cards,
        "only_in_onec": sorted(client.key for client in world.clients if client.key not in in_crm),
    }


def onec_codes(world: World) -> dict[str, str]:
    """Codes of the partners in 1C by their keys."""
    keys: list[str] = []
    for client in world.clients:
        if client.outlets[0].is_sub_partner:
            keys.append(client.key)
        keys += [outlet.key for outlet in client.outlets]
    return {key: f"00-{number:08d}" for number, key in enumerate(keys, start=1)}


@lru_cache(maxsize=4)
def _side(world: World, scale: int) -> _Side:
    return _Side(world, scale)


_FORMAT_NAMES = tuple(row[0] for row in FORMATS)
_REFUSALS = ("Дорого", "Работает с конкурентом", "Нет места на полке", "Не выходит на связь", "Нет отсрочки")
_SOURCES = ("Звонок", "Сайт", "Выставка", "Рекомендация", "Холодный обзвон")
_FIRST_NAMES = (
    ("Анна", "Сергеевна"), ("Марина", "Владимировна"), ("Лидия", "Петровна"), ("Ольга", "Николаевна"),
    ("Алексей", "Юрьевич"), ("Рустам", "Маратович"), ("Вадим", "Олегович"), ("Игорь", "Степанович"),
)  # fmt: skip
_POSITIONS = ("Директор", "Товаровед", "Управляющая", "Бухгалтер", "Закупщик", "Шеф-повар", "")
_COMPETITORS = ("Молторг", "Снабженец", "Провизия-М", "Торговый двор")
_TASK_TITLES = ("Позвонить", "Отправить прайс", "Заехать в точку", "Согласовать договор", "Выслать образцы")
_TASK_RESULTS = ("Договорились, закажут в четверг", "Не дозвонился", "Думают до конца месяца", "Прайс отправлен", "")
_SUBJECTS = {
    "call": ("Звонок клиенту", "Входящий звонок", "Перезвонить по заказу"),
    "email": ("Коммерческое предложение", "Прайс-лист", "Re: условия поставки"),
    "meeting": ("Встреча в точке", "Дегустация", "Переговоры об условиях"),
}

_NEW_CLIENTS = CrmPipeline(
    1,
    "new_clients",
    "Новые клиенты",
    "deal",
    True,
    (
        CrmStage("new", "Новая", 10, "open", 10),
        CrmStage("meeting", "Знакомство", 20, "open", 25),
        CrmStage("offer", "Предложение", 30, "open", 45),
        CrmStage("contract", "Договор", 40, "open", 75),
        CrmStage("won", "Первая отгрузка", 50, "won", 100),
        CrmStage("lost", "Отказ", 60, "lost", 0),
    ),
)
_GROWTH = CrmPipeline(
    2,
    "growth",
    "Расширение ассортимента",
    "deal",
    False,
    (
        CrmStage("idea", "Идея", 10, "open", 20),
        CrmStage("tasting", "Дегустация", 20, "open", 50),
        CrmStage("listed", "Введено в матрицу", 30, "won", 100),
        CrmStage("refused", "Не взяли", 40, "lost", 0),
    ),
)
_INQUIRIES = CrmPipeline(
    3,
    "inquiries",
    "Обращения",
    "lead",
    True,
    (
        CrmStage("fresh", "Не обработано", 10, "open", 0),
        CrmStage("working", "В работе", 20, "open", 0),
        CrmStage("converted", "Качественное", 30, "won", 100),
        CrmStage("junk", "Некачественное", 40, "lost", 0),
    ),
)
_PIPELINES = (_NEW_CLIENTS, _GROWTH, _INQUIRIES)

_FIELD_ROWS: tuple[tuple[OwnerKind, str, str, FieldKind, tuple[str, ...]], ...] = (
    ("company", "inn", "ИНН", "string", ()),
    ("company", "onec_code", "Код в 1С", "string", ()),
    ("company", "outlet_format", "Формат точки", "enum", _FORMAT_NAMES),
    ("company", "agreed_cadence", "Договорённость о заказах", "string", ()),
    ("company", "survey_score", "Оценка в опросе", "integer", ()),
    ("contact", "birthday", "День рождения", "date", ()),
    ("contact", "consent", "Согласие на обработку данных", "boolean", ()),
    ("lead", "outlet_format", "Формат точки", "enum", _FORMAT_NAMES),
    ("deal", "refusal_reason", "Причина отказа", "enum", _REFUSALS),
    ("deal", "competitor", "Конкурент", "string", ()),
    ("deal", "monthly_volume", "Объём в месяц, руб.", "number", ()),
    ("company", "survey_on", "Дата опроса", "date", ()),
)
_FIELDS = tuple(CrmField(number, *row) for number, row in enumerate(_FIELD_ROWS, start=501))


class _Side:
    """All records from the beginning to the end of the world, of which a morning knows a part."""

    def __init__(self, world: World, scale: int) -> None:
        self.world = world
        self._rng = Random(f"crm:{world.seed}:{world.anchor}")
        self._ids = count(1001)
        self._codes = onec_codes(world)
        self.users = self._users()
        self._user_of = {user.manager_key: user.id for user in self.users}
        self.products = [
            CrmProduct(next(self._ids), p.key, p.name, p.unit, p.price, p.vat_percent) for p in world.products
        ]
        self.companies: list[CrmCompany] = []
        self.contacts: list[CrmContact] = []
        self.leads: list[CrmLead] = []
        self.deals: list[CrmDeal] = []
        self.activities: list[CrmActivity] = []
        self.tasks: list[CrmTask] = []
        self.truths: list[CrmTruth] = []
        # Phones of 1C by how many clients have them: few digits are free, so some are taken twice.
        self._clients_of_phone = Counter(
            phone for c in world.clients for phone in {people.phone_digits(o.phone)[-10:] for o in c.outlets}
        )
        accountant = self._phone()
        for number, client in enumerate(world.clients):
            self._client(number, client, accountant)
        for number in range(PROSPECTS * scale):
            self._prospect(number)

    def on(self, moment: datetime) -> CrmPicture:
        """What is known at `moment`, in the state it has then."""
        return CrmPicture(
            moment,
            tuple(self.users),
            _PIPELINES,
            _FIELDS,
            tuple(self.products),
            tuple(_company_on(company, moment) for company in _begun(self.companies, moment)),
            tuple(_contact_on(contact, moment) for contact in _begun(self.contacts, moment)),
            tuple(_lead_on(lead, moment) for lead in _begun(self.leads, moment)),
            tuple(_deal_on(deal, moment) for deal in _begun(self.deals, moment)),
            tuple(_begun(self.activities, moment)),
            tuple(_task_on(task, moment) for task in _begun(self.tasks, moment)),
        )

    # people

    def _users(self) -> list[CrmUser]:
        users = []
        for number, manager in enumerate(self.world.managers, start=FIRST_USER_ID):
            surname, name, patronymic = manager.name.split()
            users.append(CrmUser(number, surname, name, patronymic, manager.email, manager.phone, True, manager.key))
        gone = FIRST_USER_ID + len(users) + 12
        users.append(CrmUser(gone, "Рыбаков", "Олег", "Ильич", "rybakov@distributor.example", "", False, None))
        return users

    # clients of 1C

    def _client(self, number: int, client: Client, accountant: str) -> None:
        rng = self._rng
        mess = _MESSES[number % len(_MESSES)]
        if mess == "only_in_onec":
            return
        user = self._user_of[client.manager.key]
        if mess == "owner_left":
            user = self.users[-1].id
        created = self._moment(client.registered_on if client.registered_on > self._start else self._some_day())
        outlet = client.outlets[0]
        legal = client.legal_entities[0]
        phone = _written(rng, outlet.phone)
        custom: dict[str, Any] = {"inn": legal.inn, "outlet_format": outlet.format}
        if rng.random() < 0.4:
            custom["onec_code"] = self._codes[client.key]
        if outlet.plan.agreed is not None:
            custom["agreed_cadence"] = _cadence(rng, outlet.plan.agreed.text, outlet.plan.agreed.every_weeks)
        if rng.random() < 0.6:
            custom["survey_score"] = rng.randrange(3, 11)
            if number % 8:  # the day was forgotten on every eighth card
                custom["survey_on"] = max(created.date(), self.world.anchor - (1 + 7 * number % 180) * DAY)
        company = CrmCompany(
            next(self._ids),
            user,
            created,
            self._later(created, 200),
            _card_name(rng, client),
            (phone,),
            (outlet.email,) if outlet.email else (),
            client.city,
            outlet.address,
            custom,
        )
        evidence = ["inn", "phone"] + (["onec_code"] if "onec_code" in custom else []) + ["email"] * bool(outlet.email)
        company, evidence = self._messed(mess, company, evidence, client, accountant)
        self._add(company, client.key, None, evidence, (mess,) if mess else ())
        first = self._people(company)
        self._deals_of_client(company, first, client)
        self._talk(company, first)
        if len(client.outlets) > 3 and number % 3 == 0:
            self._outlet_cards(client, user, created)

    def _messed(
        self, mess: str, company: CrmCompany, evidence: list[str], client: Client, accountant: str
    ) -> tuple[CrmCompany, list[str]]:
        """The card with what life did to it, and what can still be relied on."""
        rng = self._rng
        custom = dict(company.custom)
        if mess in {"no_inn", "name_only"}:
            del custom["inn"]
            evidence.remove("inn")
        if mess == "name_only":
            custom.pop("onec_code", None)
            return replace(company, custom=custom, phones=(), emails=()), []
        if mess == "mistyped_inn":
            custom["inn"] = _swapped(custom["inn"])
            evidence.remove("inn")
        elif mess == "inn_with_spaces":
            custom["inn"] = f" {custom['inn'][:4]} {custom['inn'][4:]}"
        elif mess == "two_phones":
            phones = (self._phone(), *company.phones)
            return replace(company, phones=phones, modified_at=self._later(company.created_at)), evidence
        elif mess == "shared_phone":  # one accountant keeps the books of several
            custom.pop("inn")
            custom.pop("onec_code", None)
            return replace(company, custom=custom, phones=(accountant,), emails=()), []
        elif mess == "former_legal_entity":  # the client has registered anew
            custom["inn"] = people.person_inn(rng, names.ORGANISATIONS[client.branch][4] + "45")
            evidence.remove("inn")
        elif mess == "typo_in_name":
            company = replace(company, name=_mistyped(rng, company.name))
        elif mess in {"duplicate", "merged"}:
            self._duplicate(mess, company, client)
        elif mess == "deleted_copy":
            self._duplicate("deleted", company, client)
        return replace(company, custom=custom), evidence

    def _duplicate(self, mess: str, company: CrmCompany, client: Client) -> None:
        """The same client once more, by another hand."""
        rng = self._rng
        created = self._later(company.created_at, 120)
        other = rng.choice(self.users[:-1]).id
        twin = CrmCompany(
            next(self._ids),
            other,
            created,
            created,
            client.legal_entities[0].full_name,
            (_written(rng, client.outlets[0].phone),),
            (),
            client.city,
            "",
            {"inn": client.legal_entities[0].inn} if rng.random() < 0.5 else {},
        )
        over = max(self._moment(self.world.anchor - rng.randrange(-12, 40) * DAY), created + timedelta(hours=2))
        if mess == "merged":
            twin = replace(twin, merged_into=company.id, merged_at=over)
        elif mess == "deleted":
            twin = replace(twin, deleted_at=over)
        evidence = ["phone"] + (["inn"] if twin.custom else [])
        self._add(twin, client.key, None, evidence, (mess if mess != "deleted" else "deleted_copy", "copy"))
        person = self._person(twin)
        if mess == "merged":
            person = replace(person, merged_at=over)
            survivor = next((c for c in self.contacts if c.company_id == company.id), None)
            person = replace(person, merged_into=survivor.id if survivor else None)
            if survivor is None:
                person = replace(person, company_id=company.id, merged_at=None)
        elif mess == "deleted":
            person = replace(person, deleted_at=over)
        self.contacts.append(person)

    def _outlet_cards(self, client: Client, user: int, created: datetime) -> None:
        """Cards of single outlets beside the card of their chain."""
        rng = self._rng
        for outlet in client.outlets[1:4]:
            custom = {"outlet_format": outlet.format}
            if rng.random() < 0.5:
                custom["onec_code"] = self._codes[outlet.key]
            at = self._later(created, 60)
            emails = (outlet.email,) if outlet.email else ()
            phones = (_written(rng, outlet.phone),)
            card = CrmCompany(
                next(self._ids), user, at, at, outlet.name, phones, emails, outlet.city, outlet.address, custom
            )
            evidence = ["phone"] + (["onec_code"] if "onec_code" in custom else []) + ["email"] * bool(emails)
            self._add(card, client.key, outlet.key, evidence, ("outlet_card",))

    def _add(
        self, company: CrmCompany, client: str | None, outlet: str | None, evidence: Iterable[str], mess: Sequence[str]
    ) -> None:
        evidence = set(evidence)
        if company.phones and self._clients_of_phone[people.phone_digits(company.phones[-1])[-10:]] > 1:
            evidence.discard("phone")
        self.companies.append(company)
        self.truths.append(CrmTruth(company.id, client, outlet, tuple(sorted(evidence)), tuple(mess)))

    def _phone(self) -> str:
        """A number that no client of 1C has."""
        while True:
            phone = people.phone(self._rng)
            if not self._clients_of_phone[people.phone_digits(phone)[-10:]]:
                return phone

    # prospects

    def _prospect(self, number: int) -> None:
        rng = self._rng
        branch = rng.randrange(len(names.ORGANISATIONS))
        users = [u for u, m in zip(self.users, self.world.managers, strict=False) if m.branch == branch]
        user = rng.choice(users)
        created = self._moment(self.world.anchor - rng.randrange(-25, 150) * DAY)
        city = rng.choice(names.REGIONS[branch][1])
        trader = people.sole_trader(rng)
        name = f"{rng.choice(['Магазин', 'Минимаркет', 'Кафе'])} «{rng.choice(names.SHOP_WORDS)} {number + 1}»"
        phone = self._phone()
        custom: dict[str, Any] = {"outlet_format": rng.choice(_FORMAT_NAMES)}
        lead = CrmLead(
            next(self._ids),
            user.id,
            created,
            created,
            f"Обращение: {name}",
            rng.choice(_SOURCES),
            trader,
            (_written(rng, phone),),
            _INQUIRIES.id,
            (CrmMove(next(self._ids), created, "fresh", user.id),),
            custom=dict(custom),
        )
        if number % 4 == 3:  # goes no further
            moves = self._moves(lead.history[0], ("working", "junk"), user.id)
            self.leads.append(replace(lead, history=moves, modified_at=moves[-1].at))
            return
        moves = self._moves(lead.history[0], ("working", "converted"), user.id)
        if rng.random() < 0.5:
            custom["inn"] = people.company_inn(rng, names.ORGANISATIONS[branch][4] + "45")
        at = moves[-1].at
        company = CrmCompany(
            next(self._ids), user.id, at, at, name, (phone,), (), city, people.address(rng, city), custom
        )
        self._add(company, None, None, (), ("prospect",))
        person = self._person(company)
        self.contacts.append(person)
        deal = self._deal(
            company, _NEW_CLIENTS, at, f"Поставки: {name}", rng.choice(_PROSPECT_ROADS), (person.id,), rows=3
        )
        self.leads.append(
            replace(lead, history=moves, modified_at=at, company_id=company.id, deal_id=deal.id if deal else None)
        )
        self._talk(company, person)

    # what hangs on a company

    def _people(self, company: CrmCompany) -> CrmContact | None:
        rng = self._rng
        first = None
        for _ in range(rng.choice([0, 1, 1, 1, 2])):
            person = self._person(company)
            self.contacts.append(person)
            first = first or person
        return first

    def _person(self, company: CrmCompany) -> CrmContact:
        rng = self._rng
        name, patronymic = rng.choice(_FIRST_NAMES)
        surname = rng.choice(names.SURNAMES) + ("а" if patronymic.endswith("на") else "")
        number = next(self._ids)
        custom: dict[str, Any] = {}
        if rng.random() < 0.5:
            custom["birthday"] = date(rng.randrange(1962, 2001), rng.randrange(1, 13), rng.randrange(1, 29))
        if rng.random() < 0.7:
            custom["consent"] = rng.random() < 0.8
        created = company.created_at + timedelta(minutes=rng.randrange(1, 50))
        return CrmContact(
            number,
            company.user_id,
            created,
            self._later(created, 90),
            surname,
            name,
            patronymic,
            rng.choice(_POSITIONS),
            company.id,
            (self._phone(),) if rng.random() < 0.8 else (),
            (f"contact-{number}@shop.example",) if rng.random() < 0.6 else (),
            custom,
        )

    def _deals_of_client(self, company: CrmCompany, person: CrmContact | None, client: Client) -> None:
        rng = self._rng
        people_in = (person.id,) if person else ()
        self._deal(
            company,
            _NEW_CLIENTS,
            company.created_at + timedelta(minutes=5),
            f"Новый клиент: {company.name}",
            ("meeting", "offer", "contract", "won"),
            people_in,
            rows=rng.randrange(0, 4),
        )
        for _ in range(rng.choice([0, 1, 1, 2])):
            at = self._moment(self.world.anchor - rng.randrange(-20, 200) * DAY)
            road = rng.choice((("tasting",), ("tasting", "listed"), ("tasting", "refused"), ()))
            if at > company.created_at:
                self._deal(company, _GROWTH, at, f"Ввод: {rng.choice(self.products).name}", road, people_in, rows=1)

    def _deal(
        self,
        company: CrmCompany,
        pipeline: CrmPipeline,
        at: datetime,
        title: str,
        road: Sequence[str],
        people_in: tuple[int, ...],
        *,
        rows: int,
    ) -> CrmDeal:
        rng = self._rng
        number = next(self._ids)
        start = CrmMove(next(self._ids), at, pipeline.stages[0].code, company.user_id)
        moves = self._moves(start, road, company.user_id)
        final = pipeline.stage(moves[-1].stage).outcome
        custom: dict[str, Any] = {}
        if final == "lost":
            custom["refusal_reason"] = rng.choice(_REFUSALS)
            if rng.random() < 0.4:
                custom["competitor"] = rng.choice(_COMPETITORS)
        if pipeline is _NEW_CLIENTS and rng.random() < 0.5:
            custom["monthly_volume"] = f"{rng.randrange(20, 400) * 1000}.50"
        deal = CrmDeal(
            number,
            company.user_id,
            at,
            moves[-1].at,
            title,
            pipeline.id,
            moves,
            tuple(self._row() for _ in range(rows)),
            company.id,
            people_in,
            moves[-1].at if final != "open" else None,
            custom,
            deleted_at=moves[-1].at + timedelta(days=1) if final == "lost" and rng.random() < 0.1 else None,
        )
        self.deals.append(deal)
        return deal

    def _row(self) -> CrmRow:
        rng = self._rng
        product = rng.choice(self.products)
        quantity, discount = rng.randrange(1, 40), rng.choice([0, 0, 0, 5, 10])
        return CrmRow(
            next(self._ids),
            product.id,
            product.key,
            product.name,
            quantity,
            product.price,
            discount,
            product.vat_percent,
        )

    def _moves(self, first: CrmMove, road: Sequence[str], user: int) -> tuple[CrmMove, ...]:
        moves = [first]
        for stage in road:
            at = self._moment(next_working(moves[-1].at.date() + self._rng.randrange(1, 16) * DAY))
            moves.append(CrmMove(next(self._ids), at, stage, user))
        return tuple(moves)

    def _talk(self, company: CrmCompany, person: CrmContact | None) -> None:
        """Calls, letters, meetings and tasks about a company."""
        rng = self._rng
        for _ in range(rng.randrange(0, 4)):
            at = self._later(company.created_at, 300)
            kind: ActivityKind = rng.choice(("call", "call", "email", "meeting"))
            self.activities.append(
                CrmActivity(
                    next(self._ids),
                    company.user_id,
                    at,
                    at,
                    kind,
                    rng.choice(("in", "out")),
                    rng.choice(_SUBJECTS[kind]),
                    "Обсудили поставки и сроки.",
                    at,
                    rng.randrange(20, 900) if kind != "email" else 0,
                    "company",
                    company.id,
                    person.id if person else None,
                )
            )
        for _ in range(rng.randrange(0, 3)):
            at = self._later(company.created_at, 400)
            deadline = self._moment(next_working(at.date() + rng.randrange(1, 8) * DAY))
            done = deadline + timedelta(hours=rng.randrange(-20, 60)) if rng.random() < 0.7 else None
            done = max(done, at + timedelta(minutes=5)) if done else None
            self.tasks.append(
                CrmTask(
                    next(self._ids),
                    company.user_id,
                    at,
                    done or at,
                    f"{rng.choice(_TASK_TITLES)}: {company.name}",
                    "",
                    deadline,
                    "company",
                    company.id,
                    done,
                    rng.choice(_TASK_RESULTS) if done else "",
                )
            )

    # time

    @property
    def _start(self) -> date:
        return self.world.planner.start

    def _some_day(self) -> date:
        span = (self.world.anchor - self._start).days - 30
        return self._start + self._rng.randrange(span) * DAY

    def _moment(self, day: date) -> datetime:
        rng = self._rng
        return datetime.combine(day, time(rng.randrange(9, 18), rng.randrange(60), rng.randrange(60)), MOSCOW)

    def _later(self, moment: datetime, days: int = 300) -> datetime:
        """Some working hour after `moment`, not beyond the end of the world."""
        day = min(moment.date() + self._rng.randrange(1, days) * DAY, self.world.planner.end)
        return max(self._moment(day), moment + timedelta(minutes=5))


# Clients of 1C get these in turn; "" is a card in good order.
_MESSES = (
    "", "no_inn", "", "two_phones", "duplicate", "", "typo_in_name", "merged", "", "", "mistyped_inn",
    "inn_with_spaces", "", "only_in_onec", "shared_phone", "", "former_legal_entity", "owner_left", "name_only",
    "deleted_copy", "",
)  # fmt: skip
_PROSPECT_ROADS: tuple[tuple[str, ...], ...] = (
    (),
    ("meeting",),
    ("meeting", "offer"),
    ("meeting", "offer", "contract"),
    ("meeting", "lost"),
    ("meeting", "offer", "meeting", "offer", "lost"),
)


def _begun(records: Iterable[_Kind], moment: datetime) -> Iterator[_Kind]:
    return (record for record in records if record.created_at <= moment)


def _company_on(company: CrmCompany, moment: datetime) -> CrmCompany:
    changes: dict[str, Any] = {}
    if company.modified_at > moment:
        changes = {"modified_at": company.created_at, "phones": company.phones[-1:]}
    return replace(company, **changes, **_ending(company, moment))


def _contact_on(contact: CrmContact, moment: datetime) -> CrmContact:
    changes: dict[str, Any] = {"modified_at": contact.created_at} if contact.modified_at > moment else {}
    return replace(contact, **changes, **_ending(contact, moment))


def _ending(record: CrmCompany | CrmContact, moment: datetime) -> dict[str, Any]:
    """A merge or deletion that lies ahead is not known; one that has been is the last change."""
    ending: dict[str, Any] = {}
    if record.merged_at is not None and record.merged_at > moment:
        ending |= {"merged_into": None, "merged_at": None}
    if record.deleted_at is not None and record.deleted_at > moment:
        ending["deleted_at"] = None
    return ending


def _lead_on(lead: CrmLead, moment: datetime) -> CrmLead:
    history = tuple(move for move in lead.history if move.at <= moment)
    if len(history) == len(lead.history):
        return lead
    return replace(lead, history=history, modified_at=history[-1].at, company_id=None, deal_id=None)


def _deal_on(deal: CrmDeal, moment: datetime) -> CrmDeal:
    history = tuple(move for move in deal.history if move.at <= moment)
    gone = deal.deleted_at if deal.deleted_at is not None and deal.deleted_at <= moment else None
    if len(history) == len(deal.history):
        return replace(deal, deleted_at=gone)
    custom = {key: value for key, value in deal.custom.items() if key not in {"refusal_reason", "competitor"}}
    return replace(deal, history=history, modified_at=history[-1].at, closed_at=None, custom=custom, deleted_at=None)


def _task_on(task: CrmTask, moment: datetime) -> CrmTask:
    if task.completed_at is None or task.completed_at <= moment:
        return task
    return replace(task, completed_at=None, result="", modified_at=task.created_at)


def _card_name(rng: Random, client: Client) -> str:
    """A CRM knows a client by its sign, its legal entity, or both."""
    legal = client.legal_entities[0]
    return rng.choice((client.name, legal.name, legal.full_name, f"{client.outlets[0].name} / {legal.name}"))


def _cadence(rng: Random, weekdays: str, every_weeks: int) -> str:
    """How people write down what was agreed."""
    often = "еженедельно" if every_weeks == 1 else f"раз в {every_weeks} недели"
    return rng.choice((weekdays, f"{weekdays}, {often}", f"{often} ({weekdays})"))


def _written(rng: Random, phone: str) -> str:
    """A phone as people type it."""
    digits = people.phone_digits(phone)
    return rng.choice(
        (phone, f"8{digits[1:]}", digits, f"8 {digits[1:4]} {digits[4:7]}-{digits[7:9]}-{digits[9:]}", f"+{digits}")
    )


def _swapped(digits: str) -> str:
    """Two neighbouring digits in the wrong order."""
    for n in range(len(digits) - 2, 0, -1):
        if digits[n] != digits[n + 1]:
            return digits[:n] + digits[n + 1] + digits[n] + digits[n + 2 :]
    return digits


def _mistyped(rng: Random, name: str) -> str:
    """One letter lost."""
    letters = [n for n, letter in enumerate(name) if letter.isalpha() and n > 0]
    lost = rng.choice(letters)
    return name[:lost] + name[lost + 1 :]
