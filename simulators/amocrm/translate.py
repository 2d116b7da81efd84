"""The neutral picture of the CRM side of the world -> what an amoCRM account would hold.

Inquiries that nobody has taken up are «Неразобранное»; taken up they are ordinary deals, and the rest is gone. A deal's
final stages are amoCRM's 142 and 143, the reason of a refusal is a loss reason, meetings are notes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

from simulators.amocrm.store import Portal, Record
from simulators.world.crm import (
    MOSCOW,
    CrmActivity,
    CrmCompany,
    CrmContact,
    CrmDeal,
    CrmField,
    CrmLead,
    CrmPicture,
    CrmPipeline,
    CrmTask,
)

WON, LOST = 142, 143
PIPELINE_BASE, STATUS_BASE = 3_177_000, 32_392_000
PHONE, EMAIL, POSITION, ADDRESS = 66192, 66194, 66190, 66196
PRODUCTS_CATALOG = 4521
UNIT_FIELD, PRICE_FIELD, SKU_FIELD = 66301, 66302, 66303
FIRST_LOSS_REASON = 4_203_748
_FIELD_TYPES = {
    "string": "text", "integer": "numeric", "number": "numeric", "boolean": "checkbox", "date": "birthday",
    "enum": "select",
}  # fmt: skip
_OWNER_KINDS = {"company": "companies", "contact": "contacts", "deal": "leads", "lead": "leads"}
_MULTITEXT = (("WORK", 1), ("MOB", 2))


class Translation:
    """One picture in amoCRM's terms, as records of the portal's store."""

    def __init__(self, picture: CrmPicture) -> None:
        self._picture = picture
        self._fields: dict[tuple[str, str], CrmField] = {(field.owner, field.code): field for field in picture.fields}
        refusals = self._fields.get(("deal", "refusal_reason"))
        self._reasons = {
            text: FIRST_LOSS_REASON + place for place, text in enumerate(refusals.options if refusals else ())
        }
        self._deal_pipelines = [pipeline for pipeline in picture.pipelines if pipeline.owner == "deal"]

    def settings(self, portal: Portal) -> None:
        """Users, pipelines, fields, catalogs, loss reasons."""
        picture = self._picture
        portal.users = portal.users[:1] + [
            {
                "id": user.id,
                "name": f"{user.surname} {user.name}".strip(),
                "email": user.email,
                "lang": "ru",
                "phone_number": user.phone or None,
                "rights": {
                    "leads": {"view": "A", "edit": "A", "add": "A", "delete": "A", "export": "A"},
                    "is_admin": False, "is_free": False, "is_active": user.is_active, "group_id": None, "role_id": None,
                },
            }
            for user in picture.users
        ]  # fmt: skip
        created = epoch(datetime(2020, 2, 20, tzinfo=MOSCOW))
        portal.pipelines = [self._pipeline(place, pipeline) for place, pipeline in enumerate(self._deal_pipelines, 1)]
        portal.loss_reasons = [
            {"id": number, "name": text, "sort": 100000, "created_at": created, "updated_at": created}
            for text, number in self._reasons.items()
        ]
        portal.fields = {
            "leads": [self._field("leads", field) for field in self._own("deal") if field.code != "refusal_reason"],
            "contacts": [
                _plain_field(POSITION, "Должность", "POSITION", "text", "contacts"),
                _multitext(PHONE, "Телефон", "PHONE", "contacts"),
                _multitext(EMAIL, "Email", "EMAIL", "contacts"),
                *(self._field("contacts", field) for field in self._own("contact")),
            ],
            "companies": [
                _multitext(PHONE, "Телефон", "PHONE", "companies"),
                _multitext(EMAIL, "Email", "EMAIL", "companies"),
                _plain_field(ADDRESS, "Адрес", "ADDRESS", "textarea", "companies"),
                *(self._field("companies", field) for field in self._own("company")),
            ],
        }
        portal.catalogs = [
            {
                "id": PRODUCTS_CATALOG, "name": "Товары", "created_by": 0, "updated_by": 0, "created_at": created,
                "updated_at": created, "sort": 10, "type": "products", "can_add_elements": True,
                "can_show_in_cards": False, "can_link_multiple": True, "can_be_deleted": False, "sdk_widget_code": None,
            }
        ]  # fmt: skip
        portal.elements = [
            {
                "id": product.id, "catalog_id": PRODUCTS_CATALOG, "name": product.name, "created_by": 0,
                "updated_by": 0, "created_at": created, "updated_at": created, "is_deleted": None, "currency_id": None,
                "custom_fields_values": [
                    _value(SKU_FIELD, "Артикул", "SKU", "text", [{"value": product.key}]),
                    _value(PRICE_FIELD, "Цена", "PRICE", "price", [{"value": _roubles(product.price)}]),
                    _value(UNIT_FIELD, "Ед. измерения", "UNIT", "select", [{"value": product.unit, "enum_id": 1}]),
                ],
            }
            for product in picture.products
        ]  # fmt: skip

    def cards(self) -> Iterator[tuple[str, Record, int | None, int | None]]:
        """(kind, record, moment of deletion or None, id that swallowed it or None)."""
        for company in self._picture.companies:
            yield "companies", self._company(company), *_end(company)
        for contact in self._picture.contacts:
            yield "contacts", self._contact(contact), *_end(contact)
        for deal in self._picture.deals:
            yield "leads", self._deal(deal), epoch(deal.deleted_at) if deal.deleted_at else None, None
        for lead in self._picture.leads:
            if lead.stage in ("fresh", "working"):
                yield "unsorted", self._inquiry(lead), None, None
        for activity in self._picture.activities:
            yield "notes", self._note(activity), None, None
        for task in self._picture.tasks:
            yield "tasks", self._task(task), None, None

    def moves(self) -> Iterator[tuple[int, int, int, int, int]]:
        """Stage changes of deals: (deal, pipeline, from status, to status, moment)."""
        for deal in self._picture.deals:
            pipeline = self._picture.pipeline(deal.pipeline_id)
            for before, after in zip(deal.history, deal.history[1:], strict=False):
                old, new = self._status(pipeline, before.stage), self._status(pipeline, after.stage)
                yield deal.id, self._pipeline_id(pipeline), old, new, epoch(after.at)

    # --- cards ---

    def _company(self, company: CrmCompany) -> Record:
        custom: dict[int, list[Record]] = {
            PHONE: _channels(company.phones),
            EMAIL: _channels(company.emails),
            ADDRESS: [{"value": ", ".join(part for part in (company.city, company.address) if part)}]
            if company.city or company.address
            else [],
            **self._values("company", company.custom),
        }
        return {**_head(company, company.name), "company_id": None, "custom": custom}

    def _contact(self, contact: CrmContact) -> Record:
        first = f"{contact.name} {contact.patronymic}".strip()
        custom: dict[int, list[Record]] = {
            POSITION: [{"value": contact.position}] if contact.position else [],
            PHONE: _channels(contact.phones),
            EMAIL: _channels(contact.emails),
            **self._values("contact", contact.custom),
        }
        head = _head(contact, f"{contact.surname} {first}")
        return {
            **head, "first_name": first, "last_name": contact.surname, "company_id": contact.company_id,
            "custom": custom,
        }  # fmt: skip

    def _deal(self, deal: CrmDeal) -> Record:
        pipeline = self._picture.pipeline(deal.pipeline_id)
        head = _head(deal, deal.title)
        return {
            **head,
            "price": (deal.amount + 50) // 100,
            "status_id": self._status(pipeline, deal.stage),
            "pipeline_id": self._pipeline_id(pipeline),
            "loss_reason_id": self._reasons.get(deal.custom.get("refusal_reason", "")),
            "source_id": None,
            "closed_at": epoch(deal.closed_at) if deal.closed_at else None,
            "score": None,
            "company_id": deal.company_id,
            "contact_ids": list(deal.contact_ids),
            "elements": [(row.product_id, row.quantity) for row in deal.rows],
            "custom": self._values("deal", {k: v for k, v in deal.custom.items() if k != "refusal_reason"}),
        }

    def _inquiry(self, lead: CrmLead) -> Record:
        uid = hashlib.sha256(f"unsorted:{lead.id}".encode()).hexdigest()[:64]
        created = epoch(lead.created_at)
        called = lead.source == "Звонок"
        metadata: Record = (
            {"from": lead.phones[0], "phone": "74950000000", "called_at": created, "duration": 60,
             "service_code": "sip", "is_call_event_needed": False}
            if called and lead.phones
            else {"form_id": "1", "form_name": lead.title, "form_page": lead.source, "ip": "127.0.0.1",
                  "form_sent_at": created, "referer": ""}
        )  # fmt: skip
        return {
            "id": uid, "uid": uid, "source_uid": f"source-{lead.source}", "source_name": lead.source,
            "category": "sip" if called else "forms",
            "pipeline_id": self._pipeline_id(self._deal_pipelines[0]), "created_at": created, "updated_at": created,
            "metadata": metadata, "contacts": [], "leads": [lead.id],
        }  # fmt: skip

    def _note(self, activity: CrmActivity) -> Record:
        params: Record
        if activity.kind == "call":
            note_type = "call_in" if activity.direction == "in" else "call_out"
            params = {
                "uniq": f"call-{activity.id}", "duration": activity.seconds, "source": "АТС", "link": "",
                "phone": "74950000000", "call_result": activity.text, "call_status": 4,
                "call_responsible": str(activity.user_id),
            }  # fmt: skip
        elif activity.kind == "email":
            note_type = "amomail_message"
            params = {
                "subject": activity.subject, "content_summary": activity.text, "income": activity.direction == "in",
                "thread_id": activity.id, "message_id": activity.id,
            }  # fmt: skip
        else:
            note_type, params = "common", {"text": f"{activity.subject}. {activity.text}"}
        return {
            "id": activity.id, "entity_id": activity.owner_id, "created_by": activity.user_id,
            "updated_by": activity.user_id, "created_at": epoch(activity.created_at),
            "updated_at": epoch(activity.modified_at), "responsible_user_id": activity.user_id, "group_id": 0,
            "note_type": note_type, "params": params, "owner": _OWNER_KINDS[activity.owner_kind],
        }  # fmt: skip

    def _task(self, task: CrmTask) -> Record:
        return {
            "id": task.id, "created_by": task.user_id, "updated_by": task.user_id,
            "created_at": epoch(task.created_at), "updated_at": epoch(task.modified_at),
            "responsible_user_id": task.user_id, "group_id": 0, "entity_id": task.owner_id,
            "entity_type": _OWNER_KINDS[task.owner_kind], "duration": 0, "is_completed": task.is_done,
            "task_type_id": 1, "text": "\n".join(part for part in (task.title, task.text) if part),
            "result": task.result, "complete_till": epoch(task.deadline),
        }  # fmt: skip

    # --- settings ---

    def _pipeline_id(self, pipeline: CrmPipeline) -> int:
        return PIPELINE_BASE + pipeline.id

    def _status(self, pipeline: CrmPipeline, code: str) -> int:
        stage = pipeline.stage(code)
        if stage.outcome != "open":
            return WON if stage.outcome == "won" else LOST
        return STATUS_BASE + pipeline.id * 100 + stage.sort

    def _pipeline(self, place: int, pipeline: CrmPipeline) -> Record:
        number = self._pipeline_id(pipeline)
        statuses = [
            {
                "id": STATUS_BASE + pipeline.id * 100, "name": "Неразобранное", "sort": 10, "is_editable": False,
                "pipeline_id": number, "color": "#c1c1c1", "type": 1,
            }
        ]  # fmt: skip
        for stage in sorted(pipeline.stages, key=lambda stage: stage.sort):
            final = stage.outcome != "open"
            statuses.append(
                {
                    "id": self._status(pipeline, stage.code), "name": stage.name,
                    "sort": {"won": 10000, "lost": 11000}.get(stage.outcome, stage.sort + 10), "is_editable": not final,
                    "pipeline_id": number, "color": "#99ccff", "type": 0,
                }
            )  # fmt: skip
        return {
            "id": number, "name": pipeline.name, "sort": place, "is_main": pipeline.is_default, "is_unsorted_on": True,
            "is_archive": False, "statuses": statuses,
        }  # fmt: skip

    def _own(self, owner: str) -> list[CrmField]:
        return [field for field in self._picture.fields if field.owner == owner]

    def _field(self, kind: str, field: CrmField) -> Record:
        enums = [
            {"id": _enum_id(field, place), "value": text, "sort": place * 10, "code": None}
            for place, text in enumerate(field.options)
        ]
        type_ = "date" if field.kind == "date" and field.code != "birthday" else _FIELD_TYPES[field.kind]
        return _plain_field(field.id, field.name, None, type_, kind, enums or None)

    def _values(self, owner: str, custom: dict[str, Any]) -> dict[int, list[Record]]:
        values: dict[int, list[Record]] = {}
        for code, value in custom.items():
            field = self._fields.get((owner, code))
            if field is None or value is None or value is False:
                continue  # an empty checkbox is not there at all
            if field.kind == "enum":
                place = field.options.index(value)
                values[field.id] = [{"value": value, "enum_id": _enum_id(field, place), "enum_code": None}]
            elif isinstance(value, date):
                values[field.id] = [{"value": epoch(datetime(value.year, value.month, value.day, tzinfo=MOSCOW))}]
            else:
                values[field.id] = [{"value": True if value is True else str(value)}]
        return values


def epoch(moment: datetime) -> int:
    return int(moment.timestamp())


def _head(record: CrmCompany | CrmContact | CrmDeal, name: str) -> Record:
    return {
        "id": record.id, "name": name, "responsible_user_id": record.user_id, "group_id": 0,
        "created_by": record.user_id, "updated_by": record.user_id, "created_at": epoch(record.created_at),
        "updated_at": epoch(record.modified_at), "closest_task_at": None, "is_deleted": False,
    }  # fmt: skip


def _end(card: CrmCompany | CrmContact) -> tuple[int | None, int | None]:
    at = card.merged_at if card.merged_into is not None else card.deleted_at
    return (epoch(at) if at else None), card.merged_into


def _roubles(kopecks: int) -> str:
    return f"{kopecks // 100}.{kopecks % 100:02}".removesuffix(".00")


def _channels(values: tuple[str, ...]) -> list[Record]:
    return [
        {"value": value, "enum_id": _MULTITEXT[place % 2][1], "enum_code": _MULTITEXT[place % 2][0]}
        for place, value in enumerate(values)
    ]


def _enum_id(field: CrmField, place: int) -> int:
    return field.id * 1000 + place


def _value(number: int, name: str, code: str, type_: str, values: list[Record]) -> Record:
    return {"field_id": number, "field_name": name, "field_code": code, "field_type": type_, "values": values}


def _multitext(number: int, name: str, code: str, kind: str) -> Record:
    enums = [{"id": enum_id, "value": enum_code, "sort": enum_id} for enum_code, enum_id in _MULTITEXT]
    return _plain_field(number, name, code, "multitext", kind, enums)


def _plain_field(
    number: int, name: str, code: str | None, type_: str, kind: str, enums: list[Record] | None = None
) -> Record:
    return {
        "id": number, "name": name, "type": type_, "code": code, "sort": 500, "is_api_only": False,
        "enums": enums, "group_id": None, "required_statuses": [], "is_deletable": code is None,
        "is_predefined": code is not None, "entity_type": kind, "remind": None,
    }  # fmt: skip
