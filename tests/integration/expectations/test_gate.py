"""May we speak to people now? The gate over a good world, and over every way in which it can go bad."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime

import pytest
from good_world import AS_OF, NORTH, NOW, SOUTH
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from expectations import check_landing, check_marts
from expectations.gate import BranchVerdict, evaluate
from expectations.suite import load_suite
from warehouse import clock
from warehouse.db import connect

Worlds = Callable[[], AbstractContextManager[str]]


def look(url: str, as_of: date = AS_OF) -> dict[str, BranchVerdict]:
    return {verdict.branch_id: verdict for verdict in evaluate(as_of, run_id="test", database_url=url)}


def change(url: str, *statements: str) -> None:
    with connect(url) as conn:
        for statement in statements:
            conn.execute(statement)


def test_all_good_is_go(good_world: str) -> None:
    verdicts = look(good_world)
    assert {branch: verdict.verdict for branch, verdict in verdicts.items()} == {NORTH: "go", SOUTH: "go"}
    assert {verdict.branch_name for verdict in verdicts.values()} == {"Север", "Юг"}
    declared = len(load_suite("list").declared())
    assert all(verdict.declared == verdict.evaluated == declared for verdict in verdicts.values())
    with connect(good_world) as conn:
        rows = conn.execute("select branch_id, verdict, declared, evaluated from ops.gate_verdict").fetchall()
        checks = conn.execute(
            "select count(distinct expectation), bool_and(success) from ops.check_result where run_id = 'test'"
        ).fetchone()
    assert sorted(rows) == [(NORTH, "go", declared, declared), (SOUTH, "go", declared, declared)]
    assert checks == (declared, True)


# Every way to look at nothing. None of them may let a list out.
NOTHING_THERE = {
    "no coverage": "delete from ops.coverage",
    "no coverage of orders": "delete from ops.coverage where entity = 'order'",
    "no coverage of managers": "delete from ops.coverage where entity = 'manager'",
    "no load runs": "delete from ops.coverage; delete from ops.load_run",
    "no dbt run": "delete from ops.dbt_run",
    "only a build of another day": "update ops.dbt_run set as_of = as_of - 1",
    "landing never checked": "delete from ops.check_result where suite = 'landing'",
    "marts never checked": "delete from ops.check_result where suite = 'marts'",
    "no calendar": "delete from ops.production_calendar",
    "source not registered": "delete from ops.source_instance",
    "no orders landed": "truncate raw.onec_order",
    "no orders table": "drop table raw.onec_order cascade",
    "no partners table": "drop table raw.onec_partner cascade",
    "nobody looked at outlets": "truncate marts.order_expectation",
    "outlets looked at on another day": "update marts.order_expectation set as_of = as_of - 1",
    "no expectation table": "drop table marts.order_expectation",
    "no list table": "drop table marts.follow_up",
    "no managers mart": "drop table marts.dim_manager",
    "no outlets mart": "drop table marts.dim_outlet",
    "no coverage table": "drop table ops.coverage",
    "no dbt run table": "drop table ops.dbt_run cascade",
    "no marts at all": "drop schema marts cascade",
    "no landing at all": "drop schema raw cascade",
    "no ops at all": "drop schema ops cascade",
    "a column was renamed": "alter table marts.follow_up rename column manager_id to rep_id",
}


@pytest.mark.parametrize("damage", NOTHING_THERE)
def test_never_green_on_nothing(good_world: str, damage: str) -> None:
    change(good_world, NOTHING_THERE[damage])
    verdicts = look(good_world)
    assert verdicts, "no verdict at all could be taken for a go"
    assert {verdict.verdict for verdict in verdicts.values()} == {"hold"}
    assert all(verdict.reason_ru and verdict.reason_en for verdict in verdicts.values())


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(damages=st.sets(st.sampled_from(sorted(NOTHING_THERE)), min_size=2, max_size=6))
def test_never_green_on_any_mixture_of_nothing(worlds: Worlds, damages: set[str]) -> None:
    with worlds() as url:
        for damage in sorted(damages):
            try:
                change(url, NOTHING_THERE[damage])
            except Exception:
                continue  # an earlier damage took the table away
        verdicts = look(url)
        assert verdicts
        assert {verdict.verdict for verdict in verdicts.values()} == {"hold"}


def test_a_database_that_is_not_there_holds() -> None:
    verdicts = look("postgresql://nobody@127.0.0.1:1/none")
    assert [(v.verdict, v.evaluated) for v in verdicts.values()] == [("hold", 0)]
    assert verdicts["all"].reason_ru == "хранилище не отвечает, проверить данные нельзя"


def test_an_empty_migrated_database_holds(database: str) -> None:
    assert {verdict.verdict for verdict in look(database).values()} == {"hold"}


def test_stale_coverage_holds_and_says_since_when(good_world: str) -> None:
    change(good_world, "update ops.coverage set covered_until = '2025-06-09 18:40+03' where entity = 'order'")
    for verdict in look(good_world).values():
        assert verdict.verdict == "hold"
        assert verdict.reason_ru == "данные 1С не обновлялись с 09.06 18:40 (норма — до 10.06 00:40): заказы"
        assert verdict.reason_en == (
            "1C data have not been refreshed since Jun 9, 18:40 (expected before Jun 10, 00:40): orders"
        )


def test_a_failed_attempt_is_named(good_world: str) -> None:
    change(
        good_world,
        "update ops.coverage set covered_until = '2025-06-09 18:40+03'",
        "insert into ops.load_run (instance, entity, mode, started_at, status, error) "
        "values ('onec_main', 'order', 'cursor', '2025-06-10 07:07+03', 'failed', 'HTTP 401')",
    )
    reason = look(good_world)[NORTH].reason_ru
    assert reason is not None
    assert reason.startswith("данные 1С не обновлялись с 09.06 18:40 (норма — до 10.06 00:40): ")
    assert reason.endswith("; попытка в 07:07 не удалась")


def test_one_branch_whose_exchange_stopped_holds_alone(good_world: str) -> None:
    change(
        good_world,
        "delete from raw.onec_order where organisation_id = 'org-south' and dated_at >= '2025-06-09 00:00+03'",
    )
    verdicts = look(good_world)
    assert verdicts[NORTH].verdict == "go"
    assert verdicts[SOUTH].verdict == "hold"
    assert verdicts[SOUTH].reason_ru == ("заказы, похоже, не дошли до 1С: за 09.06 их 0, обычно в эти дни недели — 12")


def test_a_branch_that_stopped_long_ago_holds_alone(good_world: str) -> None:
    """After two months the usual number of orders is none: the comparison alone would be green again."""
    change(
        good_world,
        "delete from raw.onec_order where organisation_id = 'org-south' and dated_at >= '2025-03-20'",
        "update marts.order_expectation set days_since_last = 80 where branch_id = 'org-south'",
    )
    verdicts = look(good_world)
    assert verdicts[NORTH].verdict == "go"
    assert verdicts[SOUTH].reason_ru == "нет новых заказов больше десяти рабочих дней, последний — 19.03.2025"


def test_a_kopeck_that_1c_has_and_we_have_not_holds_its_branch_alone(good_world: str) -> None:
    change(
        good_world,
        """
        update marts.reconciliation
        set status = 'differs', difference_amount = 0.01,
            differing_documents = array['Реализация РТ-000123: 1С 100.01, Polka 100.00']
        where branch_id = 'org-south' and accounted_on = '2025-06-05'
        """,
    )
    verdicts = {verdict.branch_id: verdict for verdict in evaluate(AS_OF, run_id="now", database_url=good_world)}
    assert verdicts[NORTH].verdict == "go"
    assert verdicts[SOUTH].verdict == "hold"
    assert verdicts[SOUTH].reason_ru == (
        "выручка не сходится с регистром 1С за 05.06, всего на 0.01 ₽: Реализация РТ-000123: 1С 100.01, Polka 100.00"
    )


@pytest.mark.parametrize("status", ["changed_since", "agrees"])
def test_what_landed_after_the_comparison_does_not_hold(good_world: str, status: str) -> None:
    change(good_world, f"update marts.reconciliation set status = '{status}', difference_amount = 5")
    assert {v.verdict for v in evaluate(AS_OF, run_id="now", database_url=good_world)} == {"go"}


def test_half_a_day_less_is_no_reason_to_hold(good_world: str) -> None:
    """Noise: every second order of the last working day is missing."""
    change(
        good_world,
        "delete from raw.onec_order where dated_at >= '2025-06-09 00:00+03' and right(record_id, 1)::int % 2 = 0",
    )
    assert {verdict.verdict for verdict in look(good_world).values()} == {"go"}


def test_a_quiet_sunday_is_fresh(good_world: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing changed since Saturday, but we looked this morning: coverage is fresh, Friday's orders are there."""
    sunday = date(2025, 6, 8)
    monkeypatch.setattr(clock, "now", lambda: datetime(2025, 6, 8, 4, 30, tzinfo=UTC))
    move = "set as_of = '2025-06-08'"
    change(
        good_world,
        "delete from raw.onec_order where dated_at >= '2025-06-07'",
        f"update marts.order_expectation {move}",
        f"update marts.follow_up {move}",
        f"update ops.dbt_run {move}, started_at = started_at - interval '2 days'",
        f"update ops.check_result {move}, checked_at = checked_at - interval '2 days'",
        "update ops.load_run set rows_inserted = 0, started_at = started_at - interval '2 days', "
        "finished_at = finished_at - interval '2 days'",
        "update ops.coverage set covered_until = covered_until - interval '2 days'",
    )
    assert {branch: v.verdict for branch, v in look(good_world, sunday).items()} == {NORTH: "go", SOUTH: "go"}


@pytest.mark.parametrize("status", ["done", "failed"])
def test_landing_newer_than_the_marts_holds(good_world: str, status: str) -> None:
    change(
        good_world,
        "insert into ops.load_run (instance, entity, mode, started_at, finished_at, status, rows_seen, rows_changed) "
        f"values ('onec_main', 'order', 'cursor', '2025-06-10 07:07+03', '2025-06-10 07:08+03', '{status}', 100, 2)",
    )
    reason = look(good_world)[NORTH].reason_ru
    assert reason == "витрины посчитаны 10.06 05:40, а данные 1С изменились позже — 10.06 07:08; ждём пересчёта"


@pytest.mark.parametrize(("mode", "changed"), [("cursor", 0), ("window", 50)])
def test_an_unchanged_read_or_a_backfill_does_not_hold(good_world: str, mode: str, changed: int) -> None:
    change(
        good_world,
        "insert into ops.load_run (instance, entity, mode, finished_at, status, rows_seen, rows_changed) "
        f"values ('onec_main', 'order', '{mode}', '2025-06-10 07:08+03', 'done', 100, {changed})",
    )
    assert {verdict.verdict for verdict in look(good_world).values()} == {"go"}


def test_a_failed_build_names_its_node(good_world: str) -> None:
    change(
        good_world,
        "update ops.dbt_run set succeeded = false",
        "insert into ops.dbt_node_run (invocation_id, unique_id, resource_type, status, execution_seconds) "
        "values ('build', 'model.polka.order_expectation', 'model', 'error', 1)",
    )
    assert look(good_world)[NORTH].reason_ru == "расчёт витрин в 10.06 05:40 завершился с ошибкой: order_expectation"


def test_a_failed_landing_check_is_passed_on(good_world: str) -> None:
    change(
        good_world,
        "update ops.check_result set success = false, observed = "
        """'{"evaluated": true, "message_ru": "заказы без даты: 7", "message_en": "7 orders without a date"}' """
        "where suite = 'landing'",
    )
    assert look(good_world)[NORTH].reason_ru == "загруженные данные 1С не прошли проверку: заказы без даты: 7"


# damage -> (branches that hold, a piece of the reason)
BAD_LISTS = {
    "a closed client": (
        "update raw.onec_partner set closed_on = '2025-06-01' where record_id = 'south-11'",
        {SOUTH},
        "закрытые или удалённые клиенты",
    ),
    "a closed outlet": (
        "update marts.dim_outlet set closed_on = '2025-06-01' where outlet_id = 'south-12'",
        {SOUTH},
        "закрытые или удалённые клиенты",
    ),
    "managers who left": (
        "update marts.dim_manager set is_active = false where manager_id = 'manager-north'",
        {NORTH},
        "без действующего менеджера 2 клиентов из 2",
    ),
    "repeated ids": ("update marts.follow_up set followup_id = 'same'", {NORTH, SOUTH}, "повторяются номера строк"),
    "a client twice": (
        "update marts.follow_up set client_id = 'north-11'",
        {NORTH, SOUTH},
        "клиент попал в список дважды",
    ),
    "an unknown branch": (
        "update marts.follow_up set branch_id = null where client_id = 'north-11'",
        {NORTH, SOUTH},
        "1",
    ),
    "no sum": (
        "update marts.follow_up set money_at_risk = null where client_id = 'south-11'",
        {SOUTH},
        "неполные строки",
    ),
    "half of the outlets missed": (
        "update marts.order_expectation set status = 'missed_order' where outlet_id > 'south-2'",
        {SOUTH},
        "без заказа сразу",
    ),
    "rejected records": (
        "update ops.load_run set rows_rejected = 9 where entity = 'order'",
        {NORTH, SOUTH},
        "слишком много записей 1С не разобрано: 9 из 100 (order)",
    ),
}


@pytest.mark.parametrize("case", BAD_LISTS)
def test_a_bad_list_holds_where_it_is_bad(good_world: str, case: str) -> None:
    statement, held, reason = BAD_LISTS[case]
    change(good_world, statement)
    verdicts = look(good_world)
    assert {branch for branch, verdict in verdicts.items() if verdict.verdict == "hold"} == held
    assert all(reason in str(verdicts[branch].reason_ru) for branch in held)


def test_an_empty_list_of_checked_outlets_is_go(good_world: str) -> None:
    change(
        good_world,
        "delete from marts.follow_up",
        "update marts.order_expectation set status = 'on_time', money_at_risk = 0",
    )
    assert {verdict.verdict for verdict in look(good_world).values()} == {"go"}


def test_branches_are_the_same_before_and_after_the_days_build(good_world: str) -> None:
    """A task waits for each branch by its name: none may come or go when the build arrives late."""
    change(
        good_world,
        "insert into raw.onec_organisation (instance, record_id, name, loaded_at, load_id, row_hash) "
        "values ('onec_main', 'org-head', 'Головная', now(), 1, '')",
    )
    after = look(good_world)
    change(
        good_world,
        "update marts.order_expectation set as_of = as_of - 1",
        "update marts.follow_up set as_of = as_of - 1",
        "delete from ops.dbt_run",
    )
    before = look(good_world)
    assert set(before) == set(after) == {NORTH, SOUTH}
    assert {verdict.verdict for verdict in before.values()} == {"hold"}


def test_a_source_without_branches_has_one_verdict(good_world: str, monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    (tmp_path / "sources.yml").write_text("sources:\n- {id: onec_main, kind: onec, connection: onec_main}\n", "utf-8")
    change(
        good_world,
        "update ops.source_instance set branches = 'none'",
        "update marts.order_expectation set branch_id = 'all'",
        "update marts.follow_up set branch_id = 'all'",
        "delete from ops.coverage where entity = 'organisation'",
    )
    assert [(v.branch_id, v.verdict) for v in look(good_world).values()] == [("all", "go")]


def test_suites_of_landing_and_marts_pass_on_the_good_world(good_world: str) -> None:
    landing = check_landing("onec_main", as_of=AS_OF, run_id="l", database_url=good_world)
    marts = check_marts(AS_OF, "m", database_url=good_world)
    for outcome in (landing, marts):
        outcome.raise_if_failed()
        assert outcome.evaluated == outcome.declared > 0
        assert outcome.warnings == ()


def test_messages_use_columns_that_their_queries_return(good_world: str) -> None:
    """A message with a field nobody fills would read «—» to people."""
    from expectations.run import sql_literal
    from expectations.suite import bind

    parameters = {
        "instance": "onec_main", "as_of": AS_OF, "now": NOW, "time_zone": "Europe/Moscow",
        "coverage_max_age_hours": 6.0, "branches": "by_organization", "branch_ids": [NORTH, SOUTH],
    }  # fmt: skip
    literals = {name: sql_literal(value) for name, value in parameters.items()}
    seen = 0
    with connect(good_world) as conn:
        for name in ("landing", "marts", "list"):
            suite = load_suite(name)
            for expectation in suite.declared():
                if expectation.unexpected_rows is None:
                    known = {"unexpected_count", "element_count", "unexpected_percent", "observed"}
                else:
                    batch = bind(suite.batches[expectation.batch].query, literals)
                    query = bind(expectation.unexpected_rows, literals).replace("{batch}", f"({batch}) as subselect")
                    known = {column.name for column in conn.execute(query).description or ()}
                    if expectation.scope == "branch":
                        assert "branch_id" in known, expectation.id
                assert expectation.message.fields() <= known, (name, expectation.id)
                seen += 1
    assert seen > 50
