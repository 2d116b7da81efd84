with source as (
    select * from {{ source('onec', 'onec_manager') }}
)

select
    instance,
    record_id as manager_id,
    name,
    coalesce(inactive, false) as inactive,
    department_id,
    coalesce(deletion_mark, false) as deletion_mark,
    deleted_at,
    deleted_at is not null as is_deleted,
    loaded_at,
    load_id
from source
