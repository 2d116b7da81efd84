with source as (
    select * from {{ source('onec', 'onec_shipment_line') }}
)

select
    instance,
    record_id as shipment_id,
    line_no,
    product_id,
    characteristic_id,
    package_id,
    package_quantity,
    quantity,
    price,
    amount,
    vat_rate_id,
    vat_amount,
    amount_with_vat,
    manual_discount_amount,
    auto_discount_amount,
    line_code,
    case when order_type like '%ЗаказКлиента' or order_type is null then order_id end as order_id,
    order_type,
    load_id
from source
