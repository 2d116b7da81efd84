"""Airflow DAGs `extract__<source>`: read what is new in one base or portal and announce it.

One mapped task per share of the entities, each entity from its cursor minus its overlap until now. The landing suite
looks at the result; only then is the asset `landing/<source>` announced, and only when something changed. An entity
that fails does not stop the others: its coverage ages, and the gate at sending time decides what that means.
"""

from datetime import timedelta

from airflow.sdk import DAG, Asset, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from polka.dag_policy import ONLY_WHAT_CAN_HEAL, clock_schedule
from warehouse.settings import get_settings
from warehouse.sources import SourceConfig, load_sources

settings = get_settings()


def extract_dag(source: SourceConfig) -> DAG:
    with DAG(
        dag_id=f"extract__{source.id}",
        description=f"{source.kind} base {source.id}: what is new, into schema raw",
        schedule=clock_schedule(settings.extract_schedule, settings),
        catchup=False,
        max_active_runs=1,
        tags=["polka", "extract", source.kind],
        default_args={"owner": "data-engineering", "retries": 2, "retry_delay": timedelta(seconds=30)},
        doc_md=__doc__,
    ) as dag:

        @task(retries=2)
        def register(instance: str) -> list[list[str]]:
            from polka import jobs

            return jobs.register(instance)

        # A base is a guest's house: two shares at a time, each with its own few parallel requests.
        @task(retry_policy=ONLY_WHAT_CAN_HEAL, max_active_tis_per_dagrun=2, map_index_template="{{ share }}")
        def land(instance: str, share: list[str]) -> list[dict]:
            from polka import jobs

            context = get_current_context()
            context["share"] = jobs.share_label(share)
            return jobs.extract_share(instance, share, triggered_by=context["run_id"])

        # After the entities: what they brought and what the base says in total then belong together.
        @task(retry_policy=ONLY_WHAT_CAN_HEAL, trigger_rule="all_done")
        def control_totals(instance: str) -> dict:
            from polka import jobs

            return jobs.control_totals(instance)

        @task(retries=0, trigger_rule="all_done")
        def check(instance: str) -> dict:
            from polka import jobs

            return jobs.check_landing(instance, run_id=get_current_context()["run_id"])

        @task(retries=1, trigger_rule="all_done", outlets=[Asset(f"landing/{source.id}")])
        def announce(checked: dict | None, outcomes: list[list[dict]] | None) -> None:
            from polka import jobs

            if not checked:
                raise AirflowSkipException("the landing suite failed: what landed is not announced")
            # A slice is one request; iterating would ask item by item, beyond the end.
            if not jobs.marts_are_behind((outcomes or [])[:]):
                raise AirflowSkipException("nothing changed since the marts were built")

        @task(retries=0, trigger_rule="one_failed")
        def report_failures() -> None:
            raise AirflowFailException("some entities were not read: see the failed map indexes of task 'land'")

        landed = land.partial(instance=source.id).expand(share=register(source.id))
        checked = check(source.id)
        landed >> checked
        announced = announce(checked, landed)
        landed >> report_failures()
        if source.kind == "onec":
            landed >> control_totals(source.id) >> announced
    return dag


for _source in load_sources():
    globals()[f"extract__{_source.id}"] = extract_dag(_source)
