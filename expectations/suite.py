"""Suites as data: `suites/*.yml`, validated here before Great Expectations sees them.

A suite names batches (queries over the warehouse) and what is expected of them. A batch without a row floor
would be green on nothing, so it either sets `min_rows` or says in words why it may be empty.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from string import Formatter
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

SUITES_DIR = Path(__file__).resolve().parent / "suites"
ROW_FLOOR = "expect_table_row_count_to_be_between"
UNEXPECTED_ROWS = "unexpected_rows_expectation"
_PARAMETER = re.compile(r"(?<![:\w\\]):([a-z_][a-z0-9_]*)")


class SuiteInvalid(ValueError):
    """A suite file does not say what it has to; the message names the file and the place."""


class Message(BaseModel):
    """What people read when the expectation fails; `{field}` is a column of the first unexpected row."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ru: str = Field(min_length=3)
    en: str = Field(min_length=3)

    def fields(self) -> set[str]:
        return {name for text in (self.ru, self.en) for _, name, _, _ in Formatter().parse(text) if name}


class Batch(BaseModel):
    """Rows to look at. `query` may use the parameters `:instance`, `:as_of` and others of the runner."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    query: str
    min_rows: int | None = Field(None, ge=1)
    may_be_empty: str | None = Field(None, min_length=10, description="Why no rows at all is no fault here")
    when_empty: Message | None = None

    @model_validator(mode="after")
    def _floor_or_reason(self) -> "Batch":
        if (self.min_rows is None) == (self.may_be_empty is None):
            raise ValueError("set either min_rows, or may_be_empty with the reason")
        if (self.min_rows is None) != (self.when_empty is None):
            raise ValueError("min_rows and the message when_empty belong together")
        return self


class Expectation(BaseModel):
    """One expectation: a type of Great Expectations with its arguments, or `unexpected_rows`, a query.

    `scope: branch` means that the unexpected rows carry `branch_id`: only those branches fail.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)
    batch: str
    type: str = UNEXPECTED_ROWS
    arguments: dict[str, Any] = {}
    unexpected_rows: str | None = None
    severity: Literal["critical", "warning"]
    scope: Literal["source", "branch"] = "source"
    message: Message

    @model_validator(mode="after")
    def _one_kind(self) -> "Expectation":
        if (self.type == UNEXPECTED_ROWS) != (self.unexpected_rows is not None):
            raise ValueError(f"{self.id}: give a type with arguments, or unexpected_rows")
        if self.unexpected_rows is not None:
            if self.arguments:
                raise ValueError(f"{self.id}: unexpected_rows takes no arguments")
            if "{batch}" not in self.unexpected_rows:
                raise ValueError(f"{self.id}: the query of unexpected_rows must read from {{batch}}")
        elif self.scope == "branch":
            raise ValueError(f"{self.id}: only unexpected_rows can tell branches apart")
        return self

    def configuration(self) -> dict[str, Any]:
        """The expectation in the form that Great Expectations loads."""
        arguments = (
            self.arguments if self.unexpected_rows is None else {"unexpected_rows_query": self.unexpected_rows.strip()}
        )
        return {"type": self.type, "kwargs": dict(arguments), "severity": self.severity, "meta": {"id": self.id}}


class Suite(BaseModel):
    """A file of suites/: what has to be true, with the row floors of its batches among the expectations."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(alias="suite", pattern=r"^[a-z][a-z0-9_]*$")
    about: str
    batches: dict[str, Batch] = Field(min_length=1)
    expectations: list[Expectation] = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> "Suite":
        ids = [expectation.id for expectation in self.declared()]
        if repeated := sorted({i for i in ids if ids.count(i) > 1}):
            raise ValueError(f"expectation ids repeat: {repeated}")
        if unknown := sorted({e.batch for e in self.expectations} - set(self.batches)):
            raise ValueError(f"expectations name unknown batches: {unknown}")
        if any("%" in query for query in self._queries()):
            raise ValueError("a query holds a percent sign, which Great Expectations would double")
        if idle := sorted(set(self.batches) - {e.batch for e in self.declared()}):
            raise ValueError(f"batches that no expectation looks at: {idle}")
        return self

    def declared(self) -> list[Expectation]:
        """Every expectation in the order of its batch: first that there are rows at all, then what they hold."""
        floors = [
            Expectation(
                id=f"{name}_has_rows",
                batch=name,
                type=ROW_FLOOR,
                arguments={"min_value": batch.min_rows},
                severity="critical",
                message=batch.when_empty,
            )
            for name, batch in self.batches.items()
            if batch.min_rows is not None and batch.when_empty is not None
        ]
        order = list(self.batches)
        return sorted([*floors, *self.expectations], key=lambda e: order.index(e.batch) if e.batch in order else 0)

    def parameters(self) -> set[str]:
        """Names of the parameters that the queries use."""
        return {name for query in self._queries() for name in _PARAMETER.findall(query)}

    def _queries(self) -> list[str]:
        return [b.query for b in self.batches.values()] + [e.unexpected_rows or "" for e in self.expectations]


def bind(query: str, literals: Mapping[str, str]) -> str:
    """Put SQL literals in the place of `:name`. Raises KeyError for a parameter that was not given."""
    return _PARAMETER.sub(lambda match: literals[match.group(1)], query)


@lru_cache(maxsize=8)
def load_suite(name: str, directory: Path = SUITES_DIR) -> Suite:
    """Read and validate `<directory>/<name>.yml`. Raises SuiteInvalid."""
    path = directory / f"{name}.yml"
    try:
        suite = Suite.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise SuiteInvalid(f"there is no suite file {path.name} in {directory}") from None
    except (ValidationError, yaml.YAMLError) as error:
        raise SuiteInvalid(f"{path.name}: {error}") from error
    if suite.name != name:
        raise SuiteInvalid(f"{path.name} calls itself '{suite.name}'; the file's name and the suite's must agree")
    return suite
