"""Lists of the CRM methods: filters with prefixes, order, pages of 50, and `start=-1` that does not count."""

import operator
import re
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

PAGE = 50
_KEY = re.compile(r"^(!=%|!%=|!=|!@|!%|>=|<=|=%|%=|>|<|=|%|@|!)?(.+)$")
_ORDERED: dict[str, Callable[[Any, Any], bool]] = {
    ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le,
}  # fmt: skip
_LOWEST, _HIGHEST = 0, 1 << 62


@dataclass
class Table:
    """Records by id, listed in the order of their ids."""

    rows: dict[int, dict[str, Any]] = field(default_factory=dict)
    order: list[int] = field(default_factory=list)
    last_id: int = 0

    def add(self, row: dict[str, Any], row_id: int | None = None) -> int:
        """Keep a row under `row_id`, or under the next free number."""
        number = self.last_id + 1 if row_id is None else row_id
        self.last_id = max(self.last_id, number)
        if number not in self.rows:
            if not self.order or number > self.order[-1]:
                self.order.append(number)
            else:
                insort(self.order, number)
        self.rows[number] = row
        return number

    def remove(self, row_id: int) -> dict[str, Any] | None:
        row = self.rows.pop(row_id, None)
        if row is not None:
            del self.order[bisect_left(self.order, row_id)]
        return row

    def between(self, low: int, high: int) -> list[int]:
        """Ids in [low, high], ascending."""
        return self.order[bisect_left(self.order, low) : bisect_right(self.order, high)]


@dataclass(frozen=True)
class Condition:
    sign: str
    name: str
    wanted: Any


@dataclass(frozen=True)
class Found:
    """Rows of one page; `total` counts all that fit (0 when nobody counted), `next` is the following offset."""

    rows: list[dict[str, Any]]
    total: int
    next: int | None


def conditions(raw: Any) -> list[Condition]:
    """`{">=updatedTime": ...}` -> conditions; PHP sends an empty map as a list."""
    if not isinstance(raw, Mapping):
        return []
    found = []
    for key, wanted in raw.items():
        match = _KEY.match(str(key))
        if match is not None:
            found.append(Condition(match[1] or "=", match[2], wanted))
    return found


def find(
    table: Table,
    wanted: list[Condition],
    order: Any,
    start: int,
    *,
    id_name: str,
    zone: ZoneInfo,
    moments: frozenset[str],
) -> Found:
    """The page of `table` from `start` on; a negative start counts nothing and shows the first page."""
    low, high, others = _LOWEST, _HIGHEST, []
    ids: list[int] | None = None
    for one in wanted:
        if one.name != id_name:
            others.append(one)
        elif one.sign in _ORDERED:
            number = _integer(one.wanted)
            if one.sign in (">", ">="):
                low = max(low, number + (one.sign == ">"))
            else:
                high = min(high, number - (one.sign == "<"))
        elif one.sign in ("=", "@"):
            given = sorted({_integer(item) for item in _listed(one.wanted)})
            ids = given if ids is None else [item for item in ids if item in set(given)]
        else:
            others.append(one)
    if ids is None:
        candidates: list[int] = table.between(low, high)
    else:
        candidates = [item for item in ids if low <= item <= high and item in table.rows]
    by, descending = _order(order, id_name)
    if by != id_name:
        candidates = sorted(candidates, key=lambda item: _sortable(table.rows[item].get(by)))
    if descending:
        candidates = candidates[::-1]
    fitting: Iterable[int] = candidates
    if others:
        fitting = (item for item in candidates if _fits(table.rows[item], others, zone, moments))
    if start < 0:
        return Found([table.rows[item] for item in _first(fitting, PAGE)], 0, None)
    everything = list(fitting) if others else candidates
    following = start + PAGE
    rows = [table.rows[item] for item in everything[start:following]]
    return Found(rows, len(everything), following if following < len(everything) else None)


def start_of(value: Any) -> int:
    """The parameter `start`; what is no number counts as 0."""
    try:
        return int(value or 0)
    except (TypeError, ValueError):
        return 0


def _first(items: Iterable[int], most: int) -> Iterator[int]:
    for number, item in enumerate(items, start=1):
        yield item
        if number == most:
            return


def _order(raw: Any, id_name: str) -> tuple[str, bool]:
    if isinstance(raw, Mapping):
        for name, direction in raw.items():
            return str(name), str(direction).lower() == "desc"
    return id_name, False


def _fits(row: dict[str, Any], wanted: list[Condition], zone: ZoneInfo, moments: frozenset[str]) -> bool:
    return all(_fits_one(row.get(one.name), one, zone, one.name in moments) for one in wanted)


def _fits_one(actual: Any, one: Condition, zone: ZoneInfo, is_moment: bool) -> bool:
    if one.sign in _ORDERED:
        left, right = _comparable(actual, zone, is_moment), _comparable(one.wanted, zone, is_moment)
        return left is not None and right is not None and _ORDERED[one.sign](left, right)
    if "%" in one.sign:
        hit = str(one.wanted).strip("%").lower() in str(actual or "").lower()
    else:
        have = set(_listed(actual)) if isinstance(actual, list) else {_plain(actual)}
        hit = bool(have & set(_listed(one.wanted)))
    return hit is not one.sign.startswith("!")


def _comparable(value: Any, zone: ZoneInfo, is_moment: bool) -> Any:
    if is_moment:
        return _moment(str(value), zone)
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


@lru_cache(maxsize=300_000)
def _moment(text: str, zone: ZoneInfo) -> datetime | None:
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=zone)


def _sortable(value: Any) -> tuple[bool, Any]:
    if value is None:
        return (False, "")
    return (True, value if isinstance(value, str) else str(value).rjust(20))


def _integer(value: Any) -> int:
    """As the real server casts: what is no number is 0, so `>id` of nothing starts at the beginning."""
    try:
        return int(value)
    except (TypeError, ValueError):
        return 0


def _listed(wanted: Any) -> list[str]:
    items = wanted if isinstance(wanted, list) else list(wanted.values()) if isinstance(wanted, dict) else [wanted]
    return [_plain(item) for item in items]


def _plain(value: Any) -> str:
    return "" if value is None or value is False else str(value)
