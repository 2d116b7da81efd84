{{ config(materialized='table', indexes=[{'columns': ['instance', 'outlet_id'], 'unique': true}], post_hook='{{ analyze_this() }}') }}

-- An outlet's own habits on the business date: how often, how much, how many positions.
with occasions as (
    select
        *,
        recency <= {{ var('rhythm_occasions') }} as is_recent
    from {{ ref('int_order_occasion') }}
),

habits as (
    select
        instance,
        outlet_id,
        max(occasions_total) as occasions_total,
        count(*) filter (where ordered_on >= last_ordered_on - {{ var('min_occasions_window_days') }}) as occasions_in_window,
        max(ordered_on) as last_ordered_on,
        min(first_ordered_on) as first_ordered_on,
        min(last_order_number) filter (where recency = 1) as last_order_number,
        min(branch_id) filter (where recency = 1) as last_branch_id,
        min(manager_id) filter (where recency = 1) as last_manager_id,
        min(amount_with_vat) filter (where recency = 1) as last_amount,
        bool_or(all_cancelled_by_us) filter (where recency = 1) as last_all_cancelled_by_us,
        array_agg(gap_days order by gap_days) filter (where is_recent and gap_days is not null) as gaps
    from occasions
    group by instance, outlet_id
),

usual as (
    select
        instance,
        outlet_id,
        {{ exact_median('amount_with_vat') }} as median_amount,
        {{ exact_median('positions_total') }} as median_positions
    from occasions
    where is_recent
    group by instance, outlet_id
),

-- Where the percentile falls between two sorted gaps, in exact arithmetic.
percentile as (
    select
        instance,
        outlet_id,
        gaps,
        cardinality(gaps) as gaps_total,
        {{ var('learned_late_percentile') }} * (cardinality(gaps) - 1) as position
    from habits
    where gaps is not null
),

gap_statistics as (
    select
        instance,
        outlet_id,
        trim_scale((gaps[(gaps_total + 1) / 2] + gaps[(gaps_total + 2) / 2]) / 2.0) as median_gap_days,
        trim_scale(
            gaps[cast(floor(position) as integer) + 1]
            + (position - floor(position))
            * (gaps[cast(ceil(position) as integer) + 1] - gaps[cast(floor(position) as integer) + 1])
        ) as late_gap_days
    from percentile
)

select
    habits.instance,
    habits.outlet_id,
    habits.occasions_total,
    habits.occasions_in_window,
    habits.first_ordered_on,
    habits.last_ordered_on,
    habits.last_order_number,
    habits.last_branch_id,
    habits.last_manager_id,
    habits.last_amount,
    habits.last_all_cancelled_by_us,
    cast(usual.median_amount as numeric(18, 2)) as median_amount,
    cast(round(usual.median_positions) as integer) as usual_positions,
    gap_statistics.median_gap_days,
    gap_statistics.late_gap_days,
    -- How many cycles the last order lasts: an order twice the usual one lasts two.
    cast(
        floor(least(greatest(coalesce(habits.last_amount / nullif(usual.median_amount, 0), 1), 1), {{ var('stock_up_max_cycles') }}))
        as integer
    ) as stocked_cycles
from habits
inner join usual on habits.instance = usual.instance and habits.outlet_id = usual.outlet_id
left join gap_statistics on habits.instance = gap_statistics.instance and habits.outlet_id = gap_statistics.outlet_id
