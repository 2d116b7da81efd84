select
    row_no,
    instance,
    outlet_code,
    client_code,
    valid_from,
    valid_to,
    reason
from {{ source('reference', 'pause') }}
