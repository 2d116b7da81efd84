"""Proposes a mapping for a base: the shipped one that suits it best, with what the base lacks marked and annotated."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from extractors.core.spec import (
    EXTRACTORS,
    Configuration,
    Entity,
    EntityMapping,
    Field,
    Kind,
    load_configuration,
    load_entities,
)
from extractors.onec.metadata import Published
from extractors.onec.needs import chosen, fields_of, fits, gaps
from extractors.onec.similar import similar_fields, similar_sets

# Marks each line that a person has to look at.
LOOK = "LOOK:"
_KIND = "onec"


@dataclass(frozen=True)
class Proposal:
    """`text` is a complete mapping file. `compared_with`: the shipped mapping it began from.

    `to_look_at` counts the annotated lines; `missing` names what the shipped mapping requires and the base lacks.
    """

    text: str
    compared_with: str
    to_look_at: int
    missing: tuple[str, ...]


def shipped() -> list[str]:
    """Names of the mappings that Polka brings along."""
    return sorted(path.stem for path in (EXTRACTORS / "mappings" / _KIND).glob("*.yml"))


def best_match(base: Published, names: list[str]) -> str:
    """The mapping of which the base has the largest share; the first of equals. Raises SpecError."""
    return max(names, key=lambda name: _share(base, load_configuration(_KIND, name)))


def propose(base: Published, *, name: str, title: str, like: str) -> Proposal:
    """A mapping called `name` for the base, made from the mapping `like`. Raises SpecError when that is unknown.

    What is there stays. What is not becomes optional, with a comment that names similar fields and sets.
    """
    model = load_configuration(_KIND, like)
    specs = load_entities(_KIND)
    missing: list[str] = []
    body: list[str] = []
    for entity_name, mapping in model.entities.items():
        body += _entity(base, mapping, specs[entity_name], missing)
    head = [
        f"# Proposed by `polka mapping init`: the mapping {like}, compared with what this base publishes.",
        f"# Look at every line marked {LOOK} choose a field or leave the column empty. Then run `polka doctor`.",
        f"kind: {_KIND}",
        f"configuration: {name}",
        f"title: {_quoted(title)}",
        f"outlet: {model.outlet}",
        "entities:",
    ]
    return Proposal("\n".join([*head, *body]) + "\n", like, sum(LOOK in line for line in body), tuple(missing))


def _entity(base: Published, mapping: EntityMapping, spec: Entity, missing: list[str]) -> Iterator[str]:
    there = chosen(base, mapping)
    note = ""
    if there is None:
        note = _look("not published", similar_sets(base, mapping.source_set))
        if not mapping.optional:
            missing.append(mapping.source_set)
    elif there.source_set != mapping.source_set:
        note = _look(f"stands in for {mapping.source_set}, which is not published", ())
        mapping = there
    known = None if there is None else fields_of(base, mapping.source_set, mapping.function)
    yield f"  {spec.name}:"
    yield f"    set: {mapping.source_set}{note}"
    if mapping.instead:
        yield f"    instead: [{', '.join(mapping.instead)}]"
    if mapping.function:
        yield f"    function: {mapping.function}"
    if mapping.only:
        yield f"    only: {_quoted(mapping.only)}"
    if mapping.optional or known is None:
        yield "    optional: true"
    yield "    fields:"
    yield from _fields(known, mapping.fields, spec.columns, mapping.source_set, "      ", missing)
    if mapping.lines:
        yield "    lines:"
    for child, lines in mapping.lines.items():
        rows = base.section(mapping.source_set, lines.source)
        absent = known is not None and rows is None
        if absent and not lines.optional:
            missing.append(f"{mapping.source_set}.{lines.source}")
        note = _look("no such section", _sections(known or {})) if absent and not lines.optional else ""
        yield f"      {child}:"
        yield f"        source: {lines.source}{note}"
        if lines.optional or absent:
            yield "        optional: true"
        yield "        fields:"
        where = f"{mapping.source_set}.{lines.source}"
        yield from _fields(rows, lines.fields, spec.lines[child], where, "          ", missing)


def _fields(
    known: dict[str, str] | None,
    fields: Mapping[str, Field],
    columns: Mapping[str, Kind],
    where: str,
    indent: str,
    missing: list[str],
) -> Iterator[str]:
    """One line per column. Without `known` the set itself is absent: nothing can be said of its fields."""
    taken = {name for field in fields.values() for name in field.names}
    for column, field in fields.items():
        kind = columns[column]
        there = [name for name in field.names if name in (known or {})]
        wrong = next((name for name in there if not fits(kind, (known or {})[name])), None)
        if known is None or not field.names or (there and wrong is None):
            yield f"{indent}{column}: {_written(field, field.optional)}"
            continue
        free = {name: type_ for name, type_ in known.items() if name not in taken}
        what = "not in this base" if wrong is None else f"{wrong} is {known[wrong]} here, {kind} is wanted"
        hints = similar_fields(free, field.source, kind)
        if field.optional and wrong is None and not hints:
            note = "  # not in this base: the column stays empty" if field.constant is None else ""
        else:
            note = _look(what, hints)
        if not field.optional:
            missing.append(f"{where}.{field.source}")
        yield f"{indent}{column}: {_written(field, True)}{note}"


def _written(field: Field, optional: bool) -> str:
    """The field as a mapping file says it."""
    if not optional and not field.fallback:
        return field.source
    parts = [f"source: {field.source}"] if field.source else []
    if field.fallback:
        parts.append(f"fallback: [{', '.join(field.fallback)}]")
    if field.constant is not None:
        parts.append(f"constant: {_quoted(field.constant)}")
    elif optional:
        parts.append("optional: true")
    return "{" + ", ".join(parts) + "}"


def _sections(known: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(name for name, type_ in known.items() if type_.startswith("Collection("))[:5]


def _look(what: str, hints: tuple[str, ...]) -> str:
    return f"  # {LOOK} {what}" + (f"; similar: {', '.join(hints)}" if hints else "")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''").replace("\n", " ") + "'"


def _share(base: Published, configuration: Configuration) -> float:
    """The part of the fields that the mapping requires and the base has; what is optional only breaks a tie."""
    specs = load_entities(_KIND)
    required, optional = [0, 0], [0, 0]
    for name, mapping in configuration.entities.items():
        there = chosen(base, mapping)
        missing = [] if there is None else gaps(base, there, specs[name])
        fields = [*mapping.fields.values(), *(f for lines in mapping.lines.values() for f in lines.fields.values())]
        needed = 0 if mapping.optional else sum(not field.optional for field in fields)
        required[0] += needed
        optional[0] += len(fields) - needed
        if there is not None:
            lacking = sum(not gap.optional for gap in missing)
            required[1] += max(needed - lacking, 0)
            optional[1] += max(len(fields) - needed - (len(missing) - lacking), 0)
    return required[1] / max(required[0], 1) + optional[1] / max(optional[0], 1) / 1000
