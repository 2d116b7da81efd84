"""Airflow DAGs `reconcile__<source>`: re-read by weekly windows, compare all ids, mark what vanished.

This is also the backfill DAG: `airflow backfill create --dag-id reconcile__<source> ...` (or `polka backfill`)
re-reads any range; a backfill leaves the comparison of ids to the weekly run. It never moves a cursor, never claims
coverage, announces nothing and can send nothing.
"""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from airflow.sdk import DAG, CronDataIntervalTimetable, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from polka.dag_policy import ONLY_WHAT_CAN_HEAL
from warehouse.settings import get_settings
from warehouse.sources import SourceConfig, load_sources

settings = get_settings()


def reconcile_dag(source: SourceConfig) -> DAG:
    with DAG(
        dag_id=f"reconcile__{source.id}",
        description=f"{source.kind} base {source.id}: weekly windows read again",
        schedule=(
            None
            if settings.reconcile_schedule == "manual"
            else CronDataIntervalTimetable(settings.reconcile_schedule, timezone=settings.time_zone)
        ),
        start_date=datetime(2020, 1, 1, tzinfo=ZoneInfo(settings.time_zone)),
        catchup=False,
        max_active_runs=1,
        tags=["polka", "reconcile", source.kind],
        default_args={"owner": "data-engineering", "retries": 2, "retry_delay": timedelta(minutes=1)},
        doc_md=__doc__,
    ) as dag:

        @task
        def register(instance: str) -> list[list[str]]:
            from polka import jobs

            return jobs.register(instance, with_history=True)

        @task(retry_policy=ONLY_WHAT_CAN_HEAL, max_active_tis_per_dag=2, map_index_template="{{ share }}")
        def read_again(instance: str, share: list[str]) -> list[dict]:
            from polka import jobs

            context = get_current_context()
            context["share"] = jobs.share_label(share)
            window = (context["data_interval_start"].isoformat(), context["data_interval_end"].isoformat())
            return jobs.extract_share(instance, share, window=window, triggered_by=context["run_id"])

        @task(retry_policy=ONLY_WHAT_CAN_HEAL, max_active_tis_per_dag=1, map_index_template="{{ share }}")
        def compare_ids(instance: str, share: list[str]) -> list[dict]:
            from polka import jobs

            context = get_current_context()
            context["share"] = jobs.share_label(share)
            if context["dag_run"].run_type == "backfill":
                raise AirflowSkipException("a backfill reads its windows; ids are compared by the weekly run")
            return jobs.extract_share(instance, share, reconcile=True, triggered_by=context["run_id"])

        to_read = register(source.id)
        repaired = read_again.partial(instance=source.id).expand(share=to_read)
        repaired >> compare_ids.partial(instance=source.id).expand(share=to_read)
    return dag


for _source in load_sources():
    globals()[f"reconcile__{_source.id}"] = reconcile_dag(_source)
