{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='fail',
        pre_hook="{{ delete_from_changed_month('int_active_base_changed') }}",
        post_hook='{{ analyze_this() }}',
        indexes=[{'columns': ['instance', 'month_start', 'level', 'slice']}]
    )
}}

-- depends_on: {{ ref('int_active_base_changed') }}
-- How the active base of a month came about: those of the month before, plus new and returned, less dropped. Written anew
-- from the first month on in which anybody's purchases changed.
with written_from as (
    {% if is_incremental() -%}
    select * from {{ ref('int_active_base_changed') }}
    {%- else -%}
    select
        instance,
        date '0001-01-01' as month_start
    from {{ ref('stg_ops__source_instance') }}
    {%- endif %}
),

outlets as (
    select
        outlets.instance,
        outlets.outlet_id,
        outlets.client_id,
        coalesce(outlets.territory_id, 'unknown') as territory_id,
        coalesce(outlets.manager_id, 'unknown') as manager_id,
        outlets.outlet_format,
        coalesce(outlets.channel, 'unknown') as channel,
        coalesce(clients.territory_id, 'unknown') as client_territory_id,
        coalesce(clients.manager_id, 'unknown') as client_manager_id,
        coalesce(clients.channel, 'unknown') as client_channel
    from {{ ref('int_outlet') }} as outlets
    left join {{ ref('int_client') }} as clients
        on outlets.instance = clients.instance and outlets.client_id = clients.client_id
),

first_months as (
    select
        instance,
        outlet_id,
        min(month_start) as first_month
    from {{ ref('int_outlet_month') }}
    where positions > 0 and month_start <= {{ as_of() }}
    group by instance, outlet_id
),

firsts as (
    select
        outlets.instance,
        'outlet' as level,
        outlets.outlet_id as member_id,
        outlets.territory_id,
        outlets.manager_id,
        outlets.outlet_format,
        outlets.channel,
        first_months.first_month
    from first_months
    inner join outlets on first_months.instance = outlets.instance and first_months.outlet_id = outlets.outlet_id
    union all
    select
        outlets.instance,
        'client' as level,
        outlets.client_id as member_id,
        outlets.client_territory_id as territory_id,
        outlets.client_manager_id as manager_id,
        cast(null as text) as outlet_format,
        outlets.client_channel as channel,
        min(first_months.first_month) as first_month
    from first_months
    inner join outlets on first_months.instance = outlets.instance and first_months.outlet_id = outlets.outlet_id
    where outlets.client_id is not null
    group by
        outlets.instance, outlets.client_id, outlets.client_territory_id, outlets.client_manager_id, outlets.client_channel
),

histories as (
    select
        instance,
        min(first_month) as history_from
    from firsts
    group by instance
),

-- The months that are written, and the one before them, with which they begin.
months_of_outlets as (
    select
        months.instance,
        months.outlet_id,
        outlets.client_id,
        months.month_start
    from {{ ref('int_outlet_month') }} as months
    inner join outlets on months.instance = outlets.instance and months.outlet_id = outlets.outlet_id
    inner join written_from
        on months.instance = written_from.instance and months.month_start >= written_from.month_start - interval '1 month'
    where months.positions > 0 and months.month_start <= {{ as_of() }}
),

member_months as (
    select
        instance,
        'outlet' as level,
        outlet_id as member_id,
        month_start
    from months_of_outlets
    union all
    select distinct
        instance,
        'client' as level,
        client_id as member_id,
        month_start
    from months_of_outlets
    where client_id is not null
),

placed as (
    select
        firsts.*,
        months.month_start,
        lag(months.month_start) over own_months as previous_month,
        lead(months.month_start) over own_months as following_month
    from member_months as months
    inner join firsts
        on
            months.instance = firsts.instance
            and months.level = firsts.level
            and months.member_id = firsts.member_id
    window own_months as (partition by months.instance, months.level, months.member_id order by months.month_start)
),

-- A member speaks in the month it was active, and once more in the month after, if it was not active then. Who first bought
-- in a month that stays as it is counts there among those who ever bought.
voices as (
    select
        instance,
        level,
        month_start,
        territory_id,
        manager_id,
        outlet_format,
        channel,
        1 as active,
        case when previous_month = month_start - interval '1 month' then 1 else 0 end as stayed,
        case when first_month = month_start then 1 else 0 end as newly,
        case
            when first_month < month_start and coalesce(previous_month, first_month) < month_start - interval '1 month' then 1
            else 0
        end as reactivated,
        0 as dropped
    from placed
    union all
    select
        instance,
        level,
        cast(month_start + interval '1 month' as date) as month_start,
        territory_id,
        manager_id,
        outlet_format,
        channel,
        0 as active,
        0 as stayed,
        0 as newly,
        0 as reactivated,
        1 as dropped
    from placed
    where
        following_month is distinct from cast(month_start + interval '1 month' as date)
        and month_start + interval '1 month' <= {{ as_of() }}
    union all
    select
        firsts.instance,
        firsts.level,
        firsts.first_month as month_start,
        firsts.territory_id,
        firsts.manager_id,
        firsts.outlet_format,
        firsts.channel,
        0 as active,
        0 as stayed,
        1 as newly,
        0 as reactivated,
        0 as dropped
    from firsts
    inner join written_from on firsts.instance = written_from.instance
    where firsts.first_month < written_from.month_start - interval '1 month'
),

sides as (
    select
        instance,
        level,
        month_start,
        territory_id,
        manager_id,
        outlet_format,
        channel,
        sum(active) as active_total,
        sum(stayed) as stayed,
        sum(newly) as newly_active,
        sum(reactivated) as reactivated,
        sum(dropped) as dropped
    from voices
    group by instance, level, month_start, grouping sets ((), (territory_id), (manager_id), (outlet_format), (channel))
    -- Clients have no format: their only such group would repeat the total.
    having grouping(outlet_format) = 1 or outlet_format is not null
),

summed as (
    select
        *,
        cast(
            sum(newly_active) over (
                partition by instance, level, territory_id, manager_id, outlet_format, channel order by month_start
            ) as bigint
        ) as ever_bought
    from sides
)

select
    summed.instance,
    summed.level,
    summed.month_start,
    coalesce(summed.month_start + interval '1 month' <= {{ as_of() }}, false) as is_complete,
    case
        when summed.territory_id is not null then 'territory'
        when summed.manager_id is not null then 'manager'
        when summed.outlet_format is not null then 'format'
        when summed.channel is not null then 'channel'
        else 'total'
    end as slice,
    summed.territory_id,
    summed.manager_id,
    summed.outlet_format,
    summed.channel,
    summed.stayed + summed.dropped as active_prior,
    summed.newly_active,
    summed.reactivated,
    summed.dropped,
    summed.active_total,
    summed.ever_bought,
    -- Who was new and who came back cannot be told before half a year of history.
    summed.month_start < histories.history_from + {{ var('warm_up_days') }} as is_warm_up
from summed
inner join histories on summed.instance = histories.instance
inner join written_from on summed.instance = written_from.instance and summed.month_start >= written_from.month_start
