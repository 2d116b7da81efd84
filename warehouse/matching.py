"""What SQL cannot compare, made comparable: phones as people write them, names that are nearly the same.

`refresh` reads the names and phones that landed and keeps two dictionaries for dbt, which decides who is who:

    ops.match_key        text -> its phones in E.164, or its name without the legal form
    ops.name_likeness    name of a CRM card, name in 1C, score 0..100
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal

import numpy as np
import phonenumbers
from psycopg import sql
from rapidfuzz import fuzz, process

from warehouse.db import Connection

Kind = Literal["phone", "name"]
Side = Literal["crm", "onec"]

REGION = "RU"  # numbers without a country code: 8 912 ... and 912 ... are Russian
LIKENESS_FLOOR = 80  # names that agree less are not kept; the models ask for more
LIKEST = 5  # so many names of 1C are kept per name of the CRM
_CHUNK = 500
_SHORTEST_PART = 4

# (side, kind, end of the landing table's name, column, condition)
_TEXTS: tuple[tuple[Side, Kind, str, str, str], ...] = (
    ("crm", "phone", "_company_channel", "value", "channel = 'phone'"),
    ("crm", "phone", "_contact_channel", "value", "channel = 'phone'"),
    ("crm", "name", "_company", "name", "true"),
    ("crm", "name", "_requisite", "name", "true"),
    ("onec", "phone", "onec_partner_contact", "value", "phone is not null"),
    ("onec", "phone", "onec_partner_contact", "phone", "true"),
    ("onec", "phone", "onec_legal_entity_contact", "value", "phone is not null"),
    ("onec", "phone", "onec_legal_entity_contact", "phone", "true"),
    ("onec", "name", "onec_partner", "name", "true"),
    ("onec", "name", "onec_partner", "full_name", "true"),
    ("onec", "name", "onec_legal_entity", "name", "true"),
    ("onec", "name", "onec_legal_entity", "full_name", "true"),
)
_CRMS = ("amocrm", "bitrix24", "hubspot")

_LEGAL_FORM = re.compile(
    r"(?<![\w-])(?:"
    r"общество с ограниченной ответственностью"
    r"|(?:публичное |непубличное |открытое |закрытое )?акционерное общество"
    r"|индивидуальный предприниматель"
    r"|(?:глава )?крестьянско(?:е|го) \(?фермерско(?:е|го)\)? хозяйств[оа]"
    r"|потребительское общество|производственный кооператив"
    r"|ооо|оао|зао|пао|нао|ао|ип|чп|пбоюл|кфх|гуп|муп|фгуп|спк"
    r"|llc|ltd|jsc"
    r")(?![\w-])"
)


def refresh(conn: Connection) -> dict[str, int]:
    """Bring the dictionaries up to what has landed; only new texts are looked at. One transaction.

    Returns the number of new texts by kind, and of names compared.
    """
    with conn.transaction():
        tables = {
            row[0]
            for row in conn.execute("select table_name from information_schema.tables where table_schema = 'raw'")
        }
        new: dict[str, int] = {}
        fresh_names: set[str] = set()
        for kind, find in _FINDERS:
            present = _texts(conn, tables, kind, ("crm", "onec"))
            known = {row[0] for row in conn.execute("select distinct text from ops.match_key where kind = %s", [kind])}
            gone = list(known - present)
            conn.execute("delete from ops.match_key where kind = %s and text = any(%s)", [kind, gone])
            # A text without a phone in it is kept with an empty key: it need not be read again.
            rows = [(kind, text, key) for text in present - known for key in (find(text) or [""])]
            with conn.cursor() as cursor, cursor.copy("copy ops.match_key (kind, text, key) from stdin") as copy:
                for row in rows:
                    copy.write_row(row)
            new[kind] = len(present - known)
            if kind == "name":
                fresh_names = {key for _, _, key in rows}
        new["compared"] = _compare(conn, tables, fresh_names)
        conn.execute("analyze ops.match_key")
        conn.execute("analyze ops.name_likeness")
    return new


def phones(text: str) -> tuple[str, ...]:
    """Phones in a text, in E.164: `8 (912) 000-11-22, доп. 3; 7912...`.

    Numbers of nobody count when they could be some. An extension is left out: the line is the same.
    """
    found = phonenumbers.PhoneNumberMatcher(text, REGION, leniency=phonenumbers.Leniency.POSSIBLE)
    numbers = {
        phonenumbers.format_number(match.number, phonenumbers.PhoneNumberFormat.E164)
        for match in found
        if phonenumbers.is_possible_number(match.number)
    }
    return tuple(sorted(numbers))


def bare_names(text: str) -> tuple[str, ...]:
    """The name without legal form, quotes and order of words; also of each part of `sign / legal entity`."""
    names = [bare_name(part) for part in text.split(" / ")]
    return tuple(sorted({name for name in names if len(name) >= _SHORTEST_PART or len(names) == 1} - {""}))


def bare_name(text: str) -> str:
    """`Общество с ограниченной ответственностью "Ёлочка"` and `ЕЛОЧКА ООО` -> `елочка`."""
    words = " ".join(text.lower().replace("ё", "е").split())
    return " ".join(sorted(re.findall(r"\w+", _LEGAL_FORM.sub(" ", words))))


def likest(names: Sequence[str], among: Sequence[str]) -> Iterator[tuple[str, str, float]]:
    """(name, name among the others, score) of those that nearly agree, at most LIKEST per name."""
    if not among:
        return
    for start in range(0, len(names), _CHUNK):
        chunk = names[start : start + _CHUNK]
        scores = process.cdist(chunk, among, scorer=fuzz.ratio, score_cutoff=LIKENESS_FLOOR, dtype=np.float32)
        for name, row in zip(chunk, scores, strict=True):
            near = np.flatnonzero(row)
            for place in near[np.argsort(-row[near], kind="stable")][:LIKEST]:
                yield name, among[place], float(row[place])


_FINDERS: tuple[tuple[Kind, Callable[[str], tuple[str, ...]]], ...] = (("phone", phones), ("name", bare_names))


def _compare(conn: Connection, tables: Iterable[str], fresh: set[str]) -> int:
    """Compare new names of the CRM with all of 1C and new names of 1C with all of the CRM's."""
    crm = _keys(conn, _texts(conn, tables, "name", ("crm",)))
    onec = _keys(conn, _texts(conn, tables, "name", ("onec",)))
    conn.execute(
        "delete from ops.name_likeness where crm_name <> all(%s) or onec_name <> all(%s)", [sorted(crm), sorted(onec)]
    )
    # A name that 1C has as well needs no likeness.
    unknown = crm - onec
    fresh_crm, old_crm = sorted(unknown & fresh), sorted(unknown - fresh)
    found = [*likest(fresh_crm, sorted(onec)), *likest(old_crm, sorted(onec & fresh))]
    with conn.cursor() as cursor:
        cursor.executemany(
            """
            insert into ops.name_likeness (crm_name, onec_name, score) values (%s, %s, %s)
            on conflict (crm_name, onec_name) do update set score = excluded.score
            """,
            [(mine, theirs, round(score, 2)) for mine, theirs, score in found],
        )
    return len(fresh_crm) + (len(old_crm) if onec & fresh else 0)


def _keys(conn: Connection, texts: set[str]) -> set[str]:
    rows = conn.execute(
        "select key from ops.match_key where kind = 'name' and key <> '' and text = any(%s)", [list(texts)]
    )
    return {row[0] for row in rows}


def _texts(conn: Connection, tables: Iterable[str], kind: Kind, sides: tuple[Side, ...]) -> set[str]:
    """What the landed records hold of this kind; landing tables that are not there hold nothing."""
    selects = [
        sql.SQL("select {} from raw.{} where {}").format(
            sql.Identifier(column), sql.Identifier(table), sql.SQL(condition)
        )
        for side, of, end, column, condition in _TEXTS
        if side in sides and of == kind
        for table in ([f"{crm}{end}" for crm in _CRMS] if side == "crm" else [end])
        if table in tables
    ]
    if not selects:
        return set()
    rows = conn.execute(sql.SQL(" union ").join(selects))
    return {row[0] for row in rows if row[0] and row[0].strip()}
