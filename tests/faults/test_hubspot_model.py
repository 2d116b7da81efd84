"""The model of work on a CRM, on a HubSpot account whose search is late."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest

from clients.connection import Connection
from simulators.hubspot import Fault
from simulators.hubspot.faults import Kind
from tests.support.crm_model import check
from tests.support.hubspot import Account, running_account

_WAYS: tuple[Kind, ...] = tuple(kind for kind in get_args(Kind) if "timeout" not in kind)
_STAGES = ("new", "offer", "won", "lost")
_KINDS = {"company": "companies", "contact": "contacts", "deal": "deals"}
_NAMES = {"company": "name", "contact": "firstname", "deal": "dealname"}
INDEX_LAG = 90.0


class Portal:
    entities = ("company", "contact", "deal", "stage_history")
    mergeable = ("company", "contact", "deal")
    tells_merges = True
    stumbles = len(_WAYS)

    def __init__(self, account: Account, clock: list[datetime]) -> None:
        self._account = account
        self._clock = clock
        stages = [
            {"id": stage, "label": stage, "displayOrder": n, "metadata": {"isClosed": "false", "probability": "0.5"}}
            for n, stage in enumerate(_STAGES)
        ]
        account.portal.pipelines["deals"] = [{"id": "default", "label": "Продажи", "stages": stages}]

    def connection(self) -> Connection:
        return self._account.connection()

    def pass_by(self, minutes: int) -> None:
        self._clock[0] += timedelta(minutes=minutes)

    def add(self, word: str, name: str, company: str | None) -> str:
        values = {_NAMES[word]: name}
        if word == "deal":
            values |= {"pipeline": "default", "dealstage": _STAGES[0]}
        links = [("companies", int(company), True)] if company else []
        return str(self._account.portal.create(_KINDS[word], values, links).id)

    def rename(self, word: str, record_id: str, name: str) -> None:
        self._account.portal.update(_KINDS[word], int(record_id), {_NAMES[word]: name})

    def delete(self, word: str, record_id: str) -> None:
        self._account.portal.archive(_KINDS[word], int(record_id))

    def merge(self, word: str, survivor: str, gone: str) -> None:
        self._account.portal.merge(_KINDS[word], int(survivor), int(gone), keep_id=True)

    def move(self, deal: str, stage: int) -> None:
        self._account.portal.update("deals", int(deal), {"dealstage": _STAGES[stage % len(_STAGES)]})

    def stumble(self, way: int, skip: int) -> None:
        self._account.plan(Fault(_WAYS[way], times=1 + skip % 2, skip=skip))

    def calm(self) -> None:
        self._account.plan()

    def renew_tokens(self) -> None:
        """A private app's token does not end by itself."""

    def truth(self, entity: str) -> Mapping[str, Mapping[str, Any]]:
        portal = self._account.portal
        if entity == "stage_history":
            return {
                f"deal:{deal.id}:{version.as_json()['timestamp']}": {
                    "entity_id": str(deal.id),
                    "to_stage_id": f"deal:{version.value}",
                }
                for deal in portal.records("deals")
                for version in deal.history["dealstage"]
            }
        companies = {company.id for company in portal.records("companies")}
        found: dict[str, dict[str, Any]] = {}
        for record in portal.records(_KINDS[entity]):
            values: dict[str, Any] = {"name": record.values[_NAMES[entity]]}
            if entity != "company":
                linked = [number for number in record.links.get("companies", ()) if number in companies]
                values["company_id"] = str(linked[0]) if linked else None
            if entity == "deal":
                values["stage_id"] = f"deal:{record.values['dealstage']}"
            found[str(record.id)] = values
        return found


def test_landing_equals_the_account_whatever_happened(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sleep = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: sleep(min(seconds, 0.01)))
    monkeypatch.setattr("clients.hubspot.REFUSED_PAUSE_SECONDS", 0.05)  # the pause after a refusal
    # A few records make several pages, spans and windows.
    small = {"LIST_PAGE": 2, "SEARCH_PAGE": 2, "MOST_IN_WINDOW": 4, "LANES": 2, "SEARCH_LANES": 2, "PAGES_OF_LANE": 1}
    for name, value in {**small, "PAGES_OF_BATCH": 1}.items():
        monkeypatch.setattr(f"extractors.hubspot.account.{name}", value)

    @contextmanager
    def open_portal() -> Iterator[Portal]:
        clock = [datetime(2025, 6, 10, 9, 0, tzinfo=UTC)]
        with running_account(index_lag=INDEX_LAG, now=lambda: clock[0]) as account:
            yield Portal(account, clock)

    check("hubspot", "standard", database, open_portal)
