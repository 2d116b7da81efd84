with source as (
    select * from {{ source('onec', 'onec_partner_segment_member') }}
)

select
    instance,
    record_id as row_id,
    segment_id,
    partner_id,
    deleted_at,
    deleted_at is not null as is_deleted,
    loaded_at,
    load_id
from source
