with source as (
    select * from {{ source('onec', 'onec_organisation') }}
)

select
    instance,
    record_id as organisation_id,
    code,
    name,
    full_name,
    inn,
    kpp,
    coalesce(deletion_mark, false) as deletion_mark,
    deleted_at,
    deleted_at is not null as is_deleted,
    loaded_at,
    load_id
from source
