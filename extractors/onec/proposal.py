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
from extractors.onec.needs import fits, gaps
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
    known = base.fields.get(mapping.source_set)
    note = ""
    if known is None:
        note = _look("not published", similar_sets(base, mapping.source_set))
        if not mapping.optional:
            missing.append(mapping.source_set)
    yield f"  {spec.name}:"
    yield f"    set: {mapping.source_set}{note}"
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
        yield f"      {child}:"
        yield f"        source: {lines.source}" + (_look("no such section", _sections(known or {})) if absent else "")
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
    taken = {field.source for field in fields.values()}
    for column, field in fields.items():
        kind = columns[column]
        edm_type = None if known is None else known.get(field.source)
        if known is None or (edm_type is not None and fits(kind, edm_type)):
            value = f"{{source: {field.source}, optional: true}}" if field.optional else field.source
            yield f"{indent}{column}: {value}"
            continue
        free = {name: type_ for name, type_ in known.items() if name not in taken}
        what = "not in this base" if edm_type is None else f"is {edm_type} here, {kind} is wanted"
        hints = similar_fields(free, field.source, kind)
        if field.optional and edm_type is None and not hints:
            note = "  # not in this base: the column stays empty"
        else:
            note = _look(what, hints)
        if not field.optional:
            missing.append(f"{where}.{field.source}")
        yield f"{indent}{column}: {{source: {field.source}, optional: true}}{note}"


def _sections(known: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(name for name, type_ in known.items() if type_.startswith("Collection("))[:5]


def _look(what: str, hints: tuple[str, ...]) -> str:
    return f"  # {LOOK} {what}" + (f"; similar: {', '.join(hints)}" if hints else "")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''").replace("\n", " ") + "'"


def _share(base: Published, configuration: Configuration) -> float:
    """The part of the mapping's fields that the base has."""
    specs = load_entities(_KIND)
    named = absent = 0
    for name, mapping in configuration.entities.items():
        size = len(mapping.fields) + sum(len(lines.fields) for lines in mapping.lines.values())
        named += size
        if base.has(mapping.source_set):
            absent += len(gaps(base, mapping, specs[name]))
        else:
            absent += size
    return 1 - absent / max(named, 1)
