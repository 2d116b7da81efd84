with source as (
    select * from {{ source('onec', 'onec_department') }}
)

select
    instance,
    record_id as department_id,
    code,
    name,
    parent_id,
    coalesce(deletion_mark, false) as deletion_mark,
    deleted_at,
    deleted_at is not null as is_deleted,
    loaded_at,
    load_id
from source
