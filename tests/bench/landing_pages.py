"""Orders of a 1C base as pages of JSON in files, the same rows as COPY text, and a reader that serves the files.

Every page holds the orders of one day. `rounds` serves the files again and again as the orders of later days, with keys
of their own; `changed` alters one order in a hundred as 1C would: another DataVersion, another line.
"""

import json
import random
import re
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from mmap import ACCESS_COPY, mmap
from pathlib import Path

from extractors.core.kinds import Window
from extractors.core.paging import Pager

DOCUMENTS = 500  # orders of a page
LINES = 10
FIRST_DAY = datetime(2020, 1, 1)  # noqa: DTZ001  # of the base's clock, which is Moscow's
MIDNIGHT = timedelta(hours=3)  # Moscow's midnight is 21:00 UTC of the day before
EMPTY = "00000000-0000-0000-0000-000000000000"

# Real documents hold much that no column takes: sent, skipped by the decoder, kept in the archive.
UNMAPPED_HEADER = (
    f'"Сделка_Key":"{EMPTY}","ГрафикОплаты_Key":"{EMPTY}","ДополнительнаяИнформация":"",'
    '"НеОтгружатьЧастями":false,'
    '"МаксимальныйКодСтроки":"10","ФормаОплаты":"Безналичная","НалогообложениеНДС":"ПродажаОблагаетсяНДС",'
    '"ВремяДоставкиС":"0001-01-01T00:00:00","СуммаАвансаДоОбеспечения":0,'
)
UNMAPPED_LINE = (
    f'"Назначение_Key":"{EMPTY}","Серия_Key":"{EMPTY}","СтатусУказанияСерий":"0","НоменклатураНабора_Key":"{EMPTY}",'
    '"ИдентификаторСтроки":"","Содержание":"",'
)
ORDER_COPY = (
    "load_id", "loaded_at", "instance", "record_id", "number", "dated_at", "posted", "deletion_mark", "partner_id",
    "legal_entity_id", "organisation_id", "agreement_id", "manager_id", "warehouse_id", "currency_id", "amount",
    "price_includes_vat", "operation", "department_id", "delivery_address", "delivery_method", "comment", "status",
    "approved", "requested_on", "source_version", "row_hash", "original_hash",
)  # fmt: skip
LINE_COPY = (
    "load_id", "instance", "record_id", "line_no", "product_id", "characteristic_id", "package_id",
    "package_quantity", "quantity", "price_type_id", "price", "amount", "vat_rate_id", "vat_amount",
    "amount_with_vat", "manual_discount_percent", "manual_discount_amount", "auto_discount_percent",
    "auto_discount_amount", "requested_on", "warehouse_id", "line_code", "supply_option", "cancelled",
    "cancellation_reason_id",
)  # fmt: skip


@dataclass(frozen=True)
class Files:
    """Where the inputs lie: pages of JSON, and their COPY text per page and table."""

    folder: Path

    def page(self, number: int) -> Path:
        return self.folder / f"page{number:04}.json"

    def changed(self, number: int) -> Path:
        return self.folder / f"changed{number:04}.json"

    def orders(self, number: int) -> Path:
        return self.folder / f"orders{number:04}.copy"

    def lines(self, number: int) -> Path:
        return self.folder / f"lines{number:04}.copy"


_KEYS = re.compile(rb'"Ref_Key":"[^"]*","DataVersion":"[^"]*"')
_ACTIVE, _CANCELLED = ('"Отменено":false'.encode(), '"Отменено":true'.encode())


def day_of(page: int) -> str:
    return f"{FIRST_DAY + timedelta(days=page):%Y-%m-%d}"


def write_pages(files: Files, pages: int) -> int:
    """Write everything, both forms from the same values; returns the bytes of JSON."""
    dice = random.Random(7)
    pool = [str(uuid.UUID(int=dice.getrandbits(128))) for _ in range(400)]
    total = 0
    for page in range(pages):
        documents: list[str] = []
        orders: list[str] = []
        lines: list[str] = []
        for number in range(page * DOCUMENTS, (page + 1) * DOCUMENTS):
            _document(dice, pool, page, number, documents, orders, lines)
        body = ('{"odata.metadata":"x","value":[' + ",".join(documents) + "]}").encode()
        files.page(page).write_bytes(body)
        files.changed(page).write_bytes(_with_changes(body, page))
        files.orders(page).write_text("".join(orders), encoding="utf-8")
        files.lines(page).write_text("".join(lines), encoding="utf-8")
        total += len(body)
    return total


def _document(
    dice: random.Random, pool: list[str], page: int, number: int, documents: list[str], orders: list[str],
    lines: list[str],
) -> None:  # fmt: skip
    # The first part is the page's, so that `rounds` can give it another; the rest keeps the keys unordered in a page.
    key = f"{page:08x}{str(uuid.UUID(int=dice.getrandbits(128)))[8:]}"
    partner, legal, org, agreement, manager, warehouse, currency = (pool[(number * k) % 300] for k in range(1, 8))
    day, hour = day_of(page), number % 24
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
            f'{{"Ref_Key":"{key}","LineNumber":"{line}","ДатаОтгрузки":"{day}T00:00:00",'
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
            f"{day}\t{stock}\t{line}\tОтгрузить\tf\t\\N\n"
        )
    documents.append(
        f'{{"Ref_Key":"{key}","DataVersion":"{version}","DeletionMark":false,"Number":"ТД{number:08}",'
        f'"Date":"{day}T{hour:02}:15:00","Posted":true,"Партнер_Key":"{partner}",'
        f'"Контрагент_Key":"{legal}","Организация_Key":"{org}","Соглашение_Key":"{agreement}",'
        f'"Менеджер_Key":"{manager}","Склад_Key":"{warehouse}","Валюта_Key":"{currency}",'
        f'"СуммаДокумента":{_kopecks(amount)},"ЦенаВключаетНДС":true,"ХозяйственнаяОперация":"РеализацияКлиенту",'
        f'"Подразделение_Key":"{EMPTY}","АдресДоставки":"г. Тверь, ул. Озёрная, д. {number % 90}",'
        f'"СпособДоставки":"СиламиПеревозчика","Комментарий":"","Статус":"КОбеспечению","Согласован":true,'
        f'{UNMAPPED_HEADER}"ДатаОтгрузки":"0001-01-01T00:00:00","Товары":[{",".join(parts)}]}}'
    )
    orders.append(
        f"1\t2026-11-01 00:00:00+00\tbench\t{key}\tТД{number:08}\t{day} {hour:02}:15:00+03\tt\tf\t"
        f"{partner}\t{legal}\t{org}\t{agreement}\t{manager}\t{warehouse}\t{currency}\t{_kopecks(amount)}\tt\t"
        f"РеализацияКлиенту\t\\N\tг. Тверь, ул. Озёрная, д. {number % 90}\tСиламиПеревозчика\t\\N\tКОбеспечению\tt\t"
        f"\\N\t{version}\t\\\\x{key.replace('-', '')}\t\\\\x{key.replace('-', '')}\n"
    )


def _kopecks(amount: int) -> str:
    """An amount as 1C writes it: no trailing zeros."""
    roubles, rest = divmod(amount, 100)
    if not rest:
        return str(roubles)
    return f"{roubles}.{rest:02}" if rest % 10 else f"{roubles}.{rest // 10}"


def _with_changes(body: bytes, page: int) -> bytes:
    """The page after an edit of every hundredth order: another version, one line cancelled."""
    for number in range(page * DOCUMENTS, (page + 1) * DOCUMENTS, 100):
        head, found, tail = body.partition(b'"AAAA%08d="' % number)
        body = head + found.replace(b"AAAA", b"BBBB") + tail.replace(_ACTIVE, _CANCELLED, 1)
    return body


class FileReader:
    """The pages of the files as a source that is read by offset."""

    def __init__(self, files: Files, pages: int, *, rounds: int = 1, changed: bool = False) -> None:
        self._files = files
        self._pages = pages
        self._all = pages * rounds
        self._changed = changed

    def is_published(self) -> bool:
        return True

    def count(self, window: Window) -> int:
        return len(self._within(window)) * DOCUMENTS

    def edges(self, window: Window) -> tuple[datetime, datetime] | None:
        pages = self._within(window)
        return (_midnight(pages[0]), _midnight(pages[-1] + 1)) if pages else None

    def pages(self, window: Window, claimed: int | None) -> Pager:
        pages = self._within(window)

        def fetch(skip: int, top: int) -> bytes:
            place = skip // DOCUMENTS
            return self._page(pages[place]) if place < len(pages) else b'{"value":[]}'

        return Pager(fetch, claimed, target_bytes=1 << 40, prefetch=4, first_page=DOCUMENTS, max_page=DOCUMENTS)

    def shows_changes(self) -> bool:
        return True

    def lookup(self, ids: Sequence[str]) -> Iterator[tuple[Sequence[str], bytes]]:
        raise AssertionError("nothing vanishes")

    def key_pages(self, window: Window, claimed: int | None) -> Pager:
        """Ids and versions only, as 1C sends them for a `$select`."""
        pages = self._within(window)

        def fetch(skip: int, top: int) -> bytes:
            place = skip // DOCUMENTS
            found = _KEYS.findall(self._page(pages[place])) if place < len(pages) else []
            return b'{"value":[' + b",".join([b"{%b}" % one for one in found]) + b"]}"

        return Pager(fetch, claimed, target_bytes=1 << 40, prefetch=1, first_page=DOCUMENTS, max_page=DOCUMENTS)

    def keys(self, body: bytes) -> list[tuple[str, str | None]]:
        return [(one["Ref_Key"], one["DataVersion"]) for one in json.loads(body)["value"]]

    def comparison_begins(self) -> None: ...

    def comparison_ended(self, differing: Iterable[str]) -> None: ...

    def _within(self, window: Window) -> range:
        begin, end = (None if edge is None else _page_at(edge) for edge in window)
        return range(max(begin or 0, 0), self._all if end is None else min(end, self._all))

    def _page(self, page: int) -> bytes:
        kept = page % self._pages
        path = self._files.changed(kept) if self._changed else self._files.page(kept)
        if page == kept:
            return path.read_bytes()
        # Rewritten in place, outside of the heap: the copies would be the bench's, the memory that is measured is not.
        with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_COPY) as body:
            _rewrite(body, b'"%08x-' % kept, b'"%08x-' % page)
            _rewrite(body, day_of(kept).encode(), day_of(page).encode())
            return body[:]


def _rewrite(body: mmap, old: bytes, new: bytes) -> None:
    """Replace text by other text of the same length."""
    place = body.find(old)
    while place >= 0:
        body[place : place + len(new)] = new
        place = body.find(old, place + len(new))


def _midnight(page: int) -> datetime:
    return (FIRST_DAY + timedelta(days=page) - MIDNIGHT).replace(tzinfo=UTC)


def _page_at(moment: datetime) -> int:
    """The first page whose day does not begin before `moment`."""
    return -((_midnight(0) - moment) // timedelta(days=1))
