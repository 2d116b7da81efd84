"""The model of work on a CRM, on a Bitrix24 portal that is read by an application with tokens."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import pytest

from clients.connection import Connection
from simulators.bitrix24 import Fault, OAuthApplication
from simulators.bitrix24.crm import category, stage_entity, status
from simulators.bitrix24.faults import Kind
from simulators.bitrix24.shapes import BY_NAME, COMPANY, CONTACT, DEAL
from tests.support.bitrix24 import CrmPortal, running_crm
from tests.support.crm_model import check

_WAYS: tuple[Kind, ...] = tuple(kind for kind in get_args(Kind) if "timeout" not in kind and kind != "operation_limit")
_STAGES = ("NEW", "OFFER", "WON", "LOSE")


class Portal:
    entities = ("company", "contact", "deal", "activity", "requisite", "stage_history")
    mergeable = ("company", "contact", "deal")
    tells_merges = False
    stumbles = len(_WAYS)

    def __init__(self, running: CrmPortal, application: OAuthApplication) -> None:
        self._running = running
        self._application = application
        crm = running.crm
        crm.categories = [category(0, "Общая", 100, is_default=True)]
        semantics = dict(zip(_STAGES, (None, None, "S", "F"), strict=True))
        crm.statuses = [
            status(100 + n, stage_entity(0), stage, stage, n, semantics[stage]) for n, stage in enumerate(_STAGES)
        ]
        self._connection = running.connection()
        extra = {
            "client_id": application.client_id,
            "client_secret": application.client_secret,
            "refresh_token": application.refresh_token,
            "token_url": f"{running.address}/oauth/token/",
        }
        self._connection = Connection(f"{running.address}/", extra={**self._connection.extra, **extra})

    def connection(self) -> Connection:
        return self._connection

    def pass_by(self, minutes: int) -> None:
        self._running.clock.pass_by(minutes=minutes)

    def add(self, word: str, name: str, company: str | None) -> str:
        crm, kind = self._running.crm, BY_NAME[word]
        fields: dict[str, Any] = {"name" if kind is CONTACT else "title": name}
        if company:
            fields["companyId"] = int(company)
        number = crm.add(kind, fields)
        # Whatever is merged leaves a trace: a call that goes with it.
        crm.add_activity({"OWNER_ID": str(number), "OWNER_TYPE_ID": str(kind.number), "SUBJECT": name})
        if kind is COMPANY:
            crm.add_requisite(COMPANY, number, {"RQ_INN": f"{number:010d}"})
        return str(number)

    def rename(self, word: str, record_id: str, name: str) -> None:
        field = "name" if word == "contact" else "title"
        self._running.crm.update(BY_NAME[word], int(record_id), {field: name})

    def delete(self, word: str, record_id: str) -> None:
        self._running.crm.delete(BY_NAME[word], int(record_id))

    def merge(self, word: str, survivor: str, gone: str) -> None:
        self._running.crm.merge(BY_NAME[word], int(survivor), [int(gone)])

    def move(self, deal: str, stage: int) -> None:
        self._running.crm.update(DEAL, int(deal), {"stageId": _STAGES[stage % len(_STAGES)]})

    def stumble(self, way: int, skip: int) -> None:
        self._running.plan(Fault(_WAYS[way], "*", times=1 + skip % 2, skip=skip))

    def calm(self) -> None:
        self._running.plan()

    def renew_tokens(self) -> None:
        self._application.expire()

    def truth(self, entity: str) -> Mapping[str, Mapping[str, Any]]:
        crm = self._running.crm
        if entity == "stage_history":
            return {
                f"deal:{number}": {"entity_id": row["OWNER_ID"], "to_stage_id": f"deal:{row['STAGE_ID']}"}
                for number, row in crm.history[DEAL.number].rows.items()
            }
        if entity == "activity":
            return {str(number): {"subject": row["SUBJECT"]} for number, row in crm.activities.rows.items()}
        if entity == "requisite":
            return {
                str(number): {"inn": row["RQ_INN"], "company_id": row["ENTITY_ID"]}
                for number, row in crm.requisites.rows.items()
            }
        kind = BY_NAME[entity]
        found: dict[str, dict[str, Any]] = {}
        for number, row in crm.items[kind.number].rows.items():
            values = {"name": row["name" if kind is CONTACT else "title"]}
            if kind is not COMPANY:
                values["company_id"] = str(row["companyId"]) if row["companyId"] else None
            if kind is DEAL:
                values["stage_id"] = f"deal:{row['stageId']}"
            found[str(number)] = values
        return found


def test_landing_equals_the_portal_whatever_happened(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sleep = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: sleep(min(seconds, 0.01)))
    opened = 0

    @contextmanager
    def open_portal() -> Iterator[Portal]:
        nonlocal opened
        opened += 1
        application = OAuthApplication()
        folder = tmp_path / str(opened)
        with running_crm(folder, oauth=application) as running:
            application.clock = lambda: running.clock.now.timestamp()
            yield Portal(running, application)

    check("bitrix24", "standard", database, open_portal)
