"""Which method of Bitrix24 lists what: where its rows are, what its id and its modification time are called."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Listing:
    """A list method with `order` and `filter` by a growing numeric id.

    word: what its rows are called in the archive and by `records.flatten`. rows: where they are in the result ('' = it
    is the list itself). id_name, id_filter: the id in rows and in filters. times: filter names of the modification
    time; a row that fits any of them was modified. only: a condition that always applies. prefix: put before its ids,
    where one landing entity holds the rows of several lists.
    """

    word: str
    method: str
    rows: str
    id_name: str
    id_filter: str
    times: tuple[str, ...] = ()
    params: Mapping[str, Any] = field(default_factory=dict)
    only: Mapping[str, Any] = field(default_factory=dict)
    prefix: str = ""

    def arguments(self, condition: Mapping[str, Any], *, descending: bool = False) -> dict[str, Any]:
        """Arguments of the method: the first page of what fits, by id, uncounted."""
        return {
            **self.params,
            "order": {self.id_filter: "DESC" if descending else "ASC"},
            "filter": {**self.only, **condition},
            "start": -1,
        }

    def key(self, number: int | str) -> str:
        """The landing id of a row."""
        return f"{self.prefix}{number}"

    def number(self, key: str) -> str:
        """The row's id of a landing id."""
        return key.removeprefix(self.prefix)


def _items(word: str, type_id: int) -> Listing:
    params = {"entityTypeId": type_id, "select": ["*"], "useOriginalUfNames": "Y"}
    return Listing(word, "crm.item.list", "items", "id", "id", ("updatedTime",), params)


def _history(word: str, type_id: int) -> Listing:
    params = {"entityTypeId": type_id}
    return Listing(
        f"{word}_history", "crm.stagehistory.list", "items", "ID", "ID", ("CREATED_TIME",), params, prefix=f"{word}:"
    )


LEAD, DEAL, CONTACT, COMPANY = _items("lead", 1), _items("deal", 2), _items("contact", 3), _items("company", 4)
ITEMS = {listing.word: listing for listing in (LEAD, DEAL, CONTACT, COMPANY)}
TYPE_WORDS = {"1": "lead", "2": "deal", "3": "contact", "4": "company"}
ACTIVITY = Listing(
    "activity",
    "crm.activity.list",
    "",
    "ID",
    "ID",
    ("LAST_UPDATED",),
    {"select": ["*", "COMMUNICATIONS"]},
)
# A requisite that nobody has changed has no modification time.
REQUISITE = Listing(
    "requisite",
    "crm.requisite.list",
    "",
    "ID",
    "ID",
    ("DATE_MODIFY", "DATE_CREATE"),
    {"select": ["*"]},
    {"ENTITY_TYPE_ID": 4},
)
PRODUCT = Listing("product", "crm.product.list", "", "ID", "ID", ())
TASK = Listing(
    "task",
    "tasks.task.list",
    "tasks",
    "id",
    "ID",
    ("CHANGED_DATE",),
    {
        "select": [
            "ID", "TITLE", "DESCRIPTION", "STATUS", "XML_ID", "RESPONSIBLE_ID", "CREATED_BY", "CREATED_DATE",
            "CHANGED_DATE", "DEADLINE", "CLOSED_DATE", "MARK", "PRIORITY", "GROUP_ID", "UF_CRM_TASK",
        ],
        "params": {"WITH_RESULT_INFO": 1},
    },
)  # fmt: skip
LISTS: Mapping[str, tuple[Listing, ...]] = {
    "company": (COMPANY,),
    "contact": (CONTACT,),
    "lead": (LEAD,),
    "deal": (DEAL,),
    "activity": (ACTIVITY,),
    "requisite": (REQUISITE,),
    "product": (PRODUCT,),
    "task": (TASK,),
    "stage_history": (_history("lead", 1), _history("deal", 2)),
}
