select
    row_no,
    instance,
    standard,
    outlet_format,
    channel,
    territory,
    product_code,
    substitution_group,
    valid_from,
    valid_to
from {{ source('reference', 'must_list') }}
