"""Examines a 1C base as a mapping will use it: what is there, what is not, how fast, how much. Changes nothing.

Every finding is data; the sentences that explain it to people are made where they are shown.
"""

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from clients.connection import Connection
from clients.errors import ClientError
from clients.http import is_loopback, redact
from clients.onec import OnecClient
from extractors.core.errors import SpecError
from extractors.core.paging import FIRST_PAGE, MAX_PAGE
from extractors.core.spec import Configuration, Entity, EntityMapping, load_configuration, load_entities
from extractors.onec.metadata import Published, published
from extractors.onec.needs import Gap, chosen, gaps
from extractors.onec.similar import similar_sets
from extractors.onec.virtual_tables import VirtualTables, dimensions_of, register_of
from warehouse.sources import SourceConfig

# A sample page: large enough to show the base's pace, small enough not to trouble it.
SAMPLE_BYTES = 2_000_000
SAMPLE_ROWS = 1_000
CLOCK_TOLERANCE = timedelta(seconds=60)
_NO_RIGHTS = "20"
UTC = ZoneInfo("UTC")  # no moment is asked for
_QUOTED = re.compile(r"1C says: «(.*)»$", re.DOTALL)
# After these nothing more can be learned from the base.
_LOST = {"unknown_host", "refused", "connect_timeout", "login", "session_refused", "no_licence"}
_ALLOWED = {"allowedOnly": "true"}
_ORDERED = {**_ALLOWED, "$orderby": "Ref_Key"}

Rights = Literal["all", "part", "none", "unknown"]
Tls = Literal["verified", "failed", "plain", "plain_local", "unknown"]


@dataclass(frozen=True)
class Trouble:
    """Why an answer was no use. `cause` is a word for programs; `quoted` are 1C's own words, if it had any."""

    cause: str
    message: str
    status: int | None = None
    code: str | None = None
    quoted: str | None = None


@dataclass(frozen=True)
class Sample:
    """Pages that were read for a measurement. `seconds` from the question to the last byte of all of them.

    `page_*` belong to the largest page; `fixed_seconds` and `row_seconds` split its time into what any page costs
    and what a record adds.
    """

    rows: int
    bytes: int
    seconds: float
    page_rows: int
    page_bytes: int
    page_seconds: float
    fixed_seconds: float
    row_seconds: float


@dataclass(frozen=True)
class EntityReport:
    """One entity of the mapping. `rows` counts what the user may see; None when the base did not tell.

    source_set: what is read; `stands_in_for` names the set that the mapping would rather read and the base does not
    publish. function: the virtual table of a register. without: language -> what stands in for an entity that is not
    published.
    """

    entity: str
    source_set: str
    optional: bool
    published: bool
    stands_in_for: str | None = None
    function: str | None = None
    without: Mapping[str, str] = field(default_factory=dict)
    gaps: tuple[Gap, ...] = ()
    similar: tuple[str, ...] = ()
    rights: Rights = "unknown"
    rows: int | None = None
    sample: Sample | None = None
    trouble: Trouble | None = None

    @property
    def is_fit(self) -> bool:
        """Whether a load of this entity would go through."""
        if not self.published:
            return self.optional
        lacking = any(not gap.optional for gap in self.gaps)
        return not lacking and self.rights != "none" and self.trouble is None


@dataclass(frozen=True)
class Estimate:
    """The first load, extrapolated from the samples: what 1C and the network need, without our own work.

    seconds_at_most: pages of the sample's size, one after another. seconds_at_least: pages as large as the settings
    allow, `parallel` at a time, if 1C keeps its pace under that. `unknown`: entities that are not in the figures.
    """

    rows: int
    bytes: int
    seconds_at_least: float
    seconds_at_most: float
    sampled_rows: int
    sampled_bytes: int
    parallel: int
    unknown: tuple[str, ...]


@dataclass(frozen=True)
class SourceReport:
    """One source. None means that the examination did not come so far. Skew in seconds, positive: 1C's is ahead."""

    source: str
    mapping: str
    address: str
    asked_at: datetime
    reachable: bool | None = None
    login_accepted: bool | None = None
    tls: Tls = "unknown"
    clock_skew_seconds: float | None = None
    first_answer_seconds: float | None = None
    metadata_seconds: float | None = None
    published_sets: int | None = None
    entities: tuple[EntityReport, ...] = ()
    estimate: Estimate | None = None
    trouble: Trouble | None = None

    @property
    def is_fit(self) -> bool:
        """Whether nothing is missing that the mapping requires."""
        return self.trouble is None and bool(self.entities) and all(entity.is_fit for entity in self.entities)


def examine(
    source: SourceConfig,
    connection: Connection,
    *,
    var_dir: Path,
    now: Callable[[], datetime],
    timeout: float = 120.0,
    page_target_bytes: int = 32_000_000,
    parallel: int = 4,
    progress: Callable[[str], None] = lambda step: None,
) -> SourceReport:
    """Ask the base everything that a load will need of it. Never raises ClientError: what went wrong is reported.

    now: the clock that the base's is compared with. timeout: seconds per request. page_target_bytes, parallel: how
    loads will read, for the estimate. progress is told the step that begins.
    """
    report = SourceReport(
        source=source.id, mapping=source.mapping, address=_shown(connection), asked_at=now(), tls=_tls(connection.url)
    )
    try:
        configuration = load_configuration(source.kind, source.mapping)
        client = OnecClient(connection, timeout=timeout, attempts=2)
    except SpecError as error:
        return replace(report, trouble=Trouble("bad_mapping", redact(str(error), [connection.password])))
    except ClientError as error:
        return replace(report, reachable=False, trouble=_trouble(error))
    with client:
        progress(report.address)
        report = _greeted(report, client, now)
        if report.trouble is not None:
            return report
        progress("$metadata")
        started = time.monotonic()
        try:
            base = published(client.metadata, var_dir, source.id, connection.url, now(), max_age=timedelta(0))
        except ClientError as error:
            return replace(report, trouble=_trouble(error))
        report = replace(report, metadata_seconds=time.monotonic() - started)
        return _with_entities(report, client, base, configuration, page_target_bytes, parallel, progress)


def failed_report(
    source: SourceConfig, connection: Connection | None, asked_at: datetime, why: str | ClientError
) -> SourceReport:
    """A report that holds nothing but why the base could not be asked."""
    trouble = _trouble(why) if isinstance(why, ClientError) else Trouble(why, why)
    address = _shown(connection) if connection else ""
    return SourceReport(source.id, source.mapping, address, asked_at, trouble=trouble)


def _greeted(report: SourceReport, client: OnecClient, now: Callable[[], datetime]) -> SourceReport:
    before = now()
    try:
        greeting = client.greet()
    except ClientError as error:
        trouble = _trouble(error)
        if trouble.cause == "too_large":  # an empty list of sets is never too large: the worker is ill
            trouble = replace(trouble, cause="server_error")
        answered = error.status is not None
        tls: Tls = "failed" if trouble.cause.startswith("tls") else report.tls
        accepted = False if trouble.cause in {"login", "login_scheme"} else None
        return replace(report, reachable=answered, login_accepted=accepted, tls=tls, trouble=trouble)
    skew = None
    if greeting.server_time is not None:
        middle = before + (now() - before) / 2
        # The header knows whole seconds only: half a second is its middle.
        skew = round((greeting.server_time - middle).total_seconds() + 0.5, 1)
    trouble_or_none = None if greeting.sets else Trouble("empty_composition", "no object is published by OData")
    return replace(
        report,
        reachable=True,
        login_accepted=True,
        clock_skew_seconds=skew,
        first_answer_seconds=greeting.elapsed,
        published_sets=len(greeting.sets),
        trouble=trouble_or_none,
    )


def _with_entities(
    report: SourceReport,
    client: OnecClient,
    base: Published,
    configuration: Configuration,
    page_target_bytes: int,
    parallel: int,
    progress: Callable[[str], None],
) -> SourceReport:
    specs = load_entities(configuration.kind)
    found: list[EntityReport] = []
    for name, mapping in configuration.entities.items():
        progress(mapping.source_set)
        entity = _entity(client, base, mapping, specs[name])
        found.append(entity)
        if entity.trouble is not None and entity.trouble.cause in _LOST:
            return replace(report, entities=tuple(found), trouble=entity.trouble)
    return replace(report, entities=tuple(found), estimate=estimate(found, page_target_bytes, parallel))


def _entity(client: OnecClient, base: Published, mapping: EntityMapping, spec: Entity) -> EntityReport:
    there = chosen(base, mapping)
    report = EntityReport(
        spec.name,
        mapping.source_set,
        mapping.optional,
        there is not None,
        function=mapping.function,
        without=spec.without,
    )
    if there is None:
        return replace(report, similar=similar_sets(base, mapping.source_set))
    if there.source_set != mapping.source_set:
        report = replace(report, source_set=there.source_set, stands_in_for=mapping.source_set)
    report = replace(report, gaps=tuple(gaps(base, there, spec)))
    try:
        if there.function is not None:
            return replace(report, rights="all", sample=_virtual_sample(client, base, there, spec))
        rights, rows = _count(client, there)
        report = replace(report, rights=rights, rows=rows)
        if rights == "none":
            return report
        # Registers have no key of their own to order by.
        options = _ORDERED if spec.read in ("full", "window") else _ALLOWED
        return replace(report, sample=_sample(client, there, rows, options))
    except ClientError as error:
        if error.code == _NO_RIGHTS:
            return replace(report, rights="none")
        return replace(report, trouble=_trouble(error))


def _count(client: OnecClient, mapping: EntityMapping) -> tuple[Rights, int | None]:
    """Without `allowedOnly` first: 1C refuses that when some records are hidden from the user."""
    only = {"$filter": mapping.only} if mapping.only else {}
    try:
        return "all", client.count(mapping.source_set, only)
    except ClientError as error:
        if error.code != _NO_RIGHTS:
            raise
    try:
        return "part", client.count(mapping.source_set, {**_ALLOWED, **only})
    except ClientError as error:
        if error.code != _NO_RIGHTS:
            raise
    return "none", None


def _virtual_sample(client: OnecClient, base: Published, mapping: EntityMapping, spec: Entity) -> Sample:
    """The first rows of a virtual table, asked as a load asks: how many there are, it does not tell."""
    started = time.monotonic()
    body = VirtualTables(client, UTC).call(
        register_of(base, mapping),
        mapping.function,  # type: ignore[arg-type]
        condition=mapping.only,
        dimensions=dimensions_of(base, mapping, spec),
        options={"$top": str(FIRST_PAGE)},
    )
    seconds = time.monotonic() - started
    rows = _records(body, mapping.source_set)
    return Sample(rows, len(body), seconds, rows, len(body), seconds, seconds, 0.0)


def _sample(client: OnecClient, mapping: EntityMapping, rows: int | None, options: Mapping[str, str]) -> Sample:
    """The first records, as every load begins, and a larger page from the middle, where recent documents lie."""
    options = {**options, "$filter": mapping.only} if mapping.only else options
    first = _page(client, mapping.source_set, options, 0, FIRST_PAGE)
    count, size, seconds = first
    beyond = (rows or 0) - FIRST_PAGE
    if count < FIRST_PAGE or beyond <= 0:
        return Sample(count, size, seconds, count, size, seconds, seconds, 0.0)
    top = max(1, min(SAMPLE_ROWS, SAMPLE_BYTES * count // max(size, 1), beyond))
    more = _page(client, mapping.source_set, options, FIRST_PAGE + (beyond - top) // 2, top)
    row_seconds = max(more[2] - seconds, 0.0) / (more[0] - count) if more[0] > count else 0.0
    large = more if more[0] >= count else first
    fixed = max(large[2] - row_seconds * large[0], 0.0)
    return Sample(
        rows=count + more[0],
        bytes=size + more[1],
        seconds=seconds + more[2],
        page_rows=large[0],
        page_bytes=large[1],
        page_seconds=large[2],
        fixed_seconds=fixed,
        row_seconds=row_seconds,
    )


def _page(
    client: OnecClient, source_set: str, options: Mapping[str, str], skip: int, top: int
) -> tuple[int, int, float]:
    """Records, bytes and seconds of one page."""
    started = time.monotonic()
    body = client.collection(source_set, {**options, "$top": str(top), "$skip": str(skip)})
    seconds = time.monotonic() - started
    return _records(body, source_set), len(body), seconds


def _records(body: bytes, source_set: str) -> int:
    """How many records a page holds."""
    try:
        return len(json.loads(body.decode("utf-8-sig", "replace"), strict=False)["value"])
    except (ValueError, KeyError, TypeError):
        raise ClientError(f"a page of {source_set} is not readable JSON", cause="broken_json") from None


def estimate(entities: Sequence[EntityReport], page_target_bytes: int, parallel: int) -> Estimate:
    """Extrapolate the samples to all rows. Entities without a count or a sample are named, not guessed."""
    rows = size = sampled_rows = sampled_bytes = 0
    least = most = 0.0
    unknown: list[str] = []
    for entity in entities:
        if not entity.published:
            continue
        sample = entity.sample
        if entity.rows is None or sample is None or (entity.rows and not sample.rows):
            unknown.append(entity.entity)
            continue
        sampled_rows += sample.rows
        sampled_bytes += sample.bytes
        if not sample.rows:
            continue
        per_row = sample.bytes / sample.rows
        rows += entity.rows
        size += round(entity.rows * per_row)
        one_by_one = max(entity.rows / max(sample.page_rows, 1), 1.0) * sample.page_seconds
        page_rows = max(1.0, min(MAX_PAGE, page_target_bytes / per_row))
        pages = max(1.0, entity.rows / page_rows)
        row_seconds = sample.row_seconds or sample.page_seconds / max(sample.page_rows, 1)
        at_best = (pages * sample.fixed_seconds + entity.rows * row_seconds) / min(parallel, max(pages, 1.0))
        most += one_by_one
        least += min(at_best, one_by_one)
    return Estimate(rows, size, least, most, sampled_rows, sampled_bytes, parallel, tuple(unknown))


def _trouble(error: ClientError) -> Trouble:
    quoted = _QUOTED.search(str(error))
    return Trouble(error.cause or "other", str(error), error.status, error.code, quoted[1] if quoted else None)


def _tls(address: str) -> Tls:
    parts = urlsplit(address)
    if parts.scheme == "https":
        return "verified"
    if parts.scheme != "http":
        return "unknown"
    return "plain_local" if is_loopback(parts.hostname) else "plain"


def _shown(connection: Connection) -> str:
    return redact(connection.url.split("?")[0], [connection.password])
