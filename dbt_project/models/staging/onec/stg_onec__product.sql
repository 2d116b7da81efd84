with source as (
    select * from {{ source('onec', 'onec_product') }}
)

select
    instance,
    record_id as product_id,
    code,
    name,
    article,
    parent_id,
    coalesce(is_folder, false) as is_folder,
    brand_id,
    unit_id,
    product_type,
    weight_numerator,
    weight_denominator,
    coalesce(deletion_mark, false) as deletion_mark,
    deleted_at,
    deleted_at is not null as is_deleted,
    loaded_at,
    load_id
from source
