with source as (
    select * from {{ source('onec', 'onec_product_accounting_key') }}
)

select
    instance,
    record_id as accounting_key_id,
    product_id,
    characteristic_id,
    warehouse_id,
    warehouse_type,
    coalesce(deletion_mark, false) as deletion_mark,
    deleted_at,
    deleted_at is not null as is_deleted,
    loaded_at,
    load_id
from source
