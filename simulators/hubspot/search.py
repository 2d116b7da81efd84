"""The search endpoint: filter groups, one sort, pages of at most 200, and nothing beyond the 10,000th result."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from simulators.hubspot.portal import HubspotError, Portal, Record, Values

MOST_RESULTS = 10_000
PAGE = 200
MOST_GROUPS, MOST_FILTERS = 5, 6
_NUMERIC = {"number", "datetime", "date"}
_Test = Callable[[Values], bool]


def search(portal: Portal, kind: str, body: Mapping[str, Any]) -> tuple[int, list[Record], int | None]:
    """How many there are in all, the page, and the offset of the next one. Raises HubspotError."""
    limit = int(body.get("limit") or 10)
    if limit > PAGE:
        raise HubspotError(400, "VALIDATION_ERROR", f"limit must be at most {PAGE}")
    offset = int(body.get("after") or 0)
    if offset + limit > MOST_RESULTS:
        # Real accounts answer so to any page beyond the cap.
        raise HubspotError(400, "VALIDATION_ERROR", "The maximum number of results that can be retrieved is 10000.")
    groups = body.get("filterGroups") or []
    if len(groups) > MOST_GROUPS or any(len(group.get("filters") or []) > MOST_FILTERS for group in groups):
        raise HubspotError(400, "VALIDATION_ERROR", "too many filters")
    tests = [[_test(portal, kind, item) for item in group.get("filters") or []] for group in groups]
    words = str(body.get("query") or "").lower().split()
    found: list[tuple[Any, Record]] = []
    sort_by, descending = _sort(body)
    numeric = _is_numeric(portal, kind, sort_by)
    for record, values in portal.searchable(kind):
        if tests and not any(all(test(values) for test in group) for group in tests):
            continue
        if words and not all(any(word in (value or "").lower() for value in values.values()) for word in words):
            continue
        found.append((_comparable(values.get(sort_by), numeric), record))
    found.sort(key=lambda pair: (pair[0] is not None, pair[0] or 0 if numeric else pair[0] or "", pair[1].id))
    if descending:
        found.reverse()
    page = [record for _, record in found[offset : offset + limit]]
    following = offset + limit
    return len(found), page, following if following < len(found) else None


def _sort(body: Mapping[str, Any]) -> tuple[str, bool]:
    sorts = body.get("sorts") or ["hs_object_id"]
    if len(sorts) > 1:
        raise HubspotError(400, "VALIDATION_ERROR", "only one sort is allowed")
    first = sorts[0]
    if isinstance(first, str):
        return first.lstrip("-"), first.startswith("-")
    return str(first["propertyName"]), str(first.get("direction", "ASCENDING")) == "DESCENDING"


def _test(portal: Portal, kind: str, given: Mapping[str, Any]) -> _Test:
    name, operator = str(given.get("propertyName")), str(given.get("operator"))
    if name not in portal.properties[kind]:
        raise HubspotError(400, "VALIDATION_ERROR", f"Property '{name}' does not exist")
    numeric = _is_numeric(portal, kind, name)

    def wanted(key: str) -> Any:
        if given.get(key) is None:
            raise HubspotError(400, "VALIDATION_ERROR", f"{operator} needs {key}")
        return _comparable(str(given[key]), numeric)

    def told(values: Values) -> Any:
        return _comparable(values.get(name), numeric)

    def compared(test: Callable[[Any], bool]) -> _Test:
        return lambda values: (value := told(values)) is not None and test(value)

    if operator == "HAS_PROPERTY":
        return lambda values: bool(values.get(name))
    if operator == "NOT_HAS_PROPERTY":
        return lambda values: not values.get(name)
    if operator in {"IN", "NOT_IN"}:
        among = {_comparable(str(value), numeric) for value in given.get("values") or []}
        return compared(lambda value: (value in among) is (operator == "IN"))
    one = wanted("value")
    if operator == "BETWEEN":
        high = wanted("highValue")
        return compared(lambda value: one <= value <= high)
    if operator in {"CONTAINS_TOKEN", "NOT_CONTAINS_TOKEN"}:
        part = str(one).strip("*")
        return lambda values: (part in (values.get(name) or "").lower()) is (operator == "CONTAINS_TOKEN")
    tests: dict[str, Callable[[Any], bool]] = {
        "EQ": lambda value: value == one,
        "NEQ": lambda value: value != one,
        "LT": lambda value: value < one,
        "LTE": lambda value: value <= one,
        "GT": lambda value: value > one,
        "GTE": lambda value: value >= one,
    }
    if operator not in tests:
        raise HubspotError(400, "VALIDATION_ERROR", f"{operator} is not an operator")
    return compared(tests[operator])


def _is_numeric(portal: Portal, kind: str, name: str) -> bool:
    definition = portal.properties[kind].get(name)
    return definition is not None and definition.type in _NUMERIC


def _comparable(value: str | None, numeric: bool) -> Any:
    """Numbers as numbers and moments as epoch milliseconds, all else as text without case."""
    if value is None or value == "":
        return None
    if not numeric:
        return value.lower()
    try:
        return int(value)
    except ValueError:
        pass
    try:
        return float(value)
    except ValueError:
        return int(datetime.fromisoformat(value).timestamp() * 1000)
