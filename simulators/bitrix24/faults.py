"""What goes wrong with a portal."""

from dataclasses import dataclass
from typing import Literal

from simulators.faults import PlannedFault, check_kind

Kind = Literal[
    "timeout_before_acting",
    "timeout_after_acting",
    "reset_before_acting",
    "reset_after_acting",
    "query_limit",
    "operation_limit",
    "overload",
    "internal_error",
    "not_json",
    "expired_token",
    "access_denied",
    "insufficient_scope",
    "gateway_timeout",
    "lost_commands",
]


@dataclass(frozen=True)
class Fault(PlannedFault):
    """The next `times` calls of `method` ('*' = any of the portal's) fail so, after `skip` calls that do not.
    'oauth.token' is the vendor's token endpoint; a batch is a call of the methods of its commands as well.
    """

    kind: Kind
    method: str = "*"

    def __post_init__(self) -> None:
        check_kind(self.kind, Kind)

    def fits(self, *requests: str) -> bool:
        return self.method in requests or (self.method == "*" and "oauth.token" not in requests)
