select
    row_no,
    instance,
    manager,
    deputy,
    valid_from,
    valid_to
from {{ source('reference', 'rep_absence') }}
