with source as (
    select * from {{ source('onec', 'onec_return') }}
)

select
    instance,
    record_id as return_id,
    number,
    dated_at,
    coalesce(posted, false) as posted,
    coalesce(deletion_mark, false) as deletion_mark,
    partner_id,
    legal_entity_id,
    organisation_id,
    agreement_id,
    manager_id,
    warehouse_id,
    currency_id,
    amount,
    price_includes_vat,
    operation,
    department_id,
    delivery_address,
    comment,
    return_reason,
    deleted_at,
    deleted_at is not null as is_deleted,
    loaded_at,
    load_id,
    row_hash
from source
