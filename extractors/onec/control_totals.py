"""Takes 1C's own totals out of its registers: revenue by day and organisation, settlements, stock.

The totals are 1C's, by its virtual tables; what the warehouse has is said by the marts, and the comparison is theirs.
Where a day differs, its documents are taken one by one, and those that have changed in 1C since they landed are noted:
they will land with the next read and are no discrepancy.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import yaml
from pydantic import BaseModel, ConfigDict, Field

from clients.connection import Connection
from clients.errors import Fatal
from clients.onec import OnecClient, local_time
from extractors.core.codec import rows_of
from extractors.core.spec import Configuration, load_configuration, load_entities
from extractors.onec.guest import parallel_requests, visit
from extractors.onec.metadata import Published, published
from extractors.onec.needs import chosen
from extractors.onec.reader import NO_RIGHTS
from extractors.onec.virtual_tables import Function, VirtualTables
from warehouse import clock
from warehouse.control_totals import CHANGED, Measure, Total, landed_versions, replace_documents, replace_totals
from warehouse.db import Connection as Database
from warehouse.settings import Settings, get_settings
from warehouse.sources import SourceConfig

log = logging.getLogger(__name__)

EMPTY_GUID = "00000000-0000-0000-0000-000000000000"
_FUNCTIONS: dict[Measure, Function] = {"revenue": "Turnovers", "settlement": "Balance", "stock": "Balance"}
_SUBJECTS: dict[Measure, str] = {"revenue": "", "settlement": "legal_entity", "stock": "warehouse"}
DOCUMENT = "document"
_LAST_SECOND = timedelta(seconds=1)
Rows = list[dict[str, Any]]


class By(BaseModel):
    """How a register tells an organisation or a subject: by a dimension, or by a catalog that it refers to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dimension: str
    keys: str | None = None
    field: str | None = None


class Spec(BaseModel):
    """Where a measure is kept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    register_name: str = Field(alias="register")
    amount: str
    organisation: By | None = None
    subject: By | None = None

    @property
    def needed(self) -> list[By]:
        return [by for by in (self.organisation, self.subject) if by is not None]


def specs_of(configuration: str) -> dict[Measure, Spec]:
    """Measures of a configuration; empty for one that nobody has described."""
    content = yaml.safe_load(Path(__file__).with_suffix(".yml").read_text(encoding="utf-8"))
    return {measure: Spec.model_validate(spec) for measure, spec in content.get(configuration, {}).items()}


@dataclass(frozen=True)
class Outcome:
    """What was taken: measures, and those that this base does not publish."""

    taken: dict[str, int]
    missing: list[str]


class ControlTotals:
    """The totals of one base."""

    def __init__(self, client: OnecClient, source: SourceConfig, settings: Settings, address: str) -> None:
        self._client = client
        self._source = source
        self._settings = settings
        self._zone = ZoneInfo(source.timezone)
        self._tables = VirtualTables(client, self._zone)
        self._configuration: Configuration = load_configuration(source.kind, source.mapping)
        self._specs = specs_of(self._configuration.name)
        self._base: Published = published(client.metadata, settings.var_dir, source.id, address, clock.now())
        self._catalogs: dict[tuple[str, str], dict[str, str]] = {}

    @property
    def measures(self) -> list[Measure]:
        """Measures whose register this base publishes."""
        return [measure for measure, spec in self._specs.items() if self._base.has(spec.register_name)]

    @property
    def missing(self) -> list[str]:
        return [measure for measure in _FUNCTIONS if measure not in self.measures]

    def of_days(self, measure: Measure, days: Sequence[date]) -> Iterable[tuple[date, list[Total]]]:
        """Totals of days, several days asked for at once."""
        for by in self._specs[measure].needed:
            self._catalog(by)
        with ThreadPoolExecutor(parallel_requests(self._source, self._settings), "totals") as pool:
            yield from zip(days, pool.map(lambda day: self._of_day(measure, day), days), strict=True)

    def documents(self, day: date) -> list[Total]:
        """Revenue of a day document by document. Those of ours are named by their entity, others by their set."""
        spec = self._specs["revenue"]
        begin, end = self._edges(day)
        names = [by.dimension for by in spec.needed]
        recorder = self._recorder_fields(spec.register_name)
        options = {
            "allowedOnly": "true",
            "$select": ",".join([*recorder, "Active", *names, spec.amount]),
            "$filter": f"Period ge {self._literal(begin)} and Period lt {self._literal(end)}",
        }
        rows = _rows(self._client.collection(f"{spec.register_name}_RecordType", options))
        sums: dict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
        kinds = self._kinds()
        for row in rows:
            if not row.get("Active", True):
                continue
            source_set = str(row.get("Recorder_Type", "")).rpartition(".")[2]
            kind = kinds.get(source_set, source_set or DOCUMENT)
            key = (self._tell(spec.organisation, row), kind, str(row[recorder[0]]))
            sums[key] += _decimal(row[spec.amount])
        return [Total(organisation, amount, kind, key) for (organisation, kind, key), amount in sums.items()]

    def changed_since_landing(self, conn: Database, day: date) -> list[Total]:
        """Documents of a day that 1C has now in another version than ours, that we lack, or that it has no more."""
        begin, end = self._edges(day)
        changed: set[str] = set()
        specs = load_entities(self._source.kind)
        for source_set, entity in self._kinds().items():
            if specs[entity].read != "window":
                continue
            options = {
                "allowedOnly": "true",
                "$select": "Ref_Key,DataVersion",
                "$filter": f"Date ge {self._literal(begin)} and Date lt {self._literal(end)}",
            }
            theirs = {
                str(row["Ref_Key"]): row.get("DataVersion")
                for row in _rows(self._client.collection(source_set, options))
            }
            ours = landed_versions(conn, specs[entity].table().name, self._source.id, begin, end)
            changed |= {key for key in theirs.keys() | ours.keys() if theirs.get(key, "") != ours.get(key, "")}
        return [Total("", Decimal(0), CHANGED, key) for key in sorted(changed)]

    def _of_day(self, measure: Measure, day: date) -> list[Total]:
        spec, function = self._specs[measure], _FUNCTIONS[measure]
        begin, end = self._edges(day)
        moments = (
            {"start": begin, "end": end - _LAST_SECOND}
            if function == "Turnovers"
            else {"period": min(end, clock.now())}
        )
        dimensions = list(dict.fromkeys(by.dimension.removesuffix("_Key") for by in spec.needed))
        body = self._tables.call(spec.register_name, function, dimensions=dimensions, **moments)  # type: ignore[arg-type]
        name = spec.amount + ("Turnover" if function == "Turnovers" else "Balance")
        sums: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
        for row in _rows(body):
            sums[self._tell(spec.organisation, row), self._tell(spec.subject, row)] += _decimal(row[name])
        return [
            Total(organisation, amount, _SUBJECTS[measure], subject) for (organisation, subject), amount in sums.items()
        ]

    def _tell(self, by: By | None, row: Mapping[str, Any]) -> str:
        if by is None:
            return ""
        value = str(row.get(by.dimension) or "")
        if by.keys is not None:
            value = self._catalog(by).get(value, "")
        return "" if value == EMPTY_GUID else value

    def _catalog(self, by: By) -> dict[str, str]:
        if by.keys is None or by.field is None:
            return {}
        if (by.keys, by.field) not in self._catalogs:
            options = {"allowedOnly": "true", "$select": f"Ref_Key,{by.field}"}
            rows = _rows(self._client.collection(by.keys, options))
            self._catalogs[by.keys, by.field] = {str(row["Ref_Key"]): str(row[by.field]) for row in rows}
        return self._catalogs[by.keys, by.field]

    def _kinds(self) -> dict[str, str]:
        """Sets of the documents that make revenue, with the names of our entities."""
        found = {}
        for entity in ("shipment", "return", "shipment_correction"):
            mapping = self._configuration.entities.get(entity)
            there = chosen(self._base, mapping) if mapping is not None else None
            if there is not None:
                found[there.source_set] = entity
        return found

    def _recorder_fields(self, register: str) -> list[str]:
        known = self._base.fields.get(f"{register}_RecordType", {})
        return ["Recorder", "Recorder_Type"] if "Recorder" in known else ["Recorder_Key"]

    def _edges(self, day: date) -> tuple[datetime, datetime]:
        """The day in the base's zone: [from, to)."""
        begin = datetime.combine(day, time(), self._zone)
        return begin, datetime.combine(day + timedelta(days=1), time(), self._zone)

    def _literal(self, moment: datetime) -> str:
        return local_time(moment.astimezone(self._zone).strftime("%Y-%m-%dT%H:%M:%S"))


OpenDatabase = Callable[[], AbstractContextManager[Database]]


def take(source: SourceConfig, connection: Connection, days: Sequence[date], database: OpenDatabase) -> Outcome:
    """Take revenue of each of `days`, settlements and stock as they are on the day after. Raises ClientError."""
    settings = get_settings()
    taken: dict[str, int] = {}
    with visit(source, connection, settings, database) as client:
        totals = ControlTotals(client, source, settings, connection.url)
        missing = totals.missing
        for measure in totals.measures:
            wanted = list(days) if measure == "revenue" else [days[-1] + timedelta(days=1)]
            try:
                for day, found in totals.of_days(measure, wanted):
                    with database() as conn:
                        replace_totals(conn, source.id, measure, day, found, clock.now())
                    taken[measure] = taken.get(measure, 0) + len(found)
            except Fatal as error:
                if error.code != NO_RIGHTS:
                    raise
                log.warning("%s: %s cannot be compared with 1C: %s", source.id, measure, error)
                missing.append(measure)
        return Outcome(taken, missing)


def explain(source: SourceConfig, connection: Connection, days: Sequence[date], database: OpenDatabase) -> int:
    """Take revenue of `days` anew, with each of their documents; returns how many documents. Raises ClientError."""
    settings = get_settings()
    count = 0
    with visit(source, connection, settings, database) as client:
        totals = ControlTotals(client, source, settings, connection.url)
        if "revenue" not in totals.measures:
            return 0
        for day, found in totals.of_days("revenue", days):
            with database() as conn:
                documents = totals.documents(day)
                changed = totals.changed_since_landing(conn, day)
                replace_totals(conn, source.id, "revenue", day, found, clock.now())
                replace_documents(conn, source.id, "revenue", day, [*documents, *changed], clock.now())
            count += len(documents)
    log.info("%s: %s documents of %s days compared with 1C one by one", source.id, count, len(days))
    return count


def _rows(body: bytes) -> Rows:
    """Rows of a collection, numbers as exact decimals."""
    return rows_of(body, parse_float=Decimal, parse_int=Decimal)


def _decimal(value: Any) -> Decimal:
    return Decimal(str(value)) if value is not None else Decimal(0)
