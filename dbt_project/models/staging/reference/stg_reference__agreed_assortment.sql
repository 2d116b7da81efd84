select
    row_no,
    instance,
    outlet_code,
    client_code,
    product_code,
    min_quantity,
    valid_from,
    valid_to
from {{ source('reference', 'agreed_assortment') }}
