"""What goes wrong, and when: a plan of faults, each used up request by request."""

from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any, Literal, get_args

Kind = Literal[
    "timeout_before_acting", "timeout_after_acting", "reset_before_acting", "reset_after_acting",
    "too_many", "blocked", "internal_error", "bad_gateway", "gateway_timeout", "unauthorized",
    "not_paid", "no_rights", "nothing",
]  # fmt: skip


@dataclass(frozen=True)
class Fault:
    """The next `times` requests like `request` fail so, after `skip` that do not.

    request: method and path below /api/v4/ as a pattern, e.g. 'POST tasks', 'GET leads*', '* oauth2/*'.
    seconds: how long a timeout keeps the caller waiting before the connection is cut.
    """

    kind: Kind
    request: str = "*"
    times: int = 1
    skip: int = 0
    seconds: float = 30.0

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"unknown fault '{self.kind}'; known: {', '.join(get_args(Kind))}")


class FaultPlan:
    """The first fault that fits a request is applied to it and used up."""

    def __init__(self, faults: list[Fault]) -> None:
        self.faults = list(faults)

    def replace_with(self, faults: list[dict[str, Any]]) -> None:
        self.faults = [Fault(**fault) for fault in faults]

    def next_for(self, request: str) -> Fault | None:
        for index, fault in enumerate(self.faults):
            if not fnmatchcase(request, fault.request):
                continue
            if fault.skip:
                self.faults[index] = replace(fault, skip=fault.skip - 1)
                return None
            if fault.times > 1:
                self.faults[index] = replace(fault, times=fault.times - 1)
            else:
                del self.faults[index]
            return fault
        return None
