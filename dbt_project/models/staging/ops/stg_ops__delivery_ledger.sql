select
    followup_id,
    channel,
    as_of,
    instance,
    client_id,
    manager_id,
    state,
    external_id,
    payload -> 'outlet_ids' as outlet_ids,
    settled_at
from {{ source('ops', 'delivery_ledger') }}
