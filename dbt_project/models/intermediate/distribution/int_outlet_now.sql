-- What is known of each outlet that bears on its months, as one fingerprint.
select
    instance,
    outlet_id,
    client_id,
    md5(concat_ws(':', client_id, territory_id, manager_id, outlet_format, channel)) as fingerprint
from {{ ref('int_outlet') }}
