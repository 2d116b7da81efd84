"""Virtual tables of 1C's registers: balances, turnovers, the newest record of each kind.

1C computes them when asked. Bases differ in how quotes inside `Condition` are written; the way that works is kept.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Literal
from zoneinfo import ZoneInfo

from clients.errors import Fatal
from clients.onec import OnecClient, local_time
from extractors.core.feed import page
from extractors.core.kinds import Window
from extractors.core.paging import Pager
from extractors.core.spec import Entity, EntityMapping
from extractors.onec.metadata import Published
from extractors.onec.needs import fields_of
from extractors.onec.reader import OnecReader

log = logging.getLogger(__name__)

Function = Literal["Balance", "Turnovers", "BalanceAndTurnovers", "SliceLast"]
# More rows than any virtual table has: it is asked for whole, because 1C computes all of it for every page.
WHOLE = 1_000_000_000
_NOT_UNDERSTOOD = (400, 500)


class VirtualTables:
    """Asks one base for virtual tables. Safe for several threads."""

    def __init__(self, client: OnecClient, zone: ZoneInfo) -> None:
        self._client = client
        self._zone = zone
        self._doubled = True

    def call(
        self,
        register: str,
        function: Function,
        *,
        condition: str | None = None,
        dimensions: Sequence[str] = (),
        period: datetime | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        options: Mapping[str, str] | None = None,
    ) -> bytes:
        """Rows as JSON bytes (under "value"), as 1C sends them.

        condition: a filter over the dimensions, quotes not doubled. dimensions: names without `_Key`, none means all.
        period: moment of a balance or slice; start, end: of turnovers, both inclusive to the second, as 1C has it.
        Raises ClientError.
        """
        moments = {"Period": period, "StartPeriod": start, "EndPeriod": end}
        arguments = {name: self._moment(moment) for name, moment in moments.items() if moment is not None}
        if dimensions:
            arguments["Dimensions"] = f"'{','.join(dimensions)}'"
        options = options or {}
        if not condition:
            return self._client.call(register, function, arguments, options)
        doubled = self._doubled
        try:
            return self._client.call(register, function, {**arguments, **_condition(condition, doubled)}, options)
        except Fatal as error:
            if "'" not in condition or error.status not in _NOT_UNDERSTOOD:
                raise
            answer = self._client.call(register, function, {**arguments, **_condition(condition, not doubled)}, options)
        self._doubled = not doubled
        log.info("this base wants quotes inside a condition %s", "as they are" if doubled else "doubled")
        return answer

    def _moment(self, moment: datetime) -> str:
        return local_time(moment.astimezone(self._zone).strftime("%Y-%m-%dT%H:%M:%S"))


class SliceReader(OnecReader):
    """A virtual table as an entity: its rows as they are now. What is not among them any more is gone."""

    def count(self, window: Window) -> None:
        """None: 1C counts the rows of a virtual table only by computing them."""

    def count_at_last(self, window: Window) -> None:
        """None, as `count`."""

    def size_up(self, window: Window) -> None:
        """Nothing to learn: it is asked for whole."""

    def edges(self, window: Window) -> None:
        """None: there is no time to slice by."""

    def pages(self, window: Window, claimed: int | None) -> Pager:
        """The whole table in one answer; in parts when that is too large for the base."""
        tables = VirtualTables(self._client, self._zone)
        function = self._mapping.function
        dimensions = dimensions_of(self.published(), self._mapping, self._opening.entity)

        def fetch(skip: int, top: int) -> bytes:
            part = {} if top >= WHOLE else {"$top": str(top), "$skip": str(skip), "$orderby": ",".join(self._order())}
            if function is None:
                options = {"allowedOnly": "true", **part}
                if self._mapping.only:
                    options["$filter"] = self._mapping.only
                return self._client.collection(self._mapping.source_set, options)
            return tables.call(
                register_of(self.published(), self._mapping),
                function,  # type: ignore[arg-type]
                condition=self._mapping.only,
                dimensions=dimensions,
                options=part,
            )

        return Pager(fetch, None, target_bytes=self._target_bytes, prefetch=1, first_page=WHOLE, max_page=WHOLE)

    def lookup(self, ids: Sequence[str]) -> Iterator[tuple[Sequence[str], bytes]]:
        """None of them is there: the table was read whole."""
        yield ids, page([])

    def _fields(self) -> Mapping[str, str]:
        return fields_of(self.published(), self._mapping.source_set, self._mapping.function) or {}

    def _order(self) -> list[str]:
        """The published fields of the entity's key."""
        fields = self._fields()
        names = [
            next((name for name in self._mapping.fields[column].names if name in fields), "")
            for column in self._opening.entity.key
            if column in self._mapping.fields
        ]
        return [name for name in names if name]


def register_of(base: Published, mapping: EntityMapping) -> str:
    """The set whose virtual table it is: a slice of a register whose records documents make is asked of its records."""
    records = f"{mapping.source_set}_RecordType"
    return records if mapping.function == "SliceLast" and base.has(records) else mapping.source_set


def dimensions_of(base: Published, mapping: EntityMapping, entity: Entity) -> list[str]:
    """What a balance is summed by: the key and whatever else of the mapping is published and no sum."""
    if mapping.function != "Balance":
        return []
    fields = fields_of(base, mapping.source_set, mapping.function) or {}
    found: list[str] = []
    for column, field in mapping.fields.items():
        name = next((name for name in field.names if name in fields), None)
        if name is not None and entity.columns[column] not in ("number", "integer"):
            found.append(name.removesuffix("_Type").removesuffix("_Key"))
    return list(dict.fromkeys(found))


def _condition(condition: str, doubled: bool) -> dict[str, str]:
    quoted = condition.replace("'", "''") if doubled else condition
    return {"Condition": f"'{quoted}'"}
