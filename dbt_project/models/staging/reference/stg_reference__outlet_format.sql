select
    row_no,
    instance,
    outlet_code,
    outlet_format,
    valid_from,
    valid_to
from {{ source('reference', 'outlet_format') }}
