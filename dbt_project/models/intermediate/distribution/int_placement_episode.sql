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
-- From what each month bought: within a month nobody stays away for so long.
with months as (
    select months.*
    from {{ ref('int_sku_month') }} as months
    {% if is_incremental() %}
    inner join (select distinct
        instance,
        outlet_id
    from {{ ref('int_outlet_month_changed') }}) as changed
        on months.instance = changed.instance and months.outlet_id = changed.outlet_id
    {% endif %}
),

gaps as (
    select
        *,
        first_on - lag(last_on) over (partition by instance, outlet_id, sku_id order by month_start) as gap_days,
        min(first_on) over (partition by instance, outlet_id) as outlet_first_on
    from months
),

numbered as (
    select
        *,
        1 + count(*) filter (where gap_days > {{ var('relist_days') }}) over (
            partition by instance, outlet_id, sku_id order by month_start
        ) as episode_no
    from gaps
),

placed as (
    select
        *,
        row_number() over (partition by instance, outlet_id, sku_id, episode_no order by month_start) as nth,
        max(episode_no) over (partition by instance, outlet_id, sku_id) as episodes_total
    from numbered
)

select
    instance,
    outlet_id,
    sku_id,
    episode_no,
    min(outlet_first_on) as outlet_first_on,
    min(first_on) as placed_on,
    min(case when nth = 1 then second_on else first_on end) as repeated_on,
    max(last_on) as last_on,
    cast(sum(purchase_days) as bigint) as purchase_days,
    bool_or(episode_no < episodes_total) as is_followed
from placed
group by instance, outlet_id, sku_id, episode_no
