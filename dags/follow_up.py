"""Airflow DAG `follow_up`: by the clock, ask the gate, freeze the list, deliver branch by branch, settle.

A held branch is looked at again until the cut-off; the others go out meanwhile. What is still held then fails
visibly, and its reps are told why. Backfill runs are refused, and only today's list can be sent.
"""

from datetime import timedelta

from airflow.sdk import DAG, PokeReturnValue, get_current_context, task, task_group
from airflow.sdk.exceptions import AirflowFailException

from polka.dag_policy import clock_schedule
from warehouse.settings import get_settings

settings = get_settings()

with DAG(
    dag_id="follow_up",
    description="whom to call today, why, and how many roubles are at stake",
    schedule=clock_schedule(settings.follow_up_schedule, settings),
    catchup=False,
    max_active_runs=1,
    allowed_run_types=["scheduled", "manual"],
    tags=["polka", "follow-up"],
    default_args={"owner": "sales-operations", "retries": 2, "retry_delay": timedelta(seconds=30)},
    doc_md=__doc__,
):

    @task(retries=0)
    def open_day() -> str:
        from polka import jobs

        return jobs.open_day()

    @task
    def branches(as_of: str) -> list[str]:
        from polka import jobs

        return jobs.branches(as_of, run_id=get_current_context()["run_id"])

    @task_group
    def branch(as_of: str, name: str) -> dict:
        # Poking keeps the slot, but a reschedule shorter than the worker's heartbeat loses runs.
        @task.sensor(mode="poke", poke_interval=settings.recheck_seconds, timeout=24 * 3600)
        def wait_for_go(as_of: str, name: str) -> PokeReturnValue:
            from polka import jobs

            context = get_current_context()
            verdict = jobs.look_at_branch(as_of, name, run_id=context["run_id"])
            manual = context["dag_run"].run_type == "manual"
            done = verdict["verdict"] == "go" or jobs.cut_off_passed(manual=manual)
            return PokeReturnValue(is_done=done, xcom_value=verdict)

        @task
        def deliver(as_of: str, verdict: dict) -> dict:
            from polka import jobs

            return jobs.deliver_branch(as_of, verdict)

        return deliver(as_of, wait_for_go(as_of, name))

    @task(trigger_rule="all_done", retries=0)
    def settle(as_of: str | None, outcomes: list[dict] | None, names: list[str] | None) -> dict:
        from polka import jobs

        if as_of is None or names is None:
            raise AirflowFailException("the day was not opened or the gate did not answer: see the tasks before")
        return jobs.settle(as_of, (outcomes or [])[:], names)

    day = open_day()
    names = branches(day)
    settle(day, branch.partial(as_of=day).expand(name=names), names)
