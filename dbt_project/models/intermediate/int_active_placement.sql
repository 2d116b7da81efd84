-- Which positions each outlet really kept in each period: calendar months, and the days rolling up to the business date.
select
    instance,
    'month' as period_kind,
    cast(null as integer) as window_days,
    month_start as period_start,
    cast(month_start + interval '1 month - 1 day' as date) as period_end,
    outlet_id,
    sku_id as product_id
from {{ ref('int_placement_month') }}
where outlet_id <> 'unknown'
union all
select
    instance,
    'rolling' as period_kind,
    window_days,
    period_start,
    period_end,
    outlet_id,
    product_id
from {{ ref('int_rolling_placement') }}
