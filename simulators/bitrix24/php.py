"""How the real server, written in PHP, reads parameters and writes arrays."""

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl

_KEY_PART = re.compile(r"\[([^\]]*)\]")


def parse_query(query: str) -> dict[str, Any]:
    """`filter[>ID]=5&select[]=ID` -> {"filter": {">ID": "5"}, "select": ["ID"]}. Values stay strings."""
    return nest(parse_qsl(query, keep_blank_values=True))


def nest(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Bracketed names become nested maps; a map with keys 0..n-1 becomes a list."""
    tree: dict[str, Any] = {}
    for name, value in pairs:
        head, _, rest = name.partition("[")
        path = [head, *(_KEY_PART.findall("[" + rest) if rest else [])]
        node = tree
        for part in path[:-1]:
            name_here = str(len(node)) if part == "" else part
            child = node.setdefault(name_here, {})
            if not isinstance(child, dict):
                child = node[name_here] = {}
            node = child
        last = path[-1]
        node[str(len(node)) if last == "" else last] = value
    return {key: lists(value) for key, value in tree.items()}


def lists(value: Any) -> Any:
    """Maps whose keys are 0..n-1 as lists, all the way down (an empty map too: PHP cannot tell)."""
    if isinstance(value, dict):
        if list(value) == [str(i) for i in range(len(value))]:
            return [lists(item) for item in value.values()]
        return {key: lists(item) for key, item in value.items()}
    if isinstance(value, list):
        return [lists(item) for item in value]
    return value


def array(value: dict[str, Any]) -> Any:
    """A map as PHP's json_encode writes it: `[]` when empty, a list when its keys are 0..n-1."""
    if list(value) == [str(i) for i in range(len(value))]:
        return list(value.values())
    return value


def by_name(params: dict[str, Any], name: str, default: Any = None) -> Any:
    """A parameter whatever the case of its name."""
    for key, value in params.items():
        if key.lower() == name.lower():
            return value
    return default
