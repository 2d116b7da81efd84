{{ config(materialized='table', post_hook='{{ analyze_this() }}') }}

-- How many outlets of a format hold each position now, and for how much: near (on one territory) and everywhere.
select
    instance,
    outlet_format,
    coalesce(territory_id, '') as territory_id,
    sku_id,
    count(*) as holders,
    case when territory_id is null then max(format_outlets) else max(near_outlets) end as outlets_total,
    {{ exact_median('kept_amount') }} as median_amount
from {{ ref('int_outlet_recent_sku') }}
group by instance, outlet_format, sku_id, grouping sets ((territory_id), ())
