{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='fail',
        pre_hook='{{ delete_changed_outlet_months() }}',
        post_hook='{{ analyze_this() }}',
        indexes=[{'columns': ['instance', 'outlet_id', 'month_start'], 'unique': true}, {'columns': ['month_start']}]
    )
}}

-- Each month of each outlet: how many positions it kept, for how much, in how many deliveries.
-- depends_on: {{ ref('int_outlet_month_changed') }}
with positions as (
    select
        placements.instance,
        placements.outlet_id,
        placements.month_start,
        count(*) as positions,
        sum(placements.kept_units) as kept_units
    from {{ ref('int_placement_month') }} as placements
    {% if is_incremental() %}
    inner join {{ ref('int_outlet_month_changed') }} as changed
        on
            placements.instance = changed.instance
            and placements.outlet_id = changed.outlet_id
            and placements.month_start = changed.month_start
    {% endif %}
    group by placements.instance, placements.outlet_id, placements.month_start
),

money as (
    select
        sales.instance,
        sales.outlet_id,
        sales.month_start,
        coalesce(sum(sales.kept_amount) filter (where sales.product_kind = 'goods'), 0) as kept_amount,
        sum(sales.shipped_amount) as shipped_amount,
        sum(sales.returned_amount) as returned_amount,
        coalesce(sum(sales.shipped_quantity) filter (where sales.product_kind = 'goods'), 0) as shipped_units,
        count(distinct sales.sold_on) filter (where sales.shipments_total > 0) as delivery_days
    from {{ ref('sales_daily') }} as sales
    {% if is_incremental() %}
    inner join {{ ref('int_outlet_month_changed') }} as changed
        on
            sales.instance = changed.instance
            and sales.outlet_id = changed.outlet_id
            and sales.month_start = changed.month_start
    {% endif %}
    group by sales.instance, sales.outlet_id, sales.month_start
)

select
    money.instance,
    money.outlet_id,
    money.month_start,
    coalesce(positions.positions, 0) as positions,
    coalesce(positions.kept_units, 0) as kept_units,
    money.kept_amount,
    money.shipped_amount,
    money.returned_amount,
    money.shipped_units,
    money.delivery_days
from money
left join positions
    on
        money.instance = positions.instance
        and money.outlet_id = positions.outlet_id
        and money.month_start = positions.month_start
