with source as (
    {{ crm_union('product', [
        'name', 'code', 'price', 'currency', 'is_active', 'custom'
    ]) }}
)

select
    crm,
    instance,
    record_id as product_id,
    name,
    code,
    price,
    currency,
    is_active,
    custom,
    modified_at,
    loaded_at,
    load_id
from source
