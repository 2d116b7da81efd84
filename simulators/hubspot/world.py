"""The CRM side of the seeded world as records of a HubSpot account."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from simulators.hubspot.portal import Owner, Portal, Seeded, Values, Version, stamp
from simulators.world.crm import CrmCompany, CrmContact, CrmDeal, CrmField, CrmLead, CrmPicture, CrmPipeline, CrmUser

_OWN_KINDS = {"company": "companies", "contact": "contacts", "lead": "leads", "deal": "deals"}
_TYPES = {
    "string": ("string", "text"),
    "integer": ("number", "number"),
    "number": ("number", "number"),
    "boolean": ("enumeration", "booleancheckbox"),
    "date": ("date", "date"),
    "enum": ("enumeration", "select"),
}
_DIRECTIONS = {
    "call": {"in": "INBOUND", "out": "OUTBOUND"},
    "email": {"in": "INCOMING_EMAIL", "out": "EMAIL"},
}


def hubspot_id(number: int) -> int:
    """The record id of a record of the world."""
    return 20_000_000_000 + number


def owner_id(user_id: int) -> int:
    return 700_000 + user_id


def stage_id(pipeline: CrmPipeline, code: str) -> str:
    """Stage ids are unique within an account."""
    return f"{pipeline.code}_{code}"


def fill(portal: Portal, picture: CrmPicture) -> None:
    """Show the picture: users, pipelines, own properties and all records."""
    portal.owners = [_owner(user) for user in picture.users]
    portal.pipelines = {
        "deals": [_pipeline(p) for p in picture.pipelines if p.owner == "deal"],
        "leads": [_pipeline(p) for p in picture.pipelines if p.owner == "lead"],
    }
    for own in picture.fields:
        kind = _OWN_KINDS[own.owner]
        if own.code not in portal.properties[kind]:
            portal.define(kind, _definition(own), of_the_world=True)
    portal.show(_records(picture))


def _owner(user: CrmUser) -> Owner:
    name = f"{user.name} {user.patronymic}".strip()
    return Owner(owner_id(user.id), user.id, user.email, name, user.surname, user.is_active)


def _pipeline(pipeline: CrmPipeline) -> dict[str, Any]:
    stages = []
    for order, stage in enumerate(pipeline.stages):
        metadata = {"isClosed": "true" if stage.outcome != "open" else "false"}
        if pipeline.owner == "deal":
            metadata["probability"] = str(stage.probability / 100)
        else:
            states = {"won": "QUALIFIED", "lost": "UNQUALIFIED", "open": "IN_PROGRESS" if order else "NEW"}
            metadata["leadState"] = states[stage.outcome]
        stages.append(
            {
                "label": stage.name,
                "displayOrder": order,
                "metadata": metadata,
                "id": stage_id(pipeline, stage.code),
                "createdAt": "2024-01-09T08:00:00Z",
                "updatedAt": "2024-01-09T08:00:00Z",
                "archived": False,
                "writePermissions": "CRM_PERMISSIONS_ENFORCEMENT",
            }
        )
    return {
        "label": pipeline.name,
        "displayOrder": pipeline.id,
        "id": "default" if pipeline.is_default else pipeline.code,
        "stages": stages,
        "createdAt": "2024-01-09T08:00:00Z",
        "updatedAt": "2024-01-09T08:00:00Z",
        "archived": False,
    }


def _definition(own: CrmField) -> dict[str, Any]:
    kind, field_type = _TYPES[own.kind]
    options = [{"value": option, "label": option} for option in own.options]
    if own.kind == "boolean":
        options = [{"value": "true", "label": "Да"}, {"value": "false", "label": "Нет"}]
    return {"name": own.code, "label": own.name, "type": kind, "fieldType": field_type, "options": options}


def _records(picture: CrmPicture) -> Iterator[Seeded]:
    first_company = {company.id for company in picture.companies}
    for product in picture.products:
        moment = min(company.created_at for company in picture.companies) if picture.companies else picture.moment
        values: Values = {"name": product.name, "price": _money(product.price), "hs_sku": product.key[:8]}
        yield Seeded("products", hubspot_id(product.id), values, moment, moment)
    # A survivor must be there before the card that it swallows.
    for company in sorted(picture.companies, key=lambda c: c.merged_into is not None):
        yield _company(company)
    for contact in sorted(picture.contacts, key=lambda c: c.merged_into is not None):
        yield _contact(contact, first_company)
    pipelines = {pipeline.id: pipeline for pipeline in picture.pipelines}
    for deal in picture.deals:
        yield from _line_items(deal)
        yield _deal(deal, pipelines[deal.pipeline_id])
    for lead in picture.leads:
        yield _lead(lead, pipelines[lead.pipeline_id])
    yield from _conversations(picture)


def _company(company: CrmCompany) -> Seeded:
    values: Values = {
        "name": company.name,
        "phone": company.phones[0] if company.phones else None,
        "city": company.city or None,
        "address": company.address or None,
        "hubspot_owner_id": str(owner_id(company.user_id)),
        **_own_values(company.custom),
    }
    return Seeded(
        "companies",
        hubspot_id(company.id),
        values,
        company.created_at,
        max(filter(None, (company.modified_at, company.merged_at))),
        archived_at=company.deleted_at,
        merged_into=hubspot_id(company.merged_into) if company.merged_into else None,
    )


def _contact(contact: CrmContact, companies: set[int]) -> Seeded:
    values: Values = {
        "firstname": f"{contact.name} {contact.patronymic}".strip(),
        "lastname": contact.surname,
        "jobtitle": contact.position or None,
        "phone": contact.phones[0] if contact.phones else None,
        "mobilephone": contact.phones[1] if len(contact.phones) > 1 else None,
        "email": contact.emails[0] if contact.emails else None,
        "hubspot_owner_id": str(owner_id(contact.user_id)),
        **_own_values(contact.custom),
    }
    links = [("companies", hubspot_id(contact.company_id), True)] if contact.company_id in companies else []
    return Seeded(
        "contacts",
        hubspot_id(contact.id),
        values,
        contact.created_at,
        max(filter(None, (contact.modified_at, contact.merged_at))),
        links=[(kind, number, primary) for kind, number, primary in links],
        archived_at=contact.deleted_at,
        merged_into=hubspot_id(contact.merged_into) if contact.merged_into else None,
    )


def _deal(deal: CrmDeal, pipeline: CrmPipeline) -> Seeded:
    stage = pipeline.stage(deal.stage)
    values: Values = {
        "dealname": deal.title,
        "pipeline": "default" if pipeline.is_default else pipeline.code,
        "dealstage": stage_id(pipeline, deal.stage),
        "amount": _money(deal.amount) if deal.rows else None,
        "deal_currency_code": "RUB",
        "closedate": stamp(deal.closed_at) if deal.closed_at else None,
        "closed_lost_reason": deal.custom.get("refusal_reason"),
        "hs_is_closed": "true" if stage.outcome != "open" else "false",
        "hs_is_closed_won": "true" if stage.outcome == "won" else "false",
        "hubspot_owner_id": str(owner_id(deal.user_id)),
        **_own_values(deal.custom),
    }
    history = [Version(stage_id(pipeline, move.stage), move.at, "CRM_UI", move.user_id) for move in deal.history]
    links = [("contacts", hubspot_id(number), False) for number in deal.contact_ids]
    if deal.company_id is not None:
        links.append(("companies", hubspot_id(deal.company_id), True))
    links += [("line_items", hubspot_id(row.id), False) for row in deal.rows]
    return Seeded(
        "deals",
        hubspot_id(deal.id),
        values,
        deal.created_at,
        deal.modified_at,
        {"dealstage": history[::-1]},
        links,
        deal.deleted_at,
    )


def _line_items(deal: CrmDeal) -> Iterator[Seeded]:
    for row in deal.rows:
        values: Values = {
            "name": row.name,
            "quantity": str(row.quantity),
            "price": _money(row.price),
            "hs_product_id": str(hubspot_id(row.product_id)),
            "hs_discount_percentage": str(row.discount_percent) if row.discount_percent else None,
            "amount": _money(row.amount),
        }
        yield Seeded("line_items", hubspot_id(row.id), values, deal.created_at, deal.created_at)


def _lead(lead: CrmLead, pipeline: CrmPipeline) -> Seeded:
    values: Values = {
        "hs_lead_name": lead.title,
        "hs_pipeline": "default" if pipeline.is_default else pipeline.code,
        "hs_pipeline_stage": stage_id(pipeline, lead.stage),
        "hs_lead_source": lead.source,
        "hubspot_owner_id": str(owner_id(lead.user_id)),
        **_own_values(lead.custom),
    }
    history = [Version(stage_id(pipeline, move.stage), move.at, "CRM_UI", move.user_id) for move in lead.history]
    links = [("companies", hubspot_id(lead.company_id), False)] if lead.company_id else []
    links += [("deals", hubspot_id(lead.deal_id), False)] if lead.deal_id else []
    return Seeded(
        "leads",
        hubspot_id(lead.id),
        values,
        lead.created_at,
        lead.modified_at,
        {"hs_pipeline_stage": history[::-1]},
        links,
        lead.deleted_at,
    )


def _conversations(picture: CrmPicture) -> Iterator[Seeded]:
    owners: dict[str, dict[int, int]] = defaultdict(dict)
    for activity in picture.activities:
        values: Values = {
            "hs_timestamp": stamp(activity.started_at),
            "hubspot_owner_id": str(owner_id(activity.user_id)),
            "hs_created_by_user_id": str(activity.user_id),
        }
        if activity.kind == "call":
            values |= {
                "hs_call_title": activity.subject,
                "hs_call_body": activity.text,
                "hs_call_direction": _DIRECTIONS["call"][activity.direction],
                "hs_call_duration": str(activity.seconds * 1000),
                "hs_call_status": "COMPLETED",
            }
        elif activity.kind == "email":
            values |= {
                "hs_email_subject": activity.subject,
                "hs_email_text": activity.text,
                "hs_email_direction": _DIRECTIONS["email"][activity.direction],
                "hs_email_status": "SENT",
            }
        else:
            ended = activity.started_at.timestamp() + activity.seconds
            values |= {
                "hs_meeting_title": activity.subject,
                "hs_meeting_body": activity.text,
                "hs_meeting_start_time": stamp(activity.started_at),
                "hs_meeting_end_time": stamp(activity.started_at.fromtimestamp(ended, activity.started_at.tzinfo)),
                "hs_meeting_outcome": "COMPLETED",
            }
        links = [(_OWN_KINDS[activity.owner_kind], hubspot_id(activity.owner_id), False)]
        if activity.contact_id:
            links.append(("contacts", hubspot_id(activity.contact_id), False))
        kind = {"call": "calls", "email": "emails", "meeting": "meetings"}[activity.kind]
        yield Seeded(kind, hubspot_id(activity.id), values, activity.created_at, activity.modified_at, links=links)
        owners[kind][activity.id] = activity.user_id
    for task in picture.tasks:
        values = {
            "hs_timestamp": stamp(task.deadline),
            "hs_task_subject": task.title,
            "hs_task_body": "\n".join(filter(None, (task.text, task.result))) or None,
            "hs_task_status": "COMPLETED" if task.is_done else "NOT_STARTED",
            "hs_task_type": "TODO",
            "hs_task_priority": "NONE",
            "hs_task_completion_date": stamp(task.completed_at) if task.completed_at else None,
            "hubspot_owner_id": str(owner_id(task.user_id)),
            "hs_created_by_user_id": str(task.user_id),
        }
        links = [(_OWN_KINDS[task.owner_kind], hubspot_id(task.owner_id), False)]
        yield Seeded("tasks", hubspot_id(task.id), values, task.created_at, task.modified_at, links=links)


def _own_values(custom: dict[str, Any]) -> Values:
    def told(value: Any) -> str:
        return str(value).lower() if isinstance(value, bool) else str(value)

    return {code: told(value) for code, value in custom.items()}


def _money(kopecks: int) -> str:
    return f"{kopecks / 100:.2f}"
