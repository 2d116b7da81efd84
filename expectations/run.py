"""Runs a suite with Great Expectations over the warehouse.

Two habits of Great Expectations are answered here: it drops an expectation whose type has a typo, and it calls "failed"
what raised, so that nothing was looked at. `CheckResult.evaluated` keeps the two apart.
"""

import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from expectations.suite import UNEXPECTED_ROWS, Expectation, Suite, SuiteInvalid, bind

if TYPE_CHECKING:
    from great_expectations.core import ExpectationSuite, ExpectationValidationResult
    from great_expectations.datasource.fluent.interfaces import Batch as GxBatch

log = logging.getLogger(__name__)

Parameter = str | int | float | date | datetime | Sequence[str] | None
_STATEMENT_TIMEOUT_MS = 300_000
_LOCK_TIMEOUT_MS = 60_000


@dataclass(frozen=True)
class CheckResult:
    """What came of one declared expectation. `rows` are the unexpected rows, at most 200 of `observed`."""

    expectation: Expectation
    evaluated: bool
    success: bool
    observed: Any
    rows: tuple[dict[str, Any], ...] = ()
    error: str | None = None

    @property
    def complete(self) -> bool:
        """False when more rows were unexpected than were fetched."""
        return not isinstance(self.observed, int) or len(self.rows) >= self.observed


def run_suite(suite: Suite, database_url: str, parameters: Mapping[str, Parameter]) -> list[CheckResult]:
    """Evaluate every declared expectation; the answer has one result for each, in the declared order.

    A missing table, a dead database or a broken query makes results that are not evaluated, never an exception.
    Raises SuiteInvalid when the suite itself is wrong (unknown type, unknown argument, missing parameter).
    """
    if missing := sorted(suite.parameters() - set(parameters)):
        raise SuiteInvalid(f"suite {suite.name} uses parameters nobody gave: {missing}")
    literals = {name: sql_literal(value) for name, value in parameters.items()}
    by_batch: dict[str, list[Expectation]] = {name: [] for name in suite.batches}
    for expectation in suite.declared():
        by_batch[expectation.batch].append(expectation)
    # The suite is built before the database is asked for anything: a typo is found on any machine.
    built = {
        (batch, detailed): build_suite(suite.name, expectations, literals)
        for batch, all_of_batch in by_batch.items()
        for detailed in (True, False)
        if (expectations := [e for e in all_of_batch if (e.type == UNEXPECTED_ROWS) is detailed])
    }
    results: dict[str, CheckResult] = {}
    datasource: Any = None
    error: str | None = None
    try:
        datasource = _datasource(database_url)
    except Exception as problem:
        error = _first_line(problem)
    for (batch_name, detailed), gx_suite in built.items():
        expectations = [e for e in by_batch[batch_name] if (e.type == UNEXPECTED_ROWS) is detailed]
        if datasource is not None:
            try:
                query = bind(suite.batches[batch_name].query, literals)
                batch = _batch(datasource, f"{batch_name}_{detailed}", query)
                # Only query expectations return their rows in full: a column's values may be personal data.
                outcome = batch.validate(gx_suite, result_format="COMPLETE" if detailed else "BASIC")
                for result in outcome.results:
                    found = _result(expectations, result)
                    results[found.expectation.id] = found
                error = None
            except Exception as problem:
                error = _first_line(problem)
                log.warning("suite %s, batch %s: not evaluated (%s)", suite.name, batch_name, error)
        for expectation in expectations:
            if expectation.id not in results:
                results[expectation.id] = CheckResult(
                    expectation, evaluated=False, success=False, observed=None, error=error or "no result came back"
                )
    return [results[expectation.id] for expectation in suite.declared()]


def build_suite(name: str, expectations: Sequence[Expectation], literals: Mapping[str, str]) -> "ExpectationSuite":
    """A suite of Great Expectations that holds exactly the declared expectations. Raises SuiteInvalid."""
    import great_expectations as gx  # 3 to 15 seconds: never at the top of a module

    configurations = []
    for expectation in expectations:
        configuration = expectation.configuration()
        if expectation.type == UNEXPECTED_ROWS:
            query = configuration["kwargs"]["unexpected_rows_query"]
            configuration["kwargs"]["unexpected_rows_query"] = bind(query, literals)
        configurations.append(configuration)
    gx_log = logging.getLogger("great_expectations.core.expectation_suite")
    was_disabled, gx_log.disabled = gx_log.disabled, True  # it prints a traceback for what is reported below
    try:
        suite = gx.ExpectationSuite(name=name, expectations=configurations)
    except Exception as problem:
        raise SuiteInvalid(f"suite {name}: Great Expectations refuses an expectation: {problem}") from problem
    finally:
        gx_log.disabled = was_disabled
    loaded = [str((e.meta or {}).get("id")) for e in suite.expectations]
    declared = [expectation.id for expectation in expectations]
    if loaded != declared:
        dropped = [f"{e.id} ({e.type})" for e in expectations if e.id not in loaded]
        raise SuiteInvalid(
            f"suite {name}: declared {len(declared)} expectations, loaded {len(loaded)}; not loaded: {dropped}"
        )
    return suite


def sql_literal(value: Parameter) -> str:
    """A PostgreSQL literal. Braces and colons are spelled so that neither `str.format` nor SQLAlchemy reads them."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float | Decimal):
        return str(value)
    if isinstance(value, datetime):
        return f"{_quoted(value.isoformat())}::timestamptz"
    if isinstance(value, date):
        return f"{_quoted(value.isoformat())}::date"
    if isinstance(value, str):
        return f"{_quoted(value)}::text"
    return f"array[{', '.join(sql_literal(str(item)) for item in value)}]::text[]"


def _quoted(text: str) -> str:
    if "\x00" in text:
        raise SuiteInvalid("a parameter holds a NUL character")
    doubled = text.replace("'", "''")
    escaped = "".join(f"\\u{ord(char):04x}" if char in "\\:{}%" else char for char in doubled)
    return f"e'{escaped}'" if escaped != doubled else f"'{doubled}'"


def _datasource(database_url: str) -> Any:
    import great_expectations as gx
    from sqlalchemy.engine import make_url

    # Rendering again percent-encodes what Great Expectations would take for its own "$variables".
    url = make_url(database_url).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
    context: Any = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    options = f"-c statement_timeout={_STATEMENT_TIMEOUT_MS} -c lock_timeout={_LOCK_TIMEOUT_MS} -c timezone=UTC"
    with warnings.catch_warnings():
        # It recommends its PostgreSQL class, which refuses URLs that name a socket.
        warnings.simplefilter("ignore")
        return context.data_sources.add_sql(
            "warehouse",
            connection_string=url,
            kwargs={"connect_args": {"options": options, "application_name": "polka checks", "connect_timeout": 10}},
        )


def _batch(datasource: Any, name: str, query: str) -> "GxBatch":
    asset = datasource.add_query_asset(name, query=f"select * from (\n{query.strip()}\n) as batch_rows")  # noqa: S608 (bound above)
    return asset.add_batch_definition_whole_table("all").get_batch()  # type: ignore[no-any-return]


def _result(expectations: Sequence[Expectation], result: "ExpectationValidationResult") -> CheckResult:
    config = result.expectation_config
    meta = (config.meta if config else None) or {}
    expectation = next(e for e in expectations if e.id == meta.get("id"))
    error = _raised(result.exception_info or {})
    details = dict(result.result or {})
    rows = tuple(dict(row) for row in (details.get("details") or {}).get("unexpected_rows") or ())
    observed = details.get("observed_value")
    if observed is None and "unexpected_count" in details:
        observed = {key: details.get(key) for key in ("element_count", "unexpected_count", "unexpected_percent")}
    if error is None and observed is None:
        error = "nothing was observed"
    return CheckResult(
        expectation=expectation,
        evaluated=error is None,
        success=bool(result.success) and error is None,
        observed=observed,
        rows=rows,
        error=error,
    )


def _raised(info: Mapping[str, Any]) -> str | None:
    """The first exception in either of the two shapes in which Great Expectations reports them."""
    entries = [info] if "raised_exception" in info else [entry for entry in info.values() if isinstance(entry, dict)]
    for entry in entries:
        if entry.get("raised_exception"):
            return _shorten(str(entry.get("exception_message") or "exception"))
    return None


def _first_line(problem: BaseException) -> str:
    return f"{type(problem).__name__}: {_shorten(str(problem))}"


def _shorten(text: str) -> str:
    return text.strip().split("\n", 1)[0][:300]
