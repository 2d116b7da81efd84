"""Documents of a small 1C base put straight into landing, as many as a test needs, by COPY."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from psycopg import sql

from warehouse.db import Connection

BASE = "base"
LANDED_AT = datetime(2025, 6, 10, 3, 0, tzinfo=UTC)
NOON = time(9, 0)  # noon in Moscow


@dataclass(frozen=True)
class Line:
    """One line: quantity in units, price with VAT. `cancelled` names a reason of cancellation."""

    product: str
    quantity: int | Decimal
    price: int | Decimal = 10
    cancelled: str | None = None

    @property
    def amount(self) -> Decimal:
        return Decimal(self.quantity) * Decimal(self.price)


@dataclass
class Documents:
    """Collects rows; `copy` writes those collected since the last time."""

    load_id: int = 1
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def source(self, conn: Connection) -> None:
        conn.execute(
            """
            insert into ops.source_instance (instance, kind, mapping, time_zone, outlet_lives_in, branches)
            values (%s, 'onec', 'ut11', 'Europe/Moscow', 'sub_partner', 'by_organization')
            """,
            [BASE],
        )

    def _row(self, table: str, columns: dict[str, Any]) -> None:
        self.rows.setdefault(table, []).append({"instance": BASE, "load_id": self.load_id, **columns})

    def record(self, entity: str, record_id: str, **columns: Any) -> None:
        self._row(f"onec_{entity}", {"record_id": record_id, "row_hash": b"any", "loaded_at": LANDED_AT, **columns})

    def partner(self, partner_id: str, parent_id: str | None = None, **columns: Any) -> None:
        self.record(
            "partner", partner_id, name=partner_id, code=partner_id, parent_id=parent_id, is_client=True,
            deletion_mark=False, **columns,
        )  # fmt: skip

    def product(self, product_id: str, kind: str = "Товар", **columns: Any) -> None:
        self.record(
            "product", product_id, name=product_id, code=product_id, product_type=kind, is_folder=False, **columns
        )

    def reason(self, name: str) -> None:
        self.record("cancellation_reason", name, name=name, deletion_mark=False)

    def order(self, order_id: str, outlet: str, day: date, lines: Iterable[Line], **columns: Any) -> None:
        self._document("order", order_id, outlet, day, **{"status": "Закрыт", **columns})
        for number, line in enumerate(lines, start=1):
            self._line(
                "order_line", order_id, number, line, cancelled=line.cancelled is not None,
                cancellation_reason_id=line.cancelled,
            )  # fmt: skip

    def shipment(self, shipment_id: str, outlet: str, day: date, lines: Iterable[Line], **columns: Any) -> None:
        self._document("shipment", shipment_id, outlet, day, **columns)
        for number, line in enumerate(lines, start=1):
            self._line("shipment_line", shipment_id, number, line)

    def give_back(
        self, return_id: str, outlet: str, day: date, lines: Iterable[Line], shipment_id: str | None = None
    ) -> None:
        self._document("return", return_id, outlet, day)
        for number, line in enumerate(lines, start=1):
            self._line("return_line", return_id, number, line, shipment_id=shipment_id)

    def _document(self, entity: str, record_id: str, outlet: str, day: date, **columns: Any) -> None:
        at = datetime.combine(day, NOON, UTC)
        common = {"number": record_id, "dated_at": at, "posted": True, "deletion_mark": False, "partner_id": outlet}
        self.record(entity, record_id, **{**common, "organisation_id": "branch", "manager_id": "rep", **columns})

    def _line(self, entity: str, record_id: str, number: int, line: Line, **columns: Any) -> None:
        goods = {"product_id": line.product, "quantity": line.quantity, "price": line.price}
        row = {"record_id": record_id, "line_no": number, **goods, "amount_with_vat": line.amount, **columns}
        self._row(f"onec_{entity}", row)

    def copy(self, conn: Connection) -> None:
        for table, rows in self.rows.items():
            names = sorted({name for row in rows for name in row})
            statement = sql.SQL("copy raw.{} ({}) from stdin").format(
                sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, names))
            )
            with conn.cursor() as cursor, cursor.copy(statement) as copy:
                for row in rows:
                    copy.write_row([row.get(name) for name in names])
            conn.execute(sql.SQL("analyze raw.{}").format(sql.Identifier(table)))
        self.rows.clear()


def changed(conn: Connection, entity: str, record_id: str, load_id: int, **columns: Any) -> None:
    """Change fields of a landed record the way the landing engine leaves it: under another load."""
    pairs = [sql.SQL("{} = %s").format(sql.Identifier(name)) for name in (*columns, "load_id")]
    done = conn.execute(
        sql.SQL("update raw.{} set {} where record_id = %s").format(
            sql.Identifier(f"onec_{entity}"), sql.SQL(", ").join(pairs)
        ),
        [*columns.values(), load_id, record_id],
    )
    assert done.rowcount == 1, (entity, record_id)
