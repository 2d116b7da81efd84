"""Records as the API writes them: HAL links, `_embedded`, `custom_fields_values` that are null when empty."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from simulators.amocrm.store import Portal, Record

_OWN = {"company_id", "contact_ids", "elements", "custom", "tags", "owner", "loss_reason"}
_NOTES_OWNER = {"leads": "leads", "contacts": "contacts", "companies": "companies"}


class Shapes:
    """Writes the records of one portal with links that begin with `base`."""

    def __init__(self, portal: Portal, base: str) -> None:
        self._portal = portal
        self._root = f"{base}/api/v4"
        self._fields = {kind: {field["id"]: field for field in fields} for kind, fields in portal.fields.items()}
        self._reasons = {reason["id"]: reason for reason in portal.loss_reasons}
        self._catalog_of = {element["id"]: element["catalog_id"] for element in portal.elements}

    def write(self, kind: str, record: Record, wanted: Collection[str] = ()) -> Record:
        """One record; `wanted` are the words of `with`."""
        writers: dict[str, Callable[[Record, Collection[str]], Record]] = {
            "leads": self._lead, "contacts": self._contact, "companies": self._company, "tasks": self._task,
            "notes": self._note, "unsorted": self._unsorted, "users": self._user, "events": self._event,
            "loss_reasons": self._loss_reason, "catalogs": self._catalog, "elements": self._element,
            "pipelines": self.pipeline,
        }  # fmt: skip
        return writers[kind](record, wanted)

    def self_link(self, path: str) -> Record:
        return {"_links": {"self": {"href": f"{self._root}/{path}"}}}

    def _lead(self, record: Record, wanted: Collection[str]) -> Record:
        embedded: Record = {"tags": record.get("tags", []), "companies": self._references("companies", record)}
        if "contacts" in wanted:
            embedded["contacts"] = [
                {"id": number, "is_main": place == 0, **self.self_link(f"contacts/{number}")}
                for place, number in enumerate(record["contact_ids"])
            ]
        if "catalog_elements" in wanted:
            embedded["catalog_elements"] = [
                {
                    "id": number,
                    "metadata": {"quantity": quantity, "catalog_id": self._catalog_of.get(number, 0)},
                    **self.self_link(f"catalogs/{self._catalog_of.get(number, 0)}/elements/{number}"),
                }
                for number, quantity in record["elements"]
            ]
        if "loss_reason" in wanted:
            reason = self._reasons.get(record["loss_reason_id"])
            embedded["loss_reason"] = [self._loss_reason(reason, ())] if reason else []
        return self._card("leads", record, embedded)

    def _contact(self, record: Record, wanted: Collection[str]) -> Record:
        embedded: Record = {"tags": record.get("tags", []), "companies": self._references("companies", record)}
        if "leads" in wanted:
            leads = [
                lead["id"] for lead in self._portal.records["leads"].values() if record["id"] in lead["contact_ids"]
            ]
            embedded["leads"] = [{"id": number, **self.self_link(f"leads/{number}")} for number in leads]
        if "customers" in wanted:
            embedded["customers"] = []
        if "catalog_elements" in wanted:
            embedded["catalog_elements"] = []
        return self._card("contacts", record, embedded)

    def _company(self, record: Record, wanted: Collection[str]) -> Record:
        embedded: Record = {"tags": record.get("tags", [])}
        if "contacts" in wanted:
            people = [c["id"] for c in self._portal.records["contacts"].values() if c["company_id"] == record["id"]]
            embedded["contacts"] = [{"id": number, **self.self_link(f"contacts/{number}")} for number in people]
        return self._card("companies", record, embedded)

    def _card(self, kind: str, record: Record, embedded: Record) -> Record:
        body = {name: value for name, value in record.items() if name not in _OWN}
        body["custom_fields_values"] = self.custom(kind, record["custom"])
        body["account_id"] = self._portal.account_id
        body |= self.self_link(f"{kind}/{record['id']}")
        body["_embedded"] = embedded
        return body

    def _references(self, kind: str, record: Record) -> list[Record]:
        number = record.get("company_id")
        return [{"id": number, **self.self_link(f"{kind}/{number}")}] if number else []

    def custom(self, kind: str, custom: dict[int, list[Record]]) -> list[Record] | None:
        """Values by field id -> the list that the API gives; null when nothing is filled."""
        fields = self._fields[kind]
        filled = [
            {
                "field_id": number,
                "field_name": fields[number]["name"],
                "field_code": fields[number]["code"],
                "field_type": fields[number]["type"],
                "values": values,
            }
            for number, values in custom.items()
            if values and number in fields
        ]
        return filled or None

    def _task(self, record: Record, wanted: Collection[str]) -> Record:
        body = {name: value for name, value in record.items() if name != "result"}
        # PHP: an empty map is written as an empty list.
        body["result"] = {"text": record["result"]} if record.get("result") else []
        return {**body, "account_id": self._portal.account_id, **self.self_link(f"tasks/{record['id']}")}

    def _note(self, record: Record, wanted: Collection[str]) -> Record:
        body = {name: value for name, value in record.items() if name not in _OWN}
        path = f"{_NOTES_OWNER[record['owner']]}/{record['entity_id']}/notes/{record['id']}"
        return {**body, "account_id": self._portal.account_id, **self.self_link(path)}

    def _unsorted(self, record: Record, wanted: Collection[str]) -> Record:
        body = {name: value for name, value in record.items() if name not in ("contacts", "leads", "id", "updated_at")}
        body |= {"account_id": self._portal.account_id, **self.self_link(f"leads/unsorted/{record['uid']}")}
        body["_embedded"] = {
            "contacts": [{"id": number, **self.self_link(f"contacts/{number}")} for number in record["contacts"]],
            "leads": [{"id": number, **self.self_link(f"leads/{number}")} for number in record["leads"]],
            "companies": [],
        }
        return body

    def _user(self, record: Record, wanted: Collection[str]) -> Record:
        body = {name: value for name, value in record.items() if name != "phone_number"}
        if "phone_number" in wanted:
            body["phone_number"] = record["phone_number"]
        return {**body, **self.self_link(f"users/{record['id']}"), "_embedded": {"roles": [], "groups": []}}

    def _event(self, record: Record, wanted: Collection[str]) -> Record:
        return {
            **record,
            **self.self_link(f"events/{record['id']}"),
            "_embedded": {"entity": {"id": record["entity_id"]}},
        }

    def _loss_reason(self, record: Record, wanted: Collection[str]) -> Record:
        return {**record, **self.self_link(f"leads/loss_reasons/{record['id']}")}

    def _catalog(self, record: Record, wanted: Collection[str]) -> Record:
        return {**record, "account_id": self._portal.account_id, **self.self_link(f"catalogs/{record['id']}")}

    def _element(self, record: Record, wanted: Collection[str]) -> Record:
        path = f"catalogs/{record['catalog_id']}/elements/{record['id']}"
        return {**record, "account_id": self._portal.account_id, **self.self_link(path)}

    def pipeline(self, record: Record, wanted: Collection[str] = ()) -> Record:
        body = {name: value for name, value in record.items() if name != "statuses"}
        body |= {"account_id": self._portal.account_id, **self.self_link(f"leads/pipelines/{record['id']}")}
        body["_embedded"] = {"statuses": [self.status(status) for status in record["statuses"]]}
        return body

    def status(self, record: Record) -> Record:
        path = f"leads/pipelines/{record['pipeline_id']}/statuses/{record['id']}"
        return {**record, "account_id": self._portal.account_id, **self.self_link(path)}

    def field(self, kind: str, record: Record) -> Record:
        path = f"{kind}/custom_fields/{record['id']}"
        return {**record, "account_id": self._portal.account_id, **self.self_link(path)}

    def listing(self, name: str, path: str, items: Iterable[Record], page: int | None, links: Record) -> Record:
        """The envelope of a list. `links` beside `self`: next, first, prev as they apply."""
        body: Record = {"_page": page} if page is not None else {}
        return {**body, "_links": links, "_embedded": {name: list(items)}}
