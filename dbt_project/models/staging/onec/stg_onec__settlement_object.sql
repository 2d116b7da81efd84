with source as (
    select * from {{ source('onec', 'onec_settlement_object') }}
)

select
    instance,
    record_id as settlement_object_id,
    name,
    number,
    dated_on,
    partner_id,
    legal_entity_id,
    organisation_id,
    contract_id,
    department_id,
    object_id,
    object_type,
    coalesce(deletion_mark, false) as deletion_mark,
    deleted_at,
    deleted_at is not null as is_deleted,
    loaded_at,
    load_id
from source
