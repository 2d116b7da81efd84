"""`make demo`: the whole road once, on the real scheduler, from an empty database to delivered lists."""

import subprocess
import sys
from datetime import date
from pathlib import Path

from rich.console import Console

from polka import airflow_env
from polka.airflow_api import AirflowApi, Run, Task
from polka.lists import read_list, show_list
from polka.progress import Steps
from polka.simulated import Simulated, load_reference
from polka.stack import (
    CRM,
    SOURCE,
    Stack,
    ended_by_signals,
    hint,
    simulated_environment,
    simulators_folder,
    undisturbed,
)
from warehouse.clock import business_date
from warehouse.db import connect
from warehouse.settings import PROJECT_ROOT, get_settings

RUN_TIMEOUT_SECONDS = 1200.0
# The demo says when; nothing starts by the clock.
MANUAL = {f"POLKA_{name}_SCHEDULE": "manual" for name in ("EXTRACT", "TRANSFORM", "FOLLOW_UP", "RECONCILE")}


class JudgedWrong(RuntimeError):
    """The list or the deliveries differ from what the simulated world planted."""


def demo(console: Console) -> None:
    """Run every step; returns only when each did its work. Whatever happens, nothing is left running."""
    steps = Steps(console)
    stack = Stack(steps, attached=True)
    as_of = business_date()
    console.print(f"[bold]Polka[/bold]: the whole road once, business date {as_of}", highlight=False)
    with ended_by_signals(), stack.exclusively():
        try:
            url = stack.start_database()
            stack.start_simulators(simulators_folder(), as_of)
            stack.prepare_airflow()
            simulated = stack.wait_for_simulators(simulators_folder())
            pinned = {"POLKA_BUSINESS_DATE": as_of.isoformat(), **MANUAL}
            api = stack.start_airflow({**simulated_environment(simulated, url), **pinned})
            with steps.step("Reference tables: agreed assortments, promotions, must-lists") as step:
                step.done(f"{load_reference(simulated, url)} rows")
            build_marts(api, steps)
            api.unpause("follow_up")
            follow(api, steps, "Lists: gate, freeze, deliver", api.trigger("follow_up"))
            with steps.step("Judge: lists against planted truths") as step:
                verdict = judge(simulated, url)
                step.done("exact")
            show_list(console, read_list(url, as_of), get_settings())
            show_deliveries(console, url, as_of, simulated)
            console.print(verdict, highlight=False, markup=False)
        finally:
            with undisturbed(), steps.step("Stop everything") as step:
                step.done(", ".join(stack.stop()))
    console.print(where_to_look(simulated, steps.total_seconds()), highlight=False, soft_wrap=True)


def build_marts(api: AirflowApi, steps: Steps) -> None:
    """Extract from both systems, and when that announced something, the transformation it starts."""
    # The portal first, while nothing listens yet: one build for both.
    api.unpause(f"extract__{CRM}")
    follow(api, steps, "Bitrix24 → raw (extract)", api.trigger(f"extract__{CRM}"))
    for dag_id in (f"extract__{SOURCE}", "transform"):
        api.unpause(dag_id)
    tasks = follow(api, steps, "1C → raw (extract)", api.trigger(f"extract__{SOURCE}"))
    announced = [task for task in tasks if task.task_id == "announce" and task.state == "success"]
    if not announced:
        with steps.step("raw → marts (transform)") as step:
            step.done("nothing changed since the marts were built")
        return
    # The run begins while the announcing task ends: look from its start on.
    moment = announced[0].start_date or announced[0].end_date
    with steps.step("Asset landing announced") as step:
        if moment is None:
            raise JudgedWrong("the announcing task has no start time")
        run = api.wait_for_run_after("transform", moment)
        step.done(run.run_id)
    follow(api, steps, "raw → marts (transform)", run)


def follow(api: AirflowApi, steps: Steps, name: str, run: Run) -> list[Task]:
    with steps.step(name) as step:

        def progress(tasks: list[Task]) -> None:
            running = ", ".join(task.label for task in tasks if task.state == "running")
            ended = sum(task.state in ("success", "skipped", "failed", "upstream_failed") for task in tasks)
            step.doing(f"{ended} of {len(tasks)} tasks {running}")

        tasks = api.wait_for_end(run, progress, RUN_TIMEOUT_SECONDS, airflow_env.home() / "logs")
        step.done(f"{len(tasks)} tasks")
        return tasks


def judge(simulated: Simulated, url: str) -> str:
    """The simulators' own verdict, from the manifest of what was planted. Raises JudgedWrong with it."""
    command = [sys.executable, "-m", "simulators", "judge", "--state-dir", str(simulated.state_dir)]
    outcome = subprocess.run(
        [*command, "--database-url", url], cwd=PROJECT_ROOT, capture_output=True, text=True, check=False
    )
    if outcome.returncode != 0:
        raise JudgedWrong(f"The lists are not what was planted:\n{outcome.stdout}{outcome.stderr}")
    return outcome.stdout.strip()


def show_deliveries(console: Console, url: str, as_of: date, simulated: Simulated) -> None:
    with connect(url) as conn:
        rows = conn.execute(
            "select channel, state, count(*) from ops.delivery_ledger where as_of = %s group by 1, 2 order by 1, 2",
            [as_of],
        ).fetchall()
    counted = ", ".join(f"{channel} {state}: {count}" for channel, state, count in rows)
    letters = len(list((simulated.state_dir / "mail").glob("*.eml")))
    console.print(f"Deliveries (client x channel): {counted}; letters in the mailbox: {letters}", highlight=False)


def where_to_look(simulated: Simulated, seconds: float) -> str:
    mail: Path = simulated.state_dir / "mail"
    return (
        f"\n[green]Everything did its work[/green] in {seconds:.0f} s. Where to look:\n"
        f"  letters with the workbook   {mail}/*.eml\n"
        f'  the warehouse               psql "$({hint()} db-url)"     (schemas marts, ops, raw)\n'
        f"  task logs                   {airflow_env.home() / 'logs'}\n"
        "  the same stack, kept on     make up"
    )
