{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='fail',
        pre_hook='{{ delete_changed_outlet_months() }}',
        post_hook='{{ analyze_this() }}',
        indexes=[
            {'columns': ['instance', 'outlet_id', 'month_start', 'sku_id'], 'unique': true},
            {'columns': ['month_start']},
        ]
    )
}}

-- Which positions each outlet kept in each month: goods, net of returns. A shipment that came back whole is none.
with sales as (
    select sales.*
    from {{ ref('sales_daily') }} as sales
    {% if is_incremental() %}
    inner join {{ ref('int_outlet_month_changed') }} as changed
        on
            sales.instance = changed.instance
            and sales.outlet_id = changed.outlet_id
            and sales.month_start = changed.month_start
    {% endif %}
    where sales.product_kind = 'goods'
)

select
    instance,
    outlet_id,
    month_start,
    sku_id,
    sum(kept_units) as kept_units,
    sum(kept_amount) as kept_amount
from sales
group by instance, outlet_id, month_start, sku_id
having sum(kept_units) > 0
