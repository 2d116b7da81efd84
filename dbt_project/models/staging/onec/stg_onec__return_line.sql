with source as (
    select * from {{ source('onec', 'onec_return_line') }}
)

select
    instance,
    record_id as return_id,
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
    line_code,
    case when shipment_type like '%РеализацияТоваровУслуг' or shipment_type is null then shipment_id end as shipment_id,
    shipment_type,
    load_id
from source
