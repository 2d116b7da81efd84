with source as (
    select * from {{ source('onec', 'onec_shipment_payment_stage') }}
)

select
    instance,
    record_id as shipment_id,
    line_no,
    payment_kind,
    due_on,
    percent,
    amount,
    settlement_amount,
    deferral_days,
    settlement_object_id,
    order_id,
    order_type,
    load_id
from source
