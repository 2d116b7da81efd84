"""What every HubSpot account has: objects, their properties, and the numbers of association types."""

from dataclasses import dataclass, field
from typing import Any

# Object type -> (id of the type, property of the modification time, property of the creation time).
OBJECTS = {
    "contacts": ("0-1", "lastmodifieddate", "createdate"),
    "companies": ("0-2", "hs_lastmodifieddate", "createdate"),
    "deals": ("0-3", "hs_lastmodifieddate", "createdate"),
    "products": ("0-7", "hs_lastmodifieddate", "createdate"),
    "line_items": ("0-8", "hs_lastmodifieddate", "createdate"),
    "tasks": ("0-27", "hs_lastmodifieddate", "hs_createdate"),
    "notes": ("0-46", "hs_lastmodifieddate", "hs_createdate"),
    "meetings": ("0-47", "hs_lastmodifieddate", "hs_createdate"),
    "calls": ("0-48", "hs_lastmodifieddate", "hs_createdate"),
    "emails": ("0-49", "hs_lastmodifieddate", "hs_createdate"),
    "leads": ("0-136", "hs_lastmodifieddate", "hs_createdate"),
}
BY_ID = {type_id: name for name, (type_id, _, _) in OBJECTS.items()}
MERGEABLE = {"contacts", "companies", "deals"}
# Properties whose former values are kept and shown by propertiesWithHistory.
WITH_HISTORY = {"dealstage", "pipeline", "hs_pipeline_stage", "hs_task_status", "hubspot_owner_id"}
# Required when a record is created by hand.
REQUIRED = {"tasks": "hs_timestamp", "calls": "hs_timestamp", "notes": "hs_timestamp", "meetings": "hs_timestamp"}

# (from, to) -> numbers of the unlabelled type and of the primary one.
ASSOCIATION_TYPES: dict[tuple[str, str], tuple[int, int | None]] = {
    ("contacts", "companies"): (279, 1),
    ("companies", "contacts"): (280, 2),
    ("deals", "companies"): (341, 5),
    ("companies", "deals"): (342, 6),
    ("deals", "contacts"): (3, None),
    ("contacts", "deals"): (4, None),
    ("deals", "line_items"): (19, None),
    ("line_items", "deals"): (20, None),
    ("leads", "contacts"): (608, 578),
    ("contacts", "leads"): (609, 579),
    ("leads", "companies"): (610, None),
    ("companies", "leads"): (611, None),
    ("leads", "deals"): (583, None),
    ("deals", "leads"): (582, None),
    ("tasks", "contacts"): (204, None),
    ("contacts", "tasks"): (203, None),
    ("tasks", "companies"): (192, None),
    ("companies", "tasks"): (191, None),
    ("tasks", "deals"): (216, None),
    ("deals", "tasks"): (215, None),
    ("tasks", "leads"): (647, None),
    ("leads", "tasks"): (646, None),
    ("calls", "contacts"): (194, None),
    ("contacts", "calls"): (193, None),
    ("calls", "companies"): (182, None),
    ("companies", "calls"): (181, None),
    ("calls", "deals"): (206, None),
    ("deals", "calls"): (205, None),
    ("emails", "contacts"): (198, None),
    ("contacts", "emails"): (197, None),
    ("emails", "companies"): (186, None),
    ("companies", "emails"): (185, None),
    ("emails", "deals"): (210, None),
    ("deals", "emails"): (209, None),
    ("meetings", "contacts"): (200, None),
    ("contacts", "meetings"): (199, None),
    ("meetings", "companies"): (188, None),
    ("companies", "meetings"): (187, None),
    ("meetings", "deals"): (212, None),
    ("deals", "meetings"): (211, None),
    ("notes", "contacts"): (202, None),
    ("contacts", "notes"): (201, None),
    ("notes", "companies"): (190, None),
    ("companies", "notes"): (189, None),
    ("notes", "deals"): (214, None),
    ("deals", "notes"): (213, None),
}
_SINGULAR = {
    "companies": "company",
    "contacts": "contact",
    "deals": "deal",
    "line_items": "line_item",
    "leads": "lead",
    "tasks": "task",
    "calls": "call",
    "emails": "email",
    "meetings": "meeting_event",
    "notes": "note",
}


def association_name(kind: str, to_kind: str, type_id: int) -> str:
    """The name of a type as list answers give it: `deal_to_company` is the primary one where there is one."""
    unlabelled, primary = ASSOCIATION_TYPES[kind, to_kind]
    name = f"{_SINGULAR[kind]}_to_{_SINGULAR[to_kind]}"
    return f"{name}_unlabeled" if primary is not None and type_id == unlabelled else name


@dataclass(frozen=True)
class Property:
    """One property of an object type. `options`: (value, label) of an enumeration."""

    name: str
    label: str
    type: str = "string"
    field_type: str = "text"
    options: tuple[tuple[str, str], ...] = ()
    own: bool = False
    unique: bool = False
    created: str = field(default="2019-08-06T02:41:08.029Z", compare=False)

    def as_json(self) -> dict[str, Any]:
        return {
            "updatedAt": self.created,
            "createdAt": self.created,
            "name": self.name,
            "label": self.label,
            "type": self.type,
            "fieldType": self.field_type,
            "description": "",
            "groupName": "polka" if self.own else "information",
            "options": [
                {"label": label, "value": value, "displayOrder": order, "hidden": False}
                for order, (value, label) in enumerate(self.options)
            ],
            "displayOrder": -1,
            "calculated": False,
            "externalOptions": False,
            "archived": False,
            "hasUniqueValue": self.unique,
            "hidden": False,
            "hubspotDefined": not self.own,
            "modificationMetadata": {
                "archivable": self.own,
                "readOnlyDefinition": not self.own,
                "readOnlyValue": False,
            },
            "formField": self.own,
        }


_NUMBERS = {
    "hs_object_id", "amount", "associatedcompanyid", "hs_call_duration", "price", "quantity", "hs_product_id",
    "hs_discount_percentage", "discount",
}  # fmt: skip
_MOMENTS = {
    "createdate", "hs_createdate", "hs_lastmodifieddate", "lastmodifieddate", "closedate", "hs_timestamp",
    "hs_task_completion_date", "hs_meeting_start_time", "hs_meeting_end_time",
}  # fmt: skip
_BOOLEANS = {"hs_is_closed", "hs_is_closed_won"}
_CHOICES = {
    "hs_task_status": ("NOT_STARTED", "IN_PROGRESS", "WAITING", "DEFERRED", "COMPLETED"),
    "hs_task_priority": ("NONE", "LOW", "MEDIUM", "HIGH"),
    "hs_task_type": ("EMAIL", "CALL", "TODO"),
}
_NAMES = {
    "companies": "name phone domain city address industry lifecyclestage hubspot_owner_id hs_merged_object_ids",
    "contacts": "firstname lastname email hs_additional_emails phone mobilephone jobtitle associatedcompanyid "
    "hubspot_owner_id hs_merged_object_ids lifecyclestage",
    "deals": "dealname pipeline dealstage amount deal_currency_code closedate closed_lost_reason hs_is_closed "
    "hs_is_closed_won hs_analytics_source hubspot_owner_id hs_merged_object_ids",
    "leads": "hs_lead_name hs_pipeline hs_pipeline_stage hs_lead_source hubspot_owner_id",
    "tasks": "hs_timestamp hs_task_subject hs_task_body hs_task_status hs_task_priority hs_task_type "
    "hs_task_completion_date hubspot_owner_id hs_created_by_user_id",
    "calls": "hs_timestamp hs_call_title hs_call_body hs_call_direction hs_call_duration hs_call_status "
    "hubspot_owner_id hs_created_by_user_id",
    "emails": "hs_timestamp hs_email_subject hs_email_text hs_email_direction hs_email_status hubspot_owner_id "
    "hs_created_by_user_id",
    "meetings": "hs_timestamp hs_meeting_title hs_meeting_body hs_meeting_start_time hs_meeting_end_time "
    "hs_meeting_outcome hubspot_owner_id hs_created_by_user_id",
    "notes": "hs_timestamp hs_note_body hubspot_owner_id hs_created_by_user_id",
    "products": "name price hs_sku description",
    "line_items": "name quantity price hs_product_id hs_discount_percentage discount amount hs_line_item_currency_code",
}


def standard_properties(kind: str) -> dict[str, Property]:
    """The properties that every account has, by name."""
    _, modified, created = OBJECTS[kind]
    return {name: _property(name) for name in (*_NAMES[kind].split(), "hs_object_id", modified, created)}


def _property(name: str) -> Property:
    label = name.removeprefix("hs_").replace("_", " ").capitalize()
    if name in _NUMBERS:
        return Property(name, label, "number", "number")
    if name in _MOMENTS:
        return Property(name, label, "datetime", "date")
    if name in _BOOLEANS:
        return Property(name, label, "bool", "booleancheckbox")
    choices = tuple((value, value.capitalize()) for value in _CHOICES.get(name, ()))
    return Property(name, label, "enumeration", "select", choices) if choices else Property(name, label)
