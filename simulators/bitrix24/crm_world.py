"""The CRM side of the seeded world as a Bitrix24 portal holds it."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from starlette.applications import Starlette

from simulators.bitrix24.app import build_app
from simulators.bitrix24.crm import CREATED, FINAL, MOVED, Crm, category, product_row, stage_entity, status
from simulators.bitrix24.portal import STATUS_DONE, STATUS_PENDING, BitrixUser, Portal
from simulators.bitrix24.shapes import BY_NAME, COMPANY, CONTACT, DEAL, LEAD, ItemType
from simulators.world.crm import (
    CrmActivity,
    CrmCompany,
    CrmContact,
    CrmDeal,
    CrmField,
    CrmLead,
    CrmMove,
    CrmPicture,
    CrmUser,
)

_FIELD_TYPES = {
    "string": "string", "integer": "integer", "number": "double", "boolean": "boolean", "date": "date",
    "enum": "enumeration",
}  # fmt: skip
_ACTIVITY_TYPES = {
    "call": ("2", "VOXIMPLANT_CALL", "CALL"),
    "email": ("4", "CRM_EMAIL", "EMAIL"),
    "meeting": ("1", "CRM_MEETING", "MEETING"),
}
_SEMANTICS = {"open": None, "won": "S", "lost": "F"}


def portal_users(picture: CrmPicture) -> list[BitrixUser]:
    """Employees of the portal."""
    return [_user(user) for user in picture.users]


def field_name(code: str) -> str:
    """How this company named its own field in the portal."""
    return f"UF_CRM_{code.upper()}"


def fill(crm: Crm, picture: CrmPicture) -> None:
    """Put everything that is alive at the picture's moment into an empty CRM, under the world's own ids."""
    _Filler(crm, picture).fill()


class _Filler:
    def __init__(self, crm: Crm, picture: CrmPicture) -> None:
        self._crm = crm
        self._picture = picture
        self._fields = {(field.owner, field.code): field for field in picture.fields}
        self._options = _option_ids(picture.fields)
        # The default funnel is number 0 on a portal.
        self._category = {
            pipeline.id: 0 if pipeline.is_default else pipeline.id
            for pipeline in picture.pipelines
            if pipeline.owner == "deal"
        }

    def fill(self) -> None:
        self._dictionaries()
        for product in self._picture.products:
            self._crm.products.add(
                {
                    "ID": str(product.id),
                    "NAME": product.name,
                    "CODE": None,
                    "XML_ID": product.key,
                    "ACTIVE": "Y",
                    "PRICE": _roubles(product.price),
                    "CURRENCY_ID": "RUB",
                    "VAT_INCLUDED": "Y",
                    "TIMESTAMP_X": self._moment(self._picture.moment),
                },
                product.id,
            )
        for company in self._picture.companies:
            if company.merged_into is None and company.deleted_at is None:
                self._company(company)
        for contact in self._picture.contacts:
            if contact.merged_into is None and contact.deleted_at is None:
                self._contact(contact)
        for lead in self._picture.leads:
            if lead.deleted_at is None:
                self._lead(lead)
        for deal in self._picture.deals:
            if deal.deleted_at is None:
                self._deal(deal)
        for activity in self._picture.activities:
            self._activity(activity)

    def _dictionaries(self) -> None:
        crm = self._crm
        number = 100
        crm.categories, crm.statuses = [], []
        for pipeline in self._picture.pipelines:
            if pipeline.owner == "deal":
                place = self._category[pipeline.id]
                crm.categories.append(category(place, pipeline.name, 100 + pipeline.id, is_default=place == 0))
            for stage in pipeline.stages:
                number += 2
                entity = stage_entity(self._category[pipeline.id]) if pipeline.owner == "deal" else "STATUS"
                stage_id = self._stage(pipeline.id, stage.code)
                crm.statuses.append(status(number, entity, stage_id, stage.name, stage.sort, _SEMANTICS[stage.outcome]))
        for place, source in enumerate(sorted({lead.source for lead in self._picture.leads}), start=1):
            crm.statuses.append(status(900 + place, "SOURCE", source, source, place * 10, None))
        for field in self._picture.fields:
            crm.user_fields[BY_NAME[field.owner].field_entity].append(self._user_field(field))

    def _user_field(self, field: CrmField) -> dict[str, Any]:
        row: dict[str, Any] = {
            "ID": str(field.id),
            "ENTITY_ID": BY_NAME[field.owner].field_entity,
            "FIELD_NAME": field_name(field.code),
            "USER_TYPE_ID": _FIELD_TYPES[field.kind],
            "XML_ID": None,
            "SORT": "100",
            "MULTIPLE": "N",
            "MANDATORY": "N",
            "SHOW_FILTER": "E",
            "SHOW_IN_LIST": "Y",
            "EDIT_IN_LIST": "Y",
            "IS_SEARCHABLE": "N",
            "SETTINGS": [],
            "EDIT_FORM_LABEL": field.name,
            "LIST_COLUMN_LABEL": field.name,
            "LIST_FILTER_LABEL": field.name,
            "ERROR_MESSAGE": None,
            "HELP_MESSAGE": None,
        }
        if field.options:
            row["LIST"] = [
                {"ID": str(self._options[field.id, text]), "SORT": str(place * 10), "VALUE": text, "DEF": "N"}
                for place, text in enumerate(field.options, start=1)
            ]
        return row

    def _company(self, company: CrmCompany) -> None:
        fields = {
            **self._base(company.created_at, company.user_id),
            **self._custom(COMPANY, company.custom),
            "title": company.name,
            "address": ", ".join(part for part in (company.city, company.address) if part) or None,
            "phones": list(company.phones),
            "emails": list(company.emails),
        }
        self._crm.add(COMPANY, fields, item_id=company.id)
        self._modified(COMPANY, company.id, company.modified_at)
        inn = str(company.custom.get("inn", "")).replace(" ", "")
        if inn and company.id % 3 == 0:  # some fill in requisites too
            self._crm.add_requisite(
                COMPANY,
                company.id,
                {
                    "RQ_INN": inn,
                    "RQ_COMPANY_NAME": company.name,
                    "DATE_CREATE": self._moment(company.created_at),
                    "PRESET_ID": "1" if len(inn) == 10 else "3",
                },
            )

    def _contact(self, contact: CrmContact) -> None:
        fields = {
            **self._base(contact.created_at, contact.user_id),
            **self._custom(CONTACT, contact.custom),
            "name": contact.name,
            "secondName": contact.patronymic,
            "lastName": contact.surname,
            "post": contact.position or None,
            "companyId": contact.company_id or 0,
            "phones": list(contact.phones),
            "emails": list(contact.emails),
        }
        birthday = contact.custom.get("birthday")
        if isinstance(birthday, date):
            fields["birthdate"] = self._midnight(birthday)
        self._crm.add(CONTACT, fields, item_id=contact.id)
        self._modified(CONTACT, contact.id, contact.modified_at)

    def _lead(self, lead: CrmLead) -> None:
        first = lead.history[0]
        fields = {
            **self._base(lead.created_at, lead.user_id),
            **self._custom(LEAD, lead.custom),
            "title": lead.title,
            "name": lead.contact_name,
            "sourceId": lead.source,
            "companyId": lead.company_id or 0,
            "stageId": self._stage(lead.pipeline_id, first.stage),
            "phones": list(lead.phones),
        }
        self._crm.add(LEAD, fields, item_id=lead.id)
        self._moves(LEAD, lead.id, lead.pipeline_id, lead.history)
        self._modified(LEAD, lead.id, lead.modified_at)

    def _deal(self, deal: CrmDeal) -> None:
        first = deal.history[0]
        contacts = [number for number in deal.contact_ids if number in self._crm.items[CONTACT.number].rows]
        companies = self._crm.items[COMPANY.number].rows
        fields = {
            **self._base(deal.created_at, deal.user_id),
            **self._custom(DEAL, deal.custom),
            "title": deal.title,
            "categoryId": self._category[deal.pipeline_id],
            "stageId": self._stage(deal.pipeline_id, first.stage),
            "companyId": deal.company_id if deal.company_id in companies else 0,
            "contactIds": contacts,
            "opportunity": deal.amount / 100,
            "begindate": self._midnight(deal.created_at.date()),
        }
        self._crm.add(DEAL, fields, item_id=deal.id)
        self._moves(DEAL, deal.id, deal.pipeline_id, deal.history)
        rows = []
        for place, row in enumerate(deal.rows, start=1):
            given = {
                "productId": row.product_id,
                "productName": row.name,
                "price": round(row.amount / row.quantity / 100, 2),
                "quantity": row.quantity,
                "discountRate": row.discount_percent,
                "taxRate": row.vat_percent,
            }
            rows.append(product_row(row.id, DEAL.letter, deal.id, place * 10, given))
        if rows:
            self._crm.product_rows[DEAL.letter, deal.id] = rows
        self._modified(DEAL, deal.id, deal.modified_at)

    def _activity(self, activity: CrmActivity) -> None:
        kind = BY_NAME[activity.owner_kind]
        if activity.owner_id not in self._crm.items[kind.number].rows:
            return
        type_id, provider, provider_type = _ACTIVITY_TYPES[activity.kind]
        started = self._moment(activity.started_at)
        ended = datetime.fromtimestamp(activity.started_at.timestamp() + activity.seconds, self._crm.zone)
        number = self._crm.add_activity(
            {
                "OWNER_ID": str(activity.owner_id),
                "OWNER_TYPE_ID": str(kind.number),
                "TYPE_ID": type_id,
                "PROVIDER_ID": provider,
                "PROVIDER_TYPE_ID": provider_type,
                "SUBJECT": activity.subject,
                "DESCRIPTION": activity.text,
                "DIRECTION": "1" if activity.direction == "in" else "2",
                "CREATED": started,
                "LAST_UPDATED": started,
                "START_TIME": started,
                "END_TIME": self._moment(ended),
                "DEADLINE": started,
                "COMPLETED": "Y",
                "STATUS": "2",
                "RESPONSIBLE_ID": str(activity.user_id),
                "AUTHOR_ID": str(activity.user_id),
            }
        )
        person = self._crm.items[CONTACT.number].rows.get(activity.contact_id or 0)
        if person is not None:
            self._crm.activities.rows[number]["COMMUNICATIONS"] = [
                {
                    "ID": str(number),
                    "TYPE": "EMAIL" if activity.kind == "email" else "PHONE",
                    "VALUE": next((fm["value"] for fm in person["fm"]), ""),
                    "ENTITY_ID": str(person["id"]),
                    "ENTITY_TYPE_ID": str(CONTACT.number),
                    "ENTITY_SETTINGS": [],
                }
            ]

    def _base(self, created_at: datetime, user: int) -> dict[str, Any]:
        return {"createdTime": self._moment(created_at), "createdBy": user, "assignedById": user}

    def _custom(self, kind: ItemType, values: dict[str, Any]) -> dict[str, Any]:
        """Every field of the tenant is on every record, empty where nobody filled it in."""
        shown: dict[str, Any] = {}
        for (owner, code), field in self._fields.items():
            if owner == kind.name:
                shown[field_name(code)] = self._written(field, values.get(code))
        return shown

    def _written(self, field: CrmField, value: Any) -> Any:
        if value is None:
            return None if field.kind != "string" else ""
        if field.kind == "enum":
            return self._options[field.id, value]
        if field.kind == "boolean":
            return "Y" if value else "N"
        return self._midnight(value) if isinstance(value, date) else value

    def _moves(self, kind: ItemType, item_id: int, pipeline_id: int, history: tuple[CrmMove, ...]) -> None:
        row = self._crm.items[kind.number].rows[item_id]
        table = self._crm.history[kind.number]
        pipeline = self._picture.pipeline(pipeline_id)
        table.remove(table.last_id)  # what adding the record noted; the world has ids of its own
        for place, move in enumerate(history):
            outcome = pipeline.stage(move.stage).outcome
            semantic = _SEMANTICS[outcome] or "P"
            noted: dict[str, Any] = {
                "ID": str(move.id),
                "TYPE_ID": CREATED if place == 0 else MOVED if outcome == "open" else FINAL,
                "OWNER_ID": str(item_id),
                "CREATED_TIME": self._moment(move.at),
            }
            stage_id = self._stage(pipeline_id, move.stage)
            if kind is DEAL:
                noted |= {"CATEGORY_ID": str(row["categoryId"]), "STAGE_SEMANTIC_ID": semantic, "STAGE_ID": stage_id}
            else:
                noted |= {"STATUS_SEMANTIC_ID": semantic, "STATUS_ID": stage_id}
            table.add(noted, move.id)
            row |= {"stageId": stage_id, "stageSemanticId": semantic, "movedTime": self._moment(move.at)}
            row["movedBy"] = move.user_id
            if outcome != "open":
                row |= {"closed": "Y", "closedate": self._moment(move.at)} if kind is DEAL else {
                    "dateClosed": self._moment(move.at)
                }  # fmt: skip

    def _modified(self, kind: ItemType, item_id: int, moment: datetime) -> None:
        row = self._crm.items[kind.number].rows[item_id]
        row |= {"updatedTime": self._moment(moment), "lastActivityTime": self._moment(moment)}

    def _stage(self, pipeline_id: int, code: str) -> str:
        place = self._category.get(pipeline_id)
        return f"C{place}:{code.upper()}" if place else code.upper()

    def _moment(self, moment: datetime) -> str:
        return moment.astimezone(self._crm.zone).isoformat(timespec="seconds")

    def _midnight(self, day: date) -> str:
        return datetime(day.year, day.month, day.day, tzinfo=self._crm.zone).isoformat(timespec="seconds")


def seed_tasks(portal: Portal, picture: CrmPicture) -> None:
    """Tasks that people made, with what came of them."""
    zone = ZoneInfo("Europe/Moscow")

    def moment(at: datetime) -> str:
        return at.astimezone(zone).isoformat(timespec="seconds")

    tasks, results = [], []
    for task in picture.tasks:
        done = task.completed_at is not None
        tasks.append(
            {
                "ID": str(task.id),
                "TITLE": task.title,
                "DESCRIPTION": task.text,
                "STATUS": STATUS_DONE if done else STATUS_PENDING,
                "CREATED_BY": str(task.user_id),
                "RESPONSIBLE_ID": str(task.user_id),
                "CREATED_DATE": moment(task.created_at),
                "CHANGED_DATE": moment(task.modified_at),
                "ACTIVITY_DATE": moment(task.modified_at),
                "DEADLINE": moment(task.deadline),
                "CLOSED_DATE": moment(task.completed_at) if task.completed_at else None,
                "CLOSED_BY": str(task.user_id) if done else None,
                "UF_CRM_TASK": [f"{BY_NAME[task.owner_kind].letter}_{task.owner_id}"],
            }
        )
        if task.result and task.completed_at:
            results.append((str(task.id), task.result, str(task.user_id), moment(task.completed_at)))
    portal.seed(tasks, results)


def build_world_app(state: Path, picture: CrmPicture, *, crm: Crm | None = None, **options: Any) -> Starlette:
    """A portal over the seeded world: its employees, its CRM, its tasks. `options` as for `build_app`.

    crm: filled here when it is empty; keep it to look at, change or `refill` what the portal shows.
    """
    now = options.setdefault("now", lambda: datetime.now(UTC))
    crm = crm or Crm("Europe/Moscow", now)
    if not crm.items[COMPANY.number].rows:
        fill(crm, picture)
    return build_app(state, portal_users(picture), crm=crm, tasks=lambda portal: seed_tasks(portal, picture), **options)


def refill(crm: Crm, picture: CrmPicture) -> None:
    """Another morning: everything is as the picture says."""
    crm.clear()
    fill(crm, picture)


def _option_ids(fields: tuple[CrmField, ...]) -> dict[tuple[int, str], int]:
    """(field, text) -> id of the option."""
    pairs = [(field.id, text) for field in fields for text in field.options]
    return {pair: 40 + 2 * place for place, pair in enumerate(pairs)}


def _user(user: CrmUser) -> BitrixUser:
    return BitrixUser(
        str(user.id),
        user.email,
        user.name,
        user.surname,
        user.patronymic,
        "Торговый представитель" if user.manager_key else "",
        user.is_active,
        user.phone,
    )


def _roubles(kopecks: int) -> str:
    return f"{kopecks // 100}.{kopecks % 100:02d}"
