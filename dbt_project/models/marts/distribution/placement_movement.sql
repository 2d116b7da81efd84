{{ config(indexes=[{'columns': ['instance', 'month_start', 'slice']}]) }}

-- Points of distribution won and lost by month: new positions in outlets are what the assortment lives by.
with placements as (
    select
        *,
        coalesce(manager_id, 'unknown') as slice_manager_id,
        coalesce(territory_id, 'unknown') as slice_territory_id
    from {{ ref('sku_placement') }}
),

moves as (
    select
        instance,
        cast(date_trunc('month', placed_on) as date) as month_start,
        outlet_id,
        slice_territory_id,
        slice_manager_id,
        product_id,
        placement_kind as move,
        is_stuck
    from placements
    union all
    select
        instance,
        cast(date_trunc('month', lost_on) as date) as month_start,
        outlet_id,
        slice_territory_id,
        slice_manager_id,
        product_id,
        'lost' as move,
        cast(null as boolean) as is_stuck
    from placements
    where lost_on is not null
),

counted as (
    select
        instance,
        month_start,
        slice_territory_id as territory_id,
        slice_manager_id as manager_id,
        product_id,
        count(*) filter (where move = 'initial') as initial_placements,
        count(*) filter (where move = 'new') as new_placements,
        count(*) filter (where move = 'relisted') as relisted_placements,
        count(*) filter (where move = 'undetermined') as undetermined_placements,
        count(*) filter (where move = 'lost') as lost_placements,
        count(distinct outlet_id) filter (where move = 'new') as outlets_with_new,
        count(*) filter (where move = 'new' and is_stuck) as stuck_placements,
        count(*) filter (where move = 'new' and is_stuck is not null) as judged_placements
    from moves
    group by instance, month_start, grouping sets ((), (slice_territory_id), (slice_manager_id), (product_id))
)

select
    instance,
    month_start,
    coalesce(month_start + interval '1 month' <= {{ as_of() }}, false) as is_complete,
    case
        when territory_id is not null then 'territory'
        when manager_id is not null then 'manager'
        when product_id is not null then 'product'
        else 'total'
    end as slice,
    territory_id,
    manager_id,
    product_id,
    initial_placements,
    new_placements,
    relisted_placements,
    undetermined_placements,
    lost_placements,
    initial_placements + new_placements + relisted_placements + undetermined_placements - lost_placements as net_placements,
    outlets_with_new,
    stuck_placements,
    judged_placements,
    cast(round(100.0 * stuck_placements / nullif(judged_placements, 0), 2) as numeric(5, 2)) as stuck_percent
from counted
