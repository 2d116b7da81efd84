"""The configured sources: `config/sources.yml`, validated."""

from pathlib import Path
from typing import Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from warehouse.settings import get_settings

Kind = Literal["onec", "bitrix24", "amocrm", "hubspot", "file"]
KINDS: tuple[str, ...] = get_args(Kind)
CRM_KINDS = ("bitrix24", "amocrm", "hubspot")
_DEFAULT_MAPPING = {"onec": "ut11", "file": "tables"}


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

    @model_validator(mode="before")
    @classmethod
    def _usual_mapping(cls, given: object) -> object:
        if isinstance(given, dict) and not given.get("mapping"):
            return {**given, "mapping": _DEFAULT_MAPPING.get(str(given.get("kind")), "standard")}
        return given


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
