"""What a mapping needs of a base, field by field, and what of it is not there."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from extractors.core.spec import Entity, EntityMapping, Field, Kind
from extractors.onec.metadata import Published

# References of several types, and those to objects that are not published, are strings.
_ACCEPTED: dict[Kind, frozenset[str]] = {
    "ref": frozenset({"Guid", "String"}),
    "text": frozenset({"String", "Guid"}),
    "enum": frozenset({"String"}),
    "number": frozenset({"Double", "Single", "Decimal", "Int16", "Int32", "Int64", "Byte", "SByte"}),
    "integer": frozenset({"Double", "Decimal", "Int16", "Int32", "Int64", "Byte", "SByte"}),
    "boolean": frozenset({"Boolean"}),
    "date": frozenset({"DateTime"}),
    "timestamp": frozenset({"DateTime"}),
}
# $metadata describes the rows of a virtual table as a type of their own.
_ROW_TYPES = {"Balance": "Balance", "Turnovers": "Turnover", "BalanceAndTurnovers": "BalanceAndTurnover"}


@dataclass(frozen=True)
class Gap:
    """A field (or a whole tabular section, then without `field`) that the mapping names and the base lacks.

    `found_type`: it is there, but as a type that the column cannot take. `also`: the other names that would do and
    are not there either.
    """

    section: str | None
    field: str | None
    optional: bool
    found_type: str | None = None
    also: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The field as 1C people know it: `Партнер_Key`, `Товары.Цена`, `Товары`."""
        return ".".join(part for part in (self.section, self.field) if part)


def chosen(base: Published, mapping: EntityMapping) -> EntityMapping | None:
    """The mapping, with the first of its sets that the base publishes as `source_set`; None when there is none."""
    for source_set in (mapping.source_set, *mapping.instead):
        if base.has(source_set) and fields_of(base, source_set, mapping.function) is not None:
            return replace(mapping, source_set=source_set, instead=())
    return None


def fields_of(base: Published, source_set: str, function: str | None) -> dict[str, str] | None:
    """Fields of the records of a set, or of the rows that a virtual table of it gives; None when there is none."""
    if function is None:
        return base.fields.get(source_set)
    if function in _ROW_TYPES:
        return base.fields.get(f"{source_set}_{_ROW_TYPES[function]}")
    # A slice gives records: those of the register, or of its movements when documents make them.
    return base.fields.get(f"{source_set}_RecordType") or base.fields.get(source_set)


def gaps(base: Published, mapping: EntityMapping, entity: Entity) -> list[Gap]:
    """What the published set of an entity lacks, in the order of the mapping. The set itself must be there."""
    known = fields_of(base, mapping.source_set, mapping.function) or {}
    found = list(_missing(known, mapping.fields, entity.columns, None))
    for child, lines in mapping.lines.items():
        row = base.section(mapping.source_set, lines.source)
        if row is None:
            found.append(Gap(lines.source, None, lines.optional))
        else:
            found += _missing(row, lines.fields, entity.lines[child], lines.source)
    return found


def lacking(base: Published, mapping: EntityMapping, entity: Entity) -> list[str]:
    """Names of what a load cannot do without and the base lacks; the set itself when that is not published."""
    there = chosen(base, mapping)
    if there is None:
        return [mapping.source_set]
    return [f"{there.source_set}.{gap.name}" for gap in gaps(base, there, entity) if not gap.optional]


def fits(kind: Kind, edm_type: str) -> bool:
    """Whether a column of that kind can take a property of that type (`Edm.String`, ...)."""
    accepted = _ACCEPTED.get(kind)
    return not edm_type.startswith("Collection(") and (accepted is None or edm_type.removeprefix("Edm.") in accepted)


def _missing(
    known: Mapping[str, str], fields: Mapping[str, Field], columns: Mapping[str, Kind], section: str | None
) -> Iterator[Gap]:
    for column, field in fields.items():
        there = [name for name in field.names if name in known]
        wrong = next((name for name in there if not fits(columns[column], known[name])), None)
        if wrong is not None:
            yield Gap(section, wrong, field.optional, known[wrong])
        elif not there and field.names:
            yield Gap(section, field.source, field.optional, also=field.fallback)
