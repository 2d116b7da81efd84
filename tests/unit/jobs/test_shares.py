"""How entities are split into shares, and what one that fails does to the others."""

from typing import Any

import pytest
from airflow.models.taskinstance import TaskInstance
from hypothesis import given
from hypothesis import strategies as st

from clients.errors import Fatal, Retriable
from polka import jobs


@given(st.dictionaries(st.text(min_size=1, max_size=5), st.floats(0, 1000)), st.integers(1, 6))
def test_every_entity_is_in_exactly_one_share(seconds: dict[str, float], number: int) -> None:
    found = jobs.shares(seconds, number)
    assert sorted(name for share in found for name in share) == sorted(seconds)
    assert len(found) <= number
    assert all(found)


def test_long_reads_are_kept_apart_and_short_ones_together() -> None:
    seconds = {"manager": 1.0, "partner": 2.0, "order": 300.0, "shipment": 280.0, "return": 5.0, "brand": 1.0}
    assert jobs.shares(seconds, 3) == [["order"], ["shipment"], ["manager", "partner", "return", "brand"]]


def _reads(monkeypatch: pytest.MonkeyPatch, failing: dict[str, Exception]) -> list[str]:
    read: list[str] = []

    def extract_entity(instance: str, entity: str, **_: Any) -> dict[str, Any]:
        read.append(entity)
        if entity in failing:
            raise failing[entity]
        return {"entity": entity}

    monkeypatch.setattr(jobs, "extract_entity", extract_entity)
    return read


def test_an_entity_that_fails_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    read = _reads(monkeypatch, {"b": Fatal("no rights"), "c": Retriable("busy")})
    with pytest.raises(jobs.EntitiesNotRead, match="2 of 4 entities were not read: b: no rights; c: busy"):
        jobs.extract_share("base", ["a", "b", "c", "d"], triggered_by="test")
    assert read == ["a", "b", "c", "d"]


def test_what_only_a_person_can_mend_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    _reads(monkeypatch, {"b": Fatal("no rights")})
    with pytest.raises(Fatal, match="1 of 2 entities were not read: b: no rights"):
        jobs.extract_share("base", ["a", "b"], triggered_by="test")


def test_a_share_that_went_well_gives_every_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    _reads(monkeypatch, {})
    assert jobs.extract_share("base", ["a", "b"], triggered_by="test") == [{"entity": "a"}, {"entity": "b"}]


@given(st.lists(st.text("abcdefghij_", min_size=1, max_size=30), min_size=1, max_size=44))
def test_the_name_of_a_share_fits_the_column_of_airflow(share: list[str]) -> None:
    label = jobs.share_label(share)
    assert 0 < len(label) <= TaskInstance.__table__.c.rendered_map_index.type.length
    assert label == ", ".join(share) or label.endswith("…")
