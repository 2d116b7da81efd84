"""A plan of what goes wrong, used up request by request; each simulator says what its faults are and which fit."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Generic, Self, TypeVar, get_args


@dataclass(frozen=True, kw_only=True)
class PlannedFault(ABC):
    """One way to fail. Simulators add the `kind` of failure, and by which requests it is meant.

    times: how many requests fail so; skip: how many that fit go well before. seconds: how long a timeout keeps the
    caller waiting before the connection is cut.
    """

    times: int = 1
    skip: int = 0
    seconds: float = 30.0

    @abstractmethod
    def fits(self, *requests: str) -> bool:
        """Whether a request that goes by these names is meant."""

    def used(self) -> Self | None:
        """What is left of it after one more request that fits."""
        if self.skip:
            return replace(self, skip=self.skip - 1)
        return replace(self, times=self.times - 1) if self.times > 1 else None


Fault = TypeVar("Fault", bound=PlannedFault)


class FaultPlan(Generic[Fault]):
    """The first fault that fits a request is applied to it and used up."""

    def __init__(self, faults: Sequence[Fault], make: Callable[..., Fault]) -> None:
        self.faults = list(faults)
        self._make = make

    def replace_with(self, faults: Sequence[dict[str, Any]]) -> None:
        """Raises TypeError or ValueError for what is no fault."""
        self.faults = [self._make(**fault) for fault in faults]

    def next_for(self, *requests: str) -> Fault | None:
        """The fault of a request, None when all is well."""
        for index, fault in enumerate(self.faults):
            if fault.fits(*requests):
                left = fault.used()
                self.faults[index : index + 1] = [left] if left is not None else []
                return None if fault.skip else fault
        return None

    def left(self) -> list[dict[str, Any]]:
        return [asdict(fault) for fault in self.faults]


def check_kind(kind: str, kinds: Any) -> None:
    """Raises ValueError when `kind` is none of the Literal `kinds`."""
    if kind not in get_args(kinds):
        raise ValueError(f"unknown fault '{kind}'; known: {', '.join(get_args(kinds))}")
