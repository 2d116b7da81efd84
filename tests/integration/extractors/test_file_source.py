"""A watched folder end to end: files in, rows of 1C's landing tables out, bad files aside, nothing lost or doubled."""

import os
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from clients.connection import Connection
from extractors.core.errors import ReadError
from extractors.core.run import LoadOutcome, ensure_tables, entity_names, extract, register_source, reland
from extractors.file import folder as folder_module
from extractors.file import register as register_module
from extractors.file import source as source_module
from warehouse import clock
from warehouse.db import connect
from warehouse.settings import PROJECT_ROOT
from warehouse.sources import SourceConfig

SOURCE = SourceConfig(id="files", kind="file", connection="files")
NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
P1, P2 = "11111111-55bc-11d9-848a-00112f43529a", "22222222-55bc-11d9-848a-00112f43529a"
STORE, SHOP = "aaaa2590-41ba-11dd-ac9d-0015e9b8c48d", "bbbb2590-41ba-11dd-ac9d-0015e9b8c48d"
RETAIL = "cccca3a4-6b17-11e0-9819-e0cb4ed5eed4"

Rows = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def inbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(clock, "now", lambda: NOW)
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


@pytest.fixture
def warehouse(database: str) -> str:
    with connect(database, autocommit=True) as conn:
        ensure_tables(conn)
        register_source(conn, SOURCE)
    return database


@pytest.fixture
def rows(warehouse: str) -> Rows:
    def run(query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with connect(warehouse, autocommit=True) as conn:
            return conn.execute(query, parameters).fetchall()  # type: ignore[arg-type]

    return run


@pytest.fixture
def read(inbox: Path, warehouse: str) -> Callable[..., LoadOutcome]:
    def run(entity: str, **options: Any) -> LoadOutcome:
        connection = Connection(url="", extra={"path": str(inbox)})
        return extract(SOURCE, entity, connection, database_url=warehouse, triggered_by="test", **options)

    return run


@pytest.fixture
def read_all(read: Callable[..., LoadOutcome]) -> Callable[[], dict[str, LoadOutcome]]:
    return lambda: {entity: read(entity) for entity in entity_names(SOURCE)}


def put(folder: Path, name: str, content: str | bytes, age: timedelta = timedelta(hours=3)) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    stamp = (NOW - age).timestamp()
    os.utime(path, (stamp, stamp))
    return path


def commerceml(body: str, *, formed: str = "2026-11-20T06:00:00", version: str = "2.07", space: bool = True) -> str:
    namespace = ' xmlns="urn:1C.ru:commerceml_2"' if space else ""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<КоммерческаяИнформация{namespace} ВерсияСхемы="{version}" '
        f'ДатаФормирования="{formed}">{body}</КоммерческаяИнформация>'
    )


def catalog(*goods: str, **options: Any) -> str:
    groups = "<Группы><Группа><Ид>g1</Ид><Наименование>Напитки</Наименование><Группы><Группа><Ид>g2</Ид>"
    groups += "<Наименование>Соки</Наименование></Группа></Группы></Группа></Группы>"
    owner = "<Владелец><Ид>org1</Ид><Наименование>Полка</Наименование><ИНН>7700000001</ИНН></Владелец>"
    return commerceml(
        f"<Классификатор><Ид>k</Ид>{owner}{groups}</Классификатор><Каталог><Ид>c</Ид>{owner}<Товары>"
        f"{''.join(goods)}</Товары></Каталог>",
        **options,
    )


def item(key: str, name: str, extra: str = "") -> str:
    return f"<Товар><Ид>{key}</Ид><Артикул>A-{key[:4]}</Артикул><Наименование>{name}</Наименование>{extra}</Товар>"


def offers(*told: str, **options: Any) -> str:
    return commerceml(
        f"<ПакетПредложений><Ид>p</Ид><ТипыЦен><ТипЦены><Ид>{RETAIL}</Ид><Наименование>Оптовая</Наименование>"
        "<Валюта>RUB</Валюта></ТипЦены></ТипыЦен><Предложения>"
        f"{''.join(told)}</Предложения></ПакетПредложений>",
        **options,
    )


def offer(key: str, price: str, stock: dict[str, str]) -> str:
    places = "".join(f'<Склад ИдСклада="{place}" КоличествоНаСкладе="{n}"/>' for place, n in stock.items())
    return (
        f"<Предложение><Ид>{key}</Ид><Наименование>x</Наименование><Цены><Цена><ИдТипаЦены>{RETAIL}</ИдТипаЦены>"
        f"<ЦенаЗаЕдиницу>{price}</ЦенаЗаЕдиницу><Валюта>RUB</Валюта></Цена></Цены><Количество>9</Количество>{places}"
        "</Предложение>"
    )


def document(key: str, operation: str = "Заказ товара", extra: str = "", lines: str = "") -> str:
    return (
        f"<Документ><Ид>{key}</Ид><Номер>{key}</Номер><Дата>2026-11-19</Дата><Время>15:40:00</Время>"
        f"<ХозОперация>{operation}</ХозОперация><Роль>Продавец</Роль><Валюта>RUB</Валюта><Сумма>230.50</Сумма>"
        "<Контрагенты><Контрагент><Ид>shop-1</Ид><Наименование>ИП Точка</Наименование><Роль>Покупатель</Роль>"
        "<ОфициальноеНаименование>ИП Точка</ОфициальноеНаименование><ИНН>770000000012</ИНН></Контрагент></Контрагенты>"
        f"<Товары>{lines or line(P1, '2', '100.25', '200.50')}</Товары>{extra}</Документ>"
    )


def line(product: str, quantity: str, price: str, amount: str, extra: str = "") -> str:
    return (
        f"<Товар><Ид>{product}</Ид><Наименование>x</Наименование><ЦенаЗаЕдиницу>{price}</ЦенаЗаЕдиницу>"
        f"<Количество>{quantity}</Количество><Сумма>{amount}</Сумма>{extra}</Товар>"
    )


def places(folder: Path) -> dict[str, int]:
    return {
        name: len([p for p in (folder / name).glob("*") if not p.name.endswith(".why.txt")])
        for name in ("reading", "done", "quarantine")
        if (folder / name).is_dir()
    }


# --- what lands


@pytest.mark.parametrize(
    ("encode", "space", "version"),
    [
        (lambda xml: xml.replace("UTF-8", "windows-1251").encode("cp1251"), False, "2.03"),
        (lambda xml: b"\xef\xbb\xbf" + xml.encode(), True, "2.10"),
        (lambda xml: xml.encode(), False, "2.05"),
    ],
    ids=["windows-1251 without namespace", "UTF-8 with BOM and namespace", "UTF-8 bare"],
)
def test_an_exchange_of_1c_lands_in_the_tables_of_1c(
    inbox: Path, read_all: Any, rows: Rows, encode: Any, space: bool, version: str
) -> None:
    options = {"space": space, "version": version}
    put(inbox, "webdata/import.xml", encode(catalog(item(P1, "Сок 1 л", "<Группы><Ид>g2</Ид></Группы>"), **options)))
    put(inbox, "webdata/offers.xml", encode(offers(offer(f"{P1}#ch", "100.25", {STORE: "7", SHOP: "2"}), **options)))
    put(inbox, "orders.xml", encode(commerceml(document("20"), **options)))
    outcomes = read_all()
    assert {name for name, outcome in outcomes.items() if outcome.rows_rejected} == set()
    assert rows("select record_id, name, article, parent_id, is_folder from raw.onec_product order by 1") == sorted(
        [
            (P1, "Сок 1 л", f"A-{P1[:4]}", "g2", False),
            ("g1", "Напитки", None, None, True),
            ("g2", "Соки", None, "g1", True),
        ]
    )
    assert rows("select price_type_id, product_id, characteristic_id, price::text from raw.onec_price") == [
        (RETAIL, P1, "ch", "100.25")
    ]
    assert rows("select warehouse_id, on_hand::int from raw.onec_stock order by 1") == [(STORE, 7), (SHOP, 2)]
    assert rows("select name, inn, partner_id from raw.onec_legal_entity") == [("ИП Точка", "770000000012", "shop-1")]
    assert rows("select record_id, inn from raw.onec_organisation") == [("org1", "7700000001")]
    assert rows(
        "select number, dated_at, partner_id, amount::text, posted, source_modified_at from raw.onec_order"
    ) == [
        ("20", datetime(2026, 11, 19, 12, 40, tzinfo=UTC), "shop-1", "230.50", True,
         datetime(2026, 11, 20, 3, 0, tzinfo=UTC))
    ]  # fmt: skip
    assert rows("select product_id, quantity::int, price::text, amount_with_vat::text from raw.onec_order_line") == [
        (P1, 2, "100.25", "200.50")
    ]
    assert places(inbox) == {"reading": 0, "done": 3, "quarantine": 0}


def test_documents_by_their_operation_with_flags_tax_and_packs(inbox: Path, read_all: Any, rows: Rows) -> None:
    def flag(name: str, value: str) -> str:
        return f"<ЗначениеРеквизита><Наименование>{name}</Наименование><Значение>{value}</Значение></ЗначениеРеквизита>"

    def flags(*pairs: str) -> str:
        return f"<ЗначенияРеквизитов>{''.join(pairs)}</ЗначенияРеквизитов>"

    tax = "<Налоги><Налог><УчтеноВСумме>false</УчтеноВСумме><Сумма>20.05</Сумма></Налог></Налоги>"
    packs = "<Коэффициент>12</Коэффициент>"
    put(
        inbox,
        "exchange.xml",
        commerceml(
            document("s1", "Отпуск товара", lines=line(f"{P2}#red", "3", "66.83", "200.50", tax + packs))
            + document("r1", "Возврат товара")
            + document("o1", extra=flags(flag("Отменен", "true"), flag("Номер по 1С", "7"), flag("Статус", "Новый")))
            + document("o2", extra=flags(flag("Проведен", "false"), flag("ПометкаУдаления", "true")))
            + document("b1", "Выплата безналичных денег", lines=" ")
            + document("x1", "Счет на оплату")
        ),
    )  # fmt: skip
    read_all()
    assert rows(
        "select record_id, product_id, characteristic_id, package_quantity::int, quantity::int, amount_with_vat::text"
        " from raw.onec_shipment_line"
    ) == [("s1", P2, "red", 3, 36, "220.55")]
    assert rows("select record_id from raw.onec_return") == [("r1",)]
    assert rows("select number, status, posted, deletion_mark from raw.onec_order order by 1") == [
        ("7", "Новый", True, False),
        ("o2", None, False, True),
    ]
    assert rows("select record_id, cancelled from raw.onec_order_line order by 1") == [("o1", True), ("o2", False)]
    assert rows("select record_id, partner_id, amount::text from raw.onec_bank_receipt") == [("b1", "shop-1", "230.50")]


def test_an_offer_tells_everything_about_its_stock(inbox: Path, read_all: Any, rows: Rows) -> None:
    put(inbox, "offers.xml", offers(offer(P1, "10", {STORE: "7", SHOP: "2"}), offer(P2, "20", {STORE: "1"})))
    read_all()
    put(inbox, "offers.xml", offers(offer(P1, "11", {STORE: "6"}), formed="2026-11-20T07:00:00"))
    read_all()
    assert rows(
        "select product_id, warehouse_id, on_hand::int from raw.onec_stock where deleted_at is null order by 1, 2"
    ) == [(P1, STORE, 6), (P2, STORE, 1)]
    assert rows("select price::int from raw.onec_price order by 1") == [(11,), (20,)]


def test_unknown_elements_stay_in_the_archive(inbox: Path, read_all: Any, warehouse: str, rows: Rows) -> None:
    put(inbox, "import.xml", catalog(item(P1, "Сок", "<Страна>Россия</Страна><Код>00-17</Код>")))
    read_all()
    before = rows("select record_id, row_hash from raw.onec_product order by 1")
    assert reland("product", "files", warehouse, triggered_by="test").rows_inserted == 3
    assert rows("select record_id, row_hash from raw.onec_product order by 1") == before
    assert rows("select code from raw.onec_product where record_id = %s", P1) == [("00-17",)]


# --- tables

ORDERS_HEADING = "Номер;Дата;Партнер;Номенклатура;Количество\n"
ORDERS = (
    "Реестр заказов за ноябрь;;;;;;\n;;;;;;\n"
    "Номер;Дата;Партнер;Номенклатура;Количество;Цена;Сумма с НДС\n"
    "ТД-1;19.11.2026 15:40:00;П-1;Т-1;1 200,5;10,00;12 005,00\n"
    "ТД-1;19.11.2026 15:40:00;П-1;Т-2;-1;=СУММ(A1);0\n"
    "ТД-2;20.11.2026;П-2;Т-1;3;10.50;31.50\n"
    "Итого;;;;;;12036,50\n"
)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "cp1251", "utf-16"])
def test_a_report_of_1c_as_csv(inbox: Path, read: Any, rows: Rows, encoding: str) -> None:
    put(inbox, "Заказы за ноябрь.csv", ORDERS.replace("=СУММ(A1)", "0").encode(encoding))
    assert read("order").rows_inserted == 2
    assert rows("select record_id, number, dated_at, partner_id from raw.onec_order order by 1") == [
        ("ТД-1 19.11.2026 15:40:00", "ТД-1", datetime(2026, 11, 19, 12, 40, tzinfo=UTC), "П-1"),
        ("ТД-2 20.11.2026", "ТД-2", datetime(2026, 11, 19, 21, 0, tzinfo=UTC), "П-2"),
    ]
    assert rows(
        "select line_no, product_id, quantity::text, amount_with_vat::text from raw.onec_order_line"
        " order by record_id, line_no"
    ) == [
        (1, "Т-1", "1200.5", "12005.00"), (2, "Т-2", "-1", "0"), (1, "Т-1", "3", "31.50"),
    ]  # fmt: skip


def test_what_is_no_number_rejects_its_document_only(inbox: Path, read: Any, rows: Rows) -> None:
    put(inbox, "order.csv", ORDERS.encode())
    outcome = read("order")
    assert (outcome.rows_inserted, outcome.rows_rejected) == (1, 1)
    assert rows("select record_id, reason from raw.rejected_record") == [
        ("ТД-1 19.11.2026 15:40:00", "#1: Строки, line 2: price (Цена): not a number")
    ]


def test_a_workbook_with_merged_heading_blanks_serial_dates_and_formulas(
    inbox: Path, read: Any, rows: Rows, tmp_path: Path
) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["Партнеры на 20.11.2026"])
    sheet.merge_cells("A1:D1")
    sheet.append([])
    sheet.append(["Код", "Наименование", "Дата регистрации", "Email", "Телефон", "Неизвестный столбец"])
    sheet.append([1, "Магазин «Ё»", 46000, "shop@example.org", None, 0.1 + 0.2])
    sheet.append([None, None, None, None, None, None])
    sheet.append([2.0, "=cmd|' /C calc'!A0".replace("=", "'="), date(2026, 1, 31), None, "+7 900 000-00-00", None])
    path = tmp_path / "made.xlsx"
    book.save(path)
    put(inbox, "partner 2026-11-20.xlsx", path.read_bytes())
    assert read("partner").rows_inserted == 2
    assert rows("select record_id, name, registered_on::text from raw.onec_partner order by 1") == [
        ("1", "Магазин «Ё»", "2025-12-09"),
        ("2", "'=cmd|' /C calc'!A0", "2026-01-31"),
    ]
    assert rows("select record_id, contact_kind, email, phone from raw.onec_partner_contact order by 1") == [
        ("1", "АдресЭлектроннойПочты", "shop@example.org", None),
        ("2", "Телефон", None, "+7 900 000-00-00"),
    ]


def test_a_formula_without_a_value_puts_the_workbook_aside(inbox: Path, read: Any, rows: Rows, tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["Код", "Наименование"])
    sheet.append(["1", '="Магазин"&"1"'])
    book.save(tmp_path / "made.xlsx")
    put(inbox, "partner.xlsx", (tmp_path / "made.xlsx").read_bytes())
    assert read("partner").rows_seen == 0
    assert "formula without a calculated value" in rows("select reason_en from ops.source_file")[0][0]


def test_cells_that_look_like_commands_stay_text(inbox: Path, read: Any, rows: Rows) -> None:
    names = ['=HYPERLINK("http://x")', "+cmd", "@SUM(1)", "-2+3", "\\copy x", "\\N"]
    body = "Код;Наименование\n" + "".join(
        f'{n};"{name.replace(chr(34), chr(34) * 2)}"\n' for n, name in enumerate(names, 1)
    )
    put(inbox, "brand.csv", "Ид;Наименование\n" + body.partition("\n")[2])
    assert read("brand").rows_inserted == len(names)
    assert [name for (name,) in rows("select name from raw.onec_brand order by record_id")] == names


def test_headings_are_named_in_columns_yml(inbox: Path, read: Any, rows: Rows) -> None:
    (inbox / "columns.yml").write_text(
        "partner:\n  files: ['Точки*']\n  columns: {'№ точки': Ид, 'Вывеска': Наименование, 'Куст': БизнесРегион}\n",
        encoding="utf-8",
    )
    put(inbox, "Точки ноябрь.csv", "№ точки,Вывеска,Куст\n17,Лавка,Север\n")
    read("partner")
    assert rows("select record_id, name, business_region_id from raw.onec_partner") == [("17", "Лавка", "Север")]
    (inbox / "columns.yml").write_text("partner: {columns: {'Куст': Куст}}", encoding="utf-8")
    put(inbox, "partner.csv", "Ид,Наименование\n1,a\n")
    with pytest.raises(ReadError, match="has no column 'Куст'"):
        read("partner")


def test_a_whole_table_says_what_is_gone(inbox: Path, read: Any, rows: Rows) -> None:
    heading = "Ид;Наименование\n"
    put(inbox, "brand.full.csv", heading + "1;a\n2;b\n3;c\n")
    read("brand")
    put(inbox, "brand.full.csv", heading + "1;a\n3;C\n", timedelta(hours=2))
    outcome = read("brand")
    assert (outcome.rows_changed, outcome.rows_deleted, outcome.rows_unchanged) == (1, 1, 1)
    put(inbox, "brand.csv", heading + "2;b\n", timedelta(hours=1))
    read("brand")
    assert rows("select record_id from raw.onec_brand where deleted_at is null order by 1") == [("1",), ("2",), ("3",)]


def test_the_weekly_comparison_finds_nothing_to_do(inbox: Path, read: Any) -> None:
    put(inbox, "old.xml", commerceml(document("19") + document("18"), formed="2026-11-19T08:00:00"))
    read("order")
    outcome = read("order", mode="reconcile")
    assert (outcome.rows_claimed, outcome.rows_deleted, outcome.rows_changed) == (2, 0, 0)
    put(inbox, "orders.xml", commerceml(document("20")))
    assert read("order", mode="window", window=(NOW - timedelta(days=7), NOW)).rows_seen == 0
    assert read("order").rows_inserted == 1


def test_a_whole_table_that_lost_most_rows_is_taken_for_broken(inbox: Path, read: Any, rows: Rows) -> None:
    put(inbox, "brand.full.csv", "Ид;Наименование\n" + "".join(f"{n};b{n}\n" for n in range(10)))
    read("brand")
    put(inbox, "brand.full.csv", "Ид;Наименование\n1;b1\n", timedelta(hours=2))
    assert read("brand").rows_deleted == 0
    assert "4" not in str(rows("select count(*) from raw.onec_brand where deleted_at is not null"))
    assert (
        "has 1 records where 10 are known"
        in rows("select reason_en from ops.source_file where state = 'quarantine'")[0][0]
    )
    put(inbox, "brand.full.sure.csv", "Ид;Наименование\n1;b1\n", timedelta(hours=1))
    assert read("brand").rows_deleted == 9


# --- bad files


BOMB = (
    '<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    "<КоммерческаяИнформация>&b;</КоммерческаяИнформация>"
)
OUTSIDE = (
    '<?xml version="1.0"?><!DOCTYPE l [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    "<КоммерческаяИнформация><Документ><Ид>&x;</Ид></Документ></КоммерческаяИнформация>"
)


BAD: list[tuple[str, str | bytes, str]] = [
    ("orders.xml", BOMB, "DOCTYPE"),
    ("orders.xml", OUTSIDE, "DOCTYPE"),
    ("orders.xml", commerceml(document("1"))[:-30], "breaks off"),
    ("orders.xml", commerceml(document("1")).encode("cp1251"), "cannot be read as XML"),
    ("orders.xml", commerceml(document("1")).replace("UTF-8", "windows-1251"), "names another encoding"),
    ("orders.xml", commerceml(document("1")).replace("UTF-8", "klingon"), "encoding that does not exist"),
    ("orders.xml", commerceml(document("1\x00")), "cannot be read as XML"),
    ("orders.xml", "<html><body>403</body></html>", "not CommerceML"),
    ("orders.xml", commerceml("<a>" * 100 + "</a>" * 100), "nested deeper"),
    ("Отчёт.csv", "a;b\n1;2\n", "does not say what it holds"),
    ("order.csv", "Номер;Дата\n1;2\n", "Columns are missing: Партнер, Номенклатура, Количество"),
    ("brand.csv", "Ид;Наименование\n1;a\x00\n", "NUL bytes"),
    ("brand.csv", "Ид;Наименование\n1;a\n1;b\n", "same key and different content"),
    ("brand.csv", "Ид;Наименование\n1;a;b;c\n", "damaged"),
    ("brand.csv", "Ид;Наименование\n1;a\n2", "fewer columns"),
    ("brand.csv", 'Ид;Наименование\n1;"a\n2;b\n', "breaks off or is damaged"),
    ("brand.csv", "Ид;Наименование;name\n1;a;b\n", "there twice"),
    ("order.csv", ORDERS_HEADING + "1;2;3;4;5\n2;2;3;4;5\n1;2;3;4;6\n", "do not stand together"),
    ("brand.csv", "что-то\nсовсем\nдругое\n", "have no headings"),
    ("brand.xlsx", b"PK\x03\x04 broken", "damaged"),
    ("brand.xls", b"\xd0\xcf\x11\xe0" + bytes(600), "old XLS"),
]  # fmt: skip


def test_bad_files_are_put_aside_with_their_reasons_and_stop_nothing(inbox: Path, read: Any, rows: Rows) -> None:
    for number, (name, content, _) in enumerate(BAD):
        put(inbox, f"{number:02}/{name}", content)
    put(inbox, "good.xml", commerceml(document("20")))
    assert read("order").rows_inserted == 1
    for number, (name, content, words) in enumerate(BAD):
        ((state, stored, ru, en),) = rows(
            "select state, stored_as, reason_ru, reason_en from ops.source_file where name = %s", f"{number:02}/{name}"
        )
        assert (state, name, words in en) == ("quarantine", name, True), en
        aside = inbox / stored
        assert aside.read_bytes() == (content if isinstance(content, bytes) else content.encode())
        assert (aside.parent / (aside.name + ".why.txt")).read_text(encoding="utf-8") == f"{ru}\n\n{en}\n"
        assert not (inbox / f"{number:02}/{name}").exists()
    # They do not come back.
    assert read("order").rows_seen == 0


def test_a_growing_or_half_file_waits(inbox: Path, read: Any) -> None:
    put(inbox, "orders.xml", commerceml(document("20")), timedelta(seconds=10))
    put(inbox, "half.xml", commerceml(document("21"))[:-30], timedelta(minutes=10))
    put(inbox, "empty.xml", "", timedelta(minutes=10))
    put(inbox, "orders.xml.part", "x")
    put(inbox, ".orders.xml", "x")
    (inbox / "link.xml").symlink_to("/etc/passwd")
    assert read("order").rows_seen == 0
    assert places(inbox) == {"reading": 0, "done": 0, "quarantine": 0}
    put(inbox, "orders.xml", commerceml(document("20")), timedelta(seconds=61))
    put(inbox, "half.xml", commerceml(document("21")), timedelta(minutes=5))
    assert read("order").rows_inserted == 2


def test_a_folder_that_is_not_there_is_said_plainly(inbox: Path, read: Any) -> None:
    inbox.rmdir()
    with pytest.raises(ReadError, match="does not exist, or this process may not enter it"):
        read("order")


# --- again, late, interrupted


def test_the_same_file_twice_changes_nothing(inbox: Path, read_all: Any, rows: Rows) -> None:
    def copy() -> None:
        put(inbox, "orders.xml", commerceml(document("20")))
        put(inbox, "brand.csv", "Ид;Наименование\n1;a\n")
        read_all()

    def content() -> list[tuple[Any, ...]]:
        return [
            *rows("select record_id, row_hash, loaded_at, load_id from raw.onec_order"),
            *rows("select record_id, row_hash, loaded_at, load_id from raw.onec_brand"),
            *rows("select count(*) from raw.page_archive"),
            *rows("select count(*) from ops.source_file"),
        ]

    copy()
    before = content()
    copy()
    assert content() == before
    assert places(inbox) == {"reading": 0, "done": 2, "quarantine": 0}
    assert not list(inbox.glob("*.*"))


def test_a_late_file_does_not_overwrite_newer_content(inbox: Path, read: Any, rows: Rows) -> None:
    put(inbox, "a.xml", commerceml(document("20").replace("230.50", "300.00"), formed="2026-11-20T08:00:00"))
    read("order")
    put(inbox, "b.xml", commerceml(document("20") + document("19"), formed="2026-11-20T07:00:00"))
    read("order")
    assert rows("select record_id, amount::text from raw.onec_order order by 1") == [("19", "230.50"), ("20", "300.00")]


def test_coverage_is_the_forming_of_the_newest_file(inbox: Path, read: Any) -> None:
    assert read("order").covered_until is None
    put(inbox, "a.xml", commerceml(document("20"), formed="2026-11-18T08:00:00"))
    assert read("order").covered_until == "2026-11-18T05:00:00+00:00"
    # Nobody ordered since, and 1C says so; a catalog says nothing about orders.
    put(inbox, "b.xml", commerceml("", formed="2026-11-19T08:00:00"))
    put(inbox, "import.xml", catalog(formed="2026-11-20T08:00:00"))
    assert read("order").covered_until == "2026-11-19T05:00:00+00:00"
    # Nothing new: the day goes on, coverage does not.
    assert read("order").covered_until == "2026-11-19T05:00:00+00:00"
    assert read("shipment").published is False


class Interrupted(RuntimeError):
    pass


@pytest.mark.parametrize("where", ["examine", "accept", "land", "commit", "note", "finish"])
def test_a_crash_anywhere_is_healed_by_running_again(
    inbox: Path, read_all: Any, rows: Rows, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    put(inbox, "import.xml", catalog(item(P1, "Сок"), item(P2, "Вода")))
    put(inbox, "orders.xml", commerceml(document("20") + document("21")))
    put(inbox, "brand.csv", "Ид;Наименование\n1;a\n")

    def broken(*_: Any, **__: Any) -> Any:
        raise Interrupted

    with monkeypatch.context() as patch:
        if where == "examine":
            patch.setattr(register_module.Register, "_examine_table", broken)
        elif where == "accept":  # moved into reading/, not noted
            patch.setattr(register_module.Register, "_finish_what_is_read", lambda self: None)
            original = folder_module.Folder.take
            patch.setattr(folder_module.Folder, "take", lambda self, *a: (original(self, *a), broken()) if a else None)
        elif where == "land":
            patch.setattr(source_module, "page", broken)
        elif where == "commit":
            patch.setattr(source_module.FileFeed, "position", broken)
        elif where == "note":
            patch.setattr(source_module.FileFeed, "committed", broken)
        else:
            patch.setattr(folder_module.Folder, "finish", broken)
        with pytest.raises(Interrupted):
            read_all()
    read_all()
    assert rows("select record_id from raw.onec_product order by 1") == sorted([(P1,), (P2,), ("g1",), ("g2",)])
    assert rows("select record_id, count(*) from raw.onec_order_line group by 1 order by 1") == [("20", 1), ("21", 1)]
    assert rows("select record_id from raw.onec_brand") == [("1",)]
    assert rows("select count(*) from raw_history.onec_order") == [(0,)]
    assert places(inbox) == {"reading": 0, "done": 3, "quarantine": 0}
    assert not list(inbox.glob("*.*"))


def test_a_file_is_done_only_when_all_its_entities_are_committed(inbox: Path, read: Any) -> None:
    put(inbox, "orders.xml", commerceml(document("20")))
    read("order")
    assert places(inbox) == {"reading": 1, "done": 0, "quarantine": 0}
    # 1C writes its next file under the same name meanwhile.
    put(inbox, "orders.xml", commerceml(document("22"), formed="2026-11-20T07:00:00"))
    read("partner")
    read("legal_entity")
    assert places(inbox) == {"reading": 1, "done": 1, "quarantine": 0}
    assert read("order").rows_inserted == 1


@pytest.mark.parametrize("document", ["connect-files.md", "connect-files.ru.md"])
def test_the_examples_of_the_documentation_are_read(inbox: Path, read: Any, rows: Rows, document: str) -> None:
    written = (PROJECT_ROOT / "docs" / document).read_text(encoding="utf-8")
    examples = re.findall(r"<!-- file: (.+?) -->\n```\w+\n(.*?)```", written, re.DOTALL)
    assert len(examples) == 4
    for name, content in examples:
        put(inbox, name, content)
    assert (read("order").rows_inserted, read("partner").rows_inserted) == (3, 3)
    assert rows("select record_id, manager_id from raw.onec_partner where manager_id is not null order by 1") == [
        ("М-12", "Т-3"), ("М-31", "Т-3"),
    ]  # fmt: skip
    assert rows("select sum(amount_with_vat)::text from raw.onec_order_line") == [("3194.00",)]
    assert places(inbox)["quarantine"] == 0
