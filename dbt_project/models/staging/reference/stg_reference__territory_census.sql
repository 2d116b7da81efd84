select
    row_no,
    instance,
    territory,
    outlet_format,
    outlets_total,
    counted_by,
    valid_from,
    valid_to
from {{ source('reference', 'territory_census') }}
