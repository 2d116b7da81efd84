"""The same objects, once read from 1C's OData and once from tables of a folder, land as the same rows."""

import csv
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from clients.connection import Connection
from extractors.core.run import LoadOutcome, extract, register_source
from extractors.core.spec import load_configuration
from tests.support.small_onec import SmallOnec, order
from warehouse import clock
from warehouse.db import connect
from warehouse.sources import SourceConfig

FILES = SourceConfig(id="files", kind="file", connection="files")
ENTITIES = load_configuration("file", "tables").entities
ORDER = ENTITIES["order"]
LINES = ORDER.lines["order_line"]
Rows = Callable[..., list[tuple[Any, ...]]]


def content(rows: Rows, instance: str) -> list[list[tuple[Any, ...]]]:
    """What the marts see of orders and their lines, of the columns that a table can have."""
    header = ", ".join(name for name in ORDER.fields)
    line = ", ".join(name for name in LINES.fields)
    return [
        rows(f"select record_id, {header} from raw.onec_order where instance = %s order by 1", instance),
        rows(f"select record_id, line_no, {line} from raw.onec_order_line where instance = %s order by 1, 2", instance),
    ]


def written(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "Да" if value else "Нет"
    return value.isoformat() if isinstance(value, datetime) else str(value).replace(".", ",")


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_orders_of_odata_and_of_a_table(
    base: SmallOnec,
    read: Callable[..., LoadOutcome],
    rows: Rows,
    warehouse: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    delimiter: str,
) -> None:
    base.sets["Document_ЗаказКлиента"] = [order(n, Комментарий=f'"{n}"; {delimiter}\nстрока') for n in range(1, 8)]
    assert read("order").rows_inserted == 7
    headings = ["Ид", *(field.source for field in ORDER.fields.values()), *(f.source for f in LINES.fields.values())]
    table = rows(
        f"select o.record_id, {', '.join(f'o.{name}' for name in ORDER.fields)},"
        f" {', '.join(f'l.{name}' for name in LINES.fields)}"
        " from raw.onec_order as o join raw.onec_order_line as l using (instance, record_id)"
        " order by o.record_id, l.line_no"
    )
    with (tmp_path / "Заказы.csv").open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(headings)
        writer.writerows([written(value) for value in row] for row in table)
    monkeypatch.setattr(clock, "now", lambda: datetime.now(UTC) + timedelta(minutes=5))
    with connect(warehouse, autocommit=True) as conn:
        register_source(conn, FILES)
    outcome = extract(FILES, "order", Connection(url=str(tmp_path)), database_url=warehouse, triggered_by="test")
    assert (outcome.rows_inserted, outcome.rows_rejected) == (7, 0)
    assert content(rows, "files") == content(rows, "onec_main")
