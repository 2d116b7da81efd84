with source as (
    select * from {{ source('onec', 'onec_stock') }}
)

select
    instance,
    record_id as row_id,
    warehouse_id,
    product_id,
    characteristic_id,
    on_hand,
    to_ship,
    deleted_at,
    deleted_at is not null as is_deleted,
    loaded_at,
    load_id
from source
