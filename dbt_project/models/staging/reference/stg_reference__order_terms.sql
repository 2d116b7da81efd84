select
    row_no,
    instance,
    outlet_code,
    client_code,
    territory,
    delivery_weekdays,
    cut_off_time,
    lead_days,
    valid_from,
    valid_to
from {{ source('reference', 'order_terms') }}
