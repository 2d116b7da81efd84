"""The only clock of the project."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from warehouse.settings import Settings, get_settings


def now() -> datetime:
    """The present moment, aware, in UTC."""
    return datetime.now(UTC)


def business_date(settings: Settings | None = None) -> date:
    """Today's date in the company's time zone, unless POLKA_BUSINESS_DATE pins it."""
    settings = settings or get_settings()
    return settings.business_date or now().astimezone(ZoneInfo(settings.time_zone)).date()


def company_time(settings: Settings | None = None) -> datetime:
    """The present moment on the company's wall clock."""
    settings = settings or get_settings()
    return now().astimezone(ZoneInfo(settings.time_zone))
