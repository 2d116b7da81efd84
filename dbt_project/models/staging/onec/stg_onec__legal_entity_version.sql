-- Every version that was ever landed: the present one and those it replaced.
with versions as (
    select
        instance,
        record_id,
        name,
        full_name,
        person_kind,
        inn,
        kpp,
        partner_id,
        head_id,
        is_folder,
        deletion_mark,
        deleted_at,
        loaded_at
    from {{ source('onec', 'onec_legal_entity') }}
    union all
    select
        instance,
        record_id,
        name,
        full_name,
        person_kind,
        inn,
        kpp,
        partner_id,
        head_id,
        is_folder,
        deletion_mark,
        deleted_at,
        loaded_at
    from {{ source('onec_history', 'onec_legal_entity') }}
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
    coalesce(deletion_mark, false) or deleted_at is not null as is_withdrawn,
    loaded_at
from versions
where not coalesce(is_folder, false)
