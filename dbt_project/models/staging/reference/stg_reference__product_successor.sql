select
    row_no,
    instance,
    product_code,
    successor_code,
    succeeded_on,
    units_per_unit
from {{ source('reference', 'product_successor') }}
