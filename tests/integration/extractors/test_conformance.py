"""Every kind of source keeps these promises. A new one gets a rig (tests/support/source_rigs.py) and passes as is."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from extractors.core import run as run_module
from extractors.core.codec import Decoded
from extractors.core.outcome import LoadOutcome
from extractors.core.run import extract, register_source
from tests.support.source_rigs import RIGS, Rig
from warehouse.coverage import cursor_position
from warehouse.db import connect

RECORDS = 10
_numbers = count(1)


class Crash(BaseException):
    """The process dies here: nothing of ours may catch it."""


@dataclass
class Source:
    """A running source and the warehouse that reads it."""

    rig: Rig
    database: str

    def read(self, mode: Any = "cursor") -> LoadOutcome:
        rig = self.rig
        return extract(rig.source, rig.entity, rig.connection, mode=mode, database_url=self.database)

    def read_deletions(self) -> LoadOutcome:
        return self.read("cursor" if self.rig.deletions == "read" else "reconcile")

    def fill(self, count: int = RECORDS) -> list[str]:
        return [self.rig.add(number, f"Запись {number}") for number in range(1, count + 1)]

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Rows of a query with {table}, {column} and {mine} (a condition: this source's rows)."""
        kind = "onec" if self.rig.source.kind == "file" else self.rig.source.kind
        mine = f"instance = '{self.rig.source.id}'"
        text = query.format(table=f"raw.{kind}_{self.rig.entity}", column=self.rig.column, mine=mine)
        with connect(self.database, autocommit=True) as conn:
            return conn.execute(text.encode()).fetchall()

    def landed(self) -> dict[str, str]:
        return dict(self.rows("select record_id, {column} from {table} where {mine} and deleted_at is null"))

    def cursor(self) -> datetime | None:
        with connect(self.database) as conn:
            return cursor_position(conn, self.rig.source.id, self.rig.entity)

    def covered(self) -> datetime | None:
        found = self.rows("select covered_until from ops.coverage where {mine}")
        return found[0][0] if found else None


@pytest.fixture(params=RIGS)
def source(
    request: pytest.FixtureRequest, module_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Source]:
    with RIGS[request.param](tmp_path, monkeypatch) as rig:
        # A name of its own: the tests share one warehouse.
        rig.source = rig.source.model_copy(update={"id": f"source_{next(_numbers)}"})
        with connect(module_database, autocommit=True) as conn:
            register_source(conn, rig.source)
        yield Source(rig, module_database)


def dies_at_page(number: int, patch: pytest.MonkeyPatch) -> None:
    """The n-th page of a read is the last thing that the process sees."""
    make = run_module.make_codec

    def made(*args: Any) -> Any:
        codec = make(*args)
        decode: Callable[[bytes], Decoded] = codec.decode
        seen = 0

        def doomed(body: bytes) -> Decoded:
            nonlocal seen
            seen += 1
            if seen == number:
                raise Crash
            return decode(body)

        codec.decode = doomed  # type: ignore[method-assign]
        return codec

    patch.setattr(run_module, "make_codec", made)


def dies_at_the_end(patch: pytest.MonkeyPatch) -> None:
    """All pages are there; the run's record, the cursor and the coverage are not."""

    def doomed(*args: Any, **kwargs: Any) -> None:
        raise Crash

    for module in ("extractors.core.follow", "extractors.core.paged"):
        patch.setattr(f"{module}.finish_run", doomed)


def test_the_first_read_is_complete_and_the_second_changes_nothing(source: Source) -> None:
    source.fill()
    first = source.read()
    assert (first.rows_inserted, first.rows_rejected, first.published) == (RECORDS, 0, True)
    assert source.landed() == source.rig.truth()
    assert source.covered() is not None
    before = source.rows("select record_id, row_hash, loaded_at, load_id from {table} where {mine} order by 1")
    for _ in range(2):
        again = source.read()
        assert (again.rows_inserted, again.rows_changed, again.rows_deleted) == (0, 0, 0)
    assert source.rows("select record_id, row_hash, loaded_at, load_id from {table} where {mine} order by 1") == before


def test_an_edit_is_seen_once(source: Source) -> None:
    ids = source.fill()
    source.read()
    source.rig.edit(ids[3], "Новое слово")
    source.rig.add(RECORDS + 1, "Ещё одна")
    seen = source.read()
    assert (seen.rows_inserted, seen.rows_changed, seen.rows_deleted) == (1, 1, 0)
    assert source.landed() == source.rig.truth()
    again = source.read()
    assert (again.rows_inserted, again.rows_changed) == (0, 0)


def test_what_vanishes_is_marked_and_kept(source: Source) -> None:
    ids = source.fill()
    source.read()
    source.rig.delete(ids[0])
    source.rig.delete(ids[7])
    source.read_deletions()
    assert source.landed() == source.rig.truth()
    gone = source.rows("select record_id from {table} where {mine} and deleted_at is not null order by 1")
    assert gone == sorted([(ids[0],), (ids[7],)])
    again = source.read_deletions()
    assert again.rows_deleted == 0, "a deletion is told once"


@pytest.mark.parametrize("page", [1, 3])
def test_a_crash_in_the_middle_heals(source: Source, page: int) -> None:
    source.fill()
    with pytest.MonkeyPatch.context() as patch:
        dies_at_page(page, patch)
        try:
            source.read()
        except Crash:
            assert source.cursor() is None, "the cursor leads the rows"
            assert source.covered() is None, "coverage was told before the read was complete"
        else:
            assert page > 1, "no page was decoded at all"  # fewer pages than that
    source.read()
    assert source.landed() == source.rig.truth()


def test_a_crash_before_the_end_is_written_down_heals(source: Source) -> None:
    ids = source.fill()
    source.read()
    cursor, covered = source.cursor(), source.covered()
    source.rig.edit(ids[2], "Правка до сбоя")
    with pytest.MonkeyPatch.context() as patch:
        dies_at_the_end(patch)
        with pytest.raises(Crash):
            source.read()
    assert (source.cursor(), source.covered()) == (cursor, covered)
    source.rig.edit(ids[5], "Правка после сбоя")
    source.read()
    assert source.landed() == source.rig.truth()
    assert (source.covered() or covered) >= covered
    if cursor is not None:
        newest = source.rows("select max(source_modified_at) from {table} where {mine}")[0][0]
        position = source.cursor()
        assert position is not None
        assert position >= cursor
        assert newest is None or position <= newest, "the cursor leads the rows"


def test_an_empty_source_is_an_empty_table(source: Source) -> None:
    outcome = source.read()
    assert (outcome.rows_seen, outcome.rows_inserted, outcome.rows_rejected) == (0, 0, 0)
    assert source.landed() == {}
    source.fill(1)
    source.read()
    assert source.landed() == source.rig.truth()


def test_a_record_that_cannot_be_read_is_named_and_the_rest_lands(source: Source) -> None:
    ids = source.fill()
    source.read()
    source.rig.spoil(ids[4])
    source.rig.edit(ids[5], "Соседняя запись")
    outcome = source.read()
    assert (outcome.rows_rejected, outcome.rows_changed) == (1, 1)
    [(record_id, reason, original)] = source.rows(
        "select record_id, reason, length(original) from raw.rejected_record where {mine}"
    )
    assert record_id == ids[4]
    assert reason
    assert original > 0
    assert source.landed()[ids[5]] == "Соседняя запись"
    assert source.landed()[ids[4]] == "Запись 5", "the last version that could be read stays"
