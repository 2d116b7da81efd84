with source as (
    select * from {{ source('onec', 'onec_price_type') }}
)

select
    instance,
    record_id as price_type_id,
    name,
    currency_id,
    price_includes_vat,
    status,
    coalesce(deletion_mark, false) as deletion_mark,
    deleted_at,
    deleted_at is not null as is_deleted,
    loaded_at,
    load_id
from source
