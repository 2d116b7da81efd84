"""The replay of a real file: its documents against a computation of its own, with pandas."""

import csv
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pandas as pd
import pytest

from simulators.onec.base import Base
from simulators.replay import COLUMNS, Replay

HEAD = dict(zip(COLUMNS, ["500001", "A1", "MUG", "2", "2011-01-03 10:00:00", "2.55", "100", "France"], strict=True))


def replay(tmp_path: Path, *rows: dict[str, str]) -> Replay:
    path = tmp_path / "lines.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows({**HEAD, **row} for row in rows)
    return Replay.read(path)


def documents(base: Base, name: str) -> list[dict[str, Any]]:
    found = base.sets[name]
    return [found.document(row) for row in found.rows]


def test_each_class_of_line_becomes_its_document(tmp_path: Path) -> None:
    of = replay(
        tmp_path,
        {},
        {"Quantity": "-5", "UnitPrice": "0.0"},
        {"InvoiceNo": "C500002", "Quantity": "-3", "UnitPrice": "10.10"},
        {"InvoiceNo": "A500003", "StockCode": "B", "UnitPrice": "-7.50", "Quantity": "1", "CustomerID": ""},
    )
    base = of.base()
    (order,) = documents(base, "Document_ЗаказКлиента")
    (shipment,) = documents(base, "Document_РеализацияТоваровУслуг")
    (back,) = documents(base, "Document_ВозвратТоваровОтКлиента")
    (written_off,) = documents(base, "Document_СписаниеНедостачТоваров")
    (debt,) = documents(base, "Document_СписаниеЗадолженности")
    assert order["Number"].strip() == shipment["Number"].strip() == written_off["Number"].strip() == "500001"
    assert shipment["ЗаказКлиента"] == order["Ref_Key"]
    assert [line["Количество"] for line in shipment["Товары"]] == [2]
    assert shipment["СуммаДокумента"] == 5.1
    assert [(line["Количество"], line["Сумма"]) for line in back["Товары"]] == [(3, 30.3)]
    assert [line["Количество"] for line in written_off["Товары"]] == [5]
    assert [line["Сумма"] for line in debt["Задолженность"]] == [7.5]
    assert of.manifest()["counts"]["amount"] == "-32.70"  # 5.10 sold, 30.30 returned, 7.50 written off


def test_products_that_differ_by_case_or_space_stay_apart(tmp_path: Path) -> None:
    of = replay(tmp_path, {"StockCode": "85123A"}, {"StockCode": "85123a"}, {"StockCode": "85123A "})
    products = documents(of.base(), "Catalog_Номенклатура")
    assert sorted(product["Артикул"] for product in products) == ["85123A", "85123A ", "85123a"]
    assert len({product["Ref_Key"] for product in products}) == 3


def test_a_customer_of_two_countries_has_an_outlet_in_each(tmp_path: Path) -> None:
    of = replay(tmp_path, {}, {"InvoiceNo": "500002", "Country": "Spain"}, {"InvoiceNo": "500003", "CustomerID": "200"})
    partners = {partner["Ref_Key"]: partner for partner in documents(of.base(), "Catalog_Партнеры")}
    assert sorted(p["Description"] for p in partners.values()) == [
        "Customer 100", "Customer 100, France", "Customer 100, Spain", "Customer 200",
    ]  # fmt: skip
    buyers = [partners[d["Партнер_Key"]]["Description"] for d in documents(of.base(), "Document_ЗаказКлиента")]
    assert buyers == ["Customer 100, France", "Customer 100, Spain", "Customer 200"]


def test_an_invoice_of_two_moments_has_the_first(tmp_path: Path) -> None:
    of = replay(tmp_path, {"InvoiceDate": "2011-01-03 10:01:00"}, {"InvoiceDate": "2011-01-03 10:00:00"})
    (order,) = documents(of.base(), "Document_ЗаказКлиента")
    assert order["Date"] == "2011-01-03T10:00:00"
    assert len(order["Товары"]) == 2


def test_another_file_is_refused_by_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(ValueError, match="has the columns a, b"):
        Replay.read(path)


@pytest.fixture(scope="module")
def real_file() -> Path:
    path = Path(__file__).resolve().parents[4] / "shared" / "data" / "online_retail" / "online_retail_I.csv.gz"
    if not path.is_file():
        pytest.skip(f"{path} is not here: the real invoice file is not part of the repository")
    return path


def test_every_line_of_the_real_file_is_served_once(real_file: Path) -> None:
    frame = pd.read_csv(real_file, dtype=str, keep_default_na=False)
    frame["units"] = frame["Quantity"].astype(int)
    frame["money"] = [Decimal(p) * q for p, q in zip(frame["UnitPrice"], frame["units"], strict=True)]
    first = frame["InvoiceNo"].str[0]
    masks = {
        "Document_ВозвратТоваровОтКлиента": first == "C",
        "Document_СписаниеЗадолженности": first == "A",
        "Document_СписаниеНедостачТоваров": ~first.isin(["A", "C"]) & (frame["units"] < 0),
        "Document_РеализацияТоваровУслуг": ~first.isin(["A", "C"]) & (frame["units"] >= 0),
    }
    of = Replay.read(real_file)
    base = of.base()
    total, numbers = Decimal(0), set()
    for name, mask in masks.items():
        found = base.sets[name]
        sign = 1 if name == "Document_РеализацияТоваровУслуг" else -1
        lines, money = 0, Decimal(0)
        for row in found.rows:
            numbers.add(orjson.loads(found.text(row, "Number")).strip())
            section = found.schema.tables[0].name
            for fragments in row.tables[0]:
                lines += 1
                if section == "Задолженность":
                    money += Decimal(fragments[0])
                else:
                    money += Decimal(fragments[2]) * Decimal(fragments[3])
        assert lines == mask.sum(), name
        assert sign * money == sum(frame["money"][mask]), name
        total += sign * money
    assert total == sum(frame["money"])
    assert round(total, 2) == Decimal("9747747.93")
    assert numbers == set(frame["InvoiceNo"])
    assert len(numbers) == 25_900

    orders, shipments = base.sets["Document_ЗаказКлиента"], base.sets["Document_РеализацияТоваровУслуг"]
    assert [row.tables for row in orders.rows] == [row.tables for row in shipments.rows]

    services = [p["Артикул"] for p in documents(base, "Catalog_Номенклатура") if p["ТипНоменклатуры"] == "Услуга"]
    assert {"POST", "DOT", "M", "m", "BANK CHARGES", "gift_0001_20"} <= set(services)
    assert not any(code[0].isdigit() for code in services)
    assert len(base.sets["Catalog_Номенклатура"].rows) == frame["StockCode"].nunique()

    retail = frame["CustomerID"] == ""
    keys = {of.outlet_key("", country) for country in frame["Country"][retail].unique()}
    anonymous = sum(
        len(row.tables[0])
        for name in (
            "Document_РеализацияТоваровУслуг",
            "Document_ВозвратТоваровОтКлиента",
            "Document_СписаниеЗадолженности",
        )
        for row in base.sets[name].rows
        if base.sets[name].text(row, "Партнер_Key")[1:-1] in keys
    )
    without_partner = masks["Document_СписаниеНедостачТоваров"]
    assert anonymous == (retail & ~without_partner).sum()
