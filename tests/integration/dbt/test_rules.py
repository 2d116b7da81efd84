"""The unit tests of the business rules, as dbt runs them."""

from datetime import date

from extractors.core.run import ensure_tables
from warehouse.db import connect
from warehouse.dbt_runner import build


def test_every_rule_passes_its_unit_tests(database: str) -> None:
    with connect(database) as conn:
        ensure_tables(conn)
    outcome = build(date(2025, 6, 10), unit_tests=True, triggered_by="test", database_url=database)
    with connect(database) as conn:
        rules = conn.execute(
            """
            select count(*), count(*) filter (where status = 'pass')
            from ops.dbt_node_run
            where invocation_id = %s and resource_type = 'unit_test'
            """,
            [outcome.invocation_id],
        ).fetchone()
    assert rules is not None
    assert rules[0] >= 15
    assert rules[0] == rules[1]
