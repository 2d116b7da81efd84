"""Planned misbehaviour: which requests go wrong, how, and how many times."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

FaultKind = Literal[
    "status",  # any HTTP status with an HTML body; `retry_after` adds the header
    "html",  # a login page with status 200
    "session",  # no free session: 403 with an exception body, or 406 when `status` is 406
    "half_body",  # the connection closes in the middle of the body
    "reset",  # the connection is aborted before any answer
    "timeout",  # the answer comes after `seconds`
    "duplicate_page",  # the previous page is sent again
    "short_page",  # the last row of the page is missing
    "changed_order",  # rows come in another order than the pages before
    "broken_json",  # the body is cut but the headers agree with it
    "empty_body",  # status 200 and nothing
    "bom",  # a byte order mark before the body
    "bad_utf8",  # a record's JSON with a byte sequence that UTF-8 does not know
    "too_large",  # the worker ran out of temporary space: 500 with an HTML body
    "edit",  # before the answer somebody works in the set that is read; what is said by `edit`
]


@dataclass
class Fault:
    """Hits requests whose decoded URL contains `match`: skips the first `after`, then hits `times` (None: all)."""

    kind: FaultKind
    match: str = ""
    after: int = 0
    times: int | None = 1
    status: int = 503
    seconds: float = 30.0
    retry_after: int | None = None
    edit: Literal["insert", "change", "delete"] = "change"
    seen: int = 0
    hits: int = 0

    def __post_init__(self) -> None:
        if self.kind not in get_args(FaultKind):
            raise ValueError(f"unknown kind of fault: {self.kind}")

    def take(self, url: str) -> bool:
        """True when this request is to be hit; counts it."""
        if self.match not in url:
            return False
        self.seen += 1
        if self.seen <= self.after or (self.times is not None and self.hits >= self.times):
            return False
        self.hits += 1
        return True


@dataclass
class FaultPlan:
    """The faults in force. The first that takes a request wins."""

    faults: list[Fault] = field(default_factory=list)

    @classmethod
    def parse(cls, items: list[dict[str, Any]]) -> FaultPlan:
        """From JSON: a list of objects with the fields of `Fault`. Raises TypeError or ValueError."""
        return cls([Fault(**item) for item in items])

    def take(self, url: str) -> Fault | None:
        return next((fault for fault in self.faults if fault.take(url)), None)
