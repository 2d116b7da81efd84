select
    row_no,
    instance,
    outlet_code,
    manager,
    visit_weekdays,
    valid_from,
    valid_to
from {{ source('reference', 'route') }}
