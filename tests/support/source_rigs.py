"""Sources of every kind behind one handle: add, edit, delete and spoil records, and ask what the source holds.

To add a kind of source: write its rig, name it in RIGS; the conformance tests say what it has to keep.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import pytest

from clients.connection import Connection
from extractors.core import paging
from simulators.bitrix24.shapes import DEAL
from simulators.onec.base import Base, simple_set
from simulators.onec.exchange import ExchangePlan
from simulators.onec.server import PUBLICATION, OnecServer
from tests.support import amocrm, bitrix24, hubspot, serving, simulated_onec
from tests.support.small_onec import SmallOnec, brand, key, order
from warehouse import clock
from warehouse.sources import ExchangePlan as PlanOption
from warehouse.sources import SourceConfig


class Rig(Protocol):
    """One entity of one running source. Values are texts of its column `column`.

    deletions: how a vanished record is noticed: by the next read, or by a look at all ids.
    """

    source: SourceConfig
    entity: str
    column: str
    deletions: str

    @property
    def connection(self) -> Connection: ...
    def add(self, number: int, value: str) -> str: ...
    def edit(self, record_id: str, value: str) -> None: ...
    def delete(self, record_id: str) -> None: ...
    def spoil(self, record_id: str) -> None: ...
    def truth(self) -> dict[str, str]: ...


class SmallBaseRig:
    """A set of 1C read by offset: a catalog whole, documents by their dates."""

    def __init__(self, base: SmallOnec, entity: str) -> None:
        self.source = SourceConfig(id="onec_main", kind="onec", connection="onec_main")
        self.entity = entity
        self._set, self.column, self._field = {
            "brand": ("Catalog_Марки", "name", "Description"),
            "order": ("Document_ЗаказКлиента", "status", "Статус"),
        }[entity]
        self.deletions = "read" if entity == "brand" else "reconcile"
        self._base = base
        self._writes = 0
        base.sets = {"Catalog_Марки": [], "Document_ЗаказКлиента": []}

    @property
    def connection(self) -> Connection:
        return self._base.connection

    def add(self, number: int, value: str) -> str:
        record = brand(number) if self.entity == "brand" else order(number)
        self._base.sets[self._set].append(record | {self._field: value})
        return key(number)

    def edit(self, record_id: str, value: str) -> None:
        self._change(record_id, {self._field: value})

    def delete(self, record_id: str) -> None:
        records = self._base.sets[self._set]
        self._base.sets[self._set] = [record for record in records if record["Ref_Key"] != record_id]

    def spoil(self, record_id: str) -> None:
        self._change(record_id, {"DeletionMark": "может быть"})

    def truth(self) -> dict[str, str]:
        return {record["Ref_Key"]: record[self._field] for record in self._base.sets[self._set]}

    def _change(self, record_id: str, changes: dict[str, Any]) -> None:
        self._writes += 1
        records = self._base.sets[self._set]
        number = next(n for n, record in enumerate(records) if record["Ref_Key"] == record_id)
        records[number] = records[number] | changes | {"DataVersion": f"written {self._writes}"}


class ExchangeRig:
    """Documents of 1C that arrive by an exchange plan, once it has brought the first of them."""

    entity, column, deletions = "order", "number", "read"
    _SET = "Document_ЗаказКлиента"

    def __init__(self, base: Base, address: str) -> None:
        plan = PlanOption(plan="ДляODATA", node="odata")
        self.source = SourceConfig(id="onec_main", kind="onec", connection="onec_main", exchange_plan=plan)
        self.connection = Connection(address + PUBLICATION, simulated_onec.LOGIN, simulated_onec.PASSWORD)
        self._base = base

    def add(self, number: int, value: str) -> str:
        record = simulated_onec.order(number, 2) | {"Number": value}
        self._base.write(self._SET, record)
        return str(record["Ref_Key"])

    def edit(self, record_id: str, value: str) -> None:
        self._base.edit(self._SET, record_id, {"Number": value})

    def delete(self, record_id: str) -> None:
        self._base.remove(self._SET, record_id)

    def spoil(self, record_id: str) -> None:
        self._base.edit(self._SET, record_id, {"СуммаДокумента": Decimal("1E+200")})

    def truth(self) -> dict[str, str]:
        orders = self._base.sets[self._SET]
        return {orders.key(row): str(orders.exact(row)["Number"]).rstrip() for row in orders.rows}


class Bitrix24Rig:
    entity, column, deletions = "deal", "name", "reconcile"

    def __init__(self, portal: bitrix24.CrmPortal) -> None:
        self.source = bitrix24.SOURCE
        self.connection = portal.connection()
        self._portal = portal

    def add(self, number: int, value: str) -> str:
        self._portal.clock.pass_by(minutes=1)
        return str(self._portal.crm.add(DEAL, {"title": value, "opportunity": number + 0.5}))

    def edit(self, record_id: str, value: str) -> None:
        self._portal.clock.pass_by(minutes=1)
        self._portal.crm.update(DEAL, int(record_id), {"title": value})

    def delete(self, record_id: str) -> None:
        self._portal.clock.pass_by(minutes=1)
        self._portal.crm.delete(DEAL, int(record_id))

    def spoil(self, record_id: str) -> None:
        self.edit(record_id, self._rows()[int(record_id)]["title"])
        self._rows()[int(record_id)]["opportunity"] = "много"

    def truth(self) -> dict[str, str]:
        return {str(number): row["title"] for number, row in self._rows().items()}

    def _rows(self) -> dict[int, dict[str, Any]]:
        return self._portal.crm.items[DEAL.number].rows


class AmocrmRig:
    entity, column, deletions = "deal", "name", "read"

    def __init__(self, account: amocrm.Account) -> None:
        self.source = SourceConfig(id="amo", kind="amocrm", connection="amo")
        self.connection = account.connection()
        self._portal = account.app.portal
        leads = self._portal.records["leads"]
        self._pattern = dict(next(iter(leads.values())))
        for number in list(leads):
            self._portal.index["leads"].put(number, None)
            del leads[number]
        self._portal.events.clear()
        self._portal.bin["leads"].clear()

    def add(self, number: int, value: str) -> str:
        now = int(self._portal.now())
        record = {**self._pattern, "id": 5000 + number, "name": value, "created_at": now, "updated_at": now}
        self._portal.add("leads", record)
        return str(record["id"])

    def edit(self, record_id: str, value: str) -> None:
        self._portal.change("leads", int(record_id), {"name": value})

    def delete(self, record_id: str) -> None:
        self._portal.delete("leads", int(record_id))

    def spoil(self, record_id: str) -> None:
        self._portal.change("leads", int(record_id), {"price": "много"})

    def truth(self) -> dict[str, str]:
        return {str(number): record["name"] for number, record in self._portal.records["leads"].items()}


class HubspotRig:
    entity, column, deletions = "company", "name", "read"

    def __init__(self, account: hubspot.Account) -> None:
        self.source = SourceConfig(id="hub", kind="hubspot", connection="hub")
        self.connection = account.connection()
        self._portal = account.portal
        self._portal.define("companies", {"name": "survey_score", "type": "number", "fieldType": "number"})

    def add(self, number: int, value: str) -> str:
        return str(self._portal.create("companies", {"name": value}).id)

    def edit(self, record_id: str, value: str) -> None:
        self._portal.update("companies", int(record_id), {"name": value})

    def delete(self, record_id: str) -> None:
        self._portal.archive("companies", int(record_id))

    def spoil(self, record_id: str) -> None:
        self._portal.update("companies", int(record_id), {"survey_score": "много"})

    def truth(self) -> dict[str, str]:
        return {str(record.id): str(record.values["name"]) for record in self._portal.records("companies")}


class FileRig:
    """A folder into which the whole list of brands is put anew after every change."""

    entity, column, deletions = "brand", "name", "read"

    def __init__(self, folder: Path) -> None:
        self.source = SourceConfig(id="files", kind="file", connection="files")
        self.connection = Connection(url="", extra={"path": str(folder)})
        self._folder = folder
        self._brands: dict[str, list[str]] = {}
        self._written_at = clock.now() - timedelta(hours=3)

    def add(self, number: int, value: str) -> str:
        self._brands[f"b{number}"] = [value, "нет"]
        self._put()
        return f"b{number}"

    def edit(self, record_id: str, value: str) -> None:
        self._brands[record_id][0] = value
        self._put()

    def delete(self, record_id: str) -> None:
        del self._brands[record_id]
        self._put()

    def spoil(self, record_id: str) -> None:
        self._brands[record_id][1] = "может быть"
        self._put()

    def truth(self) -> dict[str, str]:
        return {number: row[0] for number, row in self._brands.items()}

    def _put(self) -> None:
        lines = ["Ид;Наименование;ПометкаУдаления", *(";".join([key, *row]) for key, row in self._brands.items())]
        path = self._folder / "brand.full.csv"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        self._written_at += timedelta(minutes=1)
        os.utime(path, (self._written_at.timestamp(), self._written_at.timestamp()))


Open = Callable[[Path, pytest.MonkeyPatch], AbstractContextManager[Rig]]


def _small_base(entity: str) -> Open:
    @contextmanager
    def opened(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[Rig]:
        patch.setattr(paging, "FIRST_PAGE", 4)
        patch.setattr(paging, "MAX_PAGE", 4)
        with SmallOnec() as base:
            yield SmallBaseRig(base, entity)

    return opened


@contextmanager
def _exchange(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[Rig]:
    patch.setattr(paging, "FIRST_PAGE", 4)
    patch.setattr(paging, "MAX_PAGE", 4)
    schemas = simulated_onec.SCHEMAS
    base = Base([simple_set(schemas[ExchangeRig._SET], [])], plan=ExchangePlan(content={ExchangeRig._SET}))
    with serving.serve(OnecServer(base, simulated_onec.LOGIN, simulated_onec.PASSWORD)) as address:
        yield ExchangeRig(base, address)


@contextmanager
def _bitrix24(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[Rig]:
    with bitrix24.running_crm(folder) as portal:
        yield Bitrix24Rig(portal)


@contextmanager
def _amocrm(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[Rig]:
    patch.setattr("extractors.amocrm.feeds.PAGE_LIMIT", 4, raising=False)
    with amocrm.running_account(folder, amocrm.picture()) as account:
        yield AmocrmRig(account)


@contextmanager
def _hubspot(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[Rig]:
    for name in ("LIST_PAGE", "SEARCH_PAGE"):
        patch.setattr(f"extractors.hubspot.account.{name}", 4)
    with hubspot.running_account() as account:
        yield HubspotRig(account)


@contextmanager
def _file(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[Rig]:
    patch.setattr("extractors.file.source.BATCH_RECORDS", 4)
    yield FileRig(folder)


RIGS: dict[str, Open] = {
    "onec catalog": _small_base("brand"),
    "onec documents": _small_base("order"),
    "onec exchange plan": _exchange,
    "bitrix24": _bitrix24,
    "amocrm": _amocrm,
    "hubspot": _hubspot,
    "file": _file,
}
