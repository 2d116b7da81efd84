select
    outlets.instance,
    outlets.outlet_id,
    count(expectations.outlet_id) as expectations
from {{ ref('dim_outlet') }} as outlets
left join {{ ref('order_expectation') }} as expectations
    on
        outlets.instance = expectations.instance
        and outlets.outlet_id = expectations.outlet_id
        and expectations.as_of = {{ as_of() }}
group by outlets.instance, outlets.outlet_id
having count(expectations.outlet_id) <> 1
