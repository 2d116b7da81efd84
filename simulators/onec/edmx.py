"""`$metadata` of the published sets."""

from collections.abc import Iterable

from simulators.onec.registers import result_fields
from simulators.onec.schema import EDM_TYPES, Field, RegisterSchema, SetSchema

_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<edmx:Edmx xmlns:edmx="http://schemas.microsoft.com/ado/2007/06/edmx" Version="1.0">\n'
    '<edmx:DataServices xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata"'
    ' m:DataServiceVersion="3.0" m:MaxDataServiceVersion="3.0">\n'
    '<Schema xmlns="http://schemas.microsoft.com/ado/2009/11/edm" Namespace="StandardODATA">\n'
)


_TABLE_TYPES = {"Balance": "Balance", "Turnovers": "Turnover", "BalanceAndTurnovers": "BalanceAndTurnover"}


def _property(column: Field, keys: Iterable[str] = ("Ref_Key", "LineNumber")) -> str:
    nullable = "false" if column.name in keys else "true"
    return f'<Property Name="{column.name}" Type="{EDM_TYPES[column.kind]}" Nullable="{nullable}"/>\n'


def _navigation(owner: str, column: Field) -> str:
    return (
        f'<NavigationProperty Name="{column.navigation}" Relationship="StandardODATA.{owner}_{column.navigation}"'
        ' FromRole="Begin" ToRole="End"/>\n'
    )


def _association(owner: str, column: Field) -> str:
    return (
        f'<Association Name="{owner}_{column.navigation}">\n'
        f'<End Role="Begin" Type="StandardODATA.{owner}" Multiplicity="*"/>\n'
        f'<End Role="End" Type="StandardODATA.{column.target}" Multiplicity="0..1"/>\n</Association>\n'
    )


def _function(name: str, bound: str, result: str, parameters: str) -> str:
    lines = "".join(
        f'<Parameter Name="{p}" Type="{"Edm.DateTime" if p.endswith("Period") else "Edm.String"}"/>\n'
        for p in parameters.split()
    )
    return (
        f'<FunctionImport Name="{name}" IsBindable="true" IsSideEffecting="false"'
        f' ReturnType="Collection(StandardODATA.{result})">\n'
        f'<Parameter Name="bindingParameter" Type="StandardODATA.{bound}"/>\n{lines}</FunctionImport>\n'
    )


def _complex(name: str, fields: Iterable[Field], keys: Iterable[str] = ()) -> str:
    return f'<ComplexType Name="{name}">\n{"".join(_property(c, keys) for c in fields)}</ComplexType>\n'


def metadata(schemas: Iterable[SetSchema], registers: Iterable[RegisterSchema] = ()) -> str:
    """The EDMX document. References to sets that are not published have no navigation property."""
    published = list(schemas)
    published_registers = list(registers)
    names = {schema.name for schema in published} | {register.name for register in published_registers}
    types: list[str] = []
    complex_types: list[str] = []
    associations: list[str] = []
    sets: list[str] = []
    association_sets: list[str] = []
    functions: list[str] = []

    def add(owner: str, keys: tuple[str, ...], fields: Iterable[Field], collections: Iterable[str]) -> None:
        columns = list(fields)
        links = [c for c in columns if c.navigation and c.target in names]
        types.append(f'<EntityType Name="{owner}">\n<Key>\n')
        types.extend(f'<PropertyRef Name="{key}"/>\n' for key in keys)
        types.append("</Key>\n")
        types.extend(_property(c, keys) for c in columns)
        types.extend(
            f'<Property Name="{name}" Type="Collection(StandardODATA.{owner}_{name}_RowType)" Nullable="true"/>\n'
            for name in collections
        )
        types.extend(_navigation(owner, c) for c in links)
        types.append("</EntityType>\n")
        associations.extend(_association(owner, c) for c in links)
        sets.append(f'<EntitySet Name="{owner}" EntityType="StandardODATA.{owner}"/>\n')
        association_sets.extend(
            f'<AssociationSet Name="{owner}_{c.navigation}" Association="StandardODATA.{owner}_{c.navigation}">\n'
            f'<End Role="Begin" EntitySet="{owner}"/>\n<End Role="End" EntitySet="{c.target}"/>\n</AssociationSet>\n'
            for c in links
        )

    for schema in published:
        add(schema.name, schema.keys, schema.fields, (t.name for t in schema.tables))
        for table in schema.tables:
            add(f"{schema.name}_{table.name}", ("Ref_Key", "LineNumber"), table.fields, ())
            complex_types.append(
                _complex(f"{schema.name}_{table.name}_RowType", table.fields, ("Ref_Key", "LineNumber"))
            )
        if schema.is_document:
            for action in ("Post", "Unpost"):
                mode = '<Parameter Name="PostingModeOperational" Type="Edm.Boolean"/>\n' if action == "Post" else ""
                functions.append(
                    f'<FunctionImport Name="{action}" IsBindable="true" IsSideEffecting="true">\n'
                    f'<Parameter Name="bindingParameter" Type="StandardODATA.{schema.name}"/>\n'
                    f"{mode}</FunctionImport>\n"
                )
    for register in published_registers:
        records = register.records
        if register.recorder is not None:
            whole = register.record_sets
            # The rows' type of a register has no name of a tabular section in it.
            add(whole.name, whole.keys, whole.fields, ())
            types[-1] = (
                f'<Property Name="RecordSet" Type="Collection(StandardODATA.{whole.name}_RowType)" Nullable="false"/>\n'
                "</EntityType>\n"
            )
            complex_types.append(_complex(f"{whole.name}_RowType", records.fields, records.keys))
        add(records.name, records.keys, records.fields, ())
        for function, parameters in register.functions.items():
            if register.kind == "information":
                functions.append(_function(function, records.name, records.name, parameters))
                continue
            result = f"{register.name}_{_TABLE_TYPES[function]}"
            complex_types.append(_complex(result, result_fields(register, function)))
            functions.append(_function(function, register.name, result, parameters))
    container = '<EntityContainer Name="EnterpriseV8" m:IsDefaultEntityContainer="true">\n'
    return "".join(
        (
            _HEAD,
            *types,
            *complex_types,
            *associations,
            container,
            *sets,
            *association_sets,
            *functions,
            "</EntityContainer>\n</Schema>\n</edmx:DataServices>\n</edmx:Edmx>\n",
        )
    )
