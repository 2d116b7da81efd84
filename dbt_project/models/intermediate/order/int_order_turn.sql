{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='fail',
        pre_hook='{{ delete_changed_order_turns() }}',
        post_hook='{{ analyze_this() }}',
        indexes=[{'columns': ['instance', 'outlet_id', 'ordered_on'], 'unique': true}, {'columns': ['turn_no']}]
    )
}}

-- depends_on: {{ ref('int_order_turn_changed') }}
-- Occasions of each outlet in their order, with the habit of the time before each: the median gap, how deep history was.
with occasions as (
    select
        occasions.instance,
        occasions.outlet_id,
        occasions.ordered_on,
        occasions.client_id,
        occasions.branch_id,
        occasions.manager_id,
        {% if is_incremental() -%}
        changed.written_from,
        changed.first_turn_no - 1 as turns_before,
        {% else -%}
        occasions.ordered_on as written_from,
        0 as turns_before,
        {% endif -%}
        occasions.ordered_on - lag(occasions.ordered_on) over (
            partition by occasions.instance, occasions.outlet_id order by occasions.ordered_on
        ) as gap_days
    from {{ ref('fct_order_occasion') }} as occasions
    {% if is_incremental() %}
    inner join {{ ref('int_order_turn_changed') }} as changed
        on
            occasions.instance = changed.instance
            and occasions.outlet_id = changed.outlet_id
            and occasions.ordered_on >= changed.read_from
    {% endif %}
),

numbered as (
    select
        instance,
        outlet_id,
        ordered_on,
        client_id,
        branch_id,
        manager_id,
        gap_days,
        written_from,
        turns_before + row_number() over own_days as turn_no,
        array_agg(gap_days) over (own_days rows between {{ var('rhythm_occasions') }} preceding and 1 preceding) as gaps_before,
        array_agg(ordered_on) over (own_days rows between {{ var('habit_occasions') }} preceding and 1 preceding) as days_before,
        array_agg(ordered_on) over (own_days rows between 1 following and {{ var('habit_occasions') }} following) as days_after
    from occasions
    window own_days as (partition by instance, outlet_id order by ordered_on)
)

select
    instance,
    outlet_id,
    ordered_on,
    client_id,
    branch_id,
    manager_id,
    turn_no,
    gap_days,
    days_after,
    (
        select count(*)
        from unnest(days_before) as day
        where day >= ordered_on - {{ var('min_occasions_window_days') }}
    ) as occasions_before,
    (
        select (percentile_disc(0.5) within group (order by gap) + percentile_disc(0.5) within group (order by gap desc)) / 2.0
        from unnest(gaps_before) as gap
    ) as median_gap_days
from numbered
where ordered_on >= written_from
