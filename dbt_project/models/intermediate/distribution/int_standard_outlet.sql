{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='fail',
        pre_hook="{{ delete_of_changed_words(delete_changed_outlet_months('int_standard_month_changed')) }}",
        post_hook='{{ analyze_this() }}',
        indexes=[{'columns': ['instance', 'outlet_id', 'month_start'], 'unique': true}]
    )
}}

-- depends_on: {{ ref('int_standard_month_changed') }}
-- Outlets that are held to a standard in each month: those that bought before, not closed. Each by its format of that day,
-- and with grace while it is new.
with first_days as (
    select
        instance,
        outlet_id,
        min(outlet_first_on) as first_on
    from {{ ref('int_placement_episode') }}
    group by instance, outlet_id
),

-- The first gaps of an outlet tell its cycle while it is new, and never change afterwards.
first_gaps as (
    select
        instance,
        outlet_id,
        percentile_disc(0.5) within group (order by gap_days) as cycle_days
    from {{ ref('int_order_turn') }}
    where turn_no between 2 and 4
    group by instance, outlet_id
),

months as (
    select
        instances.instance,
        cast(months.month_start as date) as month_start,
        least(cast(months.month_start + interval '1 month - 1 day' as date), {{ as_of() }}) as judged_on
    from (select
        instance,
        min(month_start) as first_month
    from {{ ref('int_outlet_month') }} group by instance) as instances  -- noqa: LT14
    cross join lateral generate_series(
        instances.first_month, date_trunc('month', {{ as_of() }}), interval '1 month'
    ) as months (month_start)
)

select
    months.instance,
    months.month_start,
    months.judged_on,
    outlets.outlet_id,
    outlets.client_id,
    coalesce(outlets.territory_id, 'unknown') as territory_id,
    coalesce(outlets.manager_id, 'unknown') as manager_id,
    coalesce(outlets.channel, 'unknown') as channel,
    coalesce(formats.outlet_format, outlets.outlet_format) as outlet_format,
    coalesce(activity.positions, 0) as positions,
    first_days.first_on,
    months.judged_on < first_days.first_on + greatest({{ var('standard_grace_days') }}, 2 * coalesce(first_gaps.cycle_days, 0))
        as is_in_grace,
    exists (  -- noqa: LT01,LT06
        select 1 from {{ ref('int_outlet_closure') }} as closure
        where
            closure.instance = outlets.instance
            and closure.outlet_id = outlets.outlet_id
            and months.judged_on between closure.closed_from and closure.closed_to
    ) as is_off_season
from months
inner join {{ ref('int_outlet') }} as outlets on months.instance = outlets.instance
{% if is_incremental() -%}
inner join {{ ref('int_standard_month_changed') }} as changed
    on
        months.instance = changed.instance
        and months.month_start = changed.month_start
        and outlets.outlet_id = changed.outlet_id
{% endif -%}
inner join first_days
    on
        outlets.instance = first_days.instance
        and outlets.outlet_id = first_days.outlet_id
        and months.judged_on >= first_days.first_on
left join first_gaps on outlets.instance = first_gaps.instance and outlets.outlet_id = first_gaps.outlet_id
left join {{ ref('int_outlet_month') }} as activity
    on
        outlets.instance = activity.instance
        and outlets.outlet_id = activity.outlet_id
        and months.month_start = activity.month_start
left join {{ ref('int_outlet_format') }} as formats
    on
        outlets.instance = formats.instance
        and outlets.outlet_id = formats.outlet_id
        and months.judged_on between formats.valid_from and formats.valid_to
where coalesce(outlets.closed_on >= months.month_start, true)
