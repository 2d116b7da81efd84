{{ config(materialized='table', post_hook='{{ analyze_this() }}') }}

-- Which positions each outlet really kept in the days rolling up to the business date.
with windows as (
    select window_days
    from (values {% for days in var('rolling_windows') %}({{ days }}){% if not loop.last %}, {% endif %}{% endfor %}) as windows (window_days)  -- noqa: LT05
),

sales as (
    select * from {{ ref('sales_daily') }}
    where
        product_kind = 'goods'
        and sold_on > {{ as_of() }} - {{ var('rolling_windows') | max }}
        and sold_on <= {{ as_of() }}
)

select
    sales.instance,
    windows.window_days,
    {{ as_of() }} - windows.window_days + 1 as period_start,
    {{ as_of() }} as period_end,
    sales.outlet_id,
    sales.sku_id as product_id
from windows
inner join sales on sales.sold_on > {{ as_of() }} - windows.window_days
where sales.outlet_id <> 'unknown'
group by sales.instance, windows.window_days, sales.outlet_id, sales.sku_id
having sum(sales.kept_units) > 0
