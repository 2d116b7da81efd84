select
    row_no,
    instance,
    client_code,
    answered_on,
    score
from {{ source('reference', 'survey') }}
