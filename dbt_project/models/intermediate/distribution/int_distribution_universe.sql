{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='fail',
        pre_hook='{{ delete_changed_universe() }}',
        post_hook='{{ analyze_this() }}'
    )
}}

-- depends_on: {{ ref('int_outlet_words_changed') }}
-- depends_on: {{ ref('int_outlet_month_changed') }}
-- Every outlet in every period, and which denominators it belongs to. Months stay as they are: those of an outlet are written
-- anew when what is known of it changed, or what it bought in them; a month that is new, for all outlets.
with outlets as (
    select * from {{ ref('int_outlet') }}
),

active as (
    select
        instance,
        'month' as period_kind,
        cast(null as integer) as window_days,
        month_start as period_start,
        cast(month_start + interval '1 month - 1 day' as date) as period_end,
        outlet_id,
        positions
    from {{ ref('int_outlet_month') }}
    where outlet_id <> 'unknown' and positions > 0
    union all
    select
        instance,
        'rolling' as period_kind,
        window_days,
        period_start,
        period_end,
        outlet_id,
        count(*) as positions
    from {{ ref('int_rolling_placement') }}
    group by instance, window_days, period_start, period_end, outlet_id
),

branches as (
    select * from {{ ref('int_outlet_branch') }}
),

routes as (
    select * from {{ ref('int_route') }}
),

instances as (
    select * from {{ ref('stg_ops__source_instance') }}
),

first_purchases as (
    select
        instance,
        outlet_id,
        min(period_start) as first_month
    from active
    where period_kind = 'month'
    group by instance, outlet_id
),

periods as (
    select distinct
        instance,
        period_kind,
        window_days,
        period_start,
        period_end
    from active
    union
    select
        instances.instance,
        'rolling' as period_kind,
        windows.window_days,
        {{ as_of() }} - windows.window_days + 1 as period_start,
        {{ as_of() }} as period_end
    from instances
    cross join (
        values {% for days in var('rolling_windows') %}({{ days }}){% if not loop.last %}, {% endif %}{% endfor %}  -- noqa: LT05
    ) as windows (window_days)
)

select
    periods.instance,
    periods.period_kind,
    periods.window_days,
    periods.period_start,
    periods.period_end,
    outlets.outlet_id,
    outlets.client_id,
    coalesce(outlets.territory_id, 'unknown') as territory_id,
    coalesce(outlets.manager_id, 'unknown') as manager_id,
    coalesce(branches.branch_id, 'unknown') as branch_id,
    outlets.outlet_format,
    coalesce(outlets.channel, 'unknown') as channel,
    coalesce(active.positions, 0) as positions,
    active.outlet_id is not null as is_active,
    active.outlet_id is not null or coalesce(first_purchases.first_month <= periods.period_end, false) as in_base,
    active.outlet_id is not null
    or (
        not outlets.is_withdrawn
        and not outlets.is_inferred
        and coalesce(outlets.closed_on >= periods.period_start, true)
        and coalesce(outlets.registered_on <= periods.period_end, true)
    ) as is_assigned,
    exists (  -- noqa: LT01,LT06
        select 1 from routes
        where
            routes.instance = outlets.instance
            and routes.outlet_id = outlets.outlet_id
            and periods.period_end between routes.valid_from and routes.valid_to
    ) as is_on_route
from periods
inner join outlets on periods.instance = outlets.instance
left join branches on outlets.instance = branches.instance and outlets.outlet_id = branches.outlet_id
left join first_purchases
    on outlets.instance = first_purchases.instance and outlets.outlet_id = first_purchases.outlet_id
left join active
    on
        periods.instance = active.instance
        and periods.period_kind = active.period_kind
        and coalesce(periods.window_days, 0) = coalesce(active.window_days, 0)
        and periods.period_end = active.period_end
        and outlets.outlet_id = active.outlet_id
{% if is_incremental() -%}
where
    periods.period_kind = 'rolling'
    or (outlets.instance, outlets.outlet_id) in (
        select
            changed.instance,
            changed.outlet_id
        from {{ ref('int_outlet_words_changed') }} as changed
    )
    or (outlets.instance, outlets.outlet_id, periods.period_start) in (
        select
            changed.instance,
            changed.outlet_id,
            changed.month_start
        from {{ ref('int_outlet_month_changed') }} as changed
    )
    or (periods.instance, periods.period_start) not in (
        select
            kept.instance,
            kept.period_start
        from {{ this }} as kept
        where kept.period_kind = 'month'
    )
{%- endif %}
