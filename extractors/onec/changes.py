"""Reading what changed through a 1C exchange plan.

1C registers every written or deleted object for the nodes of a plan. One message (`SelectChanges`) brings the changes
of all objects of the plan; its parts wait in the warehouse until the entity they belong to lands them, and 1C gets the
receipt (`NotifyChangesReceived`) when they are committed there. A lost receipt, a crash before it, a message asked for
twice: the same changes come again and are recognised by their content.

What a plan contains cannot be asked. So an entity is read this way only after a message has brought it, and no longer
when a reconcile found a change that no message had.
"""

import logging
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO, cast

import msgspec

from clients.errors import Fatal, TooLarge
from clients.onec import OnecClient
from extractors.core.codec import rows_of
from extractors.core.errors import ReadError
from extractors.core.feed import Batch, page
from extractors.core.kinds import Opening
from extractors.core.spec import load_configuration, load_entities
from extractors.onec.atom import Changed, changes
from extractors.onec.needs import chosen
from extractors.onec.reader import OnecReader
from warehouse import clock, exchange
from warehouse.db import Connection as Database
from warehouse.db import advisory_lock
from warehouse.exchange import Part

log = logging.getLogger(__name__)

PART_BYTES = 4_000_000
_IN_MEMORY = 16_000_000
_MESSAGES = 3


@dataclass(frozen=True)
class Node:
    """Our node of the plan: its guid, the numbers of the last message sent to us and of the last with a receipt."""

    key: str
    sent: int
    received: int


class Exchange:
    """The exchange plan of one base, as the entity of `opening` needs it."""

    def __init__(self, opening: Opening, client: OnecClient, reader: OnecReader) -> None:
        plan = opening.source.exchange_plan
        if plan is None:
            raise ValueError(f"{opening.source.id} has no exchange plan")
        self._opening = opening
        self._client = client
        self._reader = reader
        self._plan = plan
        self._instance = opening.source.id
        self._entity = opening.entity.name

    def is_trusted(self) -> bool:
        """Whether the entity may be read by the plan alone. Asks 1C when the plan has not brought it yet."""
        with self._opening.database() as conn:
            if exchange.is_trusted(conn, self._instance, self._entity):
                return True
        self.pull()
        with self._opening.database() as conn:
            return exchange.is_trusted(conn, self._instance, self._entity)

    def pull(self) -> int:
        """Fetch the changes of all entities into the warehouse and send the receipt; returns how many came.

        Raises ClientError, ReadError.
        """
        total = 0
        with self._opening.database() as conn, advisory_lock(conn, f"exchange:{self._instance}"):
            for _ in range(_MESSAGES):
                node = self._node()
                total += self._message(conn, node)
                # A message that was sent before and got no receipt may be repeated without what has changed since.
                if node.sent <= node.received:
                    return total
        raise ReadError(
            f"{self._instance}: 1C does not take the receipts for the messages of its exchange plan {self._plan.plan}: "
            "may the user change data there?"
        )

    def _message(self, conn: Database, node: Node) -> int:
        number = node.received + 1
        with tempfile.SpooledTemporaryFile(_IN_MEMORY) as spooled:
            feed = cast("BinaryIO", spooled)
            self._fetch(node, number, feed)
            feed.seek(0)
            with conn.transaction():
                at = clock.now()
                seen: set[str] = set()
                count = 0
                for part in self._parts(feed):
                    exchange.put(conn, self._instance, number, part, at)
                    seen.add(part.entity)
                    count += part.records + len(part.deleted)
                exchange.note_entities(conn, self._instance, sorted(seen), at)
        # Also when nothing in it was ours: 1C would send the foreign objects again for ever.
        self._client.notify_changes_received(self._plan.plan, node.key, number)
        log.info("%s: message %s of the exchange plan brought %s changes", self._instance, number, count)
        return count

    def waiting_ids(self) -> set[str]:
        """Ids of the entity's records that have come and not landed yet."""
        found: set[str] = set()
        with self._opening.database() as conn:
            for _, part in exchange.waiting(conn, self._instance, self._entity):
                found.update(part.deleted)
                if part.body is not None:
                    found.update(key for key, _ in self._reader.keys(part.body))
        return found

    def distrust(self, missed: int) -> None:
        """A reconcile found changes that no message had brought."""
        with self._opening.database() as conn:
            if exchange.distrust(conn, self._instance, self._entity, clock.now()):
                log.warning(
                    "%s %s: the exchange plan did not bring %s changes; it is not read by the plan any more. "
                    "Put the object into the plan's content with automatic registration, then remove its row from "
                    "ops.exchange_entity",
                    self._instance,
                    self._entity,
                    missed,
                )

    def _fetch(self, node: Node, number: int, feed: BinaryIO) -> None:
        try:
            self._client.select_changes(self._plan.plan, node.key, number, feed)
        except TooLarge as error:
            raise Fatal(
                f"{self._instance}: so much has changed that 1C cannot build the message of its exchange plan: delete "
                "the node in 1C, create it anew and run a reconcile",
                status=error.status,
                cause="too_large",
            ) from None

    def _node(self) -> Node:
        listed = rows_of(self._client.collection(f"ExchangePlan_{self._plan.plan}", {"allowedOnly": "true"}))
        nodes = [node for node in listed if not node.get("ThisNode")]
        wanted = self._plan.node.strip().lower()
        for node in nodes:
            if wanted in (str(node.get("Code", "")).strip().lower(), str(node["Ref_Key"]).lower()):
                return Node(str(node["Ref_Key"]), int(node.get("SentNo") or 0), int(node.get("ReceivedNo") or 0))
        known = ", ".join(sorted(str(node.get("Code", "")).strip() for node in nodes)) or "none"
        raise Fatal(
            f"{self._instance}: the exchange plan {self._plan.plan} has no node '{self._plan.node}' (it has: {known}): "
            "create one in 1C, or correct `exchange_plan` in the sources file"
        )

    def _parts(self, feed: BinaryIO) -> Iterator[Part]:
        """The message split by entity; a set may feed several of them."""
        entities = self._entities()
        records: dict[str, list[bytes]] = defaultdict(list)
        sizes: dict[str, int] = defaultdict(int)
        deleted: dict[str, list[str]] = defaultdict(list)
        foreign: dict[str, int] = defaultdict(int)
        for change in changes(feed, self._reader.published()):
            known = entities.get(change.source_set)
            if known is None:
                foreign[change.source_set] += 1
                continue
            for name in known:
                if not isinstance(change, Changed):
                    deleted[name].append(change.record_id)
                    continue
                records[name].append(change.record)
                sizes[name] += len(change.record)
                if sizes[name] >= PART_BYTES:
                    yield Part(name, page(records[name]), len(records[name]))
                    records[name], sizes[name] = [], 0
        for name in sorted({*records, *deleted}):
            if records[name] or deleted[name]:
                body = page(records[name]) if records[name] else None
                yield Part(name, body, len(records[name]), tuple(deleted[name]))
        if foreign:
            log.info("%s: the exchange plan also sends what nobody maps: %s", self._instance, dict(foreign))

    def _entities(self) -> dict[str, list[str]]:
        """Names of the entities that a set of the plan feeds. A mapping's condition cannot be asked of a message."""
        source = self._opening.source
        base = self._reader.published()
        specs = load_entities(source.kind)
        found: dict[str, list[str]] = defaultdict(list)
        for name, mapping in load_configuration(source.kind, source.mapping).entities.items():
            there = chosen(base, mapping)
            if there is not None and not there.only and specs[name].read != "slice":
                found[there.source_set].append(name)
        return found


class ChangesFeed:
    """One entity by the exchange plan: what has come for it since the last read. See extractors.core.feed.Feed."""

    mode = "exchange_plan"

    def __init__(self, opening: Opening, plan: Exchange, reader: OnecReader) -> None:
        self._opening = opening
        self._plan = plan
        self._reader = reader

    def is_published(self) -> bool:
        return self._reader.is_published()

    def batches(self, since: datetime | None, until: datetime | None) -> Iterator[Batch]:
        """Everything that has changed until now; the moments are 1C's business."""
        if until is not None:
            raise ReadError("an exchange plan knows no past: windows are read by date")
        self._plan.pull()
        instance, entity = self._opening.source.id, self._opening.entity.name
        with self._opening.database() as conn:
            # The newest part that holds a record; older ones would only take landing back for a moment.
            newest: dict[str, int] = {}
            for part_id, part in exchange.waiting(conn, instance, entity):
                newest.update(dict.fromkeys((*(record_id for record_id, _ in _records(part)), *part.deleted), part_id))
            for part_id, part in exchange.waiting(conn, instance, entity):
                alive = [record for record_id, record in _records(part) if newest.get(record_id) == part_id]
                deleted = tuple(record_id for record_id in part.deleted if newest.get(record_id) == part_id)
                if alive or deleted:
                    yield Batch(body=page(alive) if alive else None, deleted=deleted)
                # Whoever asks for the next one has landed and committed this one.
                exchange.remove(conn, [part_id])

    def position(self) -> datetime | None:
        """None: the cursor stays where reading by date would have to go on."""
        return None

    def committed(self) -> None:
        """1C got its receipt when the message was safe in the warehouse."""

    def ids(self) -> Iterator[Sequence[str]] | None:
        return None

    def records(self, ids: Sequence[str]) -> Iterator[Batch]:
        raise ReadError("an exchange plan cannot be asked for single records")


class _Key(msgspec.Struct):
    """What names a record: its guid, or for a record set its recorder."""

    ref: str = msgspec.field(default="", name="Ref_Key")
    recorder: str = msgspec.field(default="", name="Recorder")
    recorder_key: str = msgspec.field(default="", name="Recorder_Key")


class _Page(msgspec.Struct):
    value: list[msgspec.Raw]


def _records(part: Part) -> Iterator[tuple[str, memoryview]]:
    """Ids and bytes of the records of a part."""
    if part.body is None:
        return
    for record in msgspec.json.decode(part.body, type=_Page).value:
        key = msgspec.json.decode(record, type=_Key)
        yield (key.ref or key.recorder or key.recorder_key).lower(), memoryview(record)
