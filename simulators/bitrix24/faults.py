"""What goes wrong, and when: a plan of faults, each used up call by call."""

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

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
class Fault:
    """The next `times` calls of `method` ('*' = any of the portal's) fail so, after `skip` calls that do not.
    'oauth.token' is the vendor's token endpoint.

    seconds: how long a timeout keeps the caller waiting before the connection is cut.
    """

    kind: Kind
    method: str = "*"
    times: int = 1
    skip: int = 0
    seconds: float = 30.0

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"unknown fault '{self.kind}'; known: {', '.join(get_args(Kind))}")


class FaultPlan:
    """The first fault that fits a call is applied to it and used up."""

    def __init__(self, faults: list[Fault]) -> None:
        self._faults = list(faults)

    def replace_with(self, faults: list[dict[str, Any]]) -> None:
        self._faults = [Fault(**fault) for fault in faults]

    def next_for(self, *methods: str) -> Fault | None:
        """The fault of a request that calls these methods: a batch calls those of its commands as well."""
        for index, fault in enumerate(self._faults):
            if fault.method not in methods and (fault.method != "*" or "oauth.token" in methods):
                continue
            if fault.skip:
                self._faults[index] = replace(fault, skip=fault.skip - 1)
                return None
            if fault.times > 1:
                self._faults[index] = replace(fault, times=fault.times - 1)
            else:
                del self._faults[index]
            return fault
        return None

    def left(self) -> list[dict[str, Any]]:
        return [asdict(fault) for fault in self._faults]
