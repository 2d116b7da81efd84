"""The model of work on a CRM, on an amoCRM account that is read by an integration with one-time tokens."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from clients.connection import Connection
from extractors.amocrm.flat import semantics, stage_id
from simulators.amocrm import Fault
from simulators.amocrm.faults import Kind
from simulators.amocrm.store import Record
from tests.support.amocrm import Account, running_account
from tests.support.crm_model import check

_KINDS = {"company": "companies", "contact": "contacts", "deal": "leads"}
_WAYS: tuple[tuple[Kind, str], ...] = (
    ("internal_error", "*"), ("bad_gateway", "*"), ("gateway_timeout", "*"), ("too_many", "*"), ("unauthorized", "*"),
    ("not_paid", "*"), ("reset_before_acting", "*"), ("reset_after_acting", "GET *"), ("nothing", "GET *"),
    # The pair of tokens that nobody received: a person grants access anew, in `calm`.
    ("reset_after_acting", "POST oauth2/*"),
)  # fmt: skip
_PIPELINE = 3_177_001
_STATUSES = (32_392_110, 32_392_120, 32_392_130, 142, 143)
_MONTHS_AGO = 60 * 86_400


class Portal:
    entities = ("company", "contact", "deal", "task", "activity", "stage_history")
    mergeable = ("company", "contact")
    tells_merges = True
    stumbles = len(_WAYS)

    def __init__(self, account: Account, clock: list[float]) -> None:
        self._account = account
        self._portal = account.app.portal
        self._clock = clock
        self._code: str | None = None
        self._portal.pipelines = [
            {
                "id": _PIPELINE, "name": "Воронка", "sort": 1, "is_main": True, "is_unsorted_on": True,
                "is_archive": False,
                "statuses": [
                    {"id": number, "name": str(number), "sort": place, "pipeline_id": _PIPELINE, "type": 0}
                    for place, number in enumerate(_STATUSES)
                ],
            }
        ]  # fmt: skip

    def connection(self) -> Connection:
        return self._account.oauth(**({"code": self._code} if self._code else {}))

    def pass_by(self, minutes: int) -> None:
        self._clock[0] += 60.0 * minutes

    def add(self, word: str, name: str, company: str | None) -> str:
        portal, kind = self._portal, _KINDS[word]
        now, number = portal.now(), portal.new_id()
        card: Record = {
            "id": number, "name": name, "responsible_user_id": portal.integration_user, "group_id": 0, "created_by": 0,
            "updated_by": 0, "created_at": now, "updated_at": now, "closest_task_at": None, "is_deleted": False,
            "company_id": int(company) if company else None, "custom": {},
        }  # fmt: skip
        if kind == "contacts":
            card |= {"first_name": name, "last_name": ""}
        if kind == "leads":
            card |= {
                "price": number, "status_id": _STATUSES[0], "pipeline_id": _PIPELINE, "loss_reason_id": None,
                "source_id": None, "closed_at": None, "score": None, "contact_ids": [], "elements": [],
            }  # fmt: skip
        portal.add(kind, card)
        # What hangs on a card goes with it when cards are merged.
        work: Record = {"created_by": 0, "updated_by": 0, "created_at": now, "updated_at": now, "group_id": 0}
        work |= {"responsible_user_id": portal.integration_user, "entity_id": number}
        note = {**work, "id": portal.new_id(), "note_type": "common", "params": {"text": name}, "owner": kind}
        portal.add("notes", note)
        task = {**work, "id": portal.new_id(), "entity_type": kind, "text": name, "is_completed": False, "duration": 0}
        portal.add("tasks", {**task, "task_type_id": 1, "result": "", "complete_till": now})
        return str(number)

    def rename(self, word: str, record_id: str, name: str) -> None:
        self._portal.change(_KINDS[word], int(record_id), {"name": name})

    def delete(self, word: str, record_id: str) -> None:
        self._portal.delete(_KINDS[word], int(record_id))

    def merge(self, word: str, survivor: str, gone: str) -> None:
        self._portal.merge(_KINDS[word], int(survivor), int(gone))

    def move(self, deal: str, stage: int) -> None:
        self._portal.change("leads", int(deal), {"status_id": _STATUSES[stage % len(_STATUSES)]})

    def stumble(self, way: int, skip: int) -> None:
        kind, request = _WAYS[way]
        self._account.plan(Fault(kind, request, times=1 + skip % 2, skip=skip))

    def calm(self) -> None:
        self._account.plan()
        self._code = self._account.app.access.grant_again()

    def renew_tokens(self) -> None:
        self._account.app.access.end_access_tokens()

    def truth(self, entity: str) -> Mapping[str, Mapping[str, Any]]:
        records = self._portal.records
        if entity == "stage_history":
            return {
                event["id"]: {
                    "entity_id": str(event["entity_id"]),
                    "to_stage_id": stage_id(_PIPELINE, event["value_after"][0]["lead_status"]["id"]),
                }
                for event in self._portal.events
                if event["type"] == "lead_status_changed"
            }
        if entity == "activity":
            kinds = {kind: word for word, kind in _KINDS.items()}
            return {
                f"{kinds[note['owner']]}:{note['id']}": {"body": note["params"]["text"]}
                for note in records["notes"].values()
            }
        if entity == "task":
            return {str(number): {"name": task["text"]} for number, task in records["tasks"].items()}
        found: dict[str, dict[str, Any]] = {}
        for number, card in records[_KINDS[entity]].items():
            values: dict[str, Any] = {"name": card["name"]}
            if entity != "company":
                company = card["company_id"]
                values["company_id"] = str(company) if company in records["companies"] else None
            if entity == "deal":
                values["stage_id"] = stage_id(_PIPELINE, card["status_id"])
                values["semantics"] = semantics(card["status_id"])
            found[str(number)] = values
        return found


def test_landing_equals_the_account_whatever_happened(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sleep = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: sleep(min(seconds, 0.01)))
    opened = 0

    @contextmanager
    def open_portal() -> Iterator[Portal]:
        nonlocal opened
        opened += 1
        clock = [time.time() - _MONTHS_AGO]
        with running_account(tmp_path / str(opened), now=lambda: clock[0]) as account:
            yield Portal(account, clock)

    check("amocrm", "standard", database, open_portal)
