{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='fail',
        pre_hook='{{ delete_changed_outlet_months() }}',
        post_hook='{{ analyze_this() }}',
        indexes=[{'columns': ['instance', 'outlet_id', 'month_start', 'sku_id'], 'unique': true}]
    )
}}

-- depends_on: {{ ref('int_outlet_month_changed') }}
-- Days of each month on which an outlet really bought a position: the first two, the last, how many.
with days as (
    select
        sales.instance,
        sales.outlet_id,
        sales.month_start,
        sales.sku_id,
        sales.sold_on
    from {{ ref('sales_daily') }} as sales
    {% if is_incremental() %}
    inner join {{ ref('int_outlet_month_changed') }} as changed
        on
            sales.instance = changed.instance
            and sales.outlet_id = changed.outlet_id
            and sales.month_start = changed.month_start
    {% endif %}
    where sales.product_kind = 'goods' and sales.outlet_id <> 'unknown'
    group by sales.instance, sales.outlet_id, sales.month_start, sales.sku_id, sales.sold_on
    having sum(sales.kept_units) > 0
)

select
    instance,
    outlet_id,
    month_start,
    sku_id,
    min(sold_on) as first_on,
    (array_agg(sold_on order by sold_on))[2] as second_on,
    max(sold_on) as last_on,
    count(*) as purchase_days
from days
group by instance, outlet_id, month_start, sku_id
