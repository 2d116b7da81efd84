"""The configured sources: `config/sources.yml`, validated."""

from datetime import datetime, time
from pathlib import Path
from typing import Annotated, Literal, get_args
from zoneinfo import ZoneInfo

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from warehouse.settings import get_settings

Kind = Literal["onec", "bitrix24", "amocrm", "hubspot", "file"]
KINDS: tuple[str, ...] = get_args(Kind)
CRM_KINDS = ("bitrix24", "amocrm", "hubspot")
_CLOCK = r"([01]\d|2[0-3]):[0-5]\d"
_SPAN = rf"^{_CLOCK}-{_CLOCK}$"
_DEFAULT_MAPPING = {"onec": "ut11", "file": "tables"}


class ExchangePlan(BaseModel):
    """A node of a 1C exchange plan that registers changes for us. plan: its name; node: code or guid of the node."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    plan: str = Field(pattern=r"^\w+$", max_length=100)
    node: str = Field(min_length=1, max_length=100)


class SourceConfig(BaseModel):
    """One base, portal or folder. `id` is the `instance` of every row that comes from it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)
    kind: Kind
    connection: str
    mapping: str = ""
    timezone: str = "Europe/Moscow"
    branches: Literal["none", "by_organization"] = "none"
    outlet: Literal["sub_partner", "partner", "delivery_address"] | None = None
    exchange_plan: ExchangePlan | None = None
    quiet_hours: tuple[Annotated[str, StringConstraints(pattern=_SPAN)], ...] = Field(
        (), description="Times of the base's day, like 18:00-21:30, in which it must not be touched"
    )
    parallel_requests: int | None = Field(None, ge=1, le=16, description="Requests at once, of all workers together")

    @model_validator(mode="before")
    @classmethod
    def _usual_mapping(cls, given: object) -> object:
        if isinstance(given, dict) and not given.get("mapping"):
            return {**given, "mapping": _DEFAULT_MAPPING.get(str(given.get("kind")), "standard")}
        return given

    def quiet_until(self, moment: datetime) -> time | None:
        """When the quiet hours end that `moment` (aware) lies in, on the base's clock; None outside of them."""
        now = moment.astimezone(ZoneInfo(self.timezone)).time()
        for span in self.quiet_hours:
            begin, end = (time.fromisoformat(part) for part in span.split("-"))
            if (begin <= now < end) if begin < end else (now >= begin or now < end):
                return end
        return None


class SourcesFile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    sources: list[SourceConfig] = Field(min_length=1)

    @field_validator("sources")
    @classmethod
    def _unique(cls, sources: list[SourceConfig]) -> list[SourceConfig]:
        ids = [source.id for source in sources]
        if len(set(ids)) != len(ids):
            raise ValueError(f"source ids repeat: {sorted(i for i in ids if ids.count(i) > 1)}")
        return sources


def load_sources(path: Path | None = None) -> list[SourceConfig]:
    """Read and validate the sources file. Raises FileNotFoundError or pydantic.ValidationError."""
    path = path or get_settings().sources
    return SourcesFile.model_validate(yaml.safe_load(path.read_text(encoding="utf-8"))).sources
