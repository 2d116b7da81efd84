"""Landing of a million order lines: JSON pages to typed rows plus archive, against a raw COPY of the same rows.

The pages and the peer's text are written to files beforehand and read from them by both, untimed work left out.
Ours is the code that `extract` runs: pager, codec, landing, run record, cursor. The peer is COPY of prebuilt text
into the same tables with the same keys, one stream per table, no archive. Both run in processes of their own,
in turns; afterwards the rows of both are compared, column by column.
"""

import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

from psycopg import sql

from extractors.core.codec import Codec
from extractors.core.paged import PagedLoad
from extractors.core.paging import Pager
from extractors.core.run import ensure_tables
from extractors.core.spec import load_configuration, load_entities
from tests.bench.result import Result
from warehouse.db import connect, database_url, with_database
from warehouse.embedded import ensure_running
from warehouse.landing import LandingTable
from warehouse.migrate import migrate
from warehouse.settings import PROJECT_ROOT, get_settings
from warehouse.sources import SourceConfig

PAGES = int(os.environ.get("POLKA_BENCH_PAGES", "200"))
DOCUMENTS = 500
LINES = 10
REPEATS = int(os.environ.get("POLKA_BENCH_REPEATS", "3"))
MEMORY_LIMIT_MB = 300
EMPTY = "00000000-0000-0000-0000-000000000000"
SOURCE = SourceConfig(id="bench", kind="onec", connection="bench")
ENTITY = load_entities("onec")["order"]
MAPPING = load_configuration("onec", "ut11").entities["order"]

# Real documents hold much that no column takes: sent, skipped by the decoder, kept in the archive.
UNMAPPED_HEADER = (
    f'"Сделка_Key":"{EMPTY}","ГрафикОплаты_Key":"{EMPTY}","ДополнительнаяИнформация":"",'
    '"НеОтгружатьЧастями":false,'
    '"МаксимальныйКодСтроки":"10","ФормаОплаты":"Безналичная","НалогообложениеНДС":"ПродажаОблагаетсяНДС",'
    '"СпособДоставки":"СиламиПеревозчика","ВремяДоставкиС":"0001-01-01T00:00:00","СуммаАвансаДоОбеспечения":0,'
)
UNMAPPED_LINE = (
    f'"Назначение_Key":"{EMPTY}","Серия_Key":"{EMPTY}","СтатусУказанияСерий":"0","НоменклатураНабора_Key":"{EMPTY}",'
    '"ИдентификаторСтроки":"","Содержание":"",'
)


@dataclass(frozen=True)
class Files:
    """Where the inputs lie: pages of JSON, and COPY text per table with its columns."""

    folder: Path

    def page(self, number: int) -> Path:
        return self.folder / f"page{number:04}.json"

    @property
    def orders(self) -> Path:
        return self.folder / "orders.copy"

    @property
    def lines(self) -> Path:
        return self.folder / "lines.copy"


ORDER_COPY = (
    "load_id", "loaded_at", "instance", "record_id", "number", "dated_at", "posted", "deletion_mark", "partner_id",
    "legal_entity_id", "organisation_id", "agreement_id", "manager_id", "warehouse_id", "currency_id", "amount",
    "price_includes_vat", "operation", "department_id", "delivery_address", "comment", "status", "approved",
    "requested_on", "source_version", "row_hash",
)  # fmt: skip
LINE_COPY = (
    "load_id", "instance", "record_id", "line_no", "product_id", "characteristic_id", "package_id",
    "package_quantity", "quantity", "price_type_id", "price", "amount", "vat_rate_id", "vat_amount",
    "amount_with_vat", "manual_discount_percent", "manual_discount_amount", "auto_discount_percent",
    "auto_discount_amount", "requested_on", "warehouse_id", "line_code", "supply_option", "cancelled",
    "cancellation_reason_id",
)  # fmt: skip


def run(say: Callable[[str], None]) -> list[Result]:
    """Measure; returns speed against the peer, peak memory against its limit, and the archive's size."""
    folder = get_settings().var_dir / "bench" / "landing-data"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    server = _server()
    name = f"polka_bench_{os.getpid()}"
    url = with_database(server, name)
    with connect(server, autocommit=True) as conn:
        conn.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    try:
        say(f"writing {PAGES} pages of {DOCUMENTS} orders with {LINES} lines")
        written = _write_inputs(Files(folder))
        migrate(url)
        with connect(url, autocommit=True) as conn:
            ensure_tables(conn)
        ours: list[dict[str, float]] = []
        peer: list[dict[str, float]] = []
        for repeat in range(1, REPEATS + 1):
            for kind, taken in (("peer", peer), ("ours", ours)):
                taken.append(_in_own_process(kind, url, folder))
                say(f"  {repeat}/{REPEATS} {kind}: {taken[-1]['seconds']:.2f} s, {taken[-1]['cpu']:.2f} s of its CPU")
            if repeat == 1:
                _compare(url, say)
        lines = PAGES * DOCUMENTS * LINES
        our_speed = lines / statistics.median(run["seconds"] for run in ours)
        peer_speed = lines / statistics.median(run["seconds"] for run in peer)
        return [
            Result("1M order lines, all fields, with archive", "speed", "lines/s", our_speed, "raw COPY", peer_speed,
                   at_least=0.4),
            Result("peak memory of the loading process", "memory", "MB", max(run["peak_mb"] for run in ours), "limit",
                   MEMORY_LIMIT_MB, at_most=1.0),
            Result("archive of the original pages", "size", "MB", ours[-1]["archive_mb"], "JSON", written / 1e6),
        ]  # fmt: skip
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        with connect(server, autocommit=True) as conn:
            conn.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


def _server() -> str:
    """The server to measure on: POLKA_TEST_SERVER, the configured warehouse's, or the embedded one."""
    named = os.environ.get("POLKA_TEST_SERVER")
    if named:
        return named
    if get_settings().database_url:
        return database_url()
    return ensure_running(get_settings().var_dir)


def _in_own_process(kind: str, url: str, folder: Path) -> dict[str, float]:
    with connect(url, autocommit=True) as conn:
        names = sql.SQL(", ").join(sql.Identifier("raw" if kind == "ours" else "peer", name) for name in _tables())
        if kind == "ours":
            conn.execute(sql.SQL("truncate {}, raw.page_archive, ops.cursor, ops.coverage").format(names))
        else:
            conn.execute("drop schema if exists peer cascade")
            conn.execute("create schema peer")
            for name in _tables():
                conn.execute(
                    sql.SQL("create table {} (like {} including all)").format(
                        sql.Identifier("peer", name), sql.Identifier("raw", name)
                    )
                )
        conn.execute("checkpoint")
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.landing", kind, url, str(folder)],
        cwd=PROJECT_ROOT, check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def _tables() -> list[str]:
    return [ENTITY.table().name, *(child.name for child in ENTITY.table().children)]


def _compare(url: str, say: Callable[[str], None]) -> None:
    """Both must hold the same rows; what differs by nature (hash, load, moment) is left out."""
    table: LandingTable = ENTITY.table()
    with connect(url, autocommit=True) as conn:
        for name, columns in [(table.name, table.columns), *((child.name, child.columns) for child in table.children)]:
            key = ["record_id"] if name == table.name else ["record_id", "line_no"]
            chosen = sql.SQL(", ").join(sql.Identifier(c) for c in [*key, *(column.name for column in columns)])
            for one, other in (("raw", "peer"), ("peer", "raw")):
                row = conn.execute(
                    sql.SQL("select count(*) from (select {c} from {a} except all select {c} from {b}) as d").format(
                        c=chosen, a=sql.Identifier(one, name), b=sql.Identifier(other, name)
                    )
                ).fetchone()
                if row is None or row[0]:
                    raise AssertionError(f"{name}: {row and row[0]} rows of {one} are not in {other}")
    say("  the rows of both are equal, column by column")


# --- inputs ------------------------------------------------------------------------------------------------


def _write_inputs(files: Files) -> int:
    """Pages of JSON and the same content as COPY text, made from the same values; returns the bytes of JSON."""
    dice = random.Random(7)
    pool = [str(uuid.UUID(int=dice.getrandbits(128))) for _ in range(400)]
    total = 0
    with files.orders.open("wb") as orders, files.lines.open("wb") as lines:
        for page in range(PAGES):
            documents: list[str] = []
            order_rows: list[str] = []
            line_rows: list[str] = []
            for number in range(page * DOCUMENTS, (page + 1) * DOCUMENTS):
                _document(dice, pool, number, documents, order_rows, line_rows)
            body = ('{"odata.metadata":"x","value":[' + ",".join(documents) + "]}").encode()
            files.page(page).write_bytes(body)
            orders.write("".join(order_rows).encode())
            lines.write("".join(line_rows).encode())
            total += len(body)
    return total


def _document(
    dice: random.Random, pool: list[str], number: int, documents: list[str], orders: list[str], lines: list[str]
) -> None:
    key = str(uuid.UUID(int=dice.getrandbits(128)))
    partner, legal, org, agreement, manager, warehouse, currency = (pool[(number * k) % 300] for k in range(1, 8))
    day = 1 + number % 28
    month = 1 + number // 28 % 12
    hour = number % 24
    version = f"AAAA{number:08}="
    parts: list[str] = []
    amount = 0
    for line in range(1, LINES + 1):
        draw = dice.getrandbits(30)
        product, price_type, rate, stock = pool[draw % 120], pool[301 + draw % 3], pool[310], pool[320 + draw % 4]
        quantity = 1 + draw % 48
        price = 1000 + draw % 90_000
        cost, discount = price * quantity, price * quantity // 20
        vat = (cost - discount) // 6
        amount += cost - discount
        parts.append(
            f'{{"Ref_Key":"{key}","LineNumber":"{line}","ДатаОтгрузки":"2026-{month:02}-{day:02}T00:00:00",'
            f'"Номенклатура_Key":"{product}","Характеристика_Key":"{EMPTY}","Упаковка_Key":"{EMPTY}",'
            f'"КоличествоУпаковок":{quantity},"Количество":{quantity},"ВидЦены_Key":"{price_type}",'
            f'"Цена":{_kopecks(price)},"Сумма":{_kopecks(cost)},"СтавкаНДС_Key":"{rate}","СуммаНДС":{_kopecks(vat)},'
            f'"СуммаСНДС":{_kopecks(cost - discount)},"ПроцентРучнойСкидки":0,"СуммаРучнойСкидки":0,'
            f'"ПроцентАвтоматическойСкидки":5,"СуммаАвтоматическойСкидки":{_kopecks(discount)},{UNMAPPED_LINE}'
            f'"ПричинаОтмены_Key":"{EMPTY}","КодСтроки":"{line}","Отменено":false,"Склад_Key":"{stock}",'
            f'"ВариантОбеспечения":"Отгрузить"}}'
        )
        lines.append(
            f"1\tbench\t{key}\t{line}\t{product}\t\\N\t\\N\t{quantity}\t{quantity}\t{price_type}\t{_kopecks(price)}\t"
            f"{_kopecks(cost)}\t{rate}\t{_kopecks(vat)}\t{_kopecks(cost - discount)}\t0\t0\t5\t{_kopecks(discount)}\t"
            f"2026-{month:02}-{day:02}\t{stock}\t{line}\tОтгрузить\tf\t\\N\n"
        )
    documents.append(
        f'{{"Ref_Key":"{key}","DataVersion":"{version}","DeletionMark":false,"Number":"ТД{number:08}",'
        f'"Date":"2026-{month:02}-{day:02}T{hour:02}:15:00","Posted":true,"Партнер_Key":"{partner}",'
        f'"Контрагент_Key":"{legal}","Организация_Key":"{org}","Соглашение_Key":"{agreement}",'
        f'"Менеджер_Key":"{manager}","Склад_Key":"{warehouse}","Валюта_Key":"{currency}",'
        f'"СуммаДокумента":{_kopecks(amount)},"ЦенаВключаетНДС":true,"ХозяйственнаяОперация":"РеализацияКлиенту",'
        f'"Подразделение_Key":"{EMPTY}","АдресДоставки":"г. Тверь, ул. Озёрная, д. {number % 90}",'
        f'"Комментарий":"","Статус":"КОбеспечению","Согласован":true,{UNMAPPED_HEADER}'
        f'"ДатаОтгрузки":"0001-01-01T00:00:00","Товары":[{",".join(parts)}]}}'
    )
    orders.append(
        f"1\t2026-11-01 00:00:00+00\tbench\t{key}\tТД{number:08}\t2026-{month:02}-{day:02} {hour:02}:15:00+03\tt\tf\t"
        f"{partner}\t{legal}\t{org}\t{agreement}\t{manager}\t{warehouse}\t{currency}\t{_kopecks(amount)}\tt\t"
        f"РеализацияКлиенту\t\\N\tг. Тверь, ул. Озёрная, д. {number % 90}\t\\N\tКОбеспечению\tt\t\\N\t{version}\t"
        f"\\\\x{key.replace('-', '')}\n"
    )


def _kopecks(amount: int) -> str:
    """An amount as 1C writes it: no trailing zeros."""
    roubles, rest = divmod(amount, 100)
    if not rest:
        return str(roubles)
    return f"{roubles}.{rest:02}" if rest % 10 else f"{roubles}.{rest // 10}"


# --- the two runners, each in a process of its own -----------------------------------------------------------


class PagesFromFiles:
    """A source whose pages lie in files."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def is_published(self) -> bool:
        return True

    def count(self, window: object) -> int:
        return PAGES * DOCUMENTS

    def pages(self, window: object, claimed: int | None) -> Pager:
        return Pager(self._page, claimed, target_bytes=1 << 40, prefetch=4, first_page=DOCUMENTS, max_page=DOCUMENTS)

    def record(self, record_id: str) -> bytes | None:
        return None

    def _page(self, skip: int, top: int) -> bytes:
        number = skip // DOCUMENTS
        return self._files.page(number).read_bytes() if number < PAGES else b'{"value":[]}'


def _land(url: str, files: Files) -> float:
    reader = PagesFromFiles(files)
    with connect(url, autocommit=True) as conn:
        started = time.perf_counter()
        codec = Codec(ENTITY, MAPPING, ZoneInfo(SOURCE.timezone))
        outcome = PagedLoad(conn, SOURCE.id, ENTITY, codec, reader, get_settings()).run("cursor", None, "bench")
        taken = time.perf_counter() - started
    assert outcome.rows_inserted == PAGES * DOCUMENTS, outcome
    return taken


def _copy(url: str, files: Files) -> float:
    started = time.perf_counter()
    with connect(url) as conn:
        for name, columns, path in (
            (_tables()[0], ORDER_COPY, files.orders),
            (_tables()[1], LINE_COPY, files.lines),
        ):
            statement = sql.SQL("copy {} ({}) from stdin").format(
                sql.Identifier("peer", name), sql.SQL(", ").join(sql.Identifier(column) for column in columns)
            )
            with conn.cursor().copy(statement) as copy:
                for chunk in _chunks(path):
                    copy.write(chunk)
    return time.perf_counter() - started


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            yield chunk


def _main(kind: str, url: str, folder: str) -> None:
    ZoneInfo(SOURCE.timezone)
    seconds = (_land if kind == "ours" else _copy)(url, Files(Path(folder)))
    usage = resource.getrusage(resource.RUSAGE_SELF)
    archive = 0.0
    if kind == "ours":
        with connect(url) as conn:
            row = conn.execute("select sum(length(body)) from raw.page_archive").fetchone()
            archive = float(row[0]) if row and row[0] else 0.0
    measured = {
        "seconds": seconds,
        "cpu": usage.ru_utime + usage.ru_stime,
        "peak_mb": usage.ru_maxrss / 1000,
        "archive_mb": archive / 1e6,
    }
    sys.stdout.write(json.dumps(measured) + "\n")


if __name__ == "__main__":
    _main(*sys.argv[1:])
