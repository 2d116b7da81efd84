with source as (
    select * from {{ source('onec', 'onec_agreement') }}
)

select
    instance,
    record_id as agreement_id,
    number,
    name,
    agreed_on,
    partner_id,
    legal_entity_id,
    organisation_id,
    manager_id,
    status,
    valid_from,
    valid_to,
    order_every_weeks,
    order_weekdays,
    coalesce(deletion_mark, false) as deletion_mark,
    deleted_at,
    deleted_at is not null as is_deleted,
    loaded_at,
    load_id
from source
