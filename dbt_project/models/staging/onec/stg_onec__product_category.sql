with source as (
    select * from {{ source('onec', 'onec_product_category') }}
)

select
    instance,
    record_id as product_category_id,
    name,
    parent_id,
    coalesce(is_folder, false) as is_folder,
    coalesce(deletion_mark, false) as deletion_mark,
    deleted_at,
    deleted_at is not null as is_deleted,
    loaded_at,
    load_id
from source
