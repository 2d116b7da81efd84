{{
    config(
        materialized='table',
        indexes=[{'columns': ['instance', 'month_start', 'group_kind', 'group_id', 'territory_id'], 'unique': true}],
        post_hook='{{ analyze_this() }}'
    )
}}

-- What all outlets bought in twelve months, of each group and in all: on each territory, and everywhere (territory '').
with sums as (
    select
        instance,
        month_start,
        group_kind,
        group_id,
        coalesce(territory_id, '') as territory_id,
        sum(group_weight) as group_weight
    from {{ ref('int_outlet_year') }}
    group by instance, month_start, group_kind, group_id, grouping sets ((), (territory_id))
)

select
    *,
    max(group_weight) filter (where group_kind = 'all') over (partition by instance, month_start, territory_id) as whole_weight
from sums
