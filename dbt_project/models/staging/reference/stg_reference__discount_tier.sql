select
    row_no,
    instance,
    over_amount,
    discount_percent,
    valid_from,
    valid_to
from {{ source('reference', 'discount_tier') }}
