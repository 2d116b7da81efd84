{{ config(materialized='table', post_hook='{{ analyze_this() }}') }}

-- What each open outlet kept in the last days that count as "now", and how many outlets are like it.
with kept as (
    select
        sales.instance,
        sales.outlet_id,
        sales.sku_id,
        sum(sales.kept_amount) as kept_amount
    from {{ ref('sales_daily') }} as sales
    where
        sales.product_kind = 'goods'
        and sales.sold_on > {{ as_of() }} - {{ var('new_position_days') }}
        and sales.sold_on <= {{ as_of() }}
    group by sales.instance, sales.outlet_id, sales.sku_id
    having sum(sales.kept_units) > 0
),

active as (
    select
        outlets.instance,
        outlets.outlet_id,
        outlets.outlet_format,
        coalesce(outlets.territory_id, 'unknown') as territory_id,
        count(*) as positions
    from {{ ref('int_outlet') }} as outlets
    inner join kept on outlets.instance = kept.instance and outlets.outlet_id = kept.outlet_id
    where not outlets.is_withdrawn and coalesce(outlets.closed_on > {{ as_of() }}, true)
    group by outlets.instance, outlets.outlet_id, outlets.outlet_format, outlets.territory_id
),

sized as (
    select
        *,
        count(*) over (partition by instance, outlet_format, territory_id) as near_outlets,
        count(*) over (partition by instance, outlet_format) as format_outlets
    from active
)

select
    sized.instance,
    sized.outlet_id,
    kept.sku_id,
    sized.outlet_format,
    sized.territory_id,
    sized.positions,
    sized.near_outlets,
    sized.format_outlets,
    kept.kept_amount
from sized
inner join kept on sized.instance = kept.instance and sized.outlet_id = kept.outlet_id
