"""The landing bench measures what it says: ours and its peers hold the same, and a changed page is found."""

from pathlib import Path

from tests.bench.landing import Bench
from tests.bench.landing_pages import DOCUMENTS, LINES, Files, write_pages
from tests.bench.peers.drivers import PEERS
from warehouse.db import connect

PAGES = 2
ORDERS = PAGES * DOCUMENTS


def test_ours_and_its_peers_hold_the_same(tmp_path: Path, database: str) -> None:
    write_pages(Files(tmp_path), PAGES)
    bench = Bench(database, tmp_path, lambda line: None)

    def count(query: str) -> tuple[int, ...]:
        with connect(database, autocommit=True) as conn:
            return conn.execute(query).fetchone() or ()  # type: ignore[arg-type]

    bench.empty()
    bench.run("ours", 1, rounds=2)
    assert count("select count(*), count(distinct dated_at::date) from raw.onec_order")[0] == DOCUMENTS * 2
    bench.empty()
    bench.run("copy", PAGES)
    first = bench.run("ours", PAGES)
    bench.equal()
    again = bench.run("ours", PAGES, changed=True)
    plain = bench.run("delete_insert", PAGES)
    assert 0 < again["wal_mb"] < min(plain["wal_mb"], first["wal_mb"])
    assert count("select count(*), count(*) filter (where cancelled) from raw.onec_order_line") == (
        ORDERS * LINES,
        ORDERS // 100,
    )
    assert count("select count(*) from peer.onec_order_line") == (ORDERS * LINES,)
    quantity = count("select sum(quantity) from raw.onec_order_line where record_id like '00000000-%'")
    for name in PEERS:
        bench.peer(name, 1)
        table = "pandas_line" if name == "pandas_to_sql" else "driver_line"
        assert count(f'select sum("Количество") from peer.{table}') == quantity
        with connect(database, autocommit=True) as conn:
            conn.execute(f"drop table peer.{table}, peer.{table.replace('line', 'order')}")  # type: ignore[arg-type]
