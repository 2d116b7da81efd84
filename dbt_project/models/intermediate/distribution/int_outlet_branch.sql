-- The branch that shipped to an outlet last.
select distinct on (instance, outlet_id)
    instance,
    outlet_id,
    branch_id
from {{ ref('int_shipment') }}
where outlet_id is not null
order by instance, outlet_id, shipped_at desc, shipment_id desc
