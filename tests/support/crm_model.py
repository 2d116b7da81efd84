"""A model of work on a CRM: people edit, merge, delete and move while Polka reads, stumbles and dies.

Whatever happened, one quiet read and one comparison of ids later landing shows what the portal shows. Every CRM plugs
its simulated portal in as a `ModelPortal` and calls `check`.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, ClassVar, Protocol
from unittest.mock import patch

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from clients.connection import Connection
from clients.errors import ClientError
from extractors.core.errors import ReadError
from extractors.core.run import ensure_tables, extract, register_source
from warehouse.db import connect
from warehouse.landing import Landing
from warehouse.sources import SourceConfig

EXAMPLES = int(os.environ.get("POLKA_MODEL_EXAMPLES", "0"))  # 0: a short, always identical run
WORDS = ("company", "contact", "deal")


class Crash(BaseException):
    """The process dies here: nothing of ours may catch it."""


class ModelPortal(Protocol):
    """A simulated portal as the model sees it. Ids are texts, as landing shows them.

    entities: what is read and compared. mergeable: words whose records can be merged. tells_merges: whether the portal
    itself says who swallowed whom, so that every merge must be known. stumbles: how many ways to fail it has.
    """

    entities: tuple[str, ...]
    mergeable: tuple[str, ...]
    tells_merges: bool
    stumbles: int

    def connection(self) -> Connection: ...

    def pass_by(self, minutes: int) -> None:
        """Its clock moves on. It starts well before the present."""

    def add(self, word: str, name: str, company: str | None) -> str:
        """A new record; a contact or deal may belong to a company."""

    def rename(self, word: str, record_id: str, name: str) -> None: ...
    def delete(self, word: str, record_id: str) -> None: ...
    def merge(self, word: str, survivor: str, gone: str) -> None: ...

    def move(self, deal: str, stage: int) -> None:
        """Put a deal on one of its stages; any number is one."""

    def stumble(self, way: int, skip: int) -> None:
        """After `skip` requests, fail in one way, once or twice."""

    def calm(self) -> None:
        """Nothing fails any more."""

    def renew_tokens(self) -> None:
        """Access tokens end now, where there are any."""

    def truth(self, entity: str) -> Mapping[str, Mapping[str, Any]]:
        """Id -> values of some landing columns, for all records alive; `company_id` is compared along merges."""


Opener = Callable[[], AbstractContextManager[ModelPortal]]


def check(kind: str, mapping: str, database_url: str, open_portal: Opener) -> None:
    """Run the model. Set POLKA_MODEL_EXAMPLES to a number for a longer, random campaign."""

    class Machine(CrmMachine):
        KIND, MAPPING, DATABASE, OPEN = kind, mapping, database_url, staticmethod(open_portal)

    with connect(database_url, autocommit=True) as conn:
        ensure_tables(conn)
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=EXAMPLES or 8,
            stateful_step_count=30,
            derandomize=not EXAMPLES,
            deadline=None,
            database=None,
            phases=(Phase.generate, Phase.shrink) if EXAMPLES else (Phase.generate,),
            suppress_health_check=list(HealthCheck),
        ),
    )


class CrmMachine(RuleBasedStateMachine):
    """People and Polka on one portal."""

    KIND: ClassVar[str]
    MAPPING: ClassVar[str]
    DATABASE: ClassVar[str]
    OPEN: ClassVar[Any]
    runs: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        type(self).runs += 1
        self.source = SourceConfig(
            id=f"{self.KIND}_{type(self).runs}",
            kind=self.KIND,
            connection="crm",
            mapping=self.MAPPING,  # type: ignore[arg-type]
        )
        self.stack = ExitStack()
        self.portal: ModelPortal = self.stack.enter_context(self.OPEN())
        self.alive: dict[str, list[str]] = {word: [] for word in WORDS}
        self.merged: dict[tuple[str, str], str] = {}
        self.number = 0

    @initialize()
    def begin(self) -> None:
        with connect(self.DATABASE, autocommit=True) as conn:
            register_source(conn, self.source)
        for word in WORDS:
            self.add(word, 0)

    # --- people ---

    @rule(word=st.sampled_from(WORDS), place=st.integers(0, 50))
    def add(self, word: str, place: int) -> None:
        companies = self.alive["company"]
        company = companies[place % len(companies)] if companies and word != "company" else None
        self.alive[word].append(self.portal.add(word, self._name(), company))
        self.portal.pass_by(1)

    @rule(word=st.sampled_from(WORDS), place=st.integers(0, 50))
    def rename(self, word: str, place: int) -> None:
        if self.alive[word]:
            self.portal.rename(word, self._pick(word, place), self._name())
            self.portal.pass_by(1)

    @rule(word=st.sampled_from(WORDS), place=st.integers(0, 50))
    def delete(self, word: str, place: int) -> None:
        if len(self.alive[word]) > 1:  # an emptied list is taken for a lost right
            gone = self._pick(word, place)
            self.alive[word].remove(gone)
            self.portal.delete(word, gone)
            self.portal.pass_by(1)

    @rule(word=st.sampled_from(WORDS), place=st.integers(0, 50), other=st.integers(0, 50))
    def merge(self, word: str, place: int, other: int) -> None:
        survivor, gone = self._pick(word, place), self._pick(word, other)
        if word in self.portal.mergeable and survivor != gone:
            self.alive[word].remove(gone)
            self.merged[word, gone] = survivor
            self.portal.merge(word, survivor, gone)
            self.portal.pass_by(1)

    @rule(place=st.integers(0, 50), stage=st.integers(0, 5))
    def move(self, place: int, stage: int) -> None:
        if self.alive["deal"]:
            self.portal.move(self._pick("deal", place), stage)
            self.portal.pass_by(1)

    @rule(minutes=st.sampled_from((5, 90, 600)))
    def pass_by(self, minutes: int) -> None:
        self.portal.pass_by(minutes)

    # --- trouble ---

    @rule(way=st.integers(0, 20), skip=st.integers(0, 3))
    def stumble(self, way: int, skip: int) -> None:
        self.portal.stumble(way % self.portal.stumbles, skip)

    @rule()
    def renew_tokens(self) -> None:
        self.portal.renew_tokens()

    # --- Polka ---

    @rule(place=st.integers(0, 20))
    def read(self, place: int) -> None:
        self._extract(self.portal.entities[place % len(self.portal.entities)], "cursor")

    @rule(place=st.integers(0, 20))
    def compare_ids(self, place: int) -> None:
        self._extract(self.portal.entities[place % len(self.portal.entities)], "reconcile")

    @rule(place=st.integers(0, 20), after=st.booleans(), mode=st.sampled_from(("cursor", "reconcile")))
    def crash(self, place: int, after: bool, mode: str) -> None:
        """Die while landing, before or after the commit of a batch."""
        with _dying(after):
            try:
                self._extract(self.portal.entities[place % len(self.portal.entities)], mode)
            except Crash:
                return

    @precondition(lambda self: self.number > 4)
    @rule()
    def all_is_as_on_the_portal(self) -> None:
        self.portal.calm()
        self.portal.pass_by(90)
        for mode in ("cursor", "reconcile"):
            for entity in self.portal.entities:
                extract(self.source, entity, self.portal.connection(), mode=mode, database_url=self.DATABASE)  # type: ignore[arg-type]
        self._compare()

    def teardown(self) -> None:
        try:
            self.all_is_as_on_the_portal()
        finally:
            self.stack.close()

    # --- help ---

    def _extract(self, entity: str, mode: str) -> None:
        """A read that may fail; what it may not do is lie."""
        try:
            extract(self.source, entity, self.portal.connection(), mode=mode, database_url=self.DATABASE)  # type: ignore[arg-type]
        except (ClientError, ReadError):
            return

    def _compare(self) -> None:
        with connect(self.DATABASE, autocommit=True) as conn:
            redirects = {
                (entity, old): new
                for entity, old, new in conn.execute(
                    "select entity, old_id, new_id from raw.record_redirect where instance = %s", [self.source.id]
                ).fetchall()
            }
            landed: dict[str, dict[str, dict[str, Any]]] = {}
            for entity in self.portal.entities:
                truth = self.portal.truth(entity)
                columns = list(next(iter(truth.values()), {}))
                query = (
                    f"select {', '.join(['record_id', *columns])} from raw.{self.KIND}_{entity} "
                    "where instance = %s and deleted_at is null"
                )
                rows = conn.execute(query.encode(), [self.source.id]).fetchall()
                landed[entity] = {row[0]: dict(zip(columns, row[1:], strict=True)) for row in rows}
        for entity, found in landed.items():
            for values in found.values():
                if "company_id" in values:
                    values["company_id"] = _survivor(values["company_id"], redirects, landed["company"])
            assert found == {key: dict(values) for key, values in self.portal.truth(entity).items()}, entity
        for (word, old), new in redirects.items():
            assert self._lives_as(word, old, new), f"{word} {old} did not become {new}"
        if self.portal.tells_merges:
            with connect(self.DATABASE, autocommit=True) as conn:
                for word, old in self.merged:
                    known = conn.execute(
                        f"select 1 from raw.{self.KIND}_{word} where instance = %s and record_id = %s".encode(),
                        [self.source.id, old],
                    ).fetchone()
                    assert known is None or (word, old) in redirects, f"nobody knows who swallowed {word} {old}"

    def _lives_as(self, word: str, old: str, new: str) -> bool:
        """Whether the portal merged `old` into `new`, at once or step by step."""
        at: str | None = old
        while at is not None and at != new:
            at = self.merged.get((word, at))
        return at == new

    def _pick(self, word: str, place: int) -> str:
        return self.alive[word][place % len(self.alive[word])]

    def _name(self) -> str:
        self.number += 1
        return f"Имя {self.number}"


def _survivor(record_id: str | None, redirects: Mapping[tuple[str, str], str], alive: Mapping[str, Any]) -> str | None:
    """Who a link means today; None when that record is gone."""
    seen = set()
    while record_id is not None and ("company", record_id) in redirects and record_id not in seen:
        seen.add(record_id)
        record_id = redirects["company", record_id]
    return record_id if record_id in alive else None


@contextmanager
def _dying(after: bool) -> Iterator[None]:
    """The first batch that lands kills the process, before it is written or after it is committed."""
    original = Landing.land

    def land(self: Landing, *args: Any, **options: Any) -> Any:
        if not after:
            raise Crash
        original(self, *args, **options)
        raise Crash

    with patch.object(Landing, "land", land):
        yield
