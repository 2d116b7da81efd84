with source as (
    select * from {{ source('onec', 'onec_product_kind') }}
)

select
    instance,
    record_id as product_kind_id,
    name,
    parent_id,
    coalesce(is_folder, false) as is_folder,
    product_type,
    coalesce(deletion_mark, false) as deletion_mark,
    deleted_at,
    deleted_at is not null as is_deleted,
    loaded_at,
    load_id
from source
