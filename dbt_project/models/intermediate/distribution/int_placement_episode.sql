{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='fail',
        pre_hook='{{ delete_changed_outlets() }}',
        post_hook='{{ analyze_this() }}',
        indexes=[{'columns': ['instance', 'outlet_id', 'sku_id', 'episode_no'], 'unique': true}]
    )
}}

-- Spells of an outlet with a position: after half a year without it, the next purchase begins another.
with days as (
    select
        sales.instance,
        sales.outlet_id,
        sales.sku_id,
        sales.sold_on
    from {{ ref('sales_daily') }} as sales
    {% if is_incremental() %}
    inner join (select distinct
        instance,
        outlet_id
    from {{ ref('int_outlet_month_changed') }}) as changed
        on sales.instance = changed.instance and sales.outlet_id = changed.outlet_id
    {% endif %}
    where sales.product_kind = 'goods' and sales.outlet_id <> 'unknown'
    group by sales.instance, sales.outlet_id, sales.sku_id, sales.sold_on
    having sum(sales.kept_units) > 0
),

gaps as (
    select
        *,
        sold_on - lag(sold_on) over (partition by instance, outlet_id, sku_id order by sold_on) as gap_days,
        min(sold_on) over (partition by instance, outlet_id) as outlet_first_on
    from days
),

numbered as (
    select
        *,
        1 + count(*) filter (where gap_days > {{ var('relist_days') }}) over (
            partition by instance, outlet_id, sku_id order by sold_on
        ) as episode_no
    from gaps
),

placed as (
    select
        *,
        row_number() over (partition by instance, outlet_id, sku_id, episode_no order by sold_on) as nth,
        max(episode_no) over (partition by instance, outlet_id, sku_id) as episodes_total
    from numbered
)

select
    instance,
    outlet_id,
    sku_id,
    episode_no,
    min(outlet_first_on) as outlet_first_on,
    min(sold_on) as placed_on,
    min(sold_on) filter (where nth = 2) as repeated_on,
    max(sold_on) as last_on,
    count(*) as purchase_days,
    bool_or(episode_no < episodes_total) as is_followed
from placed
group by instance, outlet_id, sku_id, episode_no
