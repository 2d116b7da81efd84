"""Files of any size are read in bounded memory. POLKA_TEST_FILE_MB says how big they are (200 was tried)."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from warehouse.settings import PROJECT_ROOT

MEGABYTES = int(os.environ.get("POLKA_TEST_FILE_MB", "12"))
LIMIT_MB = 260  # imports take half of it

READ = """
import re, sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from clients.connection import Connection
from extractors.core.run import ensure_tables, extract, register_source
from warehouse import clock
from warehouse.db import connect
from warehouse.sources import SourceConfig

source = SourceConfig(id="files", kind="file", connection="files")
later = datetime.now(UTC) + timedelta(minutes=5)
clock.now = lambda: later
with connect(sys.argv[1], autocommit=True) as conn:
    ensure_tables(conn)
    register_source(conn, source)
outcome = extract(source, "order", Connection(url=sys.argv[2]), database_url=sys.argv[1])
# Not ru_maxrss: a child begins with the peak of the process that started it.
peak_kb = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
print(outcome.rows_inserted, outcome.rows_rejected, peak_kb // 1024)
"""


@pytest.mark.parametrize("kind", ["orders.xml", "order.csv"])
def test_a_big_file_is_read_in_bounded_memory(tmp_path: Path, database: str, kind: str) -> None:
    written = 0
    documents = 0
    with (tmp_path / kind).open("w", encoding="utf-8") as file:
        if kind.endswith("xml"):
            file.write('<?xml version="1.0" encoding="UTF-8"?><КоммерческаяИнформация ДатаФормирования="2026-01-01">')
        else:
            file.write("Номер;Дата;Партнер;Номенклатура;Количество;Цена;Сумма\n")
        while written < MEGABYTES * 1_000_000:
            documents += 1
            if kind.endswith("xml"):
                line = (
                    f"<Товар><Ид>{documents % 500:036}</Ид><Наименование>Сок яблочный 1 л</Наименование>"
                    "<ЦенаЗаЕдиницу>10.25</ЦенаЗаЕдиницу><Количество>2</Количество><Сумма>20.50</Сумма></Товар>"
                )
                body = (
                    f"<Документ><Ид>{documents:036}</Ид><Номер>{documents}</Номер><Дата>2026-01-01</Дата>"
                    "<ХозОперация>Заказ товара</ХозОперация><Контрагенты><Контрагент><Ид>k</Ид><Наименование>К"
                    f"</Наименование></Контрагент></Контрагенты><Товары>{line * 10}</Товары></Документ>\n"
                )
            else:
                body = f"{documents};01.01.2026;партнёр {documents % 900};товар {documents % 500};2;10,25;20,50\n" * 10
            written += len(body.encode())
            file.write(body)
        if kind.endswith("xml"):
            file.write("</КоммерческаяИнформация>")
    done = subprocess.run(
        [sys.executable, "-c", READ, database, str(tmp_path)],
        cwd=PROJECT_ROOT, check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    inserted, rejected, peak_mb = map(int, done.stdout.split())
    assert (inserted, rejected) == (documents, 0)
    assert peak_mb < LIMIT_MB, f"{peak_mb} MB for a file of {MEGABYTES} MB"
