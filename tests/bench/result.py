"""One measured figure beside its peer's."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Result:
    """ratio = ours / peer for speeds, and time / limit or size / limit otherwise."""

    case: str
    metric: str
    unit: str
    ours: float
    peer: str
    peer_value: float
    at_least: float | None = None
    at_most: float | None = None

    @property
    def ratio(self) -> float:
        return self.ours / self.peer_value

    @property
    def goal(self) -> str:
        if self.at_least is not None:
            return f">= {self.at_least:g}"
        return f"<= {self.at_most:g}" if self.at_most is not None else ""

    @property
    def meets_goal(self) -> bool:
        return (self.at_least is None or self.ratio >= self.at_least) and (
            self.at_most is None or self.ratio <= self.at_most
        )

    def as_json(self) -> dict[str, Any]:
        return {
            "case": self.case,
            "metric": self.metric,
            "unit": self.unit,
            "ours": round(self.ours, 3),
            "peer": self.peer,
            "peer_value": round(self.peer_value, 3),
            "ratio": round(self.ratio, 3),
        }
