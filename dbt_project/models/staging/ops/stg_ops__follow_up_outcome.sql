select
    channel,
    answer_id,
    followup_id,
    instance,
    client_id,
    outcome,
    until_on,
    cadence_days,
    recorded_on,
    recorded_at
from {{ source('ops', 'follow_up_outcome') }}
