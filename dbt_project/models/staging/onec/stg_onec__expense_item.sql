with source as (
    select * from {{ source('onec', 'onec_expense_item') }}
)

select
    instance,
    record_id as expense_item_id,
    name,
    parent_id,
    coalesce(is_folder, false) as is_folder,
    coalesce(deletion_mark, false) as deletion_mark,
    deleted_at,
    deleted_at is not null as is_deleted,
    loaded_at,
    load_id
from source
