"""Atom, the default format of 1C's OData."""

from collections.abc import Container, Sequence
from decimal import Decimal
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import orjson

from simulators.onec.base import EntitySet, Row, number_text
from simulators.onec.schema import EDM_TYPES, EMPTY_GUID, Field

NAMESPACES = (
    'xmlns="http://www.w3.org/2005/Atom" xmlns:d="http://schemas.microsoft.com/ado/2007/08/dataservices"'
    ' xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata"'
)
_PROPERTY_NAMESPACES = (
    'xmlns:d="http://schemas.microsoft.com/ado/2007/08/dataservices"'
    ' xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata"'
)
_UPDATED = "2000-01-01T00:00:00"
_SCHEME = "http://schemas.microsoft.com/ado/2007/08/dataservices/scheme"
_RELATED = "http://schemas.microsoft.com/ado/2007/08/dataservices/related/"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return number_text(value)
    if isinstance(value, float):
        return orjson.dumps(value).decode()
    return escape(str(value))


def _element(name: str, value: Any, edm_type: str | None = None) -> str:
    if value is None:
        return f'<d:{name} m:null="true"/>'
    if value == "":
        return f"<d:{name}/>"
    kind = f' m:type="{edm_type}"' if edm_type and edm_type != "Edm.String" else ""
    return f"<d:{name}{kind}>{_text(value)}</d:{name}>"


def _row_type(set_name: str, table: str) -> str:
    return f"StandardODATA.{set_name}_{table}_RowType".replace("_RecordSet_RowType", "_RowType")


def _properties(record: dict[str, Any], set_name: str, fields: Sequence[Field]) -> str:
    kinds = {f.name: EDM_TYPES[f.kind] for f in fields}
    parts: list[str] = []
    for name, value in record.items():
        if not isinstance(value, list):
            parts.append(_element(name, value, kinds.get(name)))
            continue
        row_type = _row_type(set_name, name)
        lines = "".join(
            f'<d:element m:type="{row_type}">' + "".join(_element(n, v) for n, v in line.items()) + "</d:element>"
            for line in value
        )
        opening = f'<d:{name} m:type="Collection({row_type})"'
        parts.append(f"{opening}>{lines}</d:{name}>" if lines else f"{opening}/>")
    return "".join(parts)


def _links(entity_set: EntitySet, path: str, record: dict[str, Any], published: Container[str]) -> str:
    """One link for every filled reference to a set that is published."""
    return "".join(
        f'<link rel="{_RELATED}{f.navigation}" href={quoteattr(path + "/" + f.navigation)}'
        f' type="application/atom+xml;type=entry;charset=utf-8" title="{f.navigation}"/>'
        for f in entity_set.schema.fields
        if f.navigation and f.target in published and record.get(f.name) not in {None, EMPTY_GUID}
    )


def entry(
    root: str,
    entity_set: EntitySet,
    row: Row,
    record: dict[str, Any],
    published: Container[str],
    *,
    outer: bool = False,
) -> str:
    """One `<entry>`; `record` holds the selected properties, `published` names all sets that are."""
    name = entity_set.name
    path = entity_set.address(row)
    links = _links(entity_set, path, record, published)
    spaces = f" {NAMESPACES} xml:base={quoteattr(root + '/')}" if outer else ""
    return (
        f"<entry{spaces}><id>{escape(root)}/{path}</id>"
        f'<category term="StandardODATA.{name}" scheme="{_SCHEME}"/><title type="text"/>'
        f"<updated>2000-01-01T00:00:00</updated><author/><summary/>{links}"
        f'<link rel="edit" href={quoteattr(path)} title="edit-link"/>'
        f'<content type="application/xml"><m:properties>{_properties(record, name, entity_set.schema.fields)}'
        "</m:properties></content></entry>"
    )


def feed(root: str, set_name: str, entries: Sequence[str], count: int | None) -> str:
    """A `<feed>` of entries."""
    counted = "" if count is None else f"<m:count>{count}</m:count>"
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<feed {NAMESPACES} xml:base={quoteattr(root + "/")}>'
        f'<id>{escape(root)}/{set_name}</id><title type="text"/><updated>2000-01-01T00:00:00</updated>'
        f'<link rel="self" title="{set_name}" href="{set_name}"/>{counted}{"".join(entries)}</feed>'
    )


def service(root: str, names: Sequence[str]) -> str:
    """The service document: the list of published sets."""
    sets = "".join(f'<collection href="{n}"><atom:title>{n}</atom:title></collection>' for n in names)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<service xmlns="http://www.w3.org/2007/app"'
        f' xmlns:atom="http://www.w3.org/2005/Atom" xml:base={quoteattr(root + "/")}>'
        f"<workspace><atom:title>Default</atom:title>{sets}</workspace></service>"
    )


# what SelectChanges sends


def changed_entry(root: str, entity_set: EntitySet, key: str, row: Row | None, published: Container[str]) -> str:
    """One changed object, its values untyped; rows of a tabular section do not name their owner.

    A record set without a row any more comes with the key of its recorder and no records.
    """
    name = entity_set.name
    path = entity_set.address_of(key)
    record: dict[str, Any] = entity_set.exact(row) if row else _emptied(entity_set, key)
    parts: list[str] = []
    for field_name, value in record.items():
        if not isinstance(value, list):
            parts.append(_element(field_name, value))
            continue
        row_type = _row_type(name, field_name)
        lines = "".join(
            f'<d:element m:type="{row_type}">'
            + "".join(_element(n, v) for n, v in line.items() if n != "Ref_Key")
            + "</d:element>"
            for line in value
        )
        parts.append(f'<d:{field_name} m:type="Collection({row_type})">{lines}</d:{field_name}>')
    return (
        f"<entry><id>{escape(root)}/{path}</id>"
        f'<category term="StandardODATA.{name}" scheme="{_SCHEME}"/><title type="text"/>'
        f"<updated>{_UPDATED}</updated><author/><summary/>{_links(entity_set, path, record, published)}"
        f'<link rel="edit" href={quoteattr(path)} title="edit-link"/><content type="application/xml">'
        f"<m:properties {_PROPERTY_NAMESPACES}>{''.join(parts)}</m:properties></content></entry>"
    )


def _emptied(entity_set: EntitySet, key: str) -> dict[str, Any]:
    names = entity_set.schema.keys
    return dict(zip(names, key.split("|"), strict=True)) | {t.name: [] for t in entity_set.schema.tables}


def deleted_entry(root: str, entity_set: EntitySet, key: str) -> str:
    """An object that is gone (RFC 6721)."""
    return f"<at:deleted-entry ref={quoteattr(f'{root}/{entity_set.address_of(key)}')} when={quoteattr(_UPDATED)}/>"


def changes(root: str, entries: Sequence[str]) -> str:
    """The feed of one message."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<feed xmlns="http://www.w3.org/2005/Atom"'
        f' xmlns:at="http://purl.org/atompub/tombstones/1.0" {_PROPERTY_NAMESPACES}'
        f" xml:base={quoteattr(root + '/')}>{''.join(entries)}</feed>"
    )
