"""What goes wrong with an account."""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from simulators.faults import PlannedFault, check_kind

Kind = Literal[
    "timeout_before_acting", "timeout_after_acting", "reset_before_acting", "reset_after_acting",
    "too_many", "blocked", "internal_error", "bad_gateway", "gateway_timeout", "unauthorized",
    "not_paid", "no_rights", "nothing",
]  # fmt: skip


@dataclass(frozen=True)
class Fault(PlannedFault):
    """The next `times` requests like `request` fail so, after `skip` that do not.

    request: method and path below /api/v4/ as a pattern, e.g. 'POST tasks', 'GET leads*', '* oauth2/*'.
    """

    kind: Kind
    request: str = "*"

    def __post_init__(self) -> None:
        check_kind(self.kind, Kind)

    def fits(self, *requests: str) -> bool:
        return any(fnmatchcase(name, self.request) for name in requests)
