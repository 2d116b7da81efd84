"""What a mapping needs of a base, field by field, and what of it is not there."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from extractors.core.spec import Entity, EntityMapping, Field, Kind
from extractors.onec.metadata import Published

# References of several types, and those to objects that are not published, are strings.
_ACCEPTED: dict[Kind, frozenset[str]] = {
    "ref": frozenset({"Guid", "String"}),
    "enum": frozenset({"String"}),
    "number": frozenset({"Double", "Single", "Decimal", "Int16", "Int32", "Int64", "Byte", "SByte"}),
    "integer": frozenset({"Double", "Decimal", "Int16", "Int32", "Int64", "Byte", "SByte"}),
    "boolean": frozenset({"Boolean"}),
    "date": frozenset({"DateTime"}),
    "timestamp": frozenset({"DateTime"}),
}


@dataclass(frozen=True)
class Gap:
    """A field (or a whole tabular section, then without `field`) that the mapping names and the base lacks.

    `found_type`: it is there, but as a type that the column cannot take.
    """

    section: str | None
    field: str | None
    optional: bool
    found_type: str | None = None

    @property
    def name(self) -> str:
        """The field as 1C people know it: `Партнер_Key`, `Товары.Цена`, `Товары`."""
        return ".".join(part for part in (self.section, self.field) if part)


def gaps(base: Published, mapping: EntityMapping, entity: Entity) -> list[Gap]:
    """What the published set of an entity lacks, in the order of the mapping. The set itself must be there."""
    known = base.fields[mapping.source_set]
    found = list(_missing(known, mapping.fields, entity.columns, None))
    for child, lines in mapping.lines.items():
        row = base.section(mapping.source_set, lines.source)
        if row is None:
            found.append(Gap(lines.source, None, lines.optional))
        else:
            found += _missing(row, lines.fields, entity.lines[child], lines.source)
    return found


def fits(kind: Kind, edm_type: str) -> bool:
    """Whether a column of that kind can take a property of that type (`Edm.String`, ...)."""
    accepted = _ACCEPTED.get(kind)
    return not edm_type.startswith("Collection(") and (accepted is None or edm_type.removeprefix("Edm.") in accepted)


def _missing(
    known: Mapping[str, str], fields: Mapping[str, Field], columns: Mapping[str, Kind], section: str | None
) -> Iterator[Gap]:
    for column, field in fields.items():
        edm_type = known.get(field.source)
        if edm_type is None:
            yield Gap(section, field.source, field.optional)
        elif not fits(columns[column], edm_type):
            yield Gap(section, field.source, field.optional, edm_type)
