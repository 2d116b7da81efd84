"""What a source itself says it has in total, to compare the warehouse with (`ops.control_total`).

A total belongs to a measure and a day. Without a subject type it is the sum of an organisation's day; with one, a part
of it: a document, a legal entity, a warehouse.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Literal

from psycopg import sql

from warehouse.db import Connection

Measure = Literal["revenue", "settlement", "stock"]
DOCUMENTS = "document"  # in control_total_taken: the day's documents are known one by one
CHANGED = "changed"  # subject type of documents that have changed at the source since they landed


@dataclass(frozen=True)
class Total:
    organisation_id: str
    amount: Decimal
    subject_type: str = ""
    subject_id: str = ""


def replace_totals(
    conn: Connection, instance: str, measure: Measure, day: date, totals: Iterable[Total], at: datetime
) -> None:
    """Store the totals of a day instead of the earlier ones, also instead of its documents. One transaction."""
    with conn.transaction():
        _forget(conn, instance, measure, day, everything=True)
        _put(conn, instance, measure, day, totals, at)
        _taken(conn, instance, measure, "", day, at)


def replace_documents(
    conn: Connection, instance: str, measure: Measure, day: date, documents: Iterable[Total], at: datetime
) -> None:
    """Store the totals of a day's documents, beside the day's own."""
    with conn.transaction():
        _forget(conn, instance, measure, day, everything=False)
        _put(conn, instance, measure, day, documents, at)
        _taken(conn, instance, measure, DOCUMENTS, day, at)


def days_taken(conn: Connection, instance: str, measure: Measure, since: datetime) -> set[date]:
    """Days whose totals were taken since that moment."""
    rows = conn.execute(
        "select day from ops.control_total_taken"
        " where instance = %s and measure = %s and subject_type = '' and taken_at >= %s",
        [instance, measure, since],
    )
    return {row[0] for row in rows}


def landed_versions(
    conn: Connection, table: str, instance: str, dated_from: datetime, dated_to: datetime
) -> dict[str, str | None]:
    """Version by id of the documents of a landing table that are alive and dated in [from, to)."""
    rows = conn.execute(
        sql.SQL(
            "select record_id, source_version from {} where instance = %s and deleted_at is null"
            " and dated_at >= %s and dated_at < %s"
        ).format(sql.Identifier("raw", table)),
        [instance, dated_from, dated_to],
    )
    return dict(rows.fetchall())


def differing_days(conn: Connection, instance: str) -> Sequence[date]:
    """Days on which the mart disagrees with the source's totals; none before the marts were built."""
    if conn.execute("select to_regclass('marts.reconciliation')").fetchone() == (None,):
        return []
    rows = conn.execute(
        "select distinct accounted_on from marts.reconciliation"
        " where instance = %s and status in ('differs', 'changed_since') order by accounted_on",
        [instance],
    )
    return [row[0] for row in rows]


def _forget(conn: Connection, instance: str, measure: Measure, day: date, *, everything: bool) -> None:
    for table in ("control_total", "control_total_taken"):
        conn.execute(
            sql.SQL(
                "delete from {} where instance = %s and measure = %s and day = %s and (%s or subject_type <> '')"
            ).format(sql.Identifier("ops", table)),
            [instance, measure, day, everything],
        )


def _put(conn: Connection, instance: str, measure: Measure, day: date, totals: Iterable[Total], at: datetime) -> None:
    with conn.cursor() as cursor:
        cursor.executemany(
            """
            insert into ops.control_total
                (instance, measure, day, organisation_id, subject_type, subject_id, amount, taken_at)
            values (%s, %s, %s, %s, %s, %s, %s, %s)
            """,
            [(instance, measure, day, t.organisation_id, t.subject_type, t.subject_id, t.amount, at) for t in totals],
        )


def _taken(conn: Connection, instance: str, measure: Measure, subject_type: str, day: date, at: datetime) -> None:
    conn.execute(
        "insert into ops.control_total_taken (instance, measure, subject_type, day, taken_at)"
        " values (%s, %s, %s, %s, %s)",
        [instance, measure, subject_type, day, at],
    )
