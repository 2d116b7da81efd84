"""What has landed of one entity of one source, asked by those who decide what to land next."""

from collections.abc import Sequence
from datetime import datetime

from psycopg import sql

from warehouse.db import Connection
from warehouse.landing import LandingTable


class Landed:
    """Records of one landing table, of one instance."""

    def __init__(self, conn: Connection, table: LandingTable, instance: str) -> None:
        self._conn = conn
        self._relation = sql.Identifier("raw", table.name)
        self._instance = instance

    def alive(self) -> set[str]:
        """Ids of all records that are not deleted."""
        return self._ids("select record_id from {} where instance = %s and deleted_at is null")

    def count(self) -> int:
        """Number of records that are not deleted."""
        row = self._conn.execute(
            sql.SQL("select count(*) from {} where instance = %s and deleted_at is null").format(self._relation),
            [self._instance],
        ).fetchone()
        return int(row[0]) if row else 0

    def changed_since(self, ids: Sequence[str], moment: datetime) -> set[str]:
        """Of these the records that the source changed after `moment`."""
        return self._ids(
            "select record_id from {} where instance = %s and record_id = any(%s) and source_modified_at > %s",
            list(ids),
            moment,
        )

    def others_of(self, products: Sequence[tuple[str, str]], ids: Sequence[str]) -> set[str]:
        """Records of these (product, characteristic or '') that are not deleted and not among `ids`."""
        return self._ids(
            "select t.record_id from {} as t join unnest(%s::text[], %s::text[]) as told (product, characteristic)"
            " on t.product_id = told.product and coalesce(t.characteristic_id, '') = told.characteristic"
            " where t.instance = %s and t.deleted_at is null and not t.record_id = any(%s)",
            list(ids),
            before=[[product for product, _ in products], [characteristic for _, characteristic in products]],
        )

    def _ids(self, query: str, *parameters: object, before: Sequence[object] = ()) -> set[str]:
        rows = self._conn.execute(
            sql.SQL(query).format(self._relation),
            [*before, self._instance, *parameters],
        )
        return {row[0] for row in rows}
