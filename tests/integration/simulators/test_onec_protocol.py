"""Each peculiarity of 1C's OData that a client must know, as the simulator shows it."""

import json
import time
from decimal import Decimal
from xml.etree import ElementTree

import pytest
import requests

from tests.support.simulated_onec import LOGIN, PASSWORD, Published, guid

ORDERS = "Document_ЗаказКлиента"
PARTNERS = "Catalog_Партнеры"
EMPTY = "00000000-0000-0000-0000-000000000000"
ATOM = "{http://www.w3.org/2005/Atom}"
DATA = "{http://schemas.microsoft.com/ado/2007/08/dataservices}"
META = "{http://schemas.microsoft.com/ado/2007/08/dataservices/metadata}"


# formats


def test_the_default_format_is_atom(onec: Published) -> None:
    response = onec.get(f"{PARTNERS}?$top=2&$inlinecount=allpages")
    assert response.headers["content-type"].startswith("application/atom+xml")
    feed = ElementTree.fromstring(response.content)
    assert feed.findtext(f"{META}count") == "40"
    entries = feed.findall(f"{ATOM}entry")
    assert len(entries) == 2
    name = entries[0].findtext(f"{ATOM}content/{META}properties/{DATA}Description")
    assert name is not None
    assert name.startswith("Партнёр")


def test_atom_carries_lines_as_elements_and_links_of_filled_references(onec: Published) -> None:
    response = onec.get(f"{ORDERS}(guid'{guid(1003)}')")
    entry = ElementTree.fromstring(response.content)
    rows = entry.findall(f"{ATOM}content/{META}properties/{DATA}Товары/{DATA}element")
    assert [row.findtext(f"{DATA}LineNumber") for row in rows] == ["1", "2", "3"]
    related = [link.get("title") for link in entry.findall(f"{ATOM}link") if "related" in (link.get("rel") or "")]
    assert related == ["Партнер"]


@pytest.mark.parametrize("ask", ["$format=json", "$format=application/json;odata=minimalmetadata"])
def test_json_by_format_and_minimal_metadata_by_default(onec: Published, ask: str) -> None:
    body = onec.get(f"{ORDERS}?$top=1&{ask}").json()
    assert next(iter(body)) == "odata.metadata"
    assert body["odata.metadata"].endswith("$metadata#Document_ЗаказКлиента")
    assert "Партнер@navigationLinkUrl" in body["value"][0]


def test_json_by_accept_header(onec: Published) -> None:
    assert onec.get(f"{ORDERS}?$top=1", Accept="application/json").json()["value"]


def test_no_metadata_drops_links_and_envelope(onec: Published) -> None:
    body = onec.json(f"{ORDERS}?$top=1")
    assert list(body) == ["value"]
    assert not [key for key in body["value"][0] if "@" in key]


def test_links_stand_only_beside_filled_references(onec: Published) -> None:
    rows = onec.get(f"{PARTNERS}?$format=json&$top=40").json()["value"]
    for row in rows:
        assert ("Parent@navigationLinkUrl" in row) == (row["Parent_Key"] != EMPTY)
    assert sum(row["Parent_Key"] != EMPTY for row in rows) == 1


def test_full_metadata_names_types(onec: Published) -> None:
    row = onec.get(f"{ORDERS}?$top=1&$format=application/json;odata=fullmetadata").json()["value"][0]
    assert row["odata.type"] == "StandardODATA.Document_ЗаказКлиента"
    assert row["Date@odata.type"] == "Edm.DateTime"


def test_a_byte_order_mark_before_json(onec: Published) -> None:
    onec.server.quirks.bom = True
    body = onec.get(f"{PARTNERS}?$top=1&$format=json").content
    assert body.startswith(b"\xef\xbb\xbf{")
    assert onec.get("Catalog_Нет?$format=json").content.startswith(b"\xef\xbb\xbf{")


def test_metadata_is_xml_and_lists_every_set_and_type(onec: Published) -> None:
    response = onec.get("$metadata", Accept="application/json")
    assert response.headers["content-type"].startswith("application/xml")
    edm = "{http://schemas.microsoft.com/ado/2009/11/edm}"
    root = ElementTree.fromstring(response.content)
    sets = {element.get("Name") for element in root.iter(f"{edm}EntitySet")}
    assert {PARTNERS, ORDERS, f"{ORDERS}_Товары"} <= sets
    (order,) = [e for e in root.iter(f"{edm}EntityType") if e.get("Name") == ORDERS]
    types = {e.get("Name"): e.get("Type") for e in order.iter(f"{edm}Property")}
    assert types["СуммаДокумента"] == "Edm.Double"
    assert types["Партнер_Key"] == "Edm.Guid"
    assert types["Date"] == "Edm.DateTime"
    assert types["Товары"] == "Collection(StandardODATA.Document_ЗаказКлиента_Товары_RowType)"
    (row,) = [e for e in root.iter(f"{edm}ComplexType") if e.get("Name") == f"{ORDERS}_Товары_RowType"]
    assert {e.get("Name"): e.get("Type") for e in row.iter(f"{edm}Property")}["LineNumber"] == "Edm.Int64"


def test_the_service_root_lists_sets(onec: Published) -> None:
    names = {entry["name"] for entry in onec.get("?$format=json").json()["value"]}
    assert names == {PARTNERS, ORDERS, "Document_РеализацияТоваровУслуг"}
    root = ElementTree.fromstring(onec.get("").content)
    assert {e.get("href") for e in root.iter("{http://www.w3.org/2007/app}collection")} == names


# values


def test_values_look_as_1c_sends_them(onec: Published) -> None:
    text = onec.get(f"{ORDERS}(guid'{guid(1001)}')?$format=application/json;odata=nometadata").text
    assert '"СуммаДокумента":2.55' in text
    assert '"Сумма":1234567890123.45' in text
    assert '"Цена":0.1' in text
    order = onec.json(f"{ORDERS}(guid'{guid(1001)}')")
    assert order["Number"] == "ТД-000001     "
    assert order["Контрагент_Key"] == EMPTY
    assert order["ДатаОтгрузки"] == "0001-01-01T00:00:00"
    assert order["Статус"] == ""
    assert order["Комментарий"] == 'O\'Нил сказал: "да" & 5 < 6\n'
    assert order["Товары"][0]["LineNumber"] == "1"
    assert order["Товары"][0]["Ref_Key"] == order["Ref_Key"]


def test_composite_references_carry_their_type(onec: Published) -> None:
    shipments = {row["Ref_Key"]: row for row in onec.json("Document_РеализацияТоваровУслуг")["value"]}
    filled, empty = shipments[guid(2001)], shipments[guid(2002)]
    assert filled["ЗаказКлиента_Type"] == "StandardODATA.Document_ЗаказКлиента"
    assert filled["ЗаказКлиента"] == guid(1001)
    assert empty["ЗаказКлиента"] == ""
    assert empty["ЗаказКлиента_Type"] == "StandardODATA.Undefined"


# paging and counting


def test_there_is_no_paging_by_the_server(onec: Published) -> None:
    body = onec.json(ORDERS)
    assert len(body["value"]) == 250
    assert not [key for key in body if "next" in key.lower()]


@pytest.mark.parametrize("size", [1, 7, 125, 249, 250, 251])
def test_top_and_skip_over_ref_key_give_every_record_once(onec: Published, size: int) -> None:
    keys: list[str] = []
    while True:
        page = onec.json(f"{ORDERS}?$orderby=Ref_Key&$select=Ref_Key&$top={size}&$skip={len(keys)}")["value"]
        keys += [row["Ref_Key"] for row in page]
        if len(page) < size:
            break
    assert len(keys) == len(set(keys)) == 250


def test_ordering_by_reference_is_by_presentation_not_by_guid(onec: Published) -> None:
    partners = onec.json(f"{PARTNERS}?$orderby=Ref_Key")["value"]
    names = [row["Description"] for row in partners]
    assert names == sorted(names)
    assert [row["Ref_Key"] for row in partners] != sorted(row["Ref_Key"] for row in partners)


def test_orderby_takes_several_fields_directions_and_referenced_fields(onec: Published) -> None:
    rows = onec.json(f"{ORDERS}?$orderby=Posted desc,Date asc&$select=Posted,Date")["value"]
    assert rows == sorted(rows, key=lambda row: (not row["Posted"], row["Date"]))
    names = {row["Ref_Key"]: row["Description"] for row in onec.json(PARTNERS)["value"]}
    by_name = onec.json(f"{ORDERS}?$orderby=Партнер/Description&$select=Партнер_Key")["value"]
    ordered = [names[row["Партнер_Key"]] for row in by_name]
    assert ordered == sorted(ordered)


def test_the_count_is_a_string_and_ignores_top(onec: Published) -> None:
    body = onec.json(f"{ORDERS}?$top=1&$inlinecount=allpages&$filter=Posted eq true")
    assert body["odata.count"] == "200"
    assert len(body["value"]) == 1
    assert onec.json(f"{ORDERS}?$top=0&$inlinecount=allpages") == {"odata.count": "250", "value": []}
    assert onec.get(f"{ORDERS}/$count?$filter=Posted eq true").text == "200"


def test_the_vendors_wording_of_inlinecount_is_a_switch(onec: Published) -> None:
    onec.server.quirks.inlinecount_ignores_paging = True
    body = onec.json(f"{ORDERS}?$top=1&$skip=3&$inlinecount=allpages")
    assert len(body["value"]) == 250


# filters


def numbers(onec: Published, condition: str) -> set[int]:
    rows = onec.json(f"{ORDERS}?$select=Number&$filter={condition}")["value"]
    return {int(row["Number"].strip()[3:]) for row in rows}


def test_filters_by_date_truth_and_number(onec: Published) -> None:
    every = range(1, 251)
    assert numbers(onec, "Posted eq false") == {n for n in every if n % 5 == 0}
    window = "Date ge datetime'2026-03-05T00:00:00' and Date lt datetime'2026-03-07T00:00:00'"
    assert numbers(onec, window) == {n for n in every if 1 + n % 28 in (5, 6)}
    assert numbers(onec, "СуммаДокумента gt 249 or Number eq 'ТД-000007'") == {7, 249, 250}
    assert numbers(onec, "not (Posted eq true) and СуммаДокумента le 10.10") == {5, 10}
    assert numbers(onec, "year(Date) eq 2026 and day(Date) eq 28 and month(Date) eq 3") == {
        n for n in every if 1 + n % 28 == 28
    }
    assert numbers(onec, "СуммаДокумента mul 2 eq 5.1") == {1}


def test_filters_by_reference_and_text(onec: Published) -> None:
    assert numbers(onec, f"Партнер_Key eq guid'{guid(3)}'") == {n for n in range(1, 251) if n % 40 == 2}
    assert numbers(onec, "substringof('Нил', Комментарий)") == {1}
    assert numbers(onec, "startswith(Комментарий, 'O''Нил')") == {1}
    assert numbers(onec, "endswith(Number, '250')") == {250}


def test_filters_look_into_lines(onec: Published) -> None:
    assert numbers(onec, "Товары/any(d: d/Количество gt 2)") == {n for n in range(1, 251) if n % 4 == 3}
    assert numbers(onec, "Товары/all(d: d/Количество le 1)") == {n for n in range(1, 251) if n % 4 in (0, 1)}


def test_a_composite_compares_only_with_a_cast(onec: Published) -> None:
    shipments = "Document_РеализацияТоваровУслуг?$select=Number&$filter="
    asked = f"guid'{guid(1003)}'"
    assert onec.json(f"{shipments}ЗаказКлиента eq {asked}")["value"] == []
    found = onec.json(f"{shipments}ЗаказКлиента eq cast({asked}, 'Document_ЗаказКлиента')")["value"]
    assert [row["Number"].strip() for row in found] == ["РТ-000003"]
    assert onec.json(f"{shipments}ЗаказКлиента eq cast({asked}, 'Document_Другой')")["value"] == []
    typed = onec.json(f"{shipments}isof(ЗаказКлиента, 'Document_ЗаказКлиента')")["value"]
    assert len(typed) == 5


def test_a_reference_cannot_be_compared_by_size(onec: Published) -> None:
    response = onec.get(f"{ORDERS}?$format=json&$filter=Ref_Key gt guid'{EMPTY}'")
    assert response.status_code == 500
    assert "Нельзя сравнивать поля неограниченной длины" in response.json()["odata.error"]["message"]["value"]


# projection


def test_select_of_headers_of_lines_and_stars(onec: Published) -> None:
    (row,) = onec.json(f"{ORDERS}?$filter=Number eq 'ТД-000003'&$select=Ref_Key,Товары/Количество")["value"]
    assert row == {"Ref_Key": guid(1003), "Товары": [{"Количество": 1}, {"Количество": 2}, {"Количество": 3}]}
    assert "Товары" in onec.json(f"{ORDERS}?$top=1&$select=*")["value"][0]
    assert "Товары" not in onec.json(f"{ORDERS}?$top=1&$select=**")["value"][0]


def test_presentations_only_when_selected(onec: Published) -> None:
    plain = onec.json(f"{ORDERS}?$top=1")["value"][0]
    assert not [key for key in plain if key.endswith("____Presentation")]
    row = onec.json(f"{ORDERS}?$top=1&$select=*,*____Presentation")["value"][0]
    partners = {p["Ref_Key"]: p["Description"] for p in onec.json(PARTNERS)["value"]}
    assert row["Партнер_Key____Presentation"] == partners[row["Партнер_Key"]]


def test_expand_is_ignored_without_select_of_the_same(onec: Published) -> None:
    (row,) = onec.json(f"{ORDERS}?$top=1&$expand=Партнер")["value"]
    assert row["Партнер"]["Ref_Key"] == row["Партнер_Key"]
    (row,) = onec.json(f"{ORDERS}?$top=1&$select=Number&$expand=Партнер")["value"]
    assert list(row) == ["Number"]


def test_a_tabular_section_is_a_set_of_its_own(onec: Published) -> None:
    expected = sum(n % 4 for n in range(1, 251))
    assert onec.get(f"{ORDERS}_Товары/$count").text == str(expected)
    rows = onec.json(f"{ORDERS}_Товары?$filter=Ref_Key eq guid'{guid(1002)}'")["value"]
    assert [row["LineNumber"] for row in rows] == ["1", "2"]


def test_one_record_by_key_and_its_references(onec: Published) -> None:
    order = onec.json(f"{ORDERS}(guid'{guid(1004)}')")
    assert order["Ref_Key"] == guid(1004)
    owner = onec.json(f"{ORDERS}(guid'{guid(1004)}')/Партнер")
    assert owner["Ref_Key"] == order["Партнер_Key"]
    with_metadata = onec.get(f"{ORDERS}(guid'{guid(1004)}')?$format=json").json()
    assert with_metadata["odata.metadata"].endswith("/@Element")


# refusals


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("Catalog_НетТакого", 404, "8"),
        (f"{ORDERS}(guid'{guid(9)}')", 404, "9"),
        (f"{ORDERS}(guid'не-гуид')", 400, "1"),
        (f"{ORDERS}?$select=НетТакого", 400, "6"),
        (f"{ORDERS}?$filter=НетТакого eq 1", 400, "6"),
        (f"{ORDERS}?$filter=Posted eq", 400, "14"),
        (f"{ORDERS}?$filter=(Posted eq true", 400, "14"),
        (f"{ORDERS}?$filter=contains(Number,'1')", 400, "6"),
        (f"{ORDERS}?$filter=tolower(Number) eq 'a'", 400, "6"),
        (f"{ORDERS}?$expan=Партнер", 400, "0"),
        (f"{ORDERS}?$top=много", 400, "14"),
        (f"{ORDERS}/Balance()", 400, "6"),
        (f"{ORDERS}(Code='1')", 400, "7"),
    ],
)
def test_errors_have_1cs_own_codes(onec: Published, path: str, status: int, code: str) -> None:
    assert onec.error(path) == (status, code)


def test_errors_are_xml_unless_json_is_asked(onec: Published) -> None:
    response = onec.get("Catalog_НетТакого")
    assert response.status_code == 404
    root = ElementTree.fromstring(response.content)
    assert root.tag == f"{META}error"
    assert root.findtext(f"{META}code") == "8"


def test_a_plus_is_not_a_space(onec: Published) -> None:
    good = f"{onec.url}/{ORDERS}?$format=json&$filter=Posted%20eq%20true"
    assert onec.session.get(good, timeout=30).status_code == 200
    response = onec.session.get(good.replace("%20", "+"), timeout=30)
    assert response.status_code == 400
    assert response.json()["odata.error"]["code"] == "14"


def test_credentials_must_be_utf8(onec: Published) -> None:
    url = f"{onec.url}/{PARTNERS}?$top=1"
    assert requests.get(url, timeout=30).status_code == 401
    wrong = requests.get(url, auth=(LOGIN.encode("cp1251"), PASSWORD.encode("cp1251")), timeout=30)
    assert wrong.status_code == 401
    assert wrong.headers["www-authenticate"].startswith("Basic")
    assert requests.get(url, auth=(LOGIN.encode(), b"other"), timeout=30).status_code == 401
    assert requests.get(url, auth=(LOGIN.encode(), PASSWORD.encode()), timeout=30).status_code == 200


def test_row_rights_need_allowed_only(onec: Published) -> None:
    onec.server.quirks.restricted = [PARTNERS]
    assert onec.error(PARTNERS) == (401, "20")
    allowed = onec.json(f"{PARTNERS}?allowedOnly=true")["value"]
    assert 0 < len(allowed) < 40


def test_nothing_can_be_written(onec: Published) -> None:
    response = onec.session.post(f"{onec.url}/{PARTNERS}?$format=json", json={"Description": "x"}, timeout=30)
    assert (response.status_code, response.json()["odata.error"]["code"]) == (405, "19")
    assert onec.session.delete(f"{onec.url}/{PARTNERS}(guid'{guid(1)}')", timeout=30).status_code == 405


def test_a_page_too_large_ends_in_html(onec: Published) -> None:
    onec.server.quirks.page_limit_bytes = 20_000
    response = onec.get(f"{ORDERS}?$format=json")
    assert response.status_code == 500
    assert response.headers["content-type"].startswith("text/html")
    assert "No space left on device" in response.text
    assert len(onec.json(f"{ORDERS}?$top=2")["value"]) == 2


def test_sessions_are_counted_kept_and_refused(onec: Published) -> None:
    onec.server.quirks.session_limit = 1
    started = onec.get(f"{PARTNERS}?$top=1", IBSession="start")
    assert started.status_code == 200
    assert "ibsession" in onec.session.cookies
    assert onec.get(f"{PARTNERS}?$top=1").status_code == 200
    stranger = requests.get(f"{onec.url}/{PARTNERS}?$top=1", auth=(LOGIN.encode(), PASSWORD.encode()), timeout=30)
    assert stranger.status_code == 403
    assert stranger.content.startswith(b"\xef\xbb\xbf")
    assert stranger.content.decode("utf-8-sig").find("#exception") > 0
    onec.get(f"{PARTNERS}?$top=1", IBSession="finish")
    onec.session.cookies.clear()
    assert onec.get(f"{PARTNERS}?$top=1").status_code == 200


def test_the_first_request_wakes_the_base(onec: Published) -> None:
    onec.server.quirks.first_request_seconds = 2.0
    durations = []
    for _ in range(2):
        begun = time.monotonic()
        onec.get(f"{PARTNERS}?$top=1")
        durations.append(time.monotonic() - begun)
    assert durations[0] > 2.0 > durations[1]


# faults


def plan(onec: Published, *faults: dict[str, object]) -> None:
    response = onec.session.post(f"{onec.root}/_control/faults", json=list(faults), timeout=30)
    assert response.status_code == 200


@pytest.mark.parametrize("status", [429, 500, 503])
def test_planned_statuses(onec: Published, status: int) -> None:
    plan(onec, {"kind": "status", "status": status, "retry_after": 2, "match": PARTNERS})
    refused = onec.get(f"{PARTNERS}?$top=1")
    assert refused.status_code == status
    assert refused.headers["retry-after"] == "2"
    assert onec.get(f"{PARTNERS}?$top=1").status_code == 200


def test_a_fault_comes_after_so_many_requests_and_so_often(onec: Published) -> None:
    plan(onec, {"kind": "status", "match": "$skip=10", "after": 1, "times": 2})
    codes = [onec.get(f"{PARTNERS}?$top=10&$skip=10").status_code for _ in range(5)]
    assert codes == [200, 503, 503, 200, 200]
    assert onec.get(f"{PARTNERS}?$top=10").status_code == 200


def test_a_login_page_comes_with_status_200(onec: Published) -> None:
    plan(onec, {"kind": "html"})
    response = onec.get(f"{PARTNERS}?$format=json")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")


def test_refused_sessions_in_both_forms(onec: Published) -> None:
    plan(onec, {"kind": "session"}, {"kind": "session", "status": 406})
    assert onec.get(f"{PARTNERS}?$format=json").status_code == 403
    assert onec.get(f"{PARTNERS}?$format=json").status_code == 406


def test_a_connection_is_reset_or_ends_in_the_middle(onec: Published) -> None:
    plan(onec, {"kind": "reset"}, {"kind": "half_body"})
    with pytest.raises(requests.ConnectionError):
        onec.get(f"{PARTNERS}?$format=json")
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        onec.get(f"{ORDERS}?$format=json")
    assert onec.get(f"{PARTNERS}?$format=json").status_code == 200


def test_a_cut_body_that_looks_complete(onec: Published) -> None:
    plan(onec, {"kind": "broken_json"})
    response = onec.get(f"{PARTNERS}?$format=json")
    assert response.status_code == 200
    with pytest.raises(requests.JSONDecodeError):
        response.json()


def test_an_answer_comes_late(onec: Published) -> None:
    plan(onec, {"kind": "timeout", "seconds": 2.0})
    with pytest.raises(requests.ReadTimeout):
        onec.session.get(f"{onec.url}/{PARTNERS}", timeout=0.3)


def test_pages_come_twice_short_or_in_another_order(onec: Published) -> None:
    asked = f"{PARTNERS}?$orderby=Ref_Key&$select=Ref_Key&$top=10&$skip="
    pages = {skip: onec.json(f"{asked}{skip}")["value"] for skip in (0, 10)}
    plan(onec, {"kind": "duplicate_page"}, {"kind": "short_page"}, {"kind": "changed_order"})
    assert onec.json(f"{asked}10")["value"] == pages[0]
    assert onec.json(f"{asked}10")["value"] == pages[10][:-1]
    assert onec.json(f"{asked}10")["value"] != pages[10]
    assert onec.json(f"{asked}10")["value"] == pages[10]


def test_the_control_door_counts_requests_and_refuses_nonsense(onec: Published) -> None:
    onec.get(f"{PARTNERS}?$top=1")
    onec.get(f"{PARTNERS}?$top=1")
    assert onec.session.get(f"{onec.root}/_control/requests", timeout=30).json() == {PARTNERS: 2}
    answer = onec.session.post(f"{onec.root}/_control/quirks", json={"нет": 1}, timeout=30)
    assert answer.status_code == 400
    answer = onec.session.post(f"{onec.root}/_control/faults", json=[{"kind": "нет"}], timeout=30)
    assert answer.status_code == 400


def test_money_survives_the_way_as_text(onec: Published) -> None:
    text = onec.get(f"{ORDERS}?$format=application/json;odata=nometadata").text
    exact = json.loads(text, parse_float=Decimal)
    total = sum(Decimal(order["СуммаДокумента"]) for order in exact["value"])
    assert total == Decimal("2.55") + sum(Decimal(f"{n}.10") for n in range(2, 251))
