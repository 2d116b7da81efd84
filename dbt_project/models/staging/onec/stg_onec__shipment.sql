with source as (
    select * from {{ source('onec', 'onec_shipment') }}
)

select
    instance,
    record_id as shipment_id,
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
    status,
    case when {{ is_order('order_type') }} then order_id end as order_id,
    order_type,
    contract_id,
    settlement_object_id,
    delivery_method,
    carrier_id,
    deliver_from,
    deliver_to,
    settlement_amount,
    settlement_currency_id,
    deleted_at,
    deleted_at is not null as is_deleted,
    loaded_at,
    load_id,
    row_hash
from source
where {{ is_with_client('operation') }}
