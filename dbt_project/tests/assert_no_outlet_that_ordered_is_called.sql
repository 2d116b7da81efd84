-- Told by the raw documents alone: a posted order with a living line on or after the day it was due must silence the row.
select
    expectations.instance,
    expectations.outlet_id,
    orders.order_number
from {{ ref('order_expectation') }} as expectations
inner join {{ ref('fct_order_line') }} as orders
    on
        expectations.instance = orders.instance
        and expectations.outlet_id = orders.outlet_id
        and orders.line_status in ('valid', 'cancelled_by_us')
        and orders.ordered_on between expectations.next_due_on and {{ as_of() }}
where expectations.as_of = {{ as_of() }} and expectations.status = 'missed_order'
