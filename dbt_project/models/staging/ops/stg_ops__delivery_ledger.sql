select
    followup_id,
    channel,
    as_of,
    instance,
    client_id,
    manager_id,
    state,
    settled_at
from {{ source('ops', 'delivery_ledger') }}
