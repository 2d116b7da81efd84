select
    row_no,
    instance,
    manager,
    supervisor,
    valid_from,
    valid_to
from {{ source('reference', 'rep_supervisor') }}
