select
    row_no,
    instance,
    outlet_code,
    client_code,
    outlet_format,
    channel,
    calendar_month,
    is_open,
    factor
from {{ source('reference', 'season') }}
