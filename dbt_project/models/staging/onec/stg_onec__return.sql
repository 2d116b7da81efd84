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
    contract_id,
    settlement_object_id,
    case when {{ is_shipment('shipment_type') }} then shipment_id end as shipment_id,
    shipment_type,
    deleted_at,
    deleted_at is not null as is_deleted,
    loaded_at,
    load_id,
    row_hash
from source
where {{ is_with_client('operation') }}
