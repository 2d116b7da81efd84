select
    row_no,
    instance,
    company,
    client_code,
    valid_from,
    valid_to
from {{ source('reference', 'client_identity') }}
