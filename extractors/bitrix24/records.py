"""A Bitrix24 record -> flat fields for the mapping.

Archived is `{"of": <word>, "item": <as the portal sent it>, ...}` with what belongs to it beside it: product rows,
results of a task, texts of list fields. CRM items are understood in both spellings: of the universal methods
(updatedTime) and of the older ones (DATE_MODIFY). Flat names are the universal ones; custom fields keep their names
(UF_CRM_...) and are in `custom` together. Added are the words that all CRMs share.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from extractors.bitrix24.listings import TYPE_WORDS

_OLDER = {
    "DATE_CREATE": "createdTime", "DATE_MODIFY": "updatedTime", "CREATED_BY_ID": "createdBy",
    "MODIFY_BY_ID": "updatedBy", "MOVED_BY_ID": "movedBy", "DATE_CLOSED": "dateClosed", "STATUS_ID": "stageId",
    "STATUS_SEMANTIC_ID": "stageSemanticId", "COMPANY_TYPE": "typeId",
}  # fmt: skip
_SEMANTICS = {"P": "open", "S": "won", "F": "lost"}
_TASK_STATUS = {
    "1": "new", "2": "not_started", "3": "in_progress", "4": "waiting", "5": "completed", "6": "deferred",
    "7": "declined",
}  # fmt: skip
_ACTIVITIES = {"1": "meeting", "2": "call", "3": "task", "4": "email"}
_DIRECTIONS = {"1": "in", "2": "out"}
_BINDING = {"L": "lead", "D": "deal", "C": "contact", "CO": "company"}
_FOLLOWUP = re.compile(r"[0-9a-f]{32}")
_RUSSIAN_MOMENT = re.compile(r"\d{2}\.\d{2}\.\d{4}( \d{2}:\d{2}:\d{2})?")
Flat = dict[str, Any]


def flatten(record: dict[str, Any]) -> Flat:
    """Flat fields of one archived record. Raises KeyError, TypeError and ValueError for what is no record."""
    word = record["of"]
    return _FLATTEN[word](record["item"], record)


def moment(value: Any, zone: ZoneInfo) -> datetime | None:
    """ISO 8601 with the server's offset, or the Russian form that some fields have. Raises ValueError."""
    text = str(value).strip()
    if not text:
        return None
    if _RUSSIAN_MOMENT.fullmatch(text):
        found = datetime.strptime(text if " " in text else f"{text} 00:00:00", "%d.%m.%Y %H:%M:%S")  # noqa: DTZ007
    else:
        found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=zone)


# --- items of the CRM ---


def _item(item: Mapping[str, Any], record: Mapping[str, Any]) -> Flat:
    """What companies, contacts, leads and deals have in common."""
    fields = _universal(item)
    custom = {name: value for name, value in fields.items() if name.startswith(("UF_", "ufCrm")) and not _empty(value)}
    return {
        **fields,
        **(record.get("texts") or {}),
        "id": fields["id"],
        "modified": fields.get("updatedTime"),
        "owner_id": _link(fields.get("assignedById")),
        "company_id": _link(fields.get("companyId")),
        "contact_id": _link(fields.get("contactId")),
        "lead_id": _link(fields.get("leadId")),
        "custom": custom,
        "channels": list(_channels(fields)),
    }


def _contact(item: Mapping[str, Any], record: Mapping[str, Any]) -> Flat:
    flat = _item(item, record)
    flat["full_name"] = _joined(flat.get(name) for name in ("name", "secondName", "lastName"))
    flat["companies"] = _links("company_id", flat["company_id"], flat.get("companyIds"))
    return flat


def _lead(item: Mapping[str, Any], record: Mapping[str, Any]) -> Flat:
    flat = _item(item, record)
    return {
        **flat,
        **_stage("lead", flat),
        "person_name": _joined(flat.get(name) for name in ("name", "secondName", "lastName")),
        "closed_at": flat.get("dateClosed"),
    }


def _deal(item: Mapping[str, Any], record: Mapping[str, Any]) -> Flat:
    flat = _item(item, record)
    closed = flat.get("closed") == "Y" or flat.get("stageSemanticId") in ("S", "F")
    category = flat.get("categoryId")
    return {
        **flat,
        **_stage("deal", flat),
        "pipeline_id": None if category in (None, "") else f"deal:{category}",
        # The portal keeps one date: the planned one while a deal is open, the real one afterwards.
        "expected_on": None if closed else flat.get("closedate"),
        "closed_at": (flat.get("movedTime") or flat.get("closedate")) if closed else None,
        "contacts": _links("contact_id", flat["contact_id"], flat.get("contactIds")),
        "products": [_product_row(row) for row in record.get("rows") or ()],
    }


def _stage(word: str, flat: Mapping[str, Any]) -> Flat:
    """Stages of leads and of deals may have the same ids."""
    stage = flat.get("stageId")
    return {
        "stage_id": f"{word}:{stage}" if stage else None,
        "semantics": _SEMANTICS.get(str(flat.get("stageSemanticId"))),
    }


def _product_row(row: Mapping[str, Any]) -> Flat:
    return {
        "product_id": _link(row.get("productId")),
        "name": row.get("productName"),
        "quantity": row.get("quantity"),
        "unit": row.get("measureName"),
        "price": row.get("price"),
        "discount": row.get("discountRate"),
        "amount": _product(row.get("price"), row.get("quantity")),
    }


# --- the rest ---


def _user(item: Mapping[str, Any], record: Mapping[str, Any]) -> Flat:
    return {
        "id": item["ID"],
        "name": _joined((item.get("LAST_NAME"), item.get("NAME"), item.get("SECOND_NAME"))),
        "email": item.get("EMAIL"),
        "phone": item.get("PERSONAL_MOBILE") or item.get("WORK_PHONE"),
        "position": item.get("WORK_POSITION"),
        "is_active": item.get("ACTIVE"),
        "custom": {name: value for name, value in item.items() if name.startswith("UF_") and not _empty(value)},
    }


def _pipeline(item: Mapping[str, Any], record: Mapping[str, Any]) -> Flat:
    return {
        "id": f"deal:{item['id']}",
        "name": item.get("name"),
        "entity_kind": "deal",
        "sort": item.get("sort"),
        "is_default": item.get("isDefault"),
    }


def _stage_row(item: Mapping[str, Any], record: Mapping[str, Any]) -> Flat:
    kind = "lead" if item["ENTITY_ID"] == "STATUS" else "deal"
    category = item["ENTITY_ID"].removeprefix("DEAL_STAGE").lstrip("_") or "0"
    return {
        "id": f"{kind}:{item['STATUS_ID']}",
        "name": item.get("NAME"),
        "entity_kind": kind,
        "pipeline_id": f"deal:{category}" if kind == "deal" else None,
        "sort": item.get("SORT"),
        "semantics": _SEMANTICS[item.get("SEMANTICS") or "P"],
    }


def _custom_field(item: Mapping[str, Any], record: Mapping[str, Any]) -> Flat:
    code = item["FIELD_NAME"]
    label = item.get("EDIT_FORM_LABEL") or item.get("LIST_COLUMN_LABEL")
    if isinstance(label, dict):  # language -> text
        label = label.get("ru") or next(iter(label.values()), None)
    return {
        "id": item["ID"],
        "entity_kind": item["ENTITY_ID"].removeprefix("CRM_").lower(),
        "code": code,
        "name": label or code,
        "field_type": item.get("USER_TYPE_ID"),
        "is_multiple": item.get("MULTIPLE"),
        "is_required": item.get("MANDATORY"),
        "options": [
            {"option_id": option.get("ID"), "value": option.get("VALUE"), "sort": option.get("SORT")}
            for option in item.get("LIST") or ()
        ],
    }


def _catalog_product(item: Mapping[str, Any], record: Mapping[str, Any]) -> Flat:
    custom = {name: value for name, value in item.items() if name.startswith("PROPERTY_") and not _empty(value)}
    return {**item, "id": item["ID"], "custom": custom}


def _requisite(item: Mapping[str, Any], record: Mapping[str, Any]) -> Flat:
    return {
        **item,
        "id": item["ID"],
        "modified": item.get("DATE_MODIFY") or item.get("DATE_CREATE"),
        "company_id": _link(item.get("ENTITY_ID")),
        "ogrn": item.get("RQ_OGRN") or item.get("RQ_OGRNIP"),
    }


def _history(kind: str) -> "Callable[[Mapping[str, Any], Mapping[str, Any]], Flat]":
    def flat(item: Mapping[str, Any], record: Mapping[str, Any]) -> Flat:
        stage = item.get("STAGE_ID") or item.get("STATUS_ID")
        category = item.get("CATEGORY_ID")
        return {
            "id": f"{kind}:{item['ID']}",
            "modified": item.get("CREATED_TIME"),
            "entity_kind": kind,
            "entity_id": _link(item.get("OWNER_ID")),
            "pipeline_id": f"deal:{category}" if kind == "deal" and category not in (None, "") else None,
            "to_stage_id": f"{kind}:{stage}" if stage else None,
            "changed_at": item.get("CREATED_TIME"),
        }

    return flat


def _activity(item: Mapping[str, Any], record: Mapping[str, Any]) -> Flat:
    links = {(TYPE_WORDS.get(str(item.get("OWNER_TYPE_ID"))), _link(item.get("OWNER_ID")))}
    for talk in item.get("COMMUNICATIONS") or ():
        links.add((TYPE_WORDS.get(str(talk.get("ENTITY_TYPE_ID"))), _link(talk.get("ENTITY_ID"))))
    for binding in item.get("BINDINGS") or ():
        links.add((TYPE_WORDS.get(str(binding.get("OWNER_TYPE_ID"))), _link(binding.get("OWNER_ID"))))
    known = sorted((word, number) for word, number in links if word and number)
    provider = str(item.get("PROVIDER_ID") or "").removeprefix("CRM_").lower()
    kind = _ACTIVITIES.get(str(item.get("TYPE_ID")))
    return {
        "id": item["ID"],
        "modified": item.get("LAST_UPDATED"),
        "kind": kind or provider or None,
        "direction": _DIRECTIONS.get(str(item.get("DIRECTION"))),
        "subject": item.get("SUBJECT"),
        "body": item.get("DESCRIPTION"),
        "responsible_id": _link(item.get("RESPONSIBLE_ID")),
        "author_id": _link(item.get("AUTHOR_ID")),
        "created_at": item.get("CREATED"),
        "started_at": item.get("START_TIME"),
        "ended_at": item.get("END_TIME"),
        "deadline_at": item.get("DEADLINE"),
        "is_completed": item.get("COMPLETED"),
        "duration_seconds": _seconds(item) if kind in ("call", "meeting") else None,
        "result": item.get("RESULT_VALUE"),
        "links": [{"linked_kind": word, "linked_id": number} for word, number in known],
    }


def _task(item: Mapping[str, Any], record: Mapping[str, Any]) -> Flat:
    status = str(item.get("status"))
    results = sorted(record.get("results") or (), key=lambda result: str(result.get("createdAt")))
    xml_id = str(item.get("xmlId") or "")
    return {
        "id": item["id"],
        "modified": item.get("changedDate"),
        "name": item.get("title"),
        "body": item.get("description"),
        "status": _TASK_STATUS.get(status, status),
        "followup_id": xml_id if _FOLLOWUP.fullmatch(xml_id) else None,
        "responsible_id": _link(item.get("responsibleId")),
        "author_id": _link(item.get("createdBy")),
        "created_at": item.get("createdDate"),
        "deadline_at": item.get("deadline"),
        "completed_at": item.get("closedDate"),
        "is_completed": status == "5",
        "result": results[-1].get("text") if results else None,
        "custom": {name: value for name, value in item.items() if name.startswith("uf") and not _empty(value)},
        "links": list(_bindings(item.get("ufCrmTask"))),
        "results": [
            {"body": result.get("text"), "author_id": result.get("createdBy"), "created_at": result.get("createdAt")}
            for result in results
        ],
    }


_FLATTEN: Mapping[str, Callable[[Mapping[str, Any], Mapping[str, Any]], Flat]] = {
    "company": _item,
    "contact": _contact,
    "lead": _lead,
    "deal": _deal,
    "user": _user,
    "pipeline": _pipeline,
    "stage": _stage_row,
    "custom_field": _custom_field,
    "product": _catalog_product,
    "requisite": _requisite,
    "lead_history": _history("lead"),
    "deal_history": _history("deal"),
    "activity": _activity,
    "task": _task,
}


# --- help ---


def _universal(item: Mapping[str, Any]) -> Flat:
    """The spelling of the universal methods, whichever the record came in."""
    if "ID" not in item:
        return dict(item)
    fields: Flat = {}
    for name, value in item.items():
        if name.startswith("UF_"):
            fields[name] = value
        elif name in ("PHONE", "EMAIL", "WEB", "IM"):
            fields.setdefault("fm", []).extend(
                {"typeId": name, "valueType": one.get("VALUE_TYPE"), "value": one.get("VALUE")} for one in value or ()
            )
        else:
            fields[_OLDER.get(name) or _camel(name)] = value
    return fields


def _camel(name: str) -> str:
    head, *rest = name.lower().split("_")
    return head + "".join(part.capitalize() for part in rest)


def _channels(fields: Mapping[str, Any]) -> Iterable[Flat]:
    for one in fields.get("fm") or ():
        if one.get("value"):
            label = one.get("valueType")
            yield {
                "channel": str(one.get("typeId") or "").lower(),
                "value": one["value"],
                "label": str(label).lower() if label else None,
            }


def _links(name: str, first: str | None, others: Any) -> list[Flat]:
    """All links, the primary one first."""
    numbers = [number for number in (first, *(_link(other) for other in others or ())) if number]
    return [{name: number, "is_primary": number == first} for number in dict.fromkeys(numbers)]


def _bindings(values: Any) -> Iterable[Flat]:
    """`CO_1005` -> company 1005."""
    for value in values or ():
        letter, _, number = str(value).partition("_")
        if letter in _BINDING and number:
            yield {"linked_kind": _BINDING[letter], "linked_id": number}


def _link(value: Any) -> str | None:
    """An id of another record; 0 is none."""
    text = "" if value is None else str(value)
    return None if text in ("", "0") else text


def _joined(parts: Iterable[Any]) -> str | None:
    return " ".join(str(part).strip() for part in parts if part) or None


def _product(price: Any, quantity: Any) -> Any:
    return None if price is None or quantity is None else price * quantity


def _seconds(item: Mapping[str, Any]) -> int | None:
    start, end = item.get("START_TIME"), item.get("END_TIME")
    if not start or not end:
        return None
    return max(0, int((datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()))


def _empty(value: Any) -> bool:
    return value is None or value in ("", [], {}) or value is False
