"""What the DAG files share: DAG files must not import one another, an installed package may be imported."""

from datetime import timedelta

from airflow.sdk import CronTriggerTimetable, ExceptionRetryPolicy, RetryAction, RetryRule

from warehouse.settings import Settings

ONLY_WHAT_CAN_HEAL = ExceptionRetryPolicy(
    rules=[
        RetryRule(exception="clients.errors.Fatal", action=RetryAction.FAIL, reason="a person must act"),
        RetryRule(
            exception="clients.errors.NotNow",
            action=RetryAction.RETRY,
            retry_delay=timedelta(minutes=10),
            reason="the base must not be touched now",
        ),
    ]
)


def clock_schedule(cron: str, settings: Settings) -> CronTriggerTimetable | None:
    """A cron in the company's time zone; the word 'manual' means no schedule."""
    return None if cron == "manual" else CronTriggerTimetable(cron, timezone=settings.time_zone)
