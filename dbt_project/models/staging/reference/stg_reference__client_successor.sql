select
    row_no,
    instance,
    client_code,
    successor_code,
    succeeded_on
from {{ source('reference', 'client_successor') }}
