"""Airflow DAG `forecast`: once a week, the demand of the coming weeks, out of what was ordered.

Nothing waits for it: without a new forecast the marts keep the last one, and lists go out as ever.
"""

from datetime import timedelta

from airflow.sdk import DAG, task

from polka.dag_policy import clock_schedule
from warehouse.settings import get_settings

settings = get_settings()

with DAG(
    dag_id="forecast",
    description="weekly demand by position and warehouse, for the marts of the next build",
    schedule=clock_schedule(settings.forecast_schedule, settings),
    catchup=False,
    max_active_runs=1,
    tags=["polka", "forecast"],
    default_args={"owner": "data-engineering", "retries": 1, "retry_delay": timedelta(minutes=5)},
    doc_md=__doc__,
):

    @task(execution_timeout=timedelta(hours=1))
    def make() -> list[dict]:
        from polka import jobs

        return jobs.forecast()

    make()
