"""What of each HubSpot object is read: its modification property, standard properties, associations, words."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ObjectType:
    """One kind of CRM object.

    modified: the property by which search finds what changed; contacts have another one than all the rest.
    prefix: put before its ids, where one landing entity holds several kinds of object.
    """

    name: str
    word: str
    properties: tuple[str, ...]
    links: tuple[str, ...] = ()
    modified: str = "hs_lastmodifieddate"
    prefix: str = ""

    @property
    def path(self) -> str:
        return f"/crm/v3/objects/{self.name}"

    def key(self, number: str) -> str:
        """The landing id of one of its records."""
        return f"{self.prefix}{number}"


MERGED = "hs_merged_object_ids"
_OWNER = "hubspot_owner_id"

COMPANIES = ObjectType(
    "companies",
    "company",
    ("name", "domain", "phone", "type", "industry", "city", "address", "createdate", _OWNER, MERGED),
)
CONTACTS = ObjectType(
    "contacts",
    "contact",
    (
        "firstname", "lastname", "jobtitle", "email", "hs_additional_emails", "phone", "mobilephone", "date_of_birth",
        "associatedcompanyid", "createdate", _OWNER, MERGED,
    ),
    links=("companies",),
    modified="lastmodifieddate",
)  # fmt: skip
DEALS = ObjectType(
    "deals",
    "deal",
    (
        "dealname", "pipeline", "dealstage", "amount", "deal_currency_code", "closedate", "closed_lost_reason",
        "hs_is_closed", "hs_is_closed_won", "hs_analytics_source", "createdate", _OWNER, MERGED,
    ),
    links=("companies", "contacts", "line_items"),
)  # fmt: skip
LEADS = ObjectType(
    "leads",
    "lead",
    ("hs_lead_name", "hs_pipeline", "hs_pipeline_stage", "hs_lead_source", "hs_createdate", _OWNER),
    links=("companies", "contacts", "deals"),
)
PRODUCTS = ObjectType("products", "product", ("name", "hs_sku", "price", "createdate"))
LINE_ITEMS = ObjectType(
    "line_items",
    "line_item",
    ("name", "quantity", "price", "hs_product_id", "hs_discount_percentage", "discount", "amount"),
)
TASKS = ObjectType(
    "tasks",
    "task",
    (
        "hs_timestamp", "hs_task_subject", "hs_task_body", "hs_task_status", "hs_task_priority", "hs_task_type",
        "hs_task_completion_date", "hs_createdate", _OWNER,
    ),
    links=("companies", "contacts", "deals"),
)  # fmt: skip
_TALK_LINKS = ("companies", "contacts", "deals")
CALLS = ObjectType(
    "calls",
    "call",
    (
        "hs_call_title", "hs_call_body", "hs_call_direction", "hs_call_duration", "hs_call_status", "hs_timestamp",
        "hs_createdate", _OWNER,
    ),
    links=_TALK_LINKS,
    prefix="call:",
)  # fmt: skip
EMAILS = ObjectType(
    "emails",
    "email",
    (
        "hs_email_subject", "hs_email_text", "hs_email_direction", "hs_email_status", "hs_timestamp", "hs_createdate",
        _OWNER,
    ),
    links=_TALK_LINKS,
    prefix="email:",
)  # fmt: skip
MEETINGS = ObjectType(
    "meetings",
    "meeting",
    (
        "hs_meeting_title", "hs_meeting_body", "hs_meeting_start_time", "hs_meeting_end_time", "hs_meeting_outcome",
        "hs_timestamp", "hs_createdate", _OWNER,
    ),
    links=_TALK_LINKS,
    prefix="meeting:",
)  # fmt: skip
NOTES = ObjectType(
    "notes", "note", ("hs_note_body", "hs_timestamp", "hs_createdate", _OWNER), links=_TALK_LINKS, prefix="note:"
)

OBJECTS = {
    kind.name: kind
    for kind in (COMPANIES, CONTACTS, DEALS, LEADS, PRODUCTS, LINE_ITEMS, TASKS, CALLS, EMAILS, MEETINGS, NOTES)
}
# Landing entity -> the kinds of object that it holds.
OF_ENTITY = {
    "company": (COMPANIES,),
    "contact": (CONTACTS,),
    "deal": (DEALS,),
    "lead": (LEADS,),
    "product": (PRODUCTS,),
    "task": (TASKS,),
    "activity": (CALLS, EMAILS, MEETINGS, NOTES),
}
# Everything that is asked for by itself; what else a record has is the account's own.
STANDARD = frozenset(
    name for kind in OBJECTS.values() for name in (*kind.properties, kind.modified, "hs_object_id", "hs_createdate")
)
# Objects with stages: property of the stage, and the path word of their pipelines.
STAGED = {"deals": "dealstage", "leads": "hs_pipeline_stage"}
# Objects whose own properties go into the dictionary of custom fields.
WITH_OWN_PROPERTIES = (COMPANIES, CONTACTS, DEALS, LEADS, TASKS, PRODUCTS)
