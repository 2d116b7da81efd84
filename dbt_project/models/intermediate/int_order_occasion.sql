-- Last occasions of each outlet known on the business date: as many as a rhythm looks at, and all of its window. Each with the
-- gap to the one before (the oldest of them has none) and with all there were; recency 1 is the last.
with totals as (
    select
        instance,
        outlet_id,
        count(*) as occasions_total,
        min(ordered_on) as first_ordered_on,
        max(ordered_on) as last_ordered_on
    from {{ ref('fct_order_occasion') }}
    where ordered_on <= {{ as_of() }}
    group by instance, outlet_id
),

bounds as (
    select
        totals.*,
        least(recent.read_from, totals.last_ordered_on - {{ var('min_occasions_window_days') }}) as read_from
    from totals
    cross join lateral (
        select min(last_ones.ordered_on) as read_from
        from (
            select occasions.ordered_on
            from {{ ref('fct_order_occasion') }} as occasions
            where
                occasions.instance = totals.instance
                and occasions.outlet_id = totals.outlet_id
                and occasions.ordered_on <= totals.last_ordered_on
            order by occasions.ordered_on desc
            limit {{ var('rhythm_occasions') }} + 1
        ) as last_ones
    ) as recent
)

select
    recent.*,
    recent.ordered_on - lag(recent.ordered_on) over in_time as gap_days,
    row_number() over (partition by recent.instance, recent.outlet_id order by recent.ordered_on desc) as recency,
    bounds.last_ordered_on,
    bounds.first_ordered_on,
    bounds.occasions_total
from bounds
inner join lateral (
    select occasions.*
    from {{ ref('fct_order_occasion') }} as occasions
    where
        occasions.instance = bounds.instance
        and occasions.outlet_id = bounds.outlet_id
        and occasions.ordered_on between bounds.read_from and bounds.last_ordered_on
    order by occasions.ordered_on
    offset 0
) as recent on true
window in_time as (partition by recent.instance, recent.outlet_id order by recent.ordered_on)
