"""An exchange plan: what changed since a node confirmed its last message."""

from __future__ import annotations

from dataclasses import dataclass, field

from simulators.onec.base import EntitySet, simple_set
from simulators.onec.schema import Field, SetSchema

THIS_NODE = "00000000-0000-4000-8000-00000000e001"
READER_NODE = "00000000-0000-4000-8000-00000000e002"

Change = tuple[str, str]  # entity set, key


@dataclass
class Node:
    """A receiver of changes. `registered`: changed objects, each with the message it went out in, None before that."""

    key: str
    code: str
    description: str
    sent: int = 0
    received: int = 0
    registered: dict[Change, int | None] = field(default_factory=dict)


class ExchangePlan:
    """Registers changes for every node but its own. `content` None: changes of all sets are registered."""

    def __init__(self, name: str = "ДляODATA", content: set[str] | None = None, *, repeats_add: bool = True) -> None:
        """repeats_add: a message asked for again also takes along what has changed meanwhile (both seem to occur)."""
        self.name = name
        self.content = content
        self.repeats_add = repeats_add
        self.nodes = {READER_NODE: Node(READER_NODE, "ODATA", "Полка")}

    @property
    def set_name(self) -> str:
        return f"ExchangePlan_{self.name}"

    def register(self, set_name: str, key: str) -> None:
        """An object was written or removed: it belongs to the next message again."""
        if self.content is not None and set_name not in self.content:
            return
        for node in self.nodes.values():
            node.registered[set_name, key] = None

    def select(self, node: Node, number: int) -> list[Change]:
        """The content of message `number`."""
        repeated = number <= node.sent and number in node.registered.values()
        chosen: list[Change] = []
        for change, message in node.registered.items():
            if message is None and repeated and not self.repeats_add:
                continue
            chosen.append(change)
            if message is None:
                node.registered[change] = number
        node.sent = max(node.sent, number)
        return chosen

    def confirm(self, node: Node, number: int) -> None:
        """The node has received all messages up to `number`; what changed after it was sent stays registered."""
        node.registered = {c: m for c, m in node.registered.items() if m is None or m > number}
        node.received = max(node.received, number)

    def entity_set(self) -> EntitySet:
        """The nodes as a published set, this base's own node first."""
        records = [{"Ref_Key": THIS_NODE, "Code": "000", "Description": "Эта база", "ThisNode": True}]
        peers = [
            {
                "Ref_Key": node.key,
                "Code": node.code,
                "Description": node.description,
                "SentNo": node.sent,
                "ReceivedNo": node.received,
            }
            for node in self.nodes.values()
        ]
        return simple_set(plan_schema(self.set_name), [*records, *peers])


def plan_schema(name: str) -> SetSchema:
    """An exchange plan as an entity set."""
    fields = (
        Field("Ref_Key", "key"),
        Field("Code", "string"),
        Field("Description", "string"),
        Field("DataVersion", "string"),
        Field("DeletionMark", "boolean"),
        Field("ThisNode", "boolean"),
        Field("SentNo", "int64"),
        Field("ReceivedNo", "int64"),
        Field("ExchangeDate", "date"),
    )
    return SetSchema(name, fields)
