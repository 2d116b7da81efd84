with source as (
    select * from {{ source('onec', 'onec_shipment_correction') }}
)

select
    instance,
    record_id as correction_id,
    number,
    dated_at,
    coalesce(posted, false) as posted,
    coalesce(deletion_mark, false) as deletion_mark,
    partner_id,
    legal_entity_id,
    organisation_id,
    agreement_id,
    contract_id,
    settlement_object_id,
    manager_id,
    warehouse_id,
    currency_id,
    amount,
    price_includes_vat,
    operation,
    department_id,
    comment,
    shipment_id,
    shipment_type,
    deleted_at,
    deleted_at is not null as is_deleted,
    loaded_at,
    load_id,
    row_hash
from source
