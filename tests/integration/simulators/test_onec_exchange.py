"""The exchange plan of the simulated 1C: its shape against recorded messages, and what it does when they get lost."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

import pytest
import requests

from simulators.onec.base import Base, simple_set
from simulators.onec.exchange import READER_NODE, ExchangePlan
from simulators.onec.registers import simple_register
from simulators.onec.server import PUBLICATION, OnecServer
from simulators.onec.ut11 import UT11
from tests.support.serving import serve
from tests.support.simulated_onec import LOGIN, PASSWORD, Published, guid, order, partner

ORDERS = "Document_ЗаказКлиента"
STOCK = "AccumulationRegister_ТоварыНаСкладах"
ATOM = "{http://www.w3.org/2005/Atom}"
DATA = "{http://schemas.microsoft.com/ado/2007/08/dataservices}"
META = "{http://schemas.microsoft.com/ado/2007/08/dataservices/metadata}"
TOMBSTONES = "{http://purl.org/atompub/tombstones/1.0}"


class Plan(Published):
    """The published base with what a reader of its plan does."""

    def _post(self, action: str, number: int, node: str = READER_NODE, plan: str = "ДляODATA") -> requests.Response:
        point = f"{self.url}/ExchangePlan_{plan}(guid'{node}')"
        query = f"DataExchangePoint='{quote(point)}'&MessageNo={number}"
        return self.session.post(f"{self.url}/{action}?{query}", timeout=30)

    def select(self, number: int) -> ElementTree.Element:
        response = self._post("SelectChanges", number)
        assert response.status_code == 200, response.text
        return ElementTree.fromstring(response.content)

    def changed(self, number: int) -> set[str]:
        """Addresses of everything in a message."""
        feed = self.select(number)
        found = {str(entry.findtext(f"{ATOM}id")).rpartition("/")[2] for entry in feed.findall(f"{ATOM}entry")}
        gone = feed.findall(f"{TOMBSTONES}deleted-entry")
        return found | {"-" + str(entry.get("ref")).rpartition("/")[2] for entry in gone}

    def confirm(self, number: int) -> None:
        assert self._post("NotifyChangesReceived", number).status_code == 200

    def node(self) -> dict[str, Any]:
        nodes: list[dict[str, Any]] = self.json("ExchangePlan_ДляODATA")["value"]
        return next(node for node in nodes if node["Ref_Key"] == READER_NODE)


@pytest.fixture
def plan() -> Iterator[Plan]:
    register = next(r for r in UT11.registers if r.name == STOCK)
    base = Base(
        [
            simple_set(UT11.by_name[ORDERS], [order(n, 2) for n in range(1, 6)]),
            simple_set(UT11.by_name["Catalog_Партнеры"], [partner(n) for n in range(1, 4)]),
        ],
        [simple_register(register, [])],
        ExchangePlan(),
    )
    server = OnecServer(base, LOGIN, PASSWORD)
    session = requests.Session()
    session.auth = (LOGIN.encode(), PASSWORD.encode())
    with serve(server) as root:
        yield Plan(server, root, session)


def address(number: int) -> str:
    return f"{ORDERS}(guid'{guid(1000 + number)}')"


def test_changes_stay_until_they_are_confirmed(plan: Plan) -> None:
    base = plan.server.base
    assert plan.changed(1) == set()
    base.edit(ORDERS, guid(1001), {"Комментарий": "раз"})
    base.remove(ORDERS, guid(1002))
    assert plan.changed(1) == {address(1), "-" + address(2)}
    base.edit(ORDERS, guid(1003), {"Комментарий": "два"})
    base.edit(ORDERS, guid(1001), {"Комментарий": "три"})
    assert plan.node()["SentNo"] == "1"
    plan.confirm(1)
    assert plan.node()["ReceivedNo"] == "1"
    assert plan.changed(2) == {address(1), address(3)}, "what was written after the message was sent is still to come"
    assert plan.changed(2) == {address(1), address(3)}, "a lost answer is asked for again"
    plan.confirm(2)
    plan.confirm(2)
    assert plan.changed(3) == set()


def test_a_message_repeated_without_what_has_changed_since(plan: Plan) -> None:
    base = plan.server.base
    assert base.plan is not None
    base.plan.repeats_add = False
    base.edit(ORDERS, guid(1001), {})
    assert plan.changed(1) == {address(1)}
    base.edit(ORDERS, guid(1002), {})
    assert plan.changed(1) == {address(1)}
    plan.confirm(1)
    assert plan.changed(2) == {address(2)}


def test_movements_come_as_whole_sets_and_an_unposted_document_as_an_empty_one(plan: Plan) -> None:
    base = plan.server.base
    moves = [
        {"Period": "2026-03-01T10:00:00", "RecordType": "Expense", "Номенклатура_Key": guid(n), "ВНаличии": n}
        for n in (1, 2)
    ]
    base.move(ORDERS, guid(1001), {STOCK: moves})
    (entry,) = plan.select(1).findall(f"{ATOM}entry")
    who = f"Recorder='{guid(1001)}', Recorder_Type='StandardODATA.{ORDERS}'"
    assert str(entry.findtext(f"{ATOM}id")).endswith(f"/{STOCK}({who})")
    rows = entry.findall(f"{ATOM}content/{META}properties/{DATA}RecordSet/{DATA}element")
    assert [row.findtext(f"{DATA}ВНаличии") for row in rows] == ["1", "2"]
    plan.confirm(1)
    base.move(ORDERS, guid(1001), {})
    (entry,) = plan.select(2).findall(f"{ATOM}entry")
    properties = entry.find(f"{ATOM}content/{META}properties")
    assert properties is not None
    assert properties.findtext(f"{DATA}Recorder") == guid(1001)
    assert len(properties.find(f"{DATA}RecordSet") or ()) == 0


@pytest.mark.parametrize(
    ("action", "options", "expected"),
    [
        ("SelectChanges", {"plan": "НетТакого"}, (404, "8")),
        ("SelectChanges", {"node": guid(77)}, (404, "9")),
        ("NotifyChangesReceived", {"node": guid(77)}, (404, "9")),
    ],
)
def test_refusals(plan: Plan, action: str, options: dict[str, str], expected: tuple[int, str]) -> None:
    response = plan._post(action, 1, **options)
    code = re.search(r"<m:code>(\d+)<", response.text)
    assert code is not None
    assert (response.status_code, code[1]) == expected


def test_get_is_refused(plan: Plan) -> None:
    assert plan.error("SelectChanges?MessageNo=1") == (405, "19")


def shape(feed: ElementTree.Element) -> dict[str, set[str]]:
    """What kinds of elements a message is made of, by where they are; names of objects and fields do not matter."""
    found: dict[str, set[str]] = {}
    for entry in feed.findall(f"{ATOM}entry"):
        is_register = "Register_" in str(entry.findtext(f"{ATOM}id"))
        place = found.setdefault("register" if is_register else "object", set())
        for child in entry:
            place.add(f"entry/{child.tag} {' '.join(sorted(child.attrib))}")
        properties = entry.find(f"{ATOM}content/{META}properties")
        assert properties is not None
        for value in properties:
            kind = str(value.get(f"{META}type", "")).partition("(")[0]
            place.add(f"property {kind} {' '.join(sorted(value.attrib))}")
            for row in value:
                place.add(f"row {row.tag} {str(row.get(f'{META}type', '')).rpartition('_')[2]}")
                place |= {"line names its owner" for line in row if line.tag == f"{DATA}Ref_Key"}
                place |= {f"line {' '.join(sorted(line.attrib))}" for line in row}
    return found


def test_messages_look_like_recorded_ones(plan: Plan, shared_dir: Path) -> None:
    recorded = ElementTree.parse(shared_dir / "samples" / "1c_odata" / "cdc-1c_trade_demo" / "msg006_realizatsiya.xml")
    base = plan.server.base
    base.edit(ORDERS, guid(1001), {"Комментарий": "раз"})
    base.move(ORDERS, guid(1001), {STOCK: [{"Period": "2026-03-01T10:00:00", "RecordType": "Expense", "ВНаличии": 1}]})
    ours, theirs = shape(plan.select(1)), shape(recorded.getroot())
    for place in ("object", "register"):
        assert ours[place] == theirs[place]


def test_identifiers_are_written_as_recorded(plan: Plan, shared_dir: Path) -> None:
    text = (shared_dir / "samples" / "1c_odata" / "cdc-1c_trade_demo" / "msg006_realizatsiya.xml").read_text("utf-8")
    base = plan.server.base
    base.edit(ORDERS, guid(1001), {})
    base.move(ORDERS, guid(1001), {STOCK: [{"Period": "2026-03-01T10:00:00", "RecordType": "Expense", "ВНаличии": 1}]})

    def patterns(ids: list[str]) -> set[str]:
        return {re.sub(r"[0-9a-f-]{36}", "<guid>", re.sub(r"_\w+", "_X", i.rpartition("odata/")[2])) for i in ids}

    ours = [str(entry.findtext(f"{ATOM}id")) for entry in plan.select(1).findall(f"{ATOM}entry")]
    assert patterns(ours) <= patterns(re.findall(r"<id>([^<]+)</id>", text))
    assert PUBLICATION.rpartition("/")[2] == "standard.odata"
