with source as (
    select * from {{ source('onec', 'onec_order_state') }}
)

select
    instance,
    record_id as state_id,
    name,
    coalesce(deletion_mark, false) as deletion_mark,
    deleted_at,
    deleted_at is not null as is_deleted,
    loaded_at,
    load_id
from source
