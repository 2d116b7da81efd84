"""Airflow DAG `transform`: one `dbt build` over whatever has landed, then the suite of the marts.

Level-triggered: any landing asset or the clock starts it, and it builds from the tables, not from the events.
One dead source does not stop the rest; the gate at sending time decides what may be said.
"""

from datetime import timedelta
from functools import reduce
from operator import or_

from airflow.sdk import DAG, Asset, AssetOrTimeSchedule, Param, get_current_context, task

from polka.dag_policy import clock_schedule
from warehouse.settings import get_settings
from warehouse.sources import load_sources

settings = get_settings()
by_clock = clock_schedule(settings.transform_schedule, settings)
landed = reduce(or_, [Asset(f"landing/{source.id}") for source in load_sources()])

with DAG(
    dag_id="transform",
    description="landing -> staging -> intermediate -> marts",
    schedule=AssetOrTimeSchedule(timetable=by_clock, assets=landed) if by_clock else landed,
    catchup=False,
    max_active_runs=1,
    tags=["polka", "transform"],
    default_args={"owner": "data-engineering", "retries": 1, "retry_delay": timedelta(seconds=30)},
    params={
        "as_of": Param(None, type=["null", "string"], format="date", description="Rebuild the list of a past day"),
        "full_refresh": Param(False, type="boolean", description="Rebuild the facts from the whole landing"),
    },
    doc_md=__doc__,
):

    @task
    def build() -> dict:
        from polka import jobs

        context = get_current_context()
        params = context["params"]
        return jobs.transform(
            triggered_by=context["run_id"], as_of=params.get("as_of"), full_refresh=params.get("full_refresh", False)
        )

    @task(outlets=[Asset("marts/polka")], retries=0)
    def check(built: dict) -> dict:
        from polka import jobs

        return jobs.check_marts(built["as_of"], run_id=get_current_context()["run_id"])

    # Where the marts differ from 1C's own totals, the documents are compared one by one.
    @task(retries=1)
    def explain_differences() -> dict:
        from polka import jobs

        return jobs.explain_differences()

    built = build()
    checked = check(built)
    built >> explain_differences() >> checked
