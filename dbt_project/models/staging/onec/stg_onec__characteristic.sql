with source as (
    select * from {{ source('onec', 'onec_characteristic') }}
)

select
    instance,
    record_id as characteristic_id,
    name,
    full_name,
    product_id,
    owner_type,
    coalesce(deletion_mark, false) as deletion_mark,
    deleted_at,
    deleted_at is not null as is_deleted,
    loaded_at,
    load_id
from source
