with source as (
    {{ crm_union('deal_product', [
        'product_id', 'name', 'quantity', 'unit', 'price', 'discount',
        'amount'
    ], lines=true) }}
)

select
    crm,
    instance,
    record_id as deal_id,
    line_no,
    product_id,
    name,
    quantity,
    unit,
    price,
    discount,
    amount,
    load_id
from source
