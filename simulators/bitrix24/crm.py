"""The CRM of a portal: companies, contacts, leads, deals and what hangs on them, with the methods over them.

It lives in memory and begins as the world says; what callers change lasts as long as the process. Records are kept in
the universal form (see shapes); deletions leave no trace in any list, as on a real portal, and neither do merges, apart
from what moves to the surviving record.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

from simulators.bitrix24.listing import Found, Table, conditions, find, start_of
from simulators.bitrix24.php import by_name
from simulators.bitrix24.portal import Page, PortalError
from simulators.bitrix24.shapes import (
    BY_NAME,
    COMPANY,
    CONTACT,
    DEAL,
    LEAD,
    MOMENTS,
    TYPES,
    ItemType,
    older_view,
    original_field_name,
    universal_name,
    universal_view,
)

Params: TypeAlias = dict[str, Any]
Method: TypeAlias = Callable[[Params, str], Page]
CREATED, MOVED, FINAL = "1", "2", "3"
_OWNED_BY = {LEAD.number: "leadId", CONTACT.number: "contactId", COMPANY.number: "companyId"}
_LISTS = {CONTACT.number: "contactIds", COMPANY.number: "companyIds"}


class Crm:
    """All CRM records of one portal. Times are written in the server's zone, to the second."""

    def __init__(self, time_zone: str, now: Callable[[], datetime]) -> None:
        self.zone = ZoneInfo(time_zone)
        self._now = now
        self._last_row_id = 0
        self._last_channel_id = 0
        self.clear()

    def clear(self) -> None:
        """An empty CRM, as on the first day."""
        self.items: dict[int, Table] = {number: Table() for number in TYPES}
        self.product_rows: dict[tuple[str, int], list[dict[str, Any]]] = {}
        self.history: dict[int, Table] = {LEAD.number: Table(), DEAL.number: Table()}
        self.activities = Table()
        self.requisites = Table()
        self.products = Table()
        self.user_fields: dict[str, list[dict[str, Any]]] = {kind.field_entity: [] for kind in TYPES.values()}
        self.statuses: list[dict[str, Any]] = []
        self.categories: list[dict[str, Any]] = [category(0, "Общая", 100, is_default=True)]

    def methods(self) -> dict[str, Method]:
        """REST method -> function of (parameters, calling user's id)."""
        found: dict[str, Method] = {
            "crm.item.list": self._item_list,
            "crm.item.get": self._item_get,
            "crm.item.add": self._item_add,
            "crm.item.update": self._item_update,
            "crm.item.delete": self._item_delete,
            "crm.item.productrow.list": self._product_row_list,
            "crm.item.productrow.set": self._product_row_set,
            "crm.category.list": self._category_list,
            "crm.status.list": self._status_list,
            "crm.stagehistory.list": self._stage_history_list,
            "crm.activity.list": self._activity_list,
            "crm.activity.todo.add": self._todo_add,
            "crm.requisite.list": self._requisite_list,
            "crm.product.list": self._product_list,
            "crm.entity.mergebatch": self._merge_batch,
            "crm.company.contact.items.get": self._company_contacts,
            "crm.deal.contact.items.get": self._deal_contacts,
        }
        for name, kind in BY_NAME.items():
            found |= {
                f"crm.{name}.list": self._older(kind, self._older_list),
                f"crm.{name}.get": self._older(kind, self._older_get),
                f"crm.{name}.add": self._older(kind, self._older_add),
                f"crm.{name}.update": self._older(kind, self._older_update),
                f"crm.{name}.delete": self._older(kind, self._older_delete),
                f"crm.{name}.userfield.list": self._older(kind, self._user_field_list),
            }
        return found

    def moment(self) -> str:
        return self._now().astimezone(self.zone).isoformat(timespec="seconds")

    # --- changes, for methods and tests alike ---

    def add(self, kind: ItemType, fields: dict[str, Any], *, user: str = "1", item_id: int | None = None) -> int:
        """A new record; `fields` in the universal form, `phones` and `emails` as plain lists. Returns its id."""
        moment = fields.get("createdTime") or self.moment()
        row: dict[str, Any] = {"id": 0, **kind.defaults, "createdBy": int(user), "updatedBy": int(user)}
        if kind in (LEAD, DEAL):
            row["movedTime"] = moment
        row |= {"createdTime": moment, "updatedTime": moment, "lastActivityTime": moment}
        channels = {name: fields[name] for name in ("phones", "emails") if name in fields}
        self._take(row, {name: value for name, value in fields.items() if name not in channels})
        row["id"] = self.items[kind.number].add(row, item_id)
        self._set_channels(row, channels)
        if kind in self._staged() and "stageId" in row:
            row["stageSemanticId"] = self._semantics(kind, row)
            self._note_stage(kind, row, CREATED, fields.get("createdTime"))
        return int(row["id"])

    def update(self, kind: ItemType, item_id: int, fields: dict[str, Any], *, user: str = "1") -> None:
        """Change a record; a new stage is noted in the history. Raises PortalError when there is no such record."""
        row = self._existing(kind, item_id)
        before = row.get("stageId")
        channels = {name: fields[name] for name in ("phones", "emails") if name in fields}
        self._take(row, {name: value for name, value in fields.items() if name not in channels})
        self._set_channels(row, channels)
        row |= {"updatedTime": self.moment(), "updatedBy": int(user)}
        if kind in self._staged() and row["stageId"] != before:
            row["stageSemanticId"] = self._semantics(kind, row)
            row |= {"movedTime": self.moment(), "movedBy": int(user)}
            final = row["stageSemanticId"] != "P"
            if kind is DEAL:
                row |= {"closed": "Y" if final else "N", "closedate": self.moment() if final else row["closedate"]}
            else:
                row["dateClosed"] = self.moment() if final else None
            self._note_stage(kind, row, FINAL if final else MOVED)

    def delete(self, kind: ItemType, item_id: int) -> None:
        """Throw a record away, with what belongs to it alone. Links to it are emptied, silently."""
        self._existing(kind, item_id)
        self.items[kind.number].remove(item_id)
        self.product_rows.pop((kind.letter, item_id), None)
        for table in (self.activities,):
            for number, row in list(table.rows.items()):
                if (row["OWNER_TYPE_ID"], row["OWNER_ID"]) == (str(kind.number), str(item_id)):
                    table.remove(number)
        for number, row in list(self.requisites.rows.items()):
            if (row["ENTITY_TYPE_ID"], row["ENTITY_ID"]) == (str(kind.number), str(item_id)):
                self.requisites.remove(number)
        if kind.number in self.history:
            for number, row in list(self.history[kind.number].rows.items()):
                if row["OWNER_ID"] == str(item_id):
                    self.history[kind.number].remove(number)
        self._relink(kind, item_id, 0)

    def merge(self, kind: ItemType, main_id: int, other_ids: Iterable[int]) -> None:
        """The others become part of the main record: their phones, links and empty fields' values move to it."""
        main = self._existing(kind, main_id)
        for other_id in other_ids:
            other = self._existing(kind, other_id)
            for name, value in other.items():
                if main.get(name) in (None, "", 0, []) and name not in ("id", "fm"):
                    main[name] = value
            known = {(fm["typeId"], fm["value"]) for fm in main.get("fm", ())}
            main.setdefault("fm", []).extend(
                fm for fm in other.get("fm", ()) if (fm["typeId"], fm["value"]) not in known
            )
            for row in self.activities.rows.values():
                if (row["OWNER_TYPE_ID"], row["OWNER_ID"]) == (str(kind.number), str(other_id)):
                    row["OWNER_ID"] = str(main_id)
            for row in self.requisites.rows.values():
                if (row["ENTITY_TYPE_ID"], row["ENTITY_ID"]) == (str(kind.number), str(other_id)):
                    row["ENTITY_ID"] = str(main_id)
            self._relink(kind, other_id, main_id)
            self.delete(kind, other_id)
        self._count_channels(main)
        main["updatedTime"] = self.moment()

    def set_product_rows(self, kind: ItemType, item_id: int, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Replace the product rows of a record; its amount becomes their sum."""
        owner = self._existing(kind, item_id)
        made = []
        for number, row in enumerate(rows, start=1):
            self._last_row_id += 1
            made.append(product_row(self._last_row_id, kind.letter, item_id, number * 10, row))
        self.product_rows[kind.letter, item_id] = made
        if owner.get("isManualOpportunity") != "Y":
            owner["opportunity"] = round(sum(row["price"] * row["quantity"] for row in made), 2)
        owner["updatedTime"] = self.moment()
        return made

    def add_activity(self, fields: dict[str, Any]) -> int:
        """`fields` as crm.activity.list shows them."""
        moment = self.moment()
        row = {**_ACTIVITY, "CREATED": moment, "LAST_UPDATED": moment, **fields}
        row["ID"] = str(self.activities.add(row))
        return int(row["ID"])

    def add_requisite(self, kind: ItemType, item_id: int, fields: dict[str, Any]) -> int:
        moment = self.moment()
        row = {
            **_REQUISITE,
            "ENTITY_TYPE_ID": str(kind.number),
            "ENTITY_ID": str(item_id),
            "DATE_CREATE": moment,
            "DATE_MODIFY": "",  # as the real portal: filled in by the first change
            **fields,
        }
        row["ID"] = str(self.requisites.add(row))
        return int(row["ID"])

    # --- universal methods ---

    def _item_list(self, params: Params, user: str) -> Page:
        kind = _type(params)
        wanted = conditions(by_name(params, "filter"))
        renamed = []
        for one in wanted:
            name = universal_name(kind, one.name)
            if name != "id" and name not in kind.defaults and not name.startswith("UF_"):
                raise PortalError(
                    400, "INVALID_ARG_VALUE", f"Invalid filter: field '{one.name}' is not allowed in filter"
                )
            renamed.append(type(one)(one.sign, name, one.wanted))
        order = by_name(params, "order")
        if isinstance(order, dict):
            order = {universal_name(kind, str(name)): direction for name, direction in order.items()}
        found = self._find(self.items[kind.number], renamed, order, params, id_name="id")
        select = _select(params)
        original = str(by_name(params, "useOriginalUfNames", "N")).upper() == "Y"
        rows = [universal_view(row, kind, select, original_names=original) for row in found.rows]
        return Page({"items": rows}, found.total, found.next)

    def _item_get(self, params: Params, user: str) -> Page:
        kind = _type(params)
        row = self.items[kind.number].rows.get(_number(by_name(params, "id")))
        if row is None:
            raise PortalError(400, "NOT_FOUND", "Element not found")
        return Page({"item": universal_view(row, kind, [], original_names=_original_names(params))})

    def _item_add(self, params: Params, user: str) -> Page:
        kind = _type(params)
        number = self.add(kind, self._given(kind, params), user=user)
        row = self.items[kind.number].rows[number]
        return Page({"item": universal_view(row, kind, [], original_names=_original_names(params))})

    def _item_update(self, params: Params, user: str) -> Page:
        kind = _type(params)
        number = _number(by_name(params, "id"))
        self.update(kind, number, self._given(kind, params), user=user)
        row = self.items[kind.number].rows[number]
        return Page({"item": universal_view(row, kind, [], original_names=_original_names(params))})

    def _item_delete(self, params: Params, user: str) -> Page:
        self.delete(_type(params), _number(by_name(params, "id")))
        return Page([])

    def _product_row_list(self, params: Params, user: str) -> Page:
        wanted = conditions(by_name(params, "filter"))
        letters = [one.wanted for one in wanted if one.name == "ownerType" and one.sign == "="]
        owners = [one.wanted for one in wanted if one.name == "ownerId" and one.sign == "="]
        if not letters or not owners:
            raise PortalError(400, "100", "Required filter fields: =ownerType, =ownerId")
        ids = owners[0] if isinstance(owners[0], list) else [owners[0]]
        table = Table()
        for owner in ids:
            for row in self.product_rows.get((str(letters[0]), _number(owner)), ()):
                table.add(row, row["id"])
        rest = [one for one in wanted if one.name not in ("ownerType", "ownerId")]
        found = self._find(table, rest, by_name(params, "order"), params, id_name="id")
        return Page({"productRows": found.rows}, found.total, found.next)

    def _product_row_set(self, params: Params, user: str) -> Page:
        kind = next((k for k in TYPES.values() if k.letter == str(by_name(params, "ownerType"))), None)
        if kind is None:
            raise PortalError(400, "INVALID_ARG_VALUE", "Owner type is not supported")
        rows = by_name(params, "productRows") or []
        rows = list(rows.values()) if isinstance(rows, dict) else rows
        return Page({"productRows": self.set_product_rows(kind, _number(by_name(params, "ownerId")), rows)})

    def _category_list(self, params: Params, user: str) -> Page:
        if _number(by_name(params, "entityTypeId")) != DEAL.number:
            raise PortalError(400, "ENTITY_TYPE_NOT_SUPPORTED", "Smart process not found")
        return Page({"categories": self.categories}, len(self.categories))

    def _stage_history_list(self, params: Params, user: str) -> Page:
        table = self.history.get(_number(by_name(params, "entityTypeId")))
        if table is None:
            raise PortalError(400, "0", "Entity is not supported")
        wanted = conditions(by_name(params, "filter"))
        found = self._find(table, wanted, by_name(params, "order"), params, id_name="ID")
        return Page({"items": found.rows}, found.total, found.next)

    def _merge_batch(self, params: Params, user: str) -> Page:
        inner = by_name(params, "params") or {}
        kind = _type(inner)
        ids = [_number(item) for item in _as_list(by_name(inner, "entityIds"))]
        if len(ids) < 2:
            raise PortalError(400, "", "At least two entities are required")
        self.merge(kind, ids[0], ids[1:])
        return Page({"STATUS": "SUCCESS", "ENTITY_IDS": ids})

    # --- older methods ---

    def _older(self, kind: ItemType, method: Callable[[ItemType, Params, str], Page]) -> Method:
        return lambda params, user: method(kind, params, user)

    def _older_list(self, kind: ItemType, params: Params, user: str) -> Page:
        # An unknown condition is ignored here, not refused.
        wanted = [type(one)(one.sign, universal_name(kind, one.name.upper()), one.wanted)
                  for one in conditions(by_name(params, "filter"))]  # fmt: skip
        wanted = [one for one in wanted if one.name in ("id", *kind.defaults) or one.name.startswith("UF_")]
        order = by_name(params, "order")
        if isinstance(order, dict):
            order = {universal_name(kind, str(name).upper()): direction for name, direction in order.items()}
        found = self._find(self.items[kind.number], wanted, order, params, id_name="id")
        select = [name.upper() for name in _select(params)]
        return Page([older_view(row, kind, select) for row in found.rows], found.total, found.next)

    def _older_get(self, kind: ItemType, params: Params, user: str) -> Page:
        row = self.items[kind.number].rows.get(_number(by_name(params, "id")))
        if row is None:
            raise PortalError(400, "", "Not found")
        return Page(older_view(row, kind, None))

    def _older_add(self, kind: ItemType, params: Params, user: str) -> Page:
        return Page(self.add(kind, self._given(kind, params), user=user))

    def _older_update(self, kind: ItemType, params: Params, user: str) -> Page:
        self.update(kind, _number(by_name(params, "id")), self._given(kind, params), user=user)
        return Page(True)

    def _older_delete(self, kind: ItemType, params: Params, user: str) -> Page:
        self.delete(kind, _number(by_name(params, "id")))
        return Page(True)

    def _user_field_list(self, kind: ItemType, params: Params, user: str) -> Page:
        fields = self.user_fields[kind.field_entity]
        labels = {"EDIT_FORM_LABEL", "LIST_COLUMN_LABEL", "LIST_FILTER_LABEL"}
        conditions_ = by_name(params, "filter") or {}
        with_labels = isinstance(conditions_, dict) and by_name(conditions_, "LANG") is not None
        rows = [{k: v for k, v in field.items() if with_labels or k not in labels} for field in fields]
        start = max(0, start_of(by_name(params, "start")))
        following = start + 50
        return Page(rows[start:following], len(rows), following if following < len(rows) else None)

    def _status_list(self, params: Params, user: str) -> Page:
        rows = self.statuses
        for one in conditions(by_name(params, "filter")):
            rows = [row for row in rows if str(row.get(one.name)) == str(one.wanted)]
        return Page(rows, len(rows))

    def _activity_list(self, params: Params, user: str) -> Page:
        wanted = conditions(by_name(params, "filter"))
        found = self._find(self.activities, wanted, by_name(params, "order"), params, id_name="ID")
        select = _select(params)
        rows = []
        for row in found.rows:
            shown = row if not select or "*" in select else {k: v for k, v in row.items() if k in {*select, "ID"}}
            if "COMMUNICATIONS" not in select:
                shown = {name: value for name, value in shown.items() if name != "COMMUNICATIONS"}
            rows.append(shown)
        return Page(rows, found.total, found.next)

    def _todo_add(self, params: Params, user: str) -> Page:
        kind = _type({"entityTypeId": by_name(params, "ownerTypeId")})
        owner = _number(by_name(params, "ownerId"))
        self._existing(kind, owner)
        number = self.add_activity(
            {
                "OWNER_ID": str(owner),
                "OWNER_TYPE_ID": str(kind.number),
                "TYPE_ID": "6",
                "PROVIDER_ID": "CRM_TODO",
                "PROVIDER_TYPE_ID": "TODO",
                "SUBJECT": str(by_name(params, "title") or ""),
                "DESCRIPTION": str(by_name(params, "description") or ""),
                "DEADLINE": str(by_name(params, "deadline") or ""),
                "RESPONSIBLE_ID": str(by_name(params, "responsibleId") or user),
                "AUTHOR_ID": user,
            }
        )
        return Page({"id": number})

    def _requisite_list(self, params: Params, user: str) -> Page:
        wanted = conditions(by_name(params, "filter"))
        found = self._find(self.requisites, wanted, by_name(params, "order"), params, id_name="ID")
        select = _select(params)
        everything = not select or "*" in select
        rows = [row if everything else {k: v for k, v in row.items() if k in {*select, "ID"}} for row in found.rows]
        return Page(rows, found.total, found.next)

    def _product_list(self, params: Params, user: str) -> Page:
        wanted = conditions(by_name(params, "filter"))
        found = self._find(self.products, wanted, by_name(params, "order"), params, id_name="ID")
        return Page(found.rows, found.total, found.next)

    def _company_contacts(self, params: Params, user: str) -> Page:
        company = _number(by_name(params, "id"))
        self._existing(COMPANY, company)
        ids = [row["id"] for row in self.items[CONTACT.number].rows.values() if company in row["companyIds"]]
        return Page(_bindings(ids))

    def _deal_contacts(self, params: Params, user: str) -> Page:
        return Page(_bindings(self._existing(DEAL, _number(by_name(params, "id")))["contactIds"]))

    # --- help ---

    def _find(self, table: Table, wanted: Any, order: Any, params: Params, *, id_name: str) -> Found:
        start = start_of(by_name(params, "start"))
        return find(table, wanted, order, start, id_name=id_name, zone=self.zone, moments=MOMENTS)

    @staticmethod
    def _staged() -> tuple[ItemType, ...]:
        return (LEAD, DEAL)

    def _given(self, kind: ItemType, params: Params) -> dict[str, Any]:
        fields = by_name(params, "fields")
        if not isinstance(fields, dict):
            raise PortalError(400, "100", "Could not find value for parameter {fields} (internal error)")
        given: dict[str, Any] = {}
        for name, value in fields.items():
            if name.upper() in ("PHONE", "EMAIL"):
                given["phones" if name.upper() == "PHONE" else "emails"] = [
                    str(item.get("VALUE", "")) for item in _as_list(value) if isinstance(item, dict)
                ]
            elif name.startswith("UF_"):
                given[name] = value
            elif name.startswith("ufCrm"):
                given[original_field_name(name)] = value
            else:
                given[universal_name(kind, name)] = value
        return given

    def _take(self, row: dict[str, Any], fields: dict[str, Any]) -> None:
        for name, value in fields.items():
            if name == "id":
                continue
            if isinstance(row.get(name), (int, float)) and not isinstance(value, (list, dict, bool)):
                value = float(value or 0) if name in ("opportunity", "taxValue", "revenue") else _number(value)
            row[name] = value
        # One link and the list of links say the same.
        for single, many in (("companyId", "companyIds"), ("contactId", "contactIds")):
            if many in row and many in fields:
                row[many] = [_number(item) for item in _as_list(row[many])]
                row[single] = row[many][0] if row[many] else 0
            elif many in row and single in fields:
                rest = [item for item in row[many] if item != row[single]]
                row[many] = [row[single], *rest] if row[single] else []

    def _set_channels(self, row: dict[str, Any], channels: dict[str, list[str]]) -> None:
        for name, values in channels.items():
            type_id = "PHONE" if name == "phones" else "EMAIL"
            kept = [fm for fm in row["fm"] if fm["typeId"] != type_id]
            for value in values:
                self._last_channel_id += 1
                kept.append({"id": self._last_channel_id, "valueType": "WORK", "value": value, "typeId": type_id})
            row["fm"] = kept
        self._count_channels(row)

    @staticmethod
    def _count_channels(row: dict[str, Any]) -> None:
        if "fm" in row:
            kinds = {fm["typeId"] for fm in row["fm"]}
            row |= {"hasPhone": "Y" if "PHONE" in kinds else "N", "hasEmail": "Y" if "EMAIL" in kinds else "N"}

    def _existing(self, kind: ItemType, item_id: int) -> dict[str, Any]:
        row = self.items[kind.number].rows.get(item_id)
        if row is None:
            raise PortalError(400, "NOT_FOUND", "Element not found")
        return row

    def _semantics(self, kind: ItemType, row: dict[str, Any]) -> str:
        entity = "STATUS" if kind is LEAD else stage_entity(int(row.get("categoryId") or 0))
        for status in self.statuses:
            if (status["ENTITY_ID"], status["STATUS_ID"]) == (entity, row["stageId"]):
                return str(status["SEMANTICS"] or "P")
        return "P"

    def _note_stage(self, kind: ItemType, row: dict[str, Any], type_id: str, at: str | None = None) -> None:
        noted: dict[str, Any] = {
            "TYPE_ID": type_id,
            "OWNER_ID": str(row["id"]),
            "CREATED_TIME": at or self.moment(),
        }
        if kind is DEAL:
            noted |= {"CATEGORY_ID": str(row["categoryId"]), "STAGE_SEMANTIC_ID": row["stageSemanticId"]}
            noted["STAGE_ID"] = row["stageId"]
        else:
            noted |= {"STATUS_SEMANTIC_ID": row["stageSemanticId"], "STATUS_ID": row["stageId"]}
        table = self.history[kind.number]
        number = table.add(noted)
        table.rows[number] = {"ID": str(number), **noted}

    def _relink(self, kind: ItemType, old: int, new: int) -> None:
        """What pointed to `old` points to `new` (0: to nothing); nobody's modification time changes."""
        single, many = _OWNED_BY.get(kind.number), _LISTS.get(kind.number)
        for table in self.items.values():
            for row in table.rows.values():
                if single and row.get(single) == old:
                    row[single] = new
                if many and old in row.get(many, ()):
                    row[many] = list(dict.fromkeys(new if item == old else item for item in row[many]))
                    row[many] = [item for item in row[many] if item]


def category(number: int, name: str, sort: int, *, is_default: bool = False) -> dict[str, Any]:
    """A funnel of deals as crm.category.list shows it."""
    row: dict[str, Any] = {"id": number, "name": name, "sort": sort, "entityTypeId": DEAL.number}
    row["isDefault"] = "Y" if is_default else "N"
    return row if is_default else {**row, "originId": "", "originatorId": ""}


def stage_entity(category_id: int) -> str:
    return f"DEAL_STAGE_{category_id}" if category_id else "DEAL_STAGE"


def status(number: int, entity_id: str, status_id: str, name: str, sort: int, semantics: str | None) -> dict[str, Any]:
    """A directory entry as crm.status.list shows it; semantics: None (open), 'S' or 'F'."""
    words = {None: "process", "S": "success", "F": "failure"}
    category_id = entity_id.removeprefix("DEAL_STAGE_")
    return {
        "ID": str(number),
        "ENTITY_ID": entity_id,
        "STATUS_ID": status_id,
        "NAME": name,
        "NAME_INIT": "",
        "SORT": str(sort),
        "SYSTEM": "N",
        "CATEGORY_ID": category_id if category_id.isdigit() else None,
        "COLOR": "#39A8EF",
        "SEMANTICS": semantics,
        "EXTRA": {"SEMANTICS": words[semantics], "COLOR": "#39A8EF"},
    }


def product_row(number: int, letter: str, owner: int, sort: int, fields: dict[str, Any]) -> dict[str, Any]:
    """A product row as crm.item.productrow.list shows it."""
    price = float(fields.get("price") or 0)
    discount = float(fields.get("discountRate") or 0)
    full = round(price / (1 - discount / 100), 2) if discount < 100 else price
    return {
        "id": number,
        "ownerId": owner,
        "ownerType": letter,
        "productId": int(fields.get("productId") or 0),
        "productName": str(fields.get("productName") or ""),
        "price": price,
        "priceAccount": price,
        "priceExclusive": price,
        "priceNetto": full,
        "priceBrutto": full,
        "quantity": float(fields.get("quantity") or 1),
        "discountTypeId": 2,
        "discountRate": discount,
        "discountSum": round(full - price, 2),
        "taxRate": fields.get("taxRate"),
        "taxIncluded": "Y",
        "customized": "Y",
        "measureCode": 796,
        "measureName": str(fields.get("measureName") or "шт"),
        "sort": sort,
        "xmlId": "",
        "type": 1,
        "storeId": None,
    }


_ACTIVITY: dict[str, Any] = {
    "OWNER_ID": "0", "OWNER_TYPE_ID": "0", "TYPE_ID": "2", "PROVIDER_ID": "VOXIMPLANT_CALL",
    "PROVIDER_TYPE_ID": "CALL", "PROVIDER_GROUP_ID": None, "ASSOCIATED_ENTITY_ID": "0", "SUBJECT": "",
    "START_TIME": None, "END_TIME": None, "DEADLINE": None, "COMPLETED": "N", "STATUS": "1", "RESPONSIBLE_ID": "1",
    "PRIORITY": "2", "NOTIFY_TYPE": "1", "NOTIFY_VALUE": "15", "DESCRIPTION": "", "DESCRIPTION_TYPE": "1",
    "DIRECTION": "0", "LOCATION": "", "SETTINGS": [], "ORIGINATOR_ID": None, "ORIGIN_ID": None, "AUTHOR_ID": "1",
    "EDITOR_ID": "1", "PROVIDER_PARAMS": [], "PROVIDER_DATA": None, "RESULT_MARK": "0", "RESULT_VALUE": None,
    "RESULT_SUM": None, "RESULT_CURRENCY_ID": None, "RESULT_STATUS": "0", "RESULT_STREAM": "0",
    "RESULT_SOURCE_ID": None, "AUTOCOMPLETE_RULE": "0",
}  # fmt: skip
_REQUISITE: dict[str, Any] = {
    "PRESET_ID": "1", "CREATED_BY_ID": "1", "MODIFY_BY_ID": None, "NAME": "Организация", "CODE": None, "XML_ID": None,
    "ORIGINATOR_ID": None, "ACTIVE": "Y", "ADDRESS_ONLY": "N", "SORT": "500", "RQ_COMPANY_NAME": None,
    "RQ_COMPANY_FULL_NAME": None, "RQ_DIRECTOR": None, "RQ_INN": None, "RQ_KPP": None, "RQ_OGRN": None,
    "RQ_OGRNIP": None, "RQ_OKPO": None,
}  # fmt: skip


def _type(params: Params) -> ItemType:
    kind = TYPES.get(_number(by_name(params, "entityTypeId")))
    if kind is None:
        raise PortalError(400, "NOT_FOUND", "Smart process not found")
    return kind


def _bindings(ids: Iterable[int]) -> list[dict[str, Any]]:
    return [
        {"CONTACT_ID": number, "SORT": place * 10, "ROLE_ID": 0, "IS_PRIMARY": "Y" if place == 1 else "N"}
        for place, number in enumerate(ids, start=1)
    ]


def _select(params: Params) -> list[str]:
    return [str(name) for name in _as_list(by_name(params, "select"))]


def _original_names(params: Params) -> bool:
    return str(by_name(params, "useOriginalUfNames", "N")).upper() == "Y"


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else [value]


def _number(value: Any) -> int:
    try:
        return int(value or 0)
    except (TypeError, ValueError):
        return 0
