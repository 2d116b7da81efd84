with source as (
    select * from {{ source('onec', 'onec_warehouse') }}
)

select
    instance,
    record_id as warehouse_id,
    name,
    parent_id,
    coalesce(is_folder, false) as is_folder,
    warehouse_kind,
    department_id,
    business_region_id as territory_id,
    coalesce(inactive, false) as inactive,
    coalesce(deletion_mark, false) as deletion_mark,
    deleted_at,
    deleted_at is not null as is_deleted,
    loaded_at,
    load_id
from source
