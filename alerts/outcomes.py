"""What came of the calls: a closed list of outcomes, read back from the tasks that reps have closed.

A rep writes the outcome in words («Перезвонить 16.06»); a text that is none of the list is `other`. A task closed
without a word says nothing. Answers go to ops.follow_up_outcome once; the next marts keep to the dates in them.
"""

import logging
from collections.abc import Mapping
from datetime import date, timedelta

from alerts.channels.base import TaskChannel
from alerts.channels.registry import open_channels
from alerts.outcome_names import read_answer
from alerts.render import Renderer
from clients.connection import Connection as Address
from clients.errors import ClientError
from warehouse.db import connect
from warehouse.settings import get_settings

log = logging.getLogger(__name__)

# Older tasks are not looked at any more.
WATCHED_DAYS = 14
COMMENT_LIMIT = 2000


def read_outcomes(as_of: date, connections: Mapping[str, Address], *, database_url: str | None = None) -> int:
    """Look at the open tasks of the last days and write down what came of those that are closed; return how many.

    A portal out of reach is logged and asked again next time.
    """
    settings = get_settings()
    renderer = Renderer(settings.language, settings.time_zone)
    opened = open_channels(connections, settings, renderer, lambda: connect(database_url, autocommit=True))
    recorded = 0
    try:
        with connect(database_url) as conn:
            for name, channel in opened.items():
                if not isinstance(channel, TaskChannel):
                    continue
                tasks = conn.execute(
                    """
                    select l.external_id, l.followup_id, l.instance, l.client_id
                    from ops.delivery_ledger as l
                    where l.channel = %s and l.state = 'sent' and l.external_id is not null
                      and l.as_of between %s and %s
                      and not exists (
                          select 1 from ops.follow_up_outcome as o
                          where o.channel = l.channel and o.answer_id = l.external_id
                      )
                    order by l.as_of, l.list_rank, l.followup_id
                    """,
                    [name, as_of - timedelta(days=WATCHED_DAYS), as_of],
                ).fetchall()
                conn.commit()
                try:
                    outcomes = channel.outcomes([task[0] for task in tasks])
                except ClientError as error:
                    log.warning("outcomes of %s are not read now: %s", name, error)
                    continue
                for task_id, followup_id, instance, client_id in tasks:
                    found = outcomes[task_id]
                    if isinstance(found, ClientError):
                        log.warning("the outcome of task %s is not read now: %s", task_id, found)
                        continue
                    answer = read_answer(found.result, as_of) if found and found.is_done else None
                    if found is None or answer is None:
                        continue
                    recorded += conn.execute(
                        """
                        insert into ops.follow_up_outcome
                            (channel, answer_id, followup_id, instance, client_id, outcome, until_on, cadence_days,
                             comment, recorded_on)
                        values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
                        on conflict (channel, answer_id) do nothing
                        """,
                        [
                            name,
                            task_id,
                            followup_id,
                            instance,
                            client_id,
                            answer.outcome,
                            answer.until,
                            answer.cadence_days,
                            (found.result or "")[:COMMENT_LIMIT],
                            as_of,
                        ],
                    ).rowcount
                    conn.commit()
    finally:
        for channel in opened.values():
            channel.close()
    log.info("%s outcomes recorded", recorded)
    return recorded
