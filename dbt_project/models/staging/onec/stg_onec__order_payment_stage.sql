with source as (
    select * from {{ source('onec', 'onec_order_payment_stage') }}
)

select
    instance,
    record_id as order_id,
    line_no,
    payment_kind,
    due_on,
    percent,
    amount,
    deferral_days,
    load_id
from source
