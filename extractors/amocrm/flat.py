"""One record of amoCRM -> flat names for the mapping.

What a record is says its own link (`_links.self.href`): notes and statuses do not tell it in any other way. Custom
fields stand under `field:<id>`, `field:<CODE>` and `field:<name>` (spaces as _), so that a mapping may use the one it
knows, and all together under `custom` by their id.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from clients.amocrm import marked_followup
from extractors.core.documents import Dialect

Flat = dict[str, Any]

KINDS = {"leads": "deal", "contacts": "contact", "companies": "company", "customers": "customer"}
WON, LOST = 142, 143
_CHANNELS = {"PHONE": "phone", "EMAIL": "email", "WEB": "web", "IM": "messenger"}
_MANY = {"multiselect", "multitext", "items", "linked_entity", "chained_list"}
_NAME = re.compile(r"[^\w.@/:-]+")
_NOTE_KINDS = {
    "call_in": ("call", "in"), "call_out": ("call", "out"), "sms_in": ("sms", "in"), "sms_out": ("sms", "out"),
    "common": ("note", None), "zoom_meeting": ("meeting", None),
}  # fmt: skip


def flatten(record: dict[str, Any]) -> Mapping[str, Any]:
    """The record's flat form. Raises ValueError when its link does not say what it is."""
    href = _map(_map(record.get("_links")).get("self")).get("href")
    path = str(href or "").partition("?")[0].rpartition("/api/v4/")[2]
    for pattern, flat in _WRITERS:
        found = pattern.fullmatch(path)
        if found:
            return flat(record, *found.groups())
    raise ValueError("the record's link does not say what it is")


def moment(value: Any, zone: ZoneInfo) -> datetime | None:
    """Epoch seconds; 0 means never. Old custom fields may hold ISO text, zone-less in the account's zone."""
    if isinstance(value, str) and not value.lstrip("-").isdigit():
        written = datetime.fromisoformat(value.strip())
        return written if written.tzinfo else written.replace(tzinfo=zone)
    if isinstance(value, bool) or not isinstance(value, (int, str, Decimal)):
        raise ValueError("not a moment")
    seconds = int(value)
    return datetime.fromtimestamp(seconds, UTC) if seconds else None


def stage_id(pipeline_id: Any, status_id: Any) -> str | None:
    """Statuses 142 and 143 are in every pipeline: only both numbers together name a stage."""
    return f"{pipeline_id}:{status_id}" if pipeline_id and status_id else None


def semantics(status_id: Any) -> str:
    return {WON: "won", LOST: "lost"}.get(status_id, "open")


# --- cards ---


def _deal(record: Flat, number: str) -> Flat:
    embedded = _map(record.get("_embedded"))
    contacts = _list(embedded.get("contacts"))
    main = next((contact for contact in contacts if contact.get("is_main")), contacts[0] if contacts else {})
    minor = record.get("price_with_minor_units")
    return {
        **_card(record, number),
        "amount": record.get("price") if minor is None else minor,
        "stage_id": stage_id(record.get("pipeline_id"), record.get("status_id")),
        "semantics": semantics(record.get("status_id")),
        "contact_id": main.get("id"),
        "contacts": [{"contact_id": one.get("id"), "is_primary": one is main} for one in contacts],
        "products": [
            {"product_id": one.get("id"), "quantity": _map(one.get("metadata")).get("quantity")}
            for one in _list(embedded.get("catalog_elements"))
        ],
    }


def _contact(record: Flat, number: str) -> Flat:
    companies = _list(_map(record.get("_embedded")).get("companies"))
    return {
        **_card(record, number),
        "companies": [{"company_id": one.get("id"), "is_primary": place == 0} for place, one in enumerate(companies)],
    }


def _card(record: Flat, number: str) -> Flat:
    companies = _list(_map(record.get("_embedded")).get("companies"))
    return {
        **record,
        **_custom(record.get("custom_fields_values")),
        "key": number,
        "modified": record.get("updated_at"),
        "company_id": companies[0].get("id") if companies else None,
    }


def _custom(fields: Any) -> Flat:
    custom: Flat = {}
    flat: Flat = {}
    channels: list[Flat] = []
    for field in _list(fields):
        values = _list(field.get("values"))
        plain = [_value(value) for value in values]
        many = field.get("field_type") in _MANY or len(plain) > 1
        value = plain if many else (plain[0] if plain else None)
        number, code, name = field.get("field_id"), field.get("field_code"), field.get("field_name")
        custom[str(number)] = value
        # The id is unique, a code almost, a name only by chance: the first field of a name has it.
        for label in (number, code, _NAME.sub("_", str(name).strip()) if name else None):
            if label is not None and label != "":
                flat.setdefault(f"field:{label}", value)
        if code in _CHANNELS:
            channels += [
                {"channel": _CHANNELS[code], "value": one.get("value"), "label": one.get("enum_code", one.get("enum"))}
                for one in values
            ]
    return {**flat, "custom": custom, "channels": channels}


def _value(value: Flat) -> Any:
    """A value of a custom field; what is no scalar (a legal entity, a file, a link) stays whole."""
    return value.get("value")


def _inquiry(record: Flat, uid: str) -> Flat:
    embedded, about = _map(record.get("_embedded")), _map(record.get("metadata"))
    first = {name: next(iter(_list(embedded.get(name))), {}).get("id") for name in ("companies", "contacts", "leads")}
    caller = about.get("from") if record.get("category") == "sip" else about.get("client")
    return {
        **record,
        "key": uid,
        "modified": record.get("created_at"),
        "name": about.get("form_name") or about.get("subject") or record.get("source_name"),
        "semantics": "open",
        "company_id": first["companies"],
        "contact_id": first["contacts"],
        "deal_id": first["leads"],
        "channels": [{"channel": "phone", "value": caller}] if isinstance(caller, str) and caller else [],
    }


# --- work ---


def _task(record: Flat, number: str) -> Flat:
    text = str(record.get("text") or "")
    title, _, body = text.partition("\n")
    done = bool(record.get("is_completed"))
    result = _map(record.get("result")).get("text")
    linked = KINDS.get(str(record.get("entity_type")), record.get("entity_type"))
    told = {"body": result, "author_id": record.get("updated_by"), "created_at": record.get("updated_at")}
    return {
        **record,
        "key": number,
        "modified": record.get("updated_at"),
        "title": title,
        "body": body.strip(),
        "status": "completed" if done else "open",
        "followup_id": marked_followup(text),
        # amoCRM does not say when; the last change is the latest it can have been.
        "completed_at": record.get("updated_at") if done else None,
        "result": result,
        "links": [{"kind": linked, "id": record["entity_id"]}] if record.get("entity_id") and linked else [],
        "results": [told] if result else [],
    }


def _note(record: Flat, owner: str, entity_id: str | None, number: str) -> Flat:
    params, note_type = _map(record.get("params")), str(record.get("note_type"))
    kind, direction = _NOTE_KINDS.get(note_type, (note_type, None))
    if note_type == "amomail_message":
        kind, direction = "email", "in" if params.get("income") else "out"
    return {
        **record,
        "key": f"{KINDS[owner]}:{number}",
        "modified": record.get("updated_at"),
        "kind": kind,
        "direction": direction,
        "subject": params.get("subject"),
        "body": params.get("text") or params.get("content_summary"),
        "duration": params.get("duration"),
        "result": params.get("call_result"),
        "is_completed": True,
        "links": [{"kind": KINDS[owner], "id": record.get("entity_id") or entity_id}],
    }


def _event(record: Flat, number: str) -> Flat:
    before, after = (_status(record.get(name)) for name in ("value_before", "value_after"))
    return {
        **record,
        "key": number,
        "modified": record.get("created_at"),
        "entity_kind": KINDS.get(f"{record.get('entity_type')}s", record.get("entity_type")),
        "pipeline_id": after.get("pipeline_id"),
        "from_stage_id": stage_id(before.get("pipeline_id"), before.get("id")),
        "to_stage_id": stage_id(after.get("pipeline_id"), after.get("id")),
    }


def _status(values: Any) -> Flat:
    return next((_map(value.get("lead_status")) for value in _list(values) if "lead_status" in value), {})


# --- settings ---


def _user(record: Flat, number: str) -> Flat:
    return {**record, "key": number, "is_active": _map(record.get("rights")).get("is_active")}


def _pipeline(record: Flat, number: str) -> Flat:
    return {**record, "key": number, "entity_kind": "deal"}


def _stage(record: Flat, pipeline_id: str, number: str) -> Flat:
    key = stage_id(pipeline_id, number)
    return {**record, "key": key, "entity_kind": "deal", "semantics": semantics(record.get("id"))}


def _loss_reason(record: Flat, number: str) -> Flat:
    return {**record, "key": number, "modified": record.get("updated_at")}


def _field(record: Flat, owner: str, number: str) -> Flat:
    kind = KINDS.get(owner, owner)
    return {
        **record,
        "key": f"{kind}:{number}",
        "entity_kind": kind,
        "code": number,
        "is_multiple": record.get("type") in _MANY,
        "is_required": bool(_list(record.get("required_statuses"))),
        "options": [
            {"option_id": one.get("id"), "value": one.get("value"), "sort": one.get("sort")}
            for one in _list(record.get("enums"))
        ],
    }


def _element(record: Flat, catalog_id: str, number: str) -> Flat:
    flat = _custom(record.get("custom_fields_values"))
    alive = not record.get("is_deleted")
    return {**record, **flat, "key": number, "modified": record.get("updated_at"), "is_active": alive}


_WRITERS: list[tuple[re.Pattern[str], Callable[..., Flat]]] = [
    (re.compile(r"leads/(\d+)"), _deal),
    (re.compile(r"contacts/(\d+)"), _contact),
    (re.compile(r"companies/(\d+)"), _card),
    (re.compile(r"tasks/(\d+)"), _task),
    (re.compile(r"(leads|contacts|companies|customers)/(?:(\d+)/)?notes/(\d+)"), _note),
    (re.compile(r"events/(\w+)"), _event),
    (re.compile(r"leads/unsorted/([\w-]+)"), _inquiry),
    (re.compile(r"catalogs/(\d+)/elements/(\d+)"), _element),
    (re.compile(r"(leads|contacts|companies|customers)/custom_fields/(\d+)"), _field),
    (re.compile(r"leads/pipelines/(\d+)/statuses/(\d+)"), _stage),
    (re.compile(r"leads/pipelines/(\d+)"), _pipeline),
    (re.compile(r"leads/loss_reasons/(\d+)"), _loss_reason),
    (re.compile(r"users/(\d+)"), _user),
]

DIALECT = Dialect(flatten=flatten, key="key", version=None, modified="modified", moment=moment)


def _map(value: Any) -> Flat:
    """A map; PHP writes an empty one as []."""
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Flat]:
    """A list of maps; null and {} are empty, a list with gaps comes as a map."""
    items: Iterable[Any] = value.values() if isinstance(value, dict) else value or ()
    return [item for item in items if isinstance(item, dict)]
