with source as (
    select * from {{ source('onec', 'onec_payment_schedule') }}
)

select
    instance,
    record_id as payment_schedule_id,
    name,
    coalesce(deletion_mark, false) as deletion_mark,
    deleted_at,
    deleted_at is not null as is_deleted,
    loaded_at,
    load_id
from source
