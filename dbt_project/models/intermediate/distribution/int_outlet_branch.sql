-- The branch that shipped to an outlet last.
select
    outlets.instance,
    outlets.outlet_id,
    shipped.branch_id
from {{ ref('int_outlet') }} as outlets
cross join lateral (
    select line.branch_id
    from {{ ref('fct_shipment_line') }} as line
    where line.instance = outlets.instance and line.outlet_id = outlets.outlet_id
    order by line.shipped_on desc, line.shipped_at desc, line.shipment_id desc
    limit 1
) as shipped
