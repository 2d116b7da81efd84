"""What goes wrong with the Bot API."""

from dataclasses import dataclass
from typing import Literal

from simulators.faults import PlannedFault, check_kind

Kind = Literal[
    "timeout_before_acting",
    "timeout_after_acting",
    "reset_before_acting",
    "reset_after_acting",
    "internal_error",
    "error_after_acting",
    "bad_gateway",
    "flood",
]


@dataclass(frozen=True)
class Fault(PlannedFault):
    """The next `times` requests whose method begins so ("sendMessage", "" = any) fail, after `skip` that do not.

    A flood asks to wait `seconds`, rounded up.
    """

    kind: Kind
    request: str = ""

    def __post_init__(self) -> None:
        check_kind(self.kind, Kind)

    def fits(self, *requests: str) -> bool:
        return any(name.startswith(self.request) for name in requests)
