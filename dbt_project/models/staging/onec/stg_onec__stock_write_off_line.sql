with source as (
    select * from {{ source('onec', 'onec_stock_write_off_line') }}
)

select
    instance,
    record_id as write_off_id,
    line_no,
    product_id,
    quantity,
    price,
    amount,
    load_id
from source
