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


CONFIGURATIONS = ("ut11", "unf", "bp30")
# Without these there is nobody to call and nothing to say.
NEEDED = {"organisation", "manager", "partner", "legal_entity", "product", "order", "shipment", "return"}


def test_every_landing_column_is_fed_by_some_configuration() -> None:
    fed: dict[str, set[str]] = {}
    for name in CONFIGURATIONS:
        for mapped_name, mapped in spec.load_configuration("onec", name).entities.items():
            fed.setdefault(mapped_name, set()).update(mapped.fields)
            for child, lines in mapped.lines.items():
                fed.setdefault(child, set()).update(lines.fields)
    for name, entity in spec.load_entities("onec").items():
        assert fed.get(name, set()) == set(entity.columns), name
        for child, columns in entity.lines.items():
            assert fed.get(child, set()) == set(columns), child


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_what_is_needed_is_required_and_the_rest_says_what_stands_in_for_it(name: str) -> None:
    entities = spec.load_entities("onec")
    configuration = spec.load_configuration("onec", name)
    required = {entity for entity, mapped in configuration.entities.items() if not mapped.optional}
    assert required >= NEEDED
    for absent in set(entities) - required:
        assert entities[absent].without.keys() == {"ru", "en"}, absent


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_keys_of_registers_are_read_by_the_names_of_dimensions(name: str) -> None:
    for entity, mapped in spec.load_configuration("onec", name).entities.items():
        key = spec.load_entities("onec")[entity].key
        assert bool(key) == (spec.load_entities("onec")[entity].read == "slice")
        assert not key or set(key) & set(mapped.fields), entity
        assert mapped.function is None or key, entity


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
