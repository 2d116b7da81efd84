with source as (
    select * from {{ source('onec', 'onec_order_line') }}
)

select
    instance,
    record_id as order_id,
    line_no,
    product_id,
    characteristic_id,
    package_id,
    package_quantity,
    quantity,
    price_type_id,
    price,
    amount,
    vat_rate_id,
    vat_amount,
    amount_with_vat,
    manual_discount_percent,
    manual_discount_amount,
    auto_discount_percent,
    auto_discount_amount,
    requested_on,
    warehouse_id,
    line_code,
    supply_option,
    coalesce(cancelled, false) as cancelled,
    cancellation_reason_id,
    load_id
from source
