"""Registers: movements by recorder, and the virtual tables that 1C computes from them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import zip_longest
from typing import Any

from simulators.onec.base import EntitySet, Fragments, LineLayout, Row, fragment, simple_set
from simulators.onec.errors import ODataFailure, bad_option, unknown_method, unknown_segment
from simulators.onec.filters import compile_filter
from simulators.onec.schema import Field, RegisterSchema, SetSchema

_PERIODS = ("Second", "Minute", "Hour", "Day", "Week", "TenDays", "Month", "Quarter", "HalfYear", "Year")
_ARGUMENT = re.compile(
    r"(?:^|,)\s*(?P<name>AccountCondition|Condition|Dimensions|ExtraDimensions|Period"
    r"|StartPeriod|EndPeriod)\s*="
)
_CALL = re.compile(r"^(?P<name>\w+)(?:\((?P<arguments>.*)\))?$", re.DOTALL)
_ENDLESS = '"9999-12-31T23:59:59"'
_BEGINNING = '"0001-01-01T00:00:00"'
_NOTHING = Decimal(0)


class Register:
    """One register of a base: its records, the record sets by recorder, its virtual tables."""

    def __init__(self, schema: RegisterSchema, records: EntitySet) -> None:
        self.schema = schema
        self.records = records
        self._record_sets: EntitySet | None = None

    @property
    def sets(self) -> list[EntitySet]:
        """What is published under the register's names."""
        return [self.records] if self.schema.recorder is None else [self.record_sets, self.records]

    @property
    def record_sets(self) -> EntitySet:
        """One row per recorder; built when it is first read after a change."""
        if self._record_sets is None:
            names = [f.name for f in self.schema.recorder_fields]
            own = tuple(n for n in self.records.varying if n not in {*names, "LineNumber"})
            table = self.schema.record_sets.tables[0]
            layout = LineLayout(table, own, {n: n for n in names}, constants=self.records.constants)
            result = EntitySet(self.schema.record_sets, names, lines=[layout])
            result.replace_rows(self._grouped(names, own))
            self._record_sets = result
        return self._record_sets

    def _grouped(self, names: Sequence[str], own: Sequence[str]) -> Iterator[Row]:
        records = self.records
        places = [records.varying.index(n) for n in own]
        groups: dict[Fragments, list[Fragments]] = {}
        for row in records.rows:
            recorder = tuple(records.text(row, n) for n in names)
            groups.setdefault(recorder, []).append(tuple(row.values[p] for p in places))
        for recorder, lines in groups.items():
            yield Row(recorder, (lines,))

    def write(self, recorder: str, recorder_type: str, records: Iterable[Mapping[str, Any]]) -> None:
        """Replace all records of one recorder; none of them removes its record set."""
        self.erase(recorder)
        for number, record in enumerate(records, start=1):
            who = {"Recorder_Key": recorder} if self.schema.recorder == "single" else {}
            if self.schema.recorder == "composite":
                who = {"Recorder": recorder, "Recorder_Type": f"StandardODATA.{recorder_type}"}
            self.records.put({"LineNumber": number, "Active": True, **record, **who})

    def erase(self, recorder: str) -> bool:
        """Remove all records of one recorder; False when it had none."""
        self._record_sets = None
        name = self.schema.recorder_fields[0].name
        text = f'"{recorder}"'
        rows = self.records.rows
        kept = [row for row in rows if self.records.text(row, name) != text]
        self.records.replace_rows(kept)
        return len(kept) < len(rows)

    # virtual tables

    def call(self, rest: str, options: Mapping[str, str]) -> EntitySet:
        """`Balance(Condition='...',Period=datetime'...')` as a set of rows; arguments also as query options.

        Raises ODataFailure: a function that this kind of register does not have, a bad argument.
        """
        match = _CALL.match(rest)
        if match is None or match["name"] not in self.schema.functions:
            raise unknown_method(match["name"] if match else rest)
        function = match["name"]
        known = self.schema.functions[function].split()
        arguments = {name: options[name] for name in known if name in options}
        arguments |= _parse_arguments(match["arguments"] or "", known)
        rows = [] if self.schema.kind == "accounting" else self._chosen(arguments.get("Condition", ""))
        if self.schema.kind == "information":
            return self._slice(function, rows, arguments)
        if self.schema.kind == "accounting":
            return self._account_balance(arguments)
        return self._totals(function, rows, arguments)

    def _chosen(self, condition: str) -> list[Row]:
        """Records that count and that the condition selects, whichever way its quotes are written."""
        records = self.records
        rows = records.rows
        if self.schema.recorder is not None:
            active = records.reader("Active")
            rows = [row for row in rows if active(row)]
        if not condition.strip():
            return rows
        holds = _compiled(records, condition)
        return [row for row in rows if holds(row)]

    def _slice(self, function: str, rows: Sequence[Row], arguments: Mapping[str, str]) -> EntitySet:
        """The newest (oldest) record of every combination of dimensions, up to (from) a moment inclusive."""
        last = function == "SliceLast"
        moment = _moment(arguments.get("Period"), _ENDLESS if last else _BEGINNING)
        names = [f.name for f in self.schema.dimensions]
        text = self.records.text
        best: dict[Fragments, tuple[str, Row]] = {}
        for row in rows:
            period = text(row, "Period")
            if (period > moment) if last else (period < moment):
                continue
            key = tuple(text(row, name) for name in names)
            known = best.get(key)
            if known is None or ((period >= known[0]) if last else (period < known[0])):
                best[key] = period, row
        result = EntitySet(self.records.schema, self.records.varying, self.records.constants)
        result.replace_rows([row for _, row in best.values()])
        return result

    def _account_balance(self, arguments: Mapping[str, str]) -> EntitySet:
        """Balances of accounts: every record stands on the debit of one account and on the credit of another."""
        sides = self._sides(_moment(arguments.get("Period"), _ENDLESS))
        rows = sides.rows
        for name in ("AccountCondition", "Condition"):
            if arguments.get(name, "").strip():
                holds = _compiled(sides, arguments[name])
                rows = [row for row in rows if holds(row)]
        groups = account_fields(self.schema)
        width = len(groups)
        sums: dict[Fragments, Decimal] = {}
        for row in rows:
            key = row.values[:width]
            sums[key] = sums.get(key, _NOTHING) + Decimal(row.values[width])
        fields = tuple(result_fields(self.schema, "Balance"))
        schema = SetSchema(f"{self.schema.name}_Balance", fields, sort=(groups[0].name,), keys=(groups[0].name,))
        result = EntitySet(schema, [f.name for f in fields])
        result.replace_rows(
            [
                Row(
                    (*key, *(fragment("double", part) for part in (total, max(total, _NOTHING), max(-total, _NOTHING))))
                )
                for key, total in sums.items()
                if total
            ]
        )
        return result

    def _sides(self, before: str) -> EntitySet:
        """Each record twice, as account with its dimensions and signed amount."""
        groups = account_fields(self.schema)
        signed = Field("Amount", "double")
        result = EntitySet(
            SetSchema("sides", (*groups, signed), keys=(groups[0].name,)), [*(g.name for g in groups), signed.name]
        )
        amount = self.schema.resources[0].name
        rows: list[Row] = []
        for row in self.records.rows:
            text = {name: self.records.text(row, name) for name in self.records.schema.by_name}
            if text["Active"] != "true" or text["Period"] >= before:
                continue
            for side, sign in (("Dr", 1), ("Cr", -1)):
                key = [text[_sided(group.name, side)] for group in groups]
                rows.append(Row((*key, fragment("double", sign * Decimal(text[amount])))))
        result.replace_rows(rows)
        return result

    def _totals(self, function: str, rows: Sequence[Row], arguments: Mapping[str, str]) -> EntitySet:
        groups = self._dimensions(arguments.get("Dimensions", ""))
        resources = self.schema.resources
        start = _moment(arguments.get("StartPeriod"), _BEGINNING)
        end = _moment(arguments.get("EndPeriod"), _ENDLESS)
        if function == "Balance":
            # The balance on a moment does not know yet what happens in that very second.
            before = _moment(arguments.get("Period"), _ENDLESS)
            suffixes: tuple[str, ...] = ("Balance",)
            found = self._sum(rows, groups, lambda period: 0 if period < before else None, 1)
            lines = {key: sums[0] for key, sums in found.items()}
        elif function == "Turnovers":
            found = self._sum(rows, groups, lambda period: 0 if start <= period <= end else None, 1)
            if self.schema.kind == "turnover":
                suffixes = ("Turnover",)
                lines = {key: sums[0] for key, sums in found.items()}
            else:
                suffixes = ("Turnover", "Receipt", "Expense")
                lines = {key: _woven(sums[0], sums[1], sums[2]) for key, sums in found.items()}
        else:
            suffixes = ("OpeningBalance", "Turnover", "Receipt", "Expense", "ClosingBalance")
            found = self._sum(rows, groups, lambda period: 0 if period < start else 1 if period <= end else None, 2)
            lines = {
                key: _woven(sums[0], sums[3], sums[4], sums[5], [a + b for a, b in zip(sums[0], sums[3], strict=True)])
                for key, sums in found.items()
            }
        columns = [*groups]
        if function != "Balance":
            columns += turnover_fields(self.schema)
        totals = [Field(f"{r.name}{suffix}", "double") for r in resources for suffix in suffixes]
        schema = SetSchema(
            f"{self.schema.name}_{function}",
            (*columns, *totals),
            sort=(groups[0].name,) if groups else (totals[0].name,),
            keys=tuple(g.name for g in groups) or (totals[0].name,),
        )
        unknown = {f.name: "null" for f in columns[len(groups) :]}
        result = EntitySet(schema, [f.name for f in (*groups, *totals)], unknown)
        result.replace_rows(
            [
                Row((*key, *(fragment("double", value) for value in values)))
                for key, values in lines.items()
                if any(values)
            ]
        )
        return result

    def _dimensions(self, text: str) -> list[Field]:
        """The dimensions to group by: named without `_Key`, separated by commas; all of them when nothing is said."""
        if not text.strip():
            return list(self.schema.dimensions)
        chosen: list[Field] = []
        for name in (part.strip() for part in text.split(",")):
            found = [f for f in self.schema.dimensions if f.name in {name, f"{name}_Key", f"{name}_Type"}]
            if not found:
                raise unknown_segment(name)
            chosen += found
        return chosen

    def _sum(
        self, rows: Sequence[Row], groups: Sequence[Field], slot: Callable[[str], int | None], slots: int
    ) -> dict[Fragments, list[list[Decimal]]]:
        """Per group and slot of time three lists of totals: balance (receipts less expenses), receipts, expenses."""
        records = self.records
        names = [f.name for f in groups]
        read_key = _fragments_reader(records, names)
        read_values = _fragments_reader(records, [f.name for f in self.schema.resources])
        width = len(self.schema.resources)
        signed = self.schema.kind == "balance"
        period_of = _fragments_reader(records, ["Period"])
        kind_of = _fragments_reader(records, ["RecordType"]) if signed else None
        result: dict[Fragments, list[list[Decimal]]] = {}
        for row in rows:
            place = slot(period_of(row)[0])
            if place is None:
                continue
            key = read_key(row)
            sums = result.get(key)
            if sums is None:
                sums = result[key] = [[_NOTHING] * width for _ in range(3 * slots)]
            expense = kind_of is not None and kind_of(row)[0] == '"Expense"'
            net, side = sums[3 * place], sums[3 * place + (2 if expense else 1)]
            for number, text in enumerate(read_values(row)):
                if text != "0":
                    value = Decimal(text)
                    side[number] += value
                    net[number] += -value if expense else value
        return result


def _sided(name: str, side: str) -> str:
    """`Account_Key` of the debit is `AccountDr_Key`, `ExtDimension1_Type` is `ExtDimensionDr1_Type`."""
    for stem in ("Account", "ExtDimension"):
        if name.startswith(stem):
            return stem + side + name.removeprefix(stem)
    return name


def account_fields(schema: RegisterSchema) -> list[Field]:
    """What balances of accounts are grouped by: the debit's account and dimensions without their side, the rest."""
    result = []
    for column in schema.dimensions:
        if "Cr" not in column.name.partition("_")[0]:
            result.append(replace(column, name=column.name.replace("AccountDr", "Account").replace("nDr", "n")))
    return result


def turnover_fields(schema: RegisterSchema) -> list[Field]:
    """Columns that 1C lists beside the dimensions of turnovers; without a periodicity they stay empty."""
    periods: list[Field] = [Field("Period", "date"), *(Field(f"{name}Period", "date") for name in _PERIODS)]
    return [*periods, *schema.recorder_fields, Field("LineNumber", "int64")]


def result_fields(schema: RegisterSchema, function: str) -> list[Field]:
    """Columns of a virtual table as `$metadata` lists them."""
    if schema.kind == "accounting":
        sums = [Field(f"{r.name}Balance{side}", "double") for r in schema.resources for side in ("", "Dr", "Cr")]
        return [*account_fields(schema), *sums]
    suffixes = {
        "Balance": ("Balance",),
        "Turnovers": ("Turnover",) if schema.kind == "turnover" else ("Turnover", "Receipt", "Expense"),
        "BalanceAndTurnovers": ("OpeningBalance", "Turnover", "Receipt", "Expense", "ClosingBalance"),
    }[function]
    extra = [] if function == "Balance" else turnover_fields(schema)
    totals = [Field(f"{r.name}{suffix}", "double") for r in schema.resources for suffix in suffixes]
    return [*schema.dimensions, *extra, *totals]


def simple_register(schema: RegisterSchema, records: Iterable[Mapping[str, Any]]) -> Register:
    """A small register from plain dicts, recorders included."""
    return Register(schema, simple_set(schema.records, records))


def _fragments_reader(records: EntitySet, names: Sequence[str]) -> Callable[[Row], Fragments]:
    places = [(records.varying.index(n) if n in records.varying else -1, records.constants[n]) for n in names]
    if all(place >= 0 for place, _ in places):
        numbers = [place for place, _ in places]
        return lambda row: tuple([row.values[n] for n in numbers])
    return lambda row: tuple([row.values[n] if n >= 0 else constant for n, constant in places])


def _woven(*columns: Sequence[Decimal]) -> list[Decimal]:
    """Totals by resource: all suffixes of the first resource, then of the second."""
    return [value for row in zip(*columns, strict=True) for value in row]


def _parse_arguments(text: str, known: Sequence[str]) -> dict[str, str]:
    """Named arguments in any order. Values keep the quotes inside them; the outer ones are taken off."""
    result: dict[str, str] = {}
    marks = [m for m in _ARGUMENT.finditer(text) if _outside(text, m.start())]
    if text.strip() and (not marks or text[: marks[0].start()].strip()):
        raise ODataFailure(400, 2, "Неверный формат параметров функции")
    for mark, following in zip_longest(marks, marks[1:]):
        if mark["name"] not in known:
            raise ODataFailure(400, 6, f"Параметр '{mark['name']}' не найден")
        value = text[mark.end() : following.start() if following else len(text)].strip()
        result[mark["name"]] = value[1:-1] if value[:1] == "'" and value[-1:] == "'" and len(value) > 1 else value
    return result


def _outside(text: str, position: int) -> bool:
    """Whether an argument can begin here: the value before it, if any, is closed by a quote or has none."""
    before = text[:position].rstrip()
    return not before or before[-1] in "')" or "'" not in before[before.rfind("=") :]


def _compiled(records: EntitySet, condition: str) -> Callable[[Row], bool]:
    """Quotes inside the condition may be doubled or stand as they are; both are in use."""
    doubled = "'" in condition and "'" not in condition.replace("''", "")
    readings = [condition.replace("''", "'"), condition] if doubled else [condition]
    for number, reading in enumerate(readings, start=1):
        try:
            return compile_filter(records, reading)
        except ODataFailure:
            if number == len(readings):
                raise
    raise bad_option("Condition")


def _moment(text: str | None, default: str) -> str:
    """A moment as the JSON text that records hold."""
    if text is None or not text.strip():
        return default
    match = re.fullmatch(r"(?:datetime)?'?(\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d)?)?)'?", text.strip())
    if match is None:
        raise ODataFailure(400, 1, f"Ошибка преобразования строки '{text}' в значение типа Edm.DateTime")
    value = match[1] if "T" in match[1] else f"{match[1]}T00:00:00"
    return f'"{value}:00"' if len(value) == 16 else f'"{value}"'
