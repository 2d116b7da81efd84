"""A HubSpot record -> flat fields for the mapping.

Properties keep their HubSpot names. Added are: `id`, `modified`, `custom` (the account's own properties), the words
that all CRMs share (`semantics`, `kind`, `direction`, ...), references made unique (`pipeline_id`, `stage_id`), lines.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from extractors.hubspot.objects import STANDARD

# What the reader puts beside a record: associations of version 4 and line items.
ADDED = "polka"
_WORDS = {"companies": "company", "contacts": "contact", "deals": "deal", "leads": "lead"}
_TALKS = {
    "hs_call_title": "call",
    "hs_email_subject": "email",
    "hs_meeting_title": "meeting",
    "hs_note_body": "note",
}
_INCOMING = {"INBOUND", "INCOMING_EMAIL"}
_OUTGOING = {"OUTBOUND", "EMAIL", "FORWARDED_EMAIL"}


def flatten(record: dict[str, Any]) -> dict[str, Any]:
    """Flat fields of one record of any entity. Raises KeyError and ValueError for what is no record."""
    if "properties" not in record:
        return record  # owners, pipelines, history: written flat by their readers
    properties: dict[str, Any] = record["properties"]
    links = _links(record)
    flat: dict[str, Any] = {
        **properties,
        "id": record["id"],
        "modified": record.get("updatedAt"),
        "created": record.get("createdAt"),
        "custom": {name: value for name, value in properties.items() if name not in STANDARD and value is not None},
        "channels": list(_channels(properties)),
        "links": [
            {"linked_kind": word, "linked_id": number}
            for kind, word in _WORDS.items()
            for number, _ in links.get(kind, ())
        ],
    }
    if "dealname" in properties:
        flat |= _deal(record, properties, links)
    elif "hs_lead_name" in properties:
        flat |= _lead(properties, links)
    elif "hs_task_subject" in properties:
        flat |= _task(properties)
    elif "firstname" in properties:
        flat |= _contact(properties, links)
    else:
        talk = next((word for name, word in _TALKS.items() if name in properties), None)
        if talk is not None:
            flat |= _talk(talk, record["id"], properties)
    return flat


def moment(value: Any, zone: ZoneInfo) -> datetime | None:
    """ISO 8601 with a zone, a bare date, or epoch milliseconds. Raises ValueError."""
    text = str(value).strip()
    if not text:
        return None
    if text.lstrip("-").isdigit():
        return datetime.fromtimestamp(int(text) / 1000, UTC)
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=zone)


def _deal(record: Mapping[str, Any], properties: Mapping[str, Any], links: "_Links") -> dict[str, Any]:
    closed, won = properties.get("hs_is_closed") == "true", properties.get("hs_is_closed_won") == "true"
    companies, contacts = links.get("companies", []), links.get("contacts", [])
    items = (record.get(ADDED) or {}).get("line_items") or []
    return {
        **_stage("deal", properties.get("pipeline"), properties.get("dealstage")),
        "semantics": None if "hs_is_closed" not in properties else "won" if won else "lost" if closed else "open",
        "company_id": _first(companies),
        "contact_id": _first(contacts),
        "expected_on": None if closed else properties.get("closedate"),
        "closed_at": properties.get("closedate") if closed else None,
        "contacts": [{"contact_id": number, "is_primary": primary} for number, primary in contacts],
        "products": [_product_row(item) for item in items],
    }


def _product_row(item: Mapping[str, Any]) -> dict[str, Any]:
    properties = item["properties"]
    return {
        "product_id": properties.get("hs_product_id"),
        "name": properties.get("name"),
        "quantity": properties.get("quantity"),
        "price": properties.get("price"),
        "discount": properties.get("hs_discount_percentage"),
        "amount": properties.get("amount"),
    }


def _lead(properties: Mapping[str, Any], links: "_Links") -> dict[str, Any]:
    return {
        **_stage("lead", properties.get("hs_pipeline"), properties.get("hs_pipeline_stage")),
        "company_id": _first(links.get("companies", [])),
        "contact_id": _first(links.get("contacts", [])),
        "deal_id": _first(links.get("deals", [])),
    }


def _stage(word: str, pipeline: Any, stage: Any) -> dict[str, Any]:
    """Pipelines of deals and of leads may have the same ids."""
    return {
        "pipeline_id": f"{word}:{pipeline}" if pipeline else None,
        "stage_id": f"{word}:{stage}" if stage else None,
    }


def _task(properties: Mapping[str, Any]) -> dict[str, Any]:
    status = properties.get("hs_task_status")
    return {"status": status.lower() if status else None, "is_completed": status == "COMPLETED"}


def _contact(properties: Mapping[str, Any], links: "_Links") -> dict[str, Any]:
    companies = links.get("companies", [])
    # The primary company is a property of the contact; associations may not say which one it is.
    primary = properties.get("associatedcompanyid") or _first(companies)
    name = " ".join(part for part in (properties.get("firstname"), properties.get("lastname")) if part)
    return {
        "full_name": name or None,
        "company_id": primary,
        "companies": [
            {"company_id": number, "is_primary": is_primary or number == primary} for number, is_primary in companies
        ],
    }


def _talk(kind: str, number: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    direction = properties.get(f"hs_{kind}_direction")
    duration = properties.get("hs_call_duration")
    started = properties.get("hs_meeting_start_time") or properties.get("hs_timestamp")
    state = properties.get("hs_call_status") or properties.get("hs_meeting_outcome") or properties.get(
        "hs_email_status"
    )  # fmt: skip
    return {
        "id": f"{kind}:{number}",
        "kind": kind,
        "direction": "in" if direction in _INCOMING else "out" if direction in _OUTGOING else None,
        "subject": properties.get(f"hs_{kind}_title") or properties.get("hs_email_subject"),
        "body": properties.get(f"hs_{kind}_body") or properties.get("hs_email_text"),
        "started_at": started,
        "ended_at": properties.get("hs_meeting_end_time"),
        "duration_seconds": int(duration) // 1000 if duration and str(duration).isdigit() else None,
        "is_completed": None if state is None else state in {"COMPLETED", "SENT"},
        "state": state,
    }


def _channels(properties: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for name, channel, label in (
        ("phone", "phone", "work"),
        ("mobilephone", "phone", "mobile"),
        ("email", "email", "work"),
        ("hs_additional_emails", "email", "other"),
        ("domain", "web", "work"),
    ):
        for value in (properties.get(name) or "").split(";") if channel == "email" else [properties.get(name)]:
            if value:
                yield {"channel": channel, "value": value.strip(), "label": label}


_Links = dict[str, list[tuple[str, bool]]]


def _links(record: Mapping[str, Any]) -> _Links:
    """Associated ids by object type, primary ones first: of version 4 beside the record, or of the list inside it."""
    added = (record.get(ADDED) or {}).get("associations")
    if added is not None:
        return {kind: _sorted({number: bool(primary) for number, primary in pairs}) for kind, pairs in added.items()}
    links: _Links = {}
    for kind, told in (record.get("associations") or {}).items():
        found: dict[str, bool] = {}
        unlabelled = {result["id"] for result in told["results"] if str(result["type"]).endswith("_unlabeled")}
        for result in told["results"]:
            primary = result["id"] in unlabelled and not str(result["type"]).endswith("_unlabeled")
            found[result["id"]] = found.get(result["id"], False) or primary
        links[kind.replace(" ", "_")] = _sorted(found)
    return links


def _sorted(found: Mapping[str, bool]) -> list[tuple[str, bool]]:
    return sorted(found.items(), key=lambda pair: (not pair[1], int(pair[0]) if pair[0].isdigit() else 0, pair[0]))


def _first(found: list[tuple[str, bool]]) -> str | None:
    return found[0][0] if found else None
