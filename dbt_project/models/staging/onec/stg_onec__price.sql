with source as (
    select * from {{ source('onec', 'onec_price') }}
)

select
    instance,
    record_id as row_id,
    price_type_id,
    product_id,
    characteristic_id,
    priced_at,
    package_id,
    currency_id,
    price,
    deleted_at,
    deleted_at is not null as is_deleted,
    loaded_at,
    load_id
from source
