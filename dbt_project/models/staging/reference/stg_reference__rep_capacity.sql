select
    row_no,
    instance,
    manager,
    calls_per_day,
    valid_from,
    valid_to
from {{ source('reference', 'rep_capacity') }}
