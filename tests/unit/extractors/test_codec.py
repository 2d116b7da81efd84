"""Pages: golden rows, records that do not decode, order of fields, one bad record among good ones."""

import dataclasses
import json
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from extractors.core.codec import BOM, Codec, cleaned, rows_of, wrap_single
from extractors.core.errors import BrokenPage
from extractors.core.spec import load_configuration, load_entities
from tests.support.small_onec import EMPTY, key, order, order_line


@pytest.fixture
def codec() -> Codec:
    return Codec(
        load_entities("onec")["order"],
        load_configuration("onec", "ut11").entities["order"],
        ZoneInfo("Europe/Moscow"),
    )


def page(*records: Any) -> bytes:
    return json.dumps({"odata.metadata": "x", "value": list(records)}, ensure_ascii=False).encode()


def cells(codec: Codec, row: bytes, child: int | None = None) -> dict[str, str]:
    names = codec.layout.header if child is None else codec.layout.lines[child]
    return dict(zip(names, row.decode().split("\t"), strict=True))


def test_golden_order(codec: Codec) -> None:
    [record] = codec.decode(page(order(7, lines=0, Товары=[order_line(1), order_line(2, Цена=12.5)]))).records
    header = cells(codec, record.header)
    assert header["record_id"] == record.record_id == key(7)
    assert header["number"] == "ТД000007"
    assert header["dated_at"] == "2026-03-08 07:00:00.000000+00:00"
    assert header["agreement_id"] == r"\N"
    assert header["comment"] == r"\N"
    assert header["requested_on"] == r"\N"
    assert header["posted"] == "t"
    assert record.version == b"AAAA7="
    assert record.dated_at == b"2026-03-08 07:00:00.000000+00:00"
    first, second = (cells(codec, row, 0) for row in record.lines[0].split(b"\n"))
    assert (first["record_id"], first["line_no"], first["quantity"], first["price"]) == (key(7), "1", "1", "10.5")
    assert (second["line_no"], second["amount"], second["price"]) == ("2", "21.0", "12.5")
    assert first["requested_on"] == "2026-03-02"
    assert first["cancelled"] == "f"
    assert first["supply_option"] == "Отгрузить"
    assert first["cancellation_reason_id"] == r"\N"


def test_money_keeps_every_digit(codec: Codec) -> None:
    body = page(order(1, lines=1)).replace(
        b'"\xd0\xa6\xd0\xb5\xd0\xbd\xd0\xb0": 10.5', '"Цена": 12345678901234567.89'.encode()
    )
    [record] = codec.decode(body).records
    assert cells(codec, record.lines[0], 0)["price"] == "12345678901234567.89"


def test_numbers_in_every_spelling_take_the_careful_way(codec: Codec) -> None:
    record = order(1, Товары=[order_line(1, Цена="7.25", Сумма=None, Количество=1e22)])
    [decoded] = codec.decode(page(record)).records
    line = cells(codec, decoded.lines[0], 0)
    assert (line["price"], line["amount"], line["quantity"]) == ("7.25", r"\N", "10000000000000000000000")


def test_field_order_of_the_base_does_not_matter(codec: Codec) -> None:
    record = order(5)
    shuffled = {name: record[name] for name in sorted(record)}
    shuffled["Товары"] = [{name: line[name] for name in sorted(line)} for line in record["Товары"]]
    [one] = codec.decode(page(record)).records
    [other] = codec.decode(page(shuffled)).records
    assert one.row_hash == other.row_hash
    assert (one.header, one.lines, one.dated_at) == (other.header, other.lines, other.dated_at)


def test_unknown_fields_are_skipped_and_optional_ones_may_be_missing(codec: Codec) -> None:
    record = order(5, НовоеПоле={"x": [1, {"y": None}]})
    del record["АдресДоставки"]
    [decoded] = codec.decode(BOM + page(record)).records
    assert cells(codec, decoded.header)["delivery_address"] == r"\N"


def test_the_hash_follows_content_not_version(codec: Codec) -> None:
    [plain] = codec.decode(page(order(5))).records
    [again] = codec.decode(page(order(5, DataVersion="other"))).records
    [header] = codec.decode(page(order(5, Статус="Закрыт"))).records
    [line] = codec.decode(page(order(5, Товары=[order_line(1), order_line(2, Отменено=True)]))).records
    assert plain.row_hash == again.row_hash
    assert len({plain.row_hash, header.row_hash, line.row_hash}) == 3


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (order(2, СуммаДокумента=1e300), "amount (СуммаДокумента): number is out of range"),
        (order(2, Date="2026-02-31T00:00:00"), "dated_at (Date): date and time are out of range"),
        (order(2, Товары=[order_line(1), order_line(2, КодСтроки="9" * 25)]), "line_code (КодСтроки) in line 2"),
        (order(2, Товары=[order_line(1), order_line(1)]), "line numbers repeat"),
        (order(2, Комментарий="x" * 1_000_001), "comment (Комментарий): text is longer"),
        (order(2, Posted="да"), "does not decode"),
        ({"Ref_Key": key(2), "DataVersion": "x"}, "does not decode"),
        (order(2, Товары=[{"Ref_Key": key(2)}]), "does not decode"),
    ],
)
def test_a_bad_record_is_rejected_alone(codec: Codec, bad: dict[str, Any], reason: str) -> None:
    decoded = codec.decode(page(order(1), bad, order(3)))
    assert [record.record_id for record in decoded.records] == [key(1), key(3)]
    [rejected] = decoded.rejected
    assert rejected.record_id == key(2)
    assert reason in rejected.reason
    assert json.loads(rejected.original) == bad
    assert decoded.count == 3


def test_reasons_never_quote_values(codec: Codec) -> None:
    decoded = codec.decode(page(order(1, Date="+7 900 123-45-67")))
    assert "900" not in decoded.rejected[0].reason


@pytest.mark.parametrize("name", ["", EMPTY, "x" * 200])
def test_a_record_without_a_usable_key_is_rejected(codec: Codec, name: str) -> None:
    decoded = codec.decode(page(order(1), order(2, Ref_Key=name)))
    assert len(decoded.records) == len(decoded.rejected) == 1


def test_half_an_emoji_and_nul_are_cleaned_not_lost(codec: Codec) -> None:
    body = page(order(1, Комментарий="XX"), order(2)).replace(b"XX", b"a\\ud83db\\u0000c\\\\ud83d \\ud83d\\ude00")
    decoded = codec.decode(body)
    assert not decoded.rejected
    assert cells(codec, decoded.records[0].header)["comment"] == "a\ufffdbc\\\\ud83d \U0001f600"
    assert decoded.records[1].record_id == key(2)


def test_broken_utf8_and_raw_control_characters_are_cleaned(codec: Codec) -> None:
    body = page(order(1, Комментарий="XX"), order(2)).replace(b"XX", b"a\xffb\x01c\nd")
    decoded = codec.decode(body)
    assert not decoded.rejected
    assert cells(codec, decoded.records[0].header)["comment"] == "a\ufffdb c d"


def test_tabs_and_backslashes_cannot_break_a_row(codec: Codec) -> None:
    record = order(1, Комментарий="a\tb\\c\nd", Статус="x\ty", Партнер_Key="p\tq\\")
    [decoded] = codec.decode(page(record)).records
    assert len(decoded.header.split(b"\t")) == len(codec.layout.header)
    assert cells(codec, decoded.header)["comment"] == r"a\tb\\c\nd"


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b'{"value":[{"Ref_Key"', b'{"odata.error":{}}', b'{"value":{}}', b"[]"]
)
def test_what_is_no_collection_is_a_broken_page(codec: Codec, body: bytes) -> None:
    with pytest.raises(BrokenPage):
        codec.decode(body)


def test_one_record_by_its_key_decodes_like_a_page(codec: Codec) -> None:
    alone = BOM + json.dumps({"odata.metadata": "…/@Element", **order(4)}, ensure_ascii=False).encode()
    [one], [other] = (codec.decode(body).records for body in (wrap_single(alone), page(order(4))))
    assert (one.record_id, one.row_hash, one.version) == (other.record_id, other.row_hash, other.version)


def test_a_record_is_sighted_as_the_bytes_that_it_was_decoded_from(codec: Codec) -> None:
    body = page(order(4), order(5)).replace(b"[{", b"[ { ", 1)
    sighted, decoded = codec.sight(body), codec.decode(body).records
    assert [(one.key, one.original_hash) for one in sighted] == [
        (record.record_id, record.original_hash) for record in decoded
    ]
    # A key that does not stand in front is not looked for, the lines have keys as well.
    [hidden] = codec.sight(b'{"value":[{"T":[{"Ref_Key":"x"}],"Ref_Key":"y"}]}'.replace("Товары".encode(), b"T"))
    assert hidden.key is None


def test_another_mapping_or_zone_sees_other_bytes(codec: Codec) -> None:
    body = page(order(4))
    entity, mapping = load_entities("onec")["order"], load_configuration("onec", "ut11").entities["order"]
    less = dataclasses.replace(mapping, fields={name: mapping.fields[name] for name in ("number", "dated_at")})
    hashes = {
        codec_of_it.sight(body)[0].original_hash
        for codec_of_it in (
            codec,
            Codec(entity, less, ZoneInfo("Europe/Moscow")),
            Codec(entity, mapping, ZoneInfo("Asia/Omsk")),
        )
    }
    assert len(hashes) == 3


def test_cleaning_leaves_good_json_as_it_is() -> None:
    body = page(order(1, Комментарий='кавычка " и \\ и \U0001f600'))
    assert json.loads(cleaned(body)) == json.loads(body)


def codec_of(configuration: str, entity: str) -> Codec:
    mapping = load_configuration("onec", configuration).entities[entity]
    return Codec(load_entities("onec")[entity], mapping, ZoneInfo("Europe/Moscow"))


def unf_order(**changes: Any) -> dict[str, Any]:
    return {
        "Ref_Key": key(1),
        "DataVersion": "AAAA",
        "Number": "НФ-1",
        "Date": "2026-03-02T10:00:00",
        "Posted": True,
        "DeletionMark": False,
        "Контрагент_Key": key(2),
        "Организация_Key": key(3),
        "СуммаДокумента": 120,
        "Запасы": [],
    } | changes


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({"СостояниеЗаказа": key(4)}, key(4)),
        ({"СостояниеЗаказа_Key": key(5)}, key(5)),
        ({"СостояниеЗаказа": key(4), "СостояниеЗаказа_Key": key(5)}, key(4)),
        ({"СостояниеЗаказа": None, "СостояниеЗаказа_Key": key(5)}, key(5)),
        ({"СостояниеЗаказа": EMPTY}, r"\N"),
        ({}, r"\N"),
    ],
)
def test_the_first_name_that_a_record_has_feeds_the_column(fields: dict[str, Any], state: str) -> None:
    codec = codec_of("unf", "order")
    [record] = codec.decode(page(unf_order(**fields))).records
    assert cells(codec, record.header)["state_id"] == state


def test_a_required_field_may_have_several_names() -> None:
    codec = codec_of("unf", "order")
    line = {"LineNumber": "1", "Количество": 5, "Цена": 2.5, "Сумма": 12.5}
    bodies = [unf_order(Запасы=[line | {name: key(9)}]) for name in ("Номенклатура", "Номенклатура_Key")]
    for record in codec.decode(page(*bodies)).records:
        assert cells(codec, record.lines[0], 0)["product_id"] == key(9)


def test_the_legal_entity_of_a_base_without_partners_is_its_own_partner() -> None:
    codec = codec_of("bp30", "legal_entity")
    record = {"Ref_Key": key(1), "Description": "Ромашка", "ИНН": "7701234567  ", "DeletionMark": False}
    [decoded] = codec.decode(page(record)).records
    header = cells(codec, decoded.header)
    assert (header["record_id"], header["partner_id"], header["inn"]) == (key(1), key(1), "7701234567")
    assert header["kpp"] == r"\N"


def test_constants_stand_where_a_record_has_nothing() -> None:
    contract = {"Ref_Key": key(1), "Description": "Договор", "Owner_Key": key(2), "DeletionMark": False}
    codec = codec_of("bp30", "agreement")
    [record] = codec.decode(page(contract)).records
    assert cells(codec, record.header)["status"] == "Действует"
    codec = codec_of("unf", "package")
    package = {"Ref_Key": key(1), "Description": "кор", "Коэффициент": "12", "DeletionMark": False}
    full, own = codec.decode(page(package, package | {"Ref_Key": key(2), "Знаменатель": 5})).records
    assert cells(codec, full.header)["numerator"] == "12"
    assert (cells(codec, full.header)["denominator"], cells(codec, own.header)["denominator"]) == ("1", "5")


def test_rows_of_a_virtual_table_are_known_by_their_dimensions() -> None:
    codec = codec_of("ut11", "stock")
    row = {"Склад_Key": key(1), "Номенклатура_Key": key(2), "ВНаличииBalance": 3.5, "КОтгрузкеBalance": 0}
    other = row | {"Характеристика_Key": key(3)}
    decoded = codec.decode(page(row, row | {"ВНаличииBalance": 4}, row | {"Характеристика_Key": EMPTY}, other))
    assert decoded.rejected == []
    first, changed, empty, characteristic = decoded.records
    assert first.record_id == changed.record_id == empty.record_id != characteristic.record_id
    assert first.row_hash == empty.row_hash != changed.row_hash
    assert cells(codec, first.header) == {
        "record_id": first.record_id,
        "warehouse_id": key(1),
        "product_id": key(2),
        "characteristic_id": r"\N",
        "on_hand": "3.5",
        "to_ship": "0",
    }


@pytest.mark.parametrize("recorder", ["Recorder", "Recorder_Key"])
def test_movements_are_known_by_their_recorder(recorder: str) -> None:
    codec = codec_of("ut11", "bonus_movement")
    movement = {"LineNumber": "1", "Period": "2026-03-02T00:00:00", "Active": True, "Начислено": 10.5}
    body = page({recorder: key(1), "RecordSet": [movement]}, {recorder: key(2), "RecordSet": []}, {"RecordSet": []})
    decoded = codec.decode(body)
    assert [(record.record_id, record.lines != (b"",)) for record in decoded.records] == [
        (key(1), True),
        (key(2), False),
    ]
    assert cells(codec, decoded.records[0].lines[0], 0)["accrued"] == "10.5"
    assert [rejected.record_id for rejected in decoded.rejected] == [None]


def test_a_small_page_survives_stray_bytes_and_keeps_exact_numbers() -> None:
    body = b'\xef\xbb\xbf{"value":[{"Code":"odata\xed\t","SentNo":"3","Sum":0.1}]}'
    assert rows_of(body, parse_float=Decimal) == [{"Code": "odata\ufffd ", "SentNo": "3", "Sum": Decimal("0.1")}]
    for broken in (b'{"value":[{"Code":', b"<html>", b'{"error":{}}', b"[]"):
        with pytest.raises(BrokenPage):
            rows_of(broken)
