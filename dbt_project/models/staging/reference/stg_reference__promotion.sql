select
    row_no,
    instance,
    product_code,
    client_code,
    valid_from,
    valid_to
from {{ source('reference', 'promotion') }}
