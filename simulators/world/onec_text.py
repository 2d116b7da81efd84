"""How 1C writes moments and money."""

from datetime import date, datetime, time
from decimal import Decimal


def stamp(moment: datetime | date) -> str:
    """1C's local time without a zone."""
    if not isinstance(moment, datetime):
        moment = datetime.combine(moment, time())
    return moment.isoformat(timespec="seconds")


def kopecks(amount: int) -> Decimal:
    """Kopecks as exact roubles."""
    return Decimal(amount).scaleb(-2)


def roubles(kopecks: int) -> str:
    """Exact roubles without trailing zeros: 7290 -> `72.9`."""
    whole, rest = divmod(abs(kopecks), 100)
    sign = "-" if kopecks < 0 else ""
    if not rest:
        return f"{sign}{whole}"
    return f"{sign}{whole}.{rest // 10}" if rest % 10 == 0 else f"{sign}{whole}.{rest:02d}"
