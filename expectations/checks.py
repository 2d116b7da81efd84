"""The two suites that run where the data is made: landing after an extract, marts after a build."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from expectations.record import write_checks
from expectations.run import CheckResult, Parameter, run_suite
from expectations.suite import load_suite
from expectations.wording import sentence
from warehouse import clock
from warehouse.db import connect
from warehouse.db import database_url as configured_url
from warehouse.settings import get_settings
from warehouse.sources import CRM_KINDS

log = logging.getLogger(__name__)


class ChecksFailed(RuntimeError):
    """A critical expectation failed or could not be evaluated; the message lists which and why."""


@dataclass(frozen=True)
class SuiteOutcome:
    """What a suite found. `declared` = `evaluated` unless something could not be looked at."""

    suite: str
    instance: str | None
    as_of: date
    declared: int
    evaluated: int
    failed: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def success(self) -> bool:
        return self.declared > 0 and self.evaluated == self.declared and not self.failed

    def raise_if_failed(self) -> None:
        """Raises ChecksFailed unless every expectation was evaluated and no critical one failed."""
        if not self.success:
            where = f" of {self.instance}" if self.instance else ""
            raise ChecksFailed(
                f"suite {self.suite}{where}: {self.evaluated} of {self.declared} expectations evaluated; "
                + ("; ".join(self.failed) or "nothing was looked at")
            )

    def summary(self) -> dict[str, Any]:
        """The outcome in JSON-able form."""
        return {
            "suite": self.suite,
            "instance": self.instance,
            "as_of": self.as_of.isoformat(),
            "declared": self.declared,
            "evaluated": self.evaluated,
            "failed": list(self.failed),
            "warnings": list(self.warnings),
        }


def check_landing(
    instance: str, *, as_of: date, run_id: str, kind: str = "onec", database_url: str | None = None
) -> SuiteOutcome:
    """Does what landed from this source hold to the contract of the landing? Results go to ops.check_result."""
    suite = "landing_crm" if kind in CRM_KINDS else "landing"
    return _check(suite, {"instance": instance, "as_of": as_of}, instance, as_of, run_id, database_url)


def check_marts(as_of: date, run_id: str, *, database_url: str | None = None) -> SuiteOutcome:
    """Do the marts of this business date hold together? Results go to ops.check_result."""
    return _check("marts", {"as_of": as_of}, None, as_of, run_id, database_url)


def _check(
    name: str,
    parameters: Mapping[str, Parameter],
    instance: str | None,
    as_of: date,
    run_id: str,
    database_url: str | None,
) -> SuiteOutcome:
    suite = load_suite(name)
    settings = get_settings()
    url = database_url or configured_url()
    results = run_suite(suite, url, {**parameters, "now": clock.now()})
    with connect(url) as conn:
        write_checks(conn, suite, results, run_id=run_id, as_of=as_of, instance=instance, settings=settings)
    outcome = SuiteOutcome(
        suite=name,
        instance=instance,
        as_of=as_of,
        declared=len(suite.declared()),
        evaluated=sum(result.evaluated for result in results),
        failed=tuple(_texts(results, "critical")),
        warnings=tuple(_texts(results, "warning")),
    )
    for text in outcome.warnings:
        log.warning("suite %s: %s", name, text)
    return outcome


def _texts(results: Sequence[CheckResult], severity: str) -> list[str]:
    settings = get_settings()
    zone = ZoneInfo(settings.time_zone)
    texts = []
    for result in results:
        # What could not be looked at counts as critical whatever it would have been.
        weight = result.expectation.severity if result.evaluated else "critical"
        if not result.success and weight == severity:
            said = sentence(result, zone)
            texts.append(said.ru if settings.language == "ru" else said.en)
    return texts
