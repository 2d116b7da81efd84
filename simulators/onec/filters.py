"""`$filter` of 1C's OData: a small recursive-descent parser that compiles an expression to a Python function."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from simulators.onec.base import EntitySet, Row, Scalar
from simulators.onec.errors import bad_guid, bad_option, incomparable, unknown_method, unknown_segment
from simulators.onec.schema import Field, Kind

_TOKEN = re.compile(
    r"\s*(?:(?P<guid>guid'[^']*')|(?P<datetime>datetime'[^']*')|(?P<string>'(?:[^']|'')*')"
    r"|(?P<number>-?\d+(?:\.\d+)?[LldDfFmM]?)|(?P<name>[^\W\d]\w*(?:\.\w+)*)|(?P<mark>[(),/:]))"
)
_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")
_COMPARISONS = {"eq", "ne", "gt", "ge", "lt", "le"}

# What an expression is read from: a header row, or (row of a tabular section inside any/all) a dict.
Source = Row | Mapping[str, Any]
Evaluate = Callable[[Source], Scalar]


@dataclass(frozen=True)
class Typed:
    """A compiled expression and its kind. `type_of` gives the type of a composite field's value or of a cast."""

    evaluate: Evaluate
    kind: str
    literal: bool = False
    type_of: Evaluate | None = None


def compile_filter(entity_set: EntitySet, text: str) -> Callable[[Row], bool]:
    """Predicate over rows of the set. Raises ODataFailure as 1C would refuse the expression."""
    parser = _Parser(entity_set, text)
    expression = parser.parse()
    if expression.kind != "boolean":
        raise bad_option("$filter")
    return lambda row: expression.evaluate(row) is True


class _Parser:
    def __init__(self, entity_set: EntitySet, text: str) -> None:
        self.set = entity_set
        self.tokens = _tokenize(text)
        self.at = 0
        self.variables: dict[str, dict[str, Field]] = {}

    def parse(self) -> Typed:
        expression = self._or()
        if self.at < len(self.tokens):
            raise bad_option("$filter")
        return expression

    # tokens

    def _peek(self) -> tuple[str, str]:
        return self.tokens[self.at] if self.at < len(self.tokens) else ("end", "")

    def _take(self, mark: str | None = None) -> tuple[str, str]:
        token = self._peek()
        if token[0] == "end" or (mark is not None and token != ("mark", mark)):
            raise bad_option("$filter")
        self.at += 1
        return token

    def _word(self, *words: str) -> str | None:
        kind, text = self._peek()
        if kind == "name" and text in words:
            self.at += 1
            return text
        return None

    # grammar, loosest binding first

    def _or(self) -> Typed:
        left = self._and()
        while self._word("or"):
            left = _logical(left, self._and(), any_of=True)
        return left

    def _and(self) -> Typed:
        left = self._not()
        while self._word("and"):
            left = _logical(left, self._not(), any_of=False)
        return left

    def _not(self) -> Typed:
        if self._word("not"):
            inner = self._not()
            _require_boolean(inner)
            return Typed(lambda source: inner.evaluate(source) is not True, "boolean")
        return self._comparison()

    def _comparison(self) -> Typed:
        left = self._sum()
        operator = self._word(*_COMPARISONS)
        return left if operator is None else _compare(operator, left, self._sum())

    def _sum(self) -> Typed:
        left = self._product()
        while operator := self._word("add", "sub"):
            left = _arithmetic(operator, left, self._product())
        return left

    def _product(self) -> Typed:
        left = self._primary()
        while operator := self._word("mul", "div"):
            left = _arithmetic(operator, left, self._primary())
        return left

    def _primary(self) -> Typed:
        kind, text = self._take()
        if (kind, text) == ("mark", "("):
            inner = self._or()
            self._take(")")
            return inner
        if kind == "guid":
            value = text[5:-1].lower()
            if not _GUID.match(value):
                raise bad_guid(text[5:-1])
            return _literal(value, "guid")
        if kind == "datetime":
            return _literal(_moment(text[9:-1]), "date")
        if kind == "string":
            return _literal(text[1:-1].replace("''", "'"), "string")
        if kind == "number":
            return _literal(Decimal(text.rstrip("LldDfFmM")), "number")
        if kind == "name":
            return self._named(text)
        raise bad_option("$filter")

    def _named(self, name: str) -> Typed:
        if name in {"true", "false"}:
            return _literal(name == "true", "boolean")
        if name == "null":
            return _literal(None, "null")
        if self._peek() == ("mark", "("):
            return self._call(name)
        if name in self.variables:
            self._take("/")
            return _line_field(name, self.variables[name], self._take()[1])
        if self.variables:  # inside any/all only the row's own fields can be read
            raise bad_option("$filter")
        if self._peek() == ("mark", "/"):
            return self._path(name)
        if name not in self.set.schema.by_name:
            raise unknown_segment(name)
        return _header_field(self.set, name)

    def _path(self, name: str) -> Typed:
        table = self.set.schema.table(name)
        if table is None:
            raise unknown_segment(name)
        self._take("/")
        word = self._word("any", "all")
        if word is None:
            raise bad_option("$filter")
        self._take("(")
        variable = self._take()[1]
        self._take(":")
        self.variables[variable] = {f.name: f for f in table.fields}
        condition = self._or()
        del self.variables[variable]
        self._take(")")
        _require_boolean(condition)
        layout = self.set.layouts.get(name)
        quantifier = any if word == "any" else all
        entity_set = self.set

        def evaluate(source: Source) -> bool:
            if layout is None or not isinstance(source, Row):
                return word == "all"
            lines = entity_set.document(source)[name]
            return quantifier(condition.evaluate({variable: line}) is True for line in lines)

        return Typed(evaluate, "boolean")

    def _call(self, name: str) -> Typed:
        self._take("(")
        arguments: list[Typed] = []
        while self._peek() != ("mark", ")"):
            if arguments:
                self._take(",")
            arguments.append(self._or())
        self._take(")")
        function = _FUNCTIONS.get(name)
        if function is None:
            raise unknown_method(name)
        low, high, build = function
        if not low <= len(arguments) <= high:
            raise bad_option("$filter")
        return build(arguments)


def _tokenize(text: str) -> list[tuple[str, str]]:
    tokens: list[tuple[str, str]] = []
    position = 0
    end = len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            raise bad_option("$filter")
        tokens.append((match.lastgroup, match.group(match.lastgroup)))
        position = match.end()
    return tokens


def _moment(text: str) -> str:
    try:
        return datetime.fromisoformat(text).isoformat()
    except ValueError:
        raise bad_option("$filter") from None


def _literal(value: Scalar, kind: str) -> Typed:
    return Typed(lambda source: value, kind, literal=True)


_KINDS: dict[Kind, str] = {
    "key": "guid",
    "ref": "guid",
    "composite": "composite",
    "type": "string",
    "string": "string",
    "fixed": "string",
    "enum": "string",
    "date": "date",
    "boolean": "boolean",
    "double": "number",
    "int64": "number",
    "int16": "number",
}


def _header_field(entity_set: EntitySet, name: str) -> Typed:
    read = entity_set.reader(name)
    column = entity_set.schema.by_name[name]
    if column.kind == "fixed":  # comparisons of fixed strings ignore the padding
        return Typed(lambda source: str(read(source)).rstrip(), "string")  # type: ignore[arg-type]
    type_of = entity_set.reader(f"{name}_Type") if column.kind == "composite" else None
    return Typed(read, _KINDS[column.kind], type_of=type_of)  # type: ignore[arg-type]


def _line_field(variable: str, fields: dict[str, Field], name: str) -> Typed:
    column = fields.get(name)
    if column is None:
        raise unknown_segment(name)
    kind = _KINDS[column.kind]

    def evaluate(source: Source) -> Scalar:
        value = source[variable][name]  # type: ignore[index]
        return Decimal(str(value)) if kind == "number" else value

    return Typed(evaluate, kind)


def _require_boolean(expression: Typed) -> None:
    if expression.kind != "boolean":
        raise bad_option("$filter")


def _logical(left: Typed, right: Typed, *, any_of: bool) -> Typed:
    _require_boolean(left)
    _require_boolean(right)
    a, b = left.evaluate, right.evaluate
    if any_of:
        return Typed(lambda source: a(source) is True or b(source) is True, "boolean")
    return Typed(lambda source: a(source) is True and b(source) is True, "boolean")


def _compare(operator: str, left: Typed, right: Typed) -> Typed:
    kinds = {left.kind, right.kind}
    a, b = left.evaluate, right.evaluate
    if operator not in {"eq", "ne"} and kinds & {"guid", "typed guid", "composite"}:
        raise incomparable()  # no keyset paging over references
    if "composite" in kinds and kinds & {"guid", "string"}:
        # A composite compares only with cast(guid'...','Type'); anything else silently finds nothing.
        return Typed(lambda source: operator == "ne", "boolean")
    if "null" not in kinds and kinds != {"composite", "typed guid"} and len(kinds) > 1:
        raise incomparable()

    types = [side.type_of for side in (left, right) if side.type_of is not None]

    def holds(source: Source) -> bool:
        if len(types) == 2 and types[0](source) != types[1](source):
            return operator == "ne"
        x, y = a(source), b(source)
        if operator == "eq":
            return x == y
        if operator == "ne":
            return x != y
        if x is None or y is None:
            return False
        if operator == "gt":
            return bool(x > y)  # type: ignore[operator]
        if operator == "ge":
            return bool(x >= y)  # type: ignore[operator]
        if operator == "lt":
            return bool(x < y)  # type: ignore[operator]
        return bool(x <= y)  # type: ignore[operator]

    return Typed(holds, "boolean")


def _arithmetic(operator: str, left: Typed, right: Typed) -> Typed:
    if {left.kind, right.kind} != {"number"}:
        raise incomparable()

    def evaluate(source: Source) -> Scalar:
        x, y = left.evaluate(source), right.evaluate(source)
        if not isinstance(x, Decimal) or not isinstance(y, Decimal):
            return None
        if operator == "add":
            return x + y
        if operator == "sub":
            return x - y
        if operator == "mul":
            return x * y
        return x / y if y else None

    return Typed(evaluate, "number")


def _text_test(test: Callable[[str, str], bool], *, needle_first: bool = False) -> Callable[[list[Typed]], Typed]:
    def build(arguments: list[Typed]) -> Typed:
        if any(a.kind != "string" for a in arguments):
            raise incomparable()
        text, needle = reversed(arguments) if needle_first else arguments
        return Typed(lambda source: test(str(text.evaluate(source)), str(needle.evaluate(source))), "boolean")

    return build


def _like(text: str, pattern: str) -> bool:
    return re.fullmatch(re.escape(pattern).replace("%", ".*").replace("_", "."), text, re.DOTALL) is not None


def _date_part(part: Callable[[datetime], int]) -> Callable[[list[Typed]], Typed]:
    def build(arguments: list[Typed]) -> Typed:
        (moment,) = arguments
        if moment.kind != "date":
            raise incomparable()
        return Typed(lambda source: Decimal(part(datetime.fromisoformat(str(moment.evaluate(source))))), "number")

    return build


def _cast(arguments: list[Typed]) -> Typed:
    value, type_name = arguments
    if not type_name.literal or type_name.kind != "string":
        raise bad_option("$filter")
    if value.kind == "guid" and value.literal:
        return Typed(value.evaluate, "typed guid", literal=True, type_of=_type_name(type_name))
    return Typed(lambda source: str(value.evaluate(source)), "string")


def _isof(arguments: list[Typed]) -> Typed:
    value, type_name = arguments
    if value.kind != "composite" or not type_name.literal:
        raise bad_option("$filter")
    held, wanted = value.type_of, _type_name(type_name)
    return Typed(lambda source: held is not None and held(source) == wanted(source), "boolean")


def _type_name(expression: Typed) -> Evaluate:
    return lambda source: f"StandardODATA.{str(expression.evaluate(source)).removeprefix('StandardODATA.')}"


def _concat(arguments: list[Typed]) -> Typed:
    return Typed(lambda source: "".join(str(a.evaluate(source)) for a in arguments), "string")


def _substring(arguments: list[Typed]) -> Typed:
    text, start, *length = arguments

    def evaluate(source: Source) -> Scalar:
        begin = int(str(start.evaluate(source))) - 1
        end = begin + int(str(length[0].evaluate(source))) if length else None
        return str(text.evaluate(source))[begin:end]

    return Typed(evaluate, "string")


def _round(arguments: list[Typed]) -> Typed:
    number, *digits = arguments
    if number.kind != "number":
        raise incomparable()

    def evaluate(source: Source) -> Scalar:
        places = int(str(digits[0].evaluate(source))) if digits else 0
        return Decimal(str(number.evaluate(source))).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)

    return Typed(evaluate, "number")


_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800}


def _dateadd(arguments: list[Typed]) -> Typed:
    moment, unit, amount = arguments

    def evaluate(source: Source) -> Scalar:
        seconds = _SECONDS.get(str(unit.evaluate(source)).lower())
        if seconds is None:
            raise bad_option("$filter")
        step = timedelta(seconds=seconds * int(str(amount.evaluate(source))))
        return (datetime.fromisoformat(str(moment.evaluate(source))) + step).isoformat()

    return Typed(evaluate, "date")


def _datedifference(arguments: list[Typed]) -> Typed:
    first, second, unit = arguments

    def evaluate(source: Source) -> Scalar:
        seconds = _SECONDS.get(str(unit.evaluate(source)).lower())
        if seconds is None:
            raise bad_option("$filter")
        a, b = (datetime.fromisoformat(str(x.evaluate(source))) for x in (first, second))
        return Decimal(int((b - a).total_seconds()) // seconds)

    return Typed(evaluate, "number")


_FUNCTIONS: dict[str, tuple[int, int, Callable[[list[Typed]], Typed]]] = {
    "startswith": (2, 2, _text_test(str.startswith)),
    "endswith": (2, 2, _text_test(str.endswith)),
    "substringof": (2, 2, _text_test(lambda text, needle: needle in text, needle_first=True)),
    "like": (2, 2, _text_test(_like)),
    "concat": (2, 9, _concat),
    "substring": (2, 3, _substring),
    "round": (1, 2, _round),
    "cast": (2, 2, _cast),
    "isof": (2, 2, _isof),
    "dateadd": (3, 3, _dateadd),
    "datedifference": (3, 3, _datedifference),
    "year": (1, 1, _date_part(lambda d: d.year)),
    "quarter": (1, 1, _date_part(lambda d: (d.month + 2) // 3)),
    "month": (1, 1, _date_part(lambda d: d.month)),
    "day": (1, 1, _date_part(lambda d: d.day)),
    "hour": (1, 1, _date_part(lambda d: d.hour)),
    "minute": (1, 1, _date_part(lambda d: d.minute)),
    "second": (1, 1, _date_part(lambda d: d.second)),
    "dayofweek": (1, 1, _date_part(lambda d: d.isoweekday())),
    "dayofyear": (1, 1, _date_part(lambda d: d.timetuple().tm_yday)),
}
