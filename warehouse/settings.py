"""All settings of Polka, read once from the environment (prefix POLKA_)."""

import os
from collections.abc import Mapping
from datetime import date, time
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

PROJECT_ROOT = Path(__file__).resolve().parents[1]


class Settings(BaseSettings):
    """Typed settings. Secrets of sources and channels are not here: they live in Airflow connections."""

    model_config = SettingsConfigDict(env_prefix="POLKA_", env_ignore_empty=True, frozen=True, extra="ignore")

    var_dir: Path = PROJECT_ROOT / "var"
    database_url: str | None = Field(None, description="Warehouse; None means the embedded server under var_dir")
    sources: Path = PROJECT_ROOT / "config" / "sources.yml"
    language: Literal["ru", "en"] = "ru"
    time_zone: str = Field("Europe/Moscow", description="The company's zone: business dates and sending hours")
    business_date: date | None = Field(None, description="Pins the business date; for rehearsals, replays and tests")

    token_keys: SecretStr | None = Field(
        None, description="Fernet keys, comma separated: OAuth tokens in the warehouse are encrypted with the first"
    )

    send: bool = Field(False, description="False rehearses: everything runs, only the last step to people is withheld")
    channels: list[str] = ["bitrix24", "email"]
    bitrix24_connection: str = "b24_main"
    amocrm_connection: str = "amo_main"
    hubspot_connection: str = "hubspot_main"
    telegram_connection: str = "telegram_main"
    email_connection: str = "smtp_default"
    email_from: str = "polka@localhost"
    logistics_email: str | None = Field(None, description="Who is told daily what we did not bring; nobody when absent")
    list_cap: int = Field(15, ge=1, description="Rows a rep gets in one day at most")

    extract_schedule: str = Field("7 5-20 * * *", description="Cron, or 'manual'")
    transform_schedule: str = Field("40 5 * * *", description="Cron beside the assets, or 'manual' for assets only")
    follow_up_schedule: str = Field("30 7 * * 1-6", description="Cron, or 'manual'")
    reconcile_schedule: str = Field("0 2 * * 0", description="Cron of the weekly windows, or 'manual'")
    forecast_schedule: str = Field("50 4 * * 1", description="Cron of the weekly demand forecast, or 'manual'")
    cut_off: time = Field(time(12, 0), description="Held branches are re-checked until this time of the company's day")
    recheck_seconds: int = Field(60, ge=1, description="Pause between two looks of the gate at a held branch")
    coverage_max_age_hours: float = Field(6.0, gt=0, description="Older coverage is stale and holds the list")

    build_work_mem: str = Field(
        "64MB",
        description="Memory of one sort or hash while marts are built; the server's own default suits small questions",
    )

    onec_overlap_days: int = Field(45, ge=0, description="How far back of the cursor documents are read again")
    modified_overlap_minutes: int = Field(
        60, ge=0, description="How far back of the cursor a CRM is asked again for what was modified"
    )
    control_total_days: int = Field(31, ge=1, description="Days that are compared with 1C's own totals every night")
    onec_page_target_bytes: int = 32_000_000
    onec_prefetch: int = Field(4, ge=1, le=16)
    bitrix24_parallel: int = Field(6, ge=1, le=20, description="Requests to a portal at once while a list is read")
    request_timeout_seconds: float = 600.0
    file_settle_seconds: int = Field(60, ge=0, description="How long a file of a watched folder must lie unchanged")


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The process's settings; tests call `get_settings.cache_clear()` after changing the environment."""
    return Settings()


def child_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Environment for a program that we start: ours plus `extra`."""
    return {**os.environ, **extra}
