{{
    config(
        indexes=[
            {'columns': ['instance', 'outlet_id', 'product_id', 'placed_on'], 'unique': true},
            {'columns': ['instance', 'product_id', 'placed_on']},
            {'columns': ['placed_on']},
        ]
    )
}}

-- When a position came to an outlet, whether it was taken again, and when it was lost.
with episodes as (
    select * from {{ ref('int_placement_episode') }}
    where placed_on <= {{ as_of() }}
),

outlets as (
    select * from {{ ref('int_outlet') }}
),

rhythm as (
    select * from {{ ref('int_order_rhythm') }}
),

histories as (
    select
        instance,
        min(placed_on) as history_from
    from episodes
    group by instance
),

judged as (
    select
        episodes.*,
        outlets.client_id,
        outlets.manager_id,
        outlets.territory_id,
        outlets.outlet_format,
        histories.history_from,
        case when outlets.closed_on <= {{ as_of() }} then outlets.closed_on end as closed_on,
        greatest(coalesce(ceil(rhythm.median_gap_days), {{ var('placement_default_cycle_days') }}), 1) as cycle_days
    from episodes
    inner join histories on episodes.instance = histories.instance
    left join outlets on episodes.instance = outlets.instance and episodes.outlet_id = outlets.outlet_id
    left join rhythm on episodes.instance = rhythm.instance and episodes.outlet_id = rhythm.outlet_id
),

dated as (
    select
        *,
        least(
            last_on + {{ var('relist_days') }} + 1,
            case when closed_on > last_on then closed_on end
        ) as lost_from,
        placed_on + 2 * cast(cycle_days as integer) as repeat_until
    from judged
)

select
    instance,
    outlet_id,
    client_id,
    manager_id,
    territory_id,
    outlet_format,
    sku_id as product_id,
    cast(episode_no as integer) as episode_no,
    case
        when episode_no > 1 then 'relisted'
        when placed_on < history_from + {{ var('warm_up_days') }} then 'undetermined'
        when placed_on < outlet_first_on + {{ var('initial_range_days') }} then 'initial'
        else 'new'
    end as placement_kind,
    placed_on,
    repeated_on,
    last_on,
    cast(purchase_days as integer) as purchase_days,
    cast(cycle_days as integer) as cycle_days,
    case
        when repeated_on <= repeat_until then true
        when repeated_on is not null or {{ as_of() }} > repeat_until then false
    end as is_stuck,
    case when lost_from <= {{ as_of() }} or is_followed then least(lost_from, {{ as_of() }}) end as lost_on,
    case
        when lost_from <= {{ as_of() }} or is_followed then 'lost'
        when {{ as_of() }} - last_on > 2 * cycle_days then 'silent'
        else 'active'
    end as state
from dated
