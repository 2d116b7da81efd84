with source as (
    select * from {{ source('onec', 'onec_expense_line') }}
)

select
    instance,
    record_id as expense_id,
    line_no,
    expense_item_id,
    expense_item_type,
    description,
    analytics_id,
    analytics_type,
    department_id,
    quantity,
    price,
    amount,
    vat_amount,
    amount_with_vat,
    load_id
from source
