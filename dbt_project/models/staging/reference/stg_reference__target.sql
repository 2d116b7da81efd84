select
    row_no,
    instance,
    metric,
    segment,
    value,
    is_lower_better,
    valid_from,
    valid_to
from {{ source('reference', 'target') }}
