with source as (
    select * from {{ source('onec', 'onec_debt_adjustment_line') }}
)

select
    instance,
    record_id as debt_adjustment_id,
    line_no,
    description,
    amount,
    load_id
from source
