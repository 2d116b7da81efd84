"""The two ways in which the portal writes the same CRM records, and the fields that they have.

The universal methods (crm.item.*) use camelCase, numbers and null; the older ones (crm.deal.*, crm.contact.*, ...) use
UPPER_CASE and write every value as a string. Records are kept in the universal form, custom fields under their
original names (UF_CRM_...).
"""

import re
from dataclasses import dataclass
from typing import Any

_DIGITS_TWICE = re.compile(r"(\d+)_(\d+)")


@dataclass(frozen=True)
class ItemType:
    """A type of CRM item: its number, its name in the older methods, its letter in product rows and bindings."""

    number: int
    name: str
    letter: str
    defaults: dict[str, Any]

    @property
    def field_entity(self) -> str:
        """What user fields say they belong to."""
        return f"CRM_{self.name.upper()}"


_COMMON: dict[str, Any] = {
    "createdTime": None, "updatedTime": None, "createdBy": 1, "updatedBy": 1, "assignedById": 1, "opened": "Y",
    "lastActivityBy": 1, "lastActivityTime": None, "utmSource": None, "utmMedium": None, "utmCampaign": None,
    "utmContent": None, "utmTerm": None, "observers": [], "webformId": 0, "originatorId": None, "originId": None,
}  # fmt: skip
_PERSON: dict[str, Any] = {
    "honorific": None, "name": None, "secondName": None, "lastName": None, "post": None, "birthdate": None,
    "address": None, "comments": None,
}  # fmt: skip
_CHANNELS: dict[str, Any] = {"hasPhone": "N", "hasEmail": "N", "hasImol": "N", "fm": []}

LEAD = ItemType(
    1, "lead", "L",
    {**_COMMON, **_PERSON, **_CHANNELS, "title": "", "companyTitle": None, "companyId": 0, "contactId": 0,
     "contactIds": [], "stageId": "NEW", "statusDescription": None, "stageSemanticId": "P", "opportunity": 0,
     "currencyId": "RUB", "isManualOpportunity": "N", "sourceId": None, "sourceDescription": None,
     "isReturnCustomer": "N", "dateClosed": None, "movedBy": 1, "movedTime": None},
)  # fmt: skip
DEAL = ItemType(
    2, "deal", "D",
    {**_COMMON, "title": "", "typeId": "SALE", "categoryId": 0, "stageId": "NEW", "stageSemanticId": "P",
     "isNew": "N", "isRecurring": "N", "isReturnCustomer": "N", "isRepeatedApproach": "N", "probability": None,
     "currencyId": "RUB", "opportunity": 0, "isManualOpportunity": "N", "taxValue": 0, "companyId": 0, "contactId": 0,
     "contactIds": [], "leadId": None, "quoteId": None, "begindate": None, "closedate": None, "closed": "N",
     "comments": None, "additionalInfo": None, "sourceId": None, "sourceDescription": None, "movedBy": 1,
     "movedTime": None},
)  # fmt: skip
CONTACT = ItemType(
    3, "contact", "C",
    {**_COMMON, **_PERSON, **_CHANNELS, "photo": None, "typeId": "CLIENT", "sourceId": None,
     "sourceDescription": None, "companyId": 0, "companyIds": [], "leadId": None, "export": "Y"},
)  # fmt: skip
COMPANY = ItemType(
    4, "company", "CO",
    {**_COMMON, **_CHANNELS, "title": "", "typeId": "CUSTOMER", "logo": None, "address": None, "addressLegal": None,
     "bankingDetails": None, "comments": None, "industry": "OTHER", "revenue": 0, "currencyId": "RUB",
     "employees": None, "leadId": None, "isMyCompany": "N"},
)  # fmt: skip
TYPES = {kind.number: kind for kind in (LEAD, DEAL, CONTACT, COMPANY)}
BY_NAME = {kind.name: kind for kind in TYPES.values()}
MOMENTS = frozenset(
    {"createdTime", "updatedTime", "lastActivityTime", "dateClosed", "movedTime", "begindate", "closedate",
     "CREATED", "LAST_UPDATED", "START_TIME", "END_TIME", "DEADLINE", "CREATED_TIME", "DATE_CREATE", "DATE_MODIFY"}
)  # fmt: skip

_OLDER_NAMES = {
    "createdTime": "DATE_CREATE", "updatedTime": "DATE_MODIFY", "createdBy": "CREATED_BY_ID",
    "updatedBy": "MODIFY_BY_ID", "dateClosed": "DATE_CLOSED", "movedBy": "MOVED_BY_ID",
}  # fmt: skip
_OLDER_LEAD_NAMES = {"stageId": "STATUS_ID", "stageSemanticId": "STATUS_SEMANTIC_ID"}
_ONLY_UNIVERSAL = {"contactIds", "companyIds", "observers", "fm", "webformId", "entityTypeId"}
_MONEY = {"opportunity", "taxValue", "revenue"}


def older_name(kind: ItemType, name: str) -> str:
    """updatedTime -> DATE_MODIFY."""
    if name.startswith("UF_"):
        return name
    if kind is LEAD and name in _OLDER_LEAD_NAMES:
        return _OLDER_LEAD_NAMES[name]
    if kind is COMPANY and name == "typeId":
        return "COMPANY_TYPE"
    return _OLDER_NAMES.get(name) or re.sub(r"(?<!^)(?=[A-Z])", "_", name).upper()


def universal_name(kind: ItemType, name: str) -> str:
    """DATE_MODIFY or ufCrmInn -> updatedTime, UF_CRM_INN; names that are universal already stay."""
    if name.startswith("UF_"):
        return name
    for universal in (*kind.defaults, "id"):
        if name in (universal, older_name(kind, universal)):
            return universal
    return original_field_name(name) if name.startswith("ufCrm") else name


def camel_field_name(name: str) -> str:
    """UF_CRM_INN -> ufCrmInn, UF_CRM_1712074666 -> ufCrm_1712074666, UF_CRM_11_17120 -> ufCrm11_17120."""
    rest = name.removeprefix("UF_CRM_")
    if rest.isdigit():
        return f"ufCrm_{rest}"
    if pair := _DIGITS_TWICE.fullmatch(rest):
        return f"ufCrm{pair[1]}_{pair[2]}"
    return "ufCrm" + "".join(part.capitalize() for part in rest.split("_"))


def original_field_name(name: str) -> str:
    rest = name.removeprefix("ufCrm").lstrip("_")
    return "UF_CRM_" + re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", rest).upper()


def universal_view(row: dict[str, Any], kind: ItemType, select: list[str], *, original_names: bool) -> dict[str, Any]:
    """A record as crm.item.list shows it; `fm` comes with '*' only."""
    everything = not select or "*" in select
    if everything and original_names:
        return {**row, "entityTypeId": kind.number}
    custom = everything or "UF_*" in select
    view: dict[str, Any] = {}
    for name, value in row.items():
        shown = name
        if name.startswith("UF_"):
            shown = name if original_names else camel_field_name(name)
            if not custom and name not in select and shown not in select:
                continue
        elif name == "fm":
            if not everything:
                continue
        elif not everything and name not in select and name != "id":
            continue
        view[shown] = value
    if everything:
        view["entityTypeId"] = kind.number
    return view


def older_view(row: dict[str, Any], kind: ItemType, select: list[str] | None) -> dict[str, Any]:
    """A record as crm.<type>.list and .get show it. `select` None: everything (get); empty: all but UF_* and phones."""
    view: dict[str, Any] = {}
    for name, value in row.items():
        if name in _ONLY_UNIVERSAL:
            continue
        shown = older_name(kind, name)
        if select is not None and not _selected(shown, select):
            continue
        view[shown] = _older_value(name, value)
    for channel in ("PHONE", "EMAIL"):
        values = [
            {"ID": str(fm["id"]), "VALUE_TYPE": fm["valueType"], "VALUE": fm["value"], "TYPE_ID": fm["typeId"]}
            for fm in row.get("fm", ())
            if fm["typeId"] == channel
        ]
        if values and (select is None or channel in select):
            view[channel] = values
    view["ID"] = str(row["id"])
    return view


def _selected(name: str, select: list[str]) -> bool:
    if name in select:
        return True
    if name.startswith("UF_"):
        return "UF_*" in select
    return not select or "*" in select


def _older_value(name: str, value: Any) -> Any:
    if isinstance(value, (list, dict, bool)) or value is None:
        return value
    if name in _MONEY:
        return f"{float(value):.2f}"
    return None if name.endswith("Id") and value == 0 and name != "categoryId" else str(value)
