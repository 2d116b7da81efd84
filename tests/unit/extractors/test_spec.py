"""Entity files and mappings: the shipped ones are sound, unsound ones are refused by name."""

from pathlib import Path

import pytest
import yaml

from extractors.core import spec
from extractors.core.errors import SpecError


@pytest.fixture(autouse=True)
def forget_cached_specs() -> None:
    spec.load_entities.cache_clear()
    spec.load_configuration.cache_clear()


def test_shipped_mapping_feeds_every_required_column() -> None:
    entities = spec.load_entities("onec")
    configuration = spec.load_configuration("onec", "ut11")
    assert list(configuration.entities) == list(entities)
    for name, entity in entities.items():
        mapped = configuration.entities[name]
        assert set(mapped.fields) == set(entity.columns)
        assert {child: set(lines.fields) for child, lines in mapped.lines.items()} == {
            child: set(columns) for child, columns in entity.lines.items()
        }


def test_names_fit_into_postgres() -> None:
    for entity in spec.load_entities("onec").values():
        table = entity.table()
        names = [table.name, *(c.name for c in table.columns), *(c.name for c in table.children)]
        assert all(len(name.encode()) <= 63 for name in names)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m["entities"]["brand"]["fields"].update(colour="Цвет"), "colour"),
        (lambda m: m["entities"].update(brands=m["entities"]["brand"]), "brands"),
        (lambda m: m["entities"]["brand"].pop("set"), "'set' is a required property"),
        (lambda m: m["entities"]["brand"]["fields"].update(name="Имя; drop table"), "brand"),
        (
            lambda m: m["entities"]["order"]["lines"].update(other=m["entities"]["order"]["lines"]["order_line"]),
            "other",
        ),
        (lambda m: m["entities"]["order"]["fields"].pop("dated_at"), "dated_at"),
    ],
)
def test_unsound_mapping_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: object, words: str
) -> None:
    real = spec.EXTRACTORS
    mapping = yaml.safe_load((real / "mappings/onec/ut11.yml").read_text(encoding="utf-8"))
    change(mapping)  # type: ignore[operator]
    (tmp_path / "mappings/onec").mkdir(parents=True)
    (tmp_path / "mappings/onec/ut11.yml").write_text(yaml.safe_dump(mapping, allow_unicode=True), encoding="utf-8")
    (tmp_path / "onec").symlink_to(real / "onec")
    (tmp_path / "schemas").symlink_to(real / "schemas")
    monkeypatch.setattr(spec, "EXTRACTORS", tmp_path)
    with pytest.raises(SpecError, match=words):
        spec.load_configuration("onec", "ut11")


def test_unknown_mapping_names_the_known_ones() -> None:
    with pytest.raises(SpecError, match="ut11"):
        spec.load_configuration("onec", "ut12")
