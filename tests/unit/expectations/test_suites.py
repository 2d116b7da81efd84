"""Suites are data; what they declare is what Great Expectations loads, or nothing runs."""

from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import yaml

from expectations.run import CheckResult, build_suite, run_suite, sql_literal
from expectations.suite import SUITES_DIR, Expectation, SuiteInvalid, bind, load_suite
from expectations.wording import moment, sentence

MESSAGE = {"ru": "плохо", "en": "bad"}
BATCH = {"query": "select 1 as x", "min_rows": 1, "when_empty": MESSAGE}
NOT_NULL = {
    "id": "x_is_there",
    "batch": "b",
    "type": "expect_column_values_to_not_be_null",
    "arguments": {"column": "x"},
    "severity": "critical",
    "message": MESSAGE,
}
GOOD = {"suite": "sample", "about": "a sample", "batches": {"b": BATCH}, "expectations": [NOT_NULL]}


def written(tmp_path: Path, content: object) -> Path:
    (tmp_path / "sample.yml").write_text(yaml.safe_dump(content), encoding="utf-8")
    load_suite.cache_clear()
    return tmp_path


@pytest.mark.parametrize("name", sorted(path.stem for path in SUITES_DIR.glob("*.yml")))
def test_great_expectations_loads_all_that_our_suites_declare(name: str) -> None:
    suite = load_suite(name)
    literals = dict.fromkeys(suite.parameters(), "null")
    loaded = build_suite(name, suite.declared(), literals)
    assert [e.meta["id"] for e in loaded.expectations] == [e.id for e in suite.declared()]
    assert len(loaded.expectations) == len(suite.expectations) + sum(
        b.min_rows is not None for b in suite.batches.values()
    )


def test_the_three_suites_are_there() -> None:
    assert {path.stem for path in SUITES_DIR.glob("*.yml")} == {"landing", "landing_crm", "marts", "list"}


def test_a_sound_suite_loads(tmp_path: Path) -> None:
    suite = load_suite("sample", written(tmp_path, GOOD))
    assert [e.id for e in suite.declared()] == ["b_has_rows", "x_is_there"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"expectations": []}, "at least 1"),
        ({"batches": {}}, "at least 1"),
        ({"expectations": [NOT_NULL, NOT_NULL]}, "ids repeat"),
        ({"expectations": [NOT_NULL | {"batch": "c"}]}, "unknown batches"),
        ({"expectations": [NOT_NULL | {"severity": "fatal"}]}, "severity"),
        ({"expectations": [NOT_NULL | {"mesage": MESSAGE}]}, "mesage"),
        ({"expectations": [{k: v for k, v in NOT_NULL.items() if k != "message"}]}, "message"),
        ({"expectations": [NOT_NULL | {"message": {"ru": "плохо"}}]}, "en"),
        ({"expectations": [NOT_NULL | {"scope": "branch"}]}, "only unexpected_rows"),
        ({"expectations": [NOT_NULL | {"unexpected_rows": "select 1 from {batch}"}]}, "give a type"),
        ({"batches": {"b": {"query": "select 1 as x"}}}, "min_rows, or may_be_empty"),
        ({"batches": {"b": BATCH | {"may_be_empty": "no reason at all"}}}, "min_rows, or may_be_empty"),
        ({"batches": {"b": {"query": "select 1 as x", "min_rows": 1}}}, "when_empty"),
        (
            {"batches": {"b": BATCH, "idle": {"query": "select 2", "may_be_empty": "nobody looks here"}}},
            "no expectation",
        ),
        ({"batches": {"b": BATCH | {"query": "select '%' as x"}}}, "percent sign"),
        ({"suite": "other"}, "calls itself 'other'"),
    ],
)
def test_a_careless_suite_is_refused(tmp_path: Path, change: dict[str, object], said: str) -> None:
    with pytest.raises(SuiteInvalid, match=said):
        load_suite("sample", written(tmp_path, GOOD | change))


def test_a_query_that_ignores_its_batch_is_refused(tmp_path: Path) -> None:
    row = {"id": "y", "batch": "b", "unexpected_rows": "select 1", "severity": "critical", "message": MESSAGE}
    with pytest.raises(SuiteInvalid, match="must read from"):
        load_suite("sample", written(tmp_path, GOOD | {"expectations": [row]}))


def test_an_empty_file_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SuiteInvalid):
        load_suite("sample", written(tmp_path, None))
    with pytest.raises(SuiteInvalid, match=r"no suite file elsewhere\.yml"):
        load_suite("elsewhere", tmp_path)


@pytest.mark.parametrize(
    "typo",
    [
        {"type": "expect_column_values_to_not_be_nul"},
        {"arguments": {"colum": "x"}},
        {"arguments": {"column": "x", "mostly": 7}},
    ],
)
def test_a_typo_that_great_expectations_would_drop_is_an_error(tmp_path: Path, typo: dict[str, object]) -> None:
    suite = load_suite("sample", written(tmp_path, GOOD | {"expectations": [NOT_NULL | typo]}))
    with pytest.raises(SuiteInvalid, match=r"x_is_there|refuses"):
        run_suite(suite, "postgresql://nobody@127.0.0.1:1/none", {})


def test_a_missing_parameter_is_an_error(tmp_path: Path) -> None:
    batches = {"b": BATCH | {"query": "select :as_of as x"}}
    suite = load_suite("sample", written(tmp_path, GOOD | {"batches": batches}))
    with pytest.raises(SuiteInvalid, match="as_of"):
        run_suite(suite, "postgresql://nobody@127.0.0.1:1/none", {})


def test_a_dead_database_gives_a_result_for_each_that_was_not_evaluated(tmp_path: Path) -> None:
    suite = load_suite("sample", written(tmp_path, GOOD))
    results = run_suite(suite, "postgresql://nobody:hush@127.0.0.1:1/none", {})
    assert [(r.expectation.id, r.evaluated, r.success) for r in results] == [
        ("b_has_rows", False, False),
        ("x_is_there", False, False),
    ]
    assert all(r.error and "hush" not in r.error for r in results)


def test_binding_leaves_casts_and_times_alone() -> None:
    query = "select x::date, '10:30:00', :as_of, :as_of_2"
    assert bind(query, {"as_of": "A", "as_of_2": "B"}) == "select x::date, '10:30:00', A, B"


@pytest.mark.parametrize(
    ("value", "literal"),
    [
        (None, "null"),
        (True, "true"),
        (6.5, "6.5"),
        ("O'Hara", "'O''Hara'::text"),
        ("a:b {c} 5% \\", "e'a\\u003ab \\u007bc\\u007d 5\\u0025 \\u005c'::text"),
        (date(2025, 6, 10), "'2025-06-10'::date"),
        (datetime(2025, 6, 10, tzinfo=UTC), "e'2025-06-10T00\\u003a00\\u003a00+00\\u003a00'::timestamptz"),
        ([], "array[]::text[]"),
        (["a", "b"], "array['a'::text, 'b'::text]::text[]"),
    ],
)
def test_literals(value: object, literal: str) -> None:
    assert sql_literal(value) == literal  # type: ignore[arg-type]


def test_sentences_show_times_in_the_companys_zone_and_numbers_the_local_way() -> None:
    message = {"ru": "с {since}: {rows} ({nobody})", "en": "since {since}: {rows}"}
    expectation = Expectation.model_validate(NOT_NULL | {"message": message})
    row = {"since": datetime(2025, 6, 9, 15, 40, tzinfo=UTC), "rows": 12345}
    result = CheckResult(expectation, evaluated=True, success=False, observed=1, rows=(row,))
    said = sentence(result, ZoneInfo("Asia/Yekaterinburg"))
    assert said.ru == "с 09.06 20:40: 12 345 (—)"
    assert said.en == "since Jun 9, 20:40: 12,345"
    assert moment(row["since"], "ru", ZoneInfo("Europe/Moscow")) == "09.06 18:40"
