select
    row_no,
    instance,
    outlet_format,
    positions,
    valid_from,
    valid_to
from {{ source('reference', 'breadth_standard') }}
