with source as (
    select * from {{ source('onec', 'onec_partner_accounting_key') }}
)

select
    instance,
    record_id as accounting_key_id,
    partner_id,
    legal_entity_id,
    organisation_id,
    contract_id,
    coalesce(deletion_mark, false) as deletion_mark,
    deleted_at,
    deleted_at is not null as is_deleted,
    loaded_at,
    load_id
from source
