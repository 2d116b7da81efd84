with source as (
    select * from {{ source('onec', 'onec_legal_entity') }}
)

select
    instance,
    record_id as legal_entity_id,
    name,
    full_name,
    {{ person_kind('person_kind') }} as person_kind,
    inn,
    kpp,
    partner_id,
    head_id,
    code,
    coalesce(deletion_mark, false) as deletion_mark,
    deleted_at,
    deleted_at is not null as is_deleted,
    loaded_at,
    load_id
from source
-- УНФ and БП sort their clients into folders.
where not coalesce(is_folder, false)
