with source as (
    select * from {{ source('onec', 'onec_sales_plan_line') }}
)

select
    instance,
    record_id as sales_plan_id,
    line_no,
    product_id,
    characteristic_id,
    package_id,
    package_quantity,
    quantity,
    price,
    amount,
    planned_on,
    partner_id,
    load_id
from source
