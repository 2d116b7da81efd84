{{ config(indexes=[{'columns': ['instance', 'month_start', 'level', 'slice']}]) }}

-- How the active base of a month came about: those of the month before, plus new and returned, less dropped.
with months_of_outlets as (
    select
        months.instance,
        months.outlet_id,
        months.month_start,
        outlets.client_id,
        coalesce(outlets.territory_id, 'unknown') as territory_id,
        coalesce(outlets.manager_id, 'unknown') as manager_id,
        outlets.outlet_format,
        coalesce(outlets.channel, 'unknown') as channel,
        coalesce(clients.territory_id, 'unknown') as client_territory_id,
        coalesce(clients.manager_id, 'unknown') as client_manager_id,
        coalesce(clients.channel, 'unknown') as client_channel
    from {{ ref('int_outlet_month') }} as months
    inner join {{ ref('int_outlet') }} as outlets
        on months.instance = outlets.instance and months.outlet_id = outlets.outlet_id
    left join {{ ref('int_client') }} as clients
        on outlets.instance = clients.instance and outlets.client_id = clients.client_id
    where months.positions > 0 and months.month_start <= {{ as_of() }}
),

members as (
    select
        instance,
        'outlet' as level,
        outlet_id as member_id,
        month_start,
        territory_id,
        manager_id,
        outlet_format,
        channel
    from months_of_outlets
    union all
    select distinct
        instance,
        'client' as level,
        client_id as member_id,
        month_start,
        client_territory_id as territory_id,
        client_manager_id as manager_id,
        cast(null as text) as outlet_format,
        client_channel as channel
    from months_of_outlets
    where client_id is not null
),

placed as (
    select
        *,
        min(month_start) over own_months as first_month,
        min(month_start) over (partition by instance) as history_from,
        lag(month_start) over (own_months order by month_start) as previous_month,
        lead(month_start) over (own_months order by month_start) as following_month
    from members
    window own_months as (partition by instance, level, member_id)
),

-- A member speaks in the month it was active, and once more in the month after, if it was not active then.
voices as (
    select
        instance,
        level,
        month_start,
        territory_id,
        manager_id,
        outlet_format,
        channel,
        history_from,
        1 as active,
        case when previous_month = month_start - interval '1 month' then 1 else 0 end as stayed,
        case when first_month = month_start then 1 else 0 end as newly,
        case when first_month < month_start and previous_month < month_start - interval '1 month' then 1 else 0 end as reactivated,
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
        history_from,
        0 as active,
        0 as stayed,
        0 as newly,
        0 as reactivated,
        1 as dropped
    from placed
    where
        following_month is distinct from cast(month_start + interval '1 month' as date)
        and month_start + interval '1 month' <= {{ as_of() }}
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
        min(history_from) as history_from,
        sum(active) as active_total,
        sum(stayed) as stayed,
        sum(newly) as newly_active,
        sum(reactivated) as reactivated,
        sum(dropped) as dropped
    from voices
    group by instance, level, month_start, grouping sets ((), (territory_id), (manager_id), (outlet_format), (channel))
    -- Clients have no format: their only such group would repeat the total.
    having grouping(outlet_format) = 1 or outlet_format is not null
)

select
    instance,
    level,
    month_start,
    coalesce(month_start + interval '1 month' <= {{ as_of() }}, false) as is_complete,
    case
        when territory_id is not null then 'territory'
        when manager_id is not null then 'manager'
        when outlet_format is not null then 'format'
        when channel is not null then 'channel'
        else 'total'
    end as slice,
    territory_id,
    manager_id,
    outlet_format,
    channel,
    stayed + dropped as active_prior,
    newly_active,
    reactivated,
    dropped,
    active_total,
    cast(
        sum(newly_active) over (
            partition by instance, level, territory_id, manager_id, outlet_format, channel order by month_start
        ) as bigint
    ) as ever_bought,
    -- Who was new and who came back cannot be told before half a year of history.
    month_start < history_from + {{ var('warm_up_days') }} as is_warm_up
from sides
