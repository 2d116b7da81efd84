select
    row_no,
    instance,
    plan_month,
    manager,
    client_code,
    product_group,
    territory,
    amount
from {{ source('reference', 'sales_plan') }}
