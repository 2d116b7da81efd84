"""Values that real bases hold although nobody would plan them: a reader must survive every one."""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import Any

from simulators.onec.base import Base
from simulators.onec.schema import SetSchema

ODDITIES = (
    "nul",  # a zero byte inside a string
    "control",  # characters that XML cannot hold
    "surrogate",  # half of a surrogate pair
    "long_string",  # ten megabytes in one field
    "two_billion",  # a quantity beyond 32 bits and a sum beyond any price list
    "year_1",  # the empty date of 1C
    "year_9999",  # "for ever"
    "huge_document",  # three thousand lines
)
LONG = 10_000_000
MANY_LINES = 3_000


def plant(base: Base, set_name: str, kind: str) -> str:
    """Write a copy of a record of the set that is odd in one way; returns its guid. Raises ValueError."""
    entity_set = base.sets[set_name]
    if kind not in ODDITIES or not entity_set.rows:
        raise ValueError(f"nothing in {set_name} can become {kind}")
    record = entity_set.exact(max(entity_set.rows, key=lambda row: sum(len(table) for table in row.tables)))
    key = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{set_name}:{kind}"))
    return base.write(set_name, {**record, **_changes(entity_set.schema, record, kind), "Ref_Key": key})


def _changes(schema: SetSchema, record: dict[str, Any], kind: str) -> dict[str, Any]:
    texts = [f.name for f in schema.fields if f.kind == "string" and f.name in {"Комментарий", "Description"}]
    dates = [f.name for f in schema.fields if f.kind == "date"]
    words = {
        "nul": "до\x00после",
        "control": "до\x01\x1fпосле",
        "surrogate": "до\ud83dпосле",
        "long_string": "ы" * LONG,
    }
    if kind in words:
        return dict.fromkeys(texts, words[kind])
    if kind in {"year_1", "year_9999"}:
        moment = "0001-01-01T00:00:00" if kind == "year_1" else "9999-12-31T23:59:59"
        return dict.fromkeys(dates, moment)
    table = next(t for t in schema.tables if record[t.name])
    lines = record[table.name]
    if kind == "huge_document":
        return {table.name: (lines * (MANY_LINES // len(lines) + 1))[:MANY_LINES]}
    numbers = [f.name for f in table.fields if f.kind == "double"]
    return {table.name: [line | dict.fromkeys(numbers, Decimal("2147483648000.555")) for line in lines]}
