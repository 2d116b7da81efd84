-- Occasions known on the business date, with the gap to the one before; recency 1 is the last.
with occasions as (
    select * from {{ ref('fct_order_occasion') }}
    where ordered_on <= {{ as_of() }}
)

select
    *,
    ordered_on - lag(ordered_on) over (partition by instance, outlet_id order by ordered_on) as gap_days,
    row_number() over (partition by instance, outlet_id order by ordered_on desc) as recency,
    max(ordered_on) over (partition by instance, outlet_id) as last_ordered_on
from occasions
