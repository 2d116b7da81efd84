"""Entity sets and registers: their fields and types. Each configuration has a module with its names beside this one."""

from dataclasses import dataclass, field, replace
from typing import Literal

# ref: one type, guid. composite: guid beside a field of kind `type`. fixed: a string padded with spaces.
Kind = Literal[
    "key", "ref", "composite", "type", "string", "fixed", "enum", "date", "boolean", "double", "int64", "int16"
]

EMPTY_GUID = "00000000-0000-0000-0000-000000000000"
EMPTY_DATE = "0001-01-01T00:00:00"

EDM_TYPES: dict[Kind, str] = {
    "key": "Edm.Guid",
    "ref": "Edm.Guid",
    "composite": "Edm.String",
    "type": "Edm.String",
    "string": "Edm.String",
    "fixed": "Edm.String",
    "enum": "Edm.String",
    "date": "Edm.DateTime",
    "boolean": "Edm.Boolean",
    "double": "Edm.Double",
    "int64": "Edm.Int64",
    "int16": "Edm.Int16",
}

# What 1C sends for a field nobody filled, as JSON text.
EMPTY_JSON: dict[Kind, str] = {
    "key": f'"{EMPTY_GUID}"',
    "ref": f'"{EMPTY_GUID}"',
    "composite": '""',
    "type": '"StandardODATA.Undefined"',
    "string": '""',
    "fixed": '""',
    "enum": '""',
    "date": f'"{EMPTY_DATE}"',
    "boolean": "false",
    "double": "0",
    "int64": '"0"',
    "int16": "0",
}


@dataclass(frozen=True)
class Field:
    """One property. `target` is the entity set a reference points to, `length` the width of a fixed string."""

    name: str
    kind: Kind
    target: str | None = None
    length: int | None = None

    @property
    def navigation(self) -> str | None:
        """Name of the navigation property of a reference: `Партнер` for `Партнер_Key`."""
        return self.name.removesuffix("_Key") if self.kind == "ref" and self.target else None


@dataclass(frozen=True)
class Table:
    """A tabular section, whose rows begin with Ref_Key and LineNumber, or the records of a register's record set."""

    name: str
    fields: tuple[Field, ...]


@dataclass(frozen=True)
class SetSchema:
    """One entity set. `sort` is what 1C's automatic ordering by presentation amounts to."""

    name: str
    fields: tuple[Field, ...]
    tables: tuple[Table, ...] = ()
    sort: tuple[str, ...] = ("Description",)
    keys: tuple[str, ...] = ("Ref_Key",)
    by_name: dict[str, Field] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {f.name: f for f in self.fields})

    @property
    def is_document(self) -> bool:
        return self.name.startswith("Document_")

    def table(self, name: str) -> Table | None:
        return next((t for t in self.tables if t.name == name), None)


RegisterKind = Literal["balance", "turnover", "information", "accounting"]


@dataclass(frozen=True)
class RegisterSchema:
    """A register. `recorder` says how a record names its document: `composite` as Recorder with Recorder_Type, `single`
    (one type of document only) as Recorder_Key, None for an independent information register.
    """

    name: str  # with its prefix: AccumulationRegister_ТоварыНаСкладах
    kind: RegisterKind
    dimensions: tuple[Field, ...]
    resources: tuple[Field, ...]
    attributes: tuple[Field, ...] = ()
    recorder: Literal["composite", "single"] | None = "composite"
    periodic: bool = True

    @property
    def recorder_fields(self) -> tuple[Field, ...]:
        if self.recorder is None:
            return ()
        if self.recorder == "single":
            return (Field("Recorder_Key", "ref"),)
        return (Field("Recorder", "composite"), Field("Recorder_Type", "type"))

    @property
    def records_name(self) -> str:
        """The set with one row per record."""
        return self.name if self.recorder is None else f"{self.name}_RecordType"

    @property
    def records(self) -> SetSchema:
        """One row per record, keyed as 1C keys it."""
        if self.recorder is None:
            period = (Field("Period", "date"),) if self.periodic else ()
            fields = (*period, *self.dimensions, *self.resources, *self.attributes)
            keys = tuple(f.name for f in (*period, *self.dimensions))
            return SetSchema(self.records_name, fields, sort=keys, keys=keys)
        keys = tuple(f.name for f in self.recorder_fields)
        standard = [*self.recorder_fields, Field("Period", "date"), Field("LineNumber", "int64")]
        standard.append(Field("Active", "boolean"))
        if self.kind == "balance":
            standard.append(Field("RecordType", "enum"))
        fields = (*standard, *self.dimensions, *self.resources, *self.attributes)
        return SetSchema(self.records_name, fields, sort=("Period",), keys=(*keys, "LineNumber"))

    @property
    def record_sets(self) -> SetSchema:
        """One row per recorder, holding all its records."""
        keys = tuple(f.name for f in self.recorder_fields)
        rows = Table("RecordSet", self.records.fields)
        return SetSchema(self.name, self.recorder_fields, (rows,), sort=(keys[0],), keys=keys)

    @property
    def functions(self) -> dict[str, str]:
        """Virtual tables by name, each with its parameters (of an accounting register those that are simulated)."""
        if self.kind == "information":
            slices = ("SliceLast", "SliceFirst") if self.periodic else ()
            return dict.fromkeys(slices, "Condition Period")
        turnovers = {"Turnovers": "Condition Dimensions EndPeriod StartPeriod"}
        if self.kind == "turnover":
            return turnovers
        if self.kind == "accounting":
            return {"Balance": "AccountCondition Condition ExtraDimensions Period"}
        both = {"BalanceAndTurnovers": "Condition Dimensions EndPeriod StartPeriod"}
        return {"Balance": "Condition Dimensions Period"} | turnovers | both


@dataclass(frozen=True)
class Configuration:
    """What one 1C configuration publishes."""

    name: str
    sets: tuple[SetSchema, ...]
    registers: tuple[RegisterSchema, ...] = ()
    by_name: dict[str, SetSchema] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {s.name: s for s in self.sets})


def parse_fields(text: str) -> tuple[Field, ...]:
    """Parse words: `Имя:kind`, reference `Имя_Key>Catalog_X`, composite with its type `Имя?`, padded `Имя:fixed12`."""
    result: list[Field] = []
    for word in text.split():
        if ">" in word:
            name, target = word.split(">")
            result.append(Field(name, "ref", target))
        elif word.endswith("_Key"):
            result.append(Field(word, "ref"))
        elif word.endswith("?"):
            result += [Field(word[:-1], "composite"), Field(word[:-1] + "_Type", "type")]
        elif ":fixed" in word:
            name, width = word.split(":fixed")
            result.append(Field(name, "fixed", length=int(width)))
        else:
            name, _, kind = word.partition(":")
            result.append(Field(name, _SHORT[kind]))
    return tuple(result)


_SHORT: dict[str, Kind] = {
    "": "string",
    "e": "enum",
    "d": "date",
    "b": "boolean",
    "n": "double",
    "i": "int64",
    "s": "int16",
}

_REF = (Field("Ref_Key", "key"), Field("DataVersion", "string"), Field("DeletionMark", "boolean"))
_PREDEFINED = (Field("Predefined", "boolean"), Field("PredefinedDataName", "string"))
_ROW = (Field("Ref_Key", "key"), Field("LineNumber", "int64"))


def table(name: str, text: str) -> Table:
    """A tabular section with fields written as for `parse_fields`."""
    return Table(name, _ROW + parse_fields(text))


def catalog(name: str, text: str, *tables: Table) -> SetSchema:
    """A catalog with its standard fields and the given ones."""
    fields = (*_REF, Field("Description", "string"), *parse_fields(text), *_PREDEFINED)
    return SetSchema(f"Catalog_{name}", fields, tables)


def characteristic_types(name: str, text: str) -> SetSchema:
    """A chart of characteristic types: a catalog whose items have types of values."""
    return replace(catalog(name, text), name=f"ChartOfCharacteristicTypes_{name}")


def chart_of_accounts(name: str, text: str) -> SetSchema:
    """A chart of accounts: a catalog whose codes are the accounts' numbers."""
    return replace(catalog(name, f"Code:fixed8 {text}"), name=f"ChartOfAccounts_{name}")


def document(name: str, text: str, *tables: Table) -> SetSchema:
    """A document with its standard fields and the given ones."""
    standard = (Field("Number", "fixed", length=14), Field("Date", "date"), Field("Posted", "boolean"))
    return SetSchema(f"Document_{name}", _REF + standard + parse_fields(text), tables, sort=("Date",))


def register(
    name: str,
    kind: RegisterKind,
    dimensions: str,
    resources: str,
    attributes: str = "",
    recorder: Literal["composite", "single"] | None = "composite",
    *,
    periodic: bool = True,
) -> RegisterSchema:
    """A register with dimensions, resources and attributes written as for `parse_fields`; `name` with its prefix."""
    return RegisterSchema(
        name, kind, parse_fields(dimensions), parse_fields(resources), parse_fields(attributes), recorder, periodic
    )
