{{ config(materialized='table', post_hook='{{ analyze_this() }}') }}

-- What the KPI of a month add up from: numerators and denominators by rep, channel, territory and ABC class. Sums of these
-- parts are exact for every slice: no KPI is a mean of means. A sale is credited to the rep of its day.
with bounds as (
    select
        cast(date_trunc('month', {{ as_of() }}) - interval '{{ var('kpi_months') }} months' + interval '1 month' as date) as first_month,
        {{ as_of() }} as last_day
),

outlets as (
    select * from {{ ref('int_outlet') }}
),

-- The channel of a client whose own card names none is that of its outlets.
own_outlets as (
    select
        instance,
        client_id,
        min(channel) as channel
    from outlets
    group by instance, client_id
),

reps as (
    select * from {{ ref('int_outlet_manager') }}
),

occasions as (
    select
        occasions.instance,
        occasions.outlet_id,
        occasions.client_id,
        cast(date_trunc('month', occasions.ordered_on) as date) as month_start,
        reps.manager_id,
        count(*) as occasions,
        count(*) filter (where not occasions.all_cancelled_by_us) as kept_occasions,
        sum(occasions.amount_with_vat) filter (where not occasions.all_cancelled_by_us) as amount
    from {{ ref('fct_order_occasion') }} as occasions
    cross join bounds
    left join reps
        on
            occasions.instance = reps.instance
            and occasions.outlet_id = reps.outlet_id
            and occasions.ordered_on between reps.valid_from and reps.valid_to
    where occasions.ordered_on between bounds.first_month and bounds.last_day
    group by
        occasions.instance, occasions.outlet_id, occasions.client_id,
        cast(date_trunc('month', occasions.ordered_on) as date), reps.manager_id
),

sales as (
    select
        days.instance,
        days.outlet_id,
        days.month_start,
        reps.manager_id,
        sum(days.shipped_amount) as shipped,
        -1 * sum(days.returned_amount) as returned
    from {{ ref('int_outlet_day') }} as days
    cross join bounds
    left join reps
        on
            days.instance = reps.instance
            and days.outlet_id = reps.outlet_id
            and days.day between reps.valid_from and reps.valid_to
    where days.day between bounds.first_month and bounds.last_day
    group by days.instance, days.outlet_id, days.month_start, reps.manager_id
),

first_orders as (
    select
        outlets.instance,
        outlets.outlet_id,
        own.first_ordered_on
    from outlets
    cross join
        lateral (
            select min(occasions.ordered_on) as first_ordered_on
            from {{ ref('fct_order_occasion') }} as occasions
            where
                occasions.instance = outlets.instance
                and occasions.outlet_id = outlets.outlet_id
                and occasions.ordered_on <= {{ as_of() }}
        ) as own
    where own.first_ordered_on is not null
),

-- Days on which an outlet could have ordered: from its first order until it closed, without pauses and months off season.
months as (
    select
        cast(month_start as date) as month_start,
        least(cast(month_start + interval '1 month - 1 day' as date), bounds.last_day) as month_end
    from bounds
    cross join lateral generate_series(bounds.first_month, bounds.last_day, interval '1 month') as month_start
),

exposed as (
    select
        first_orders.instance,
        first_orders.outlet_id,
        outlets.client_id,
        months.month_start,
        greatest(months.month_start, first_orders.first_ordered_on) as open_from,
        least(months.month_end, coalesce(outlets.closed_on, months.month_end)) as open_to
    from first_orders
    inner join outlets on first_orders.instance = outlets.instance and first_orders.outlet_id = outlets.outlet_id
    inner join months
        on
            first_orders.first_ordered_on <= months.month_end
            and (outlets.closed_on is null or outlets.closed_on >= months.month_start)
),

closed_days as (
    select
        exposed.instance,
        exposed.outlet_id,
        exposed.month_start,
        count(distinct shut.day) as days
    from exposed
    inner join {{ ref('int_outlet_closure') }} as closures
        on
            exposed.instance = closures.instance
            and exposed.outlet_id = closures.outlet_id
            and exposed.open_from <= closures.closed_to
            and exposed.open_to >= closures.closed_from
    cross join
        lateral generate_series(
            greatest(exposed.open_from, closures.closed_from), least(exposed.open_to, closures.closed_to), interval '1 day'
        ) as shut (day)
    group by exposed.instance, exposed.outlet_id, exposed.month_start
),

exposure as (
    select
        exposed.instance,
        exposed.outlet_id,
        exposed.client_id,
        exposed.month_start,
        reps.manager_id,
        (exposed.open_to - exposed.open_from + 1 - coalesce(closed_days.days, 0)) / 30.44 as months
    from exposed
    left join closed_days
        on
            exposed.instance = closed_days.instance
            and exposed.outlet_id = closed_days.outlet_id
            and exposed.month_start = closed_days.month_start
    left join reps
        on
            exposed.instance = reps.instance
            and exposed.outlet_id = reps.outlet_id
            and exposed.open_to between reps.valid_from and reps.valid_to
),

parts as (
    select
        instance,
        'average_order' as metric,
        month_start,
        outlet_id,
        client_id,
        manager_id,
        amount as numerator,
        cast(kept_occasions as numeric) as denominator,
        cast(null as text) as missing_reason
    from occasions
    union all
    select
        instance,
        'order_frequency' as metric,
        month_start,
        outlet_id,
        client_id,
        manager_id,
        occasions as numerator,
        0 as denominator,
        null as missing_reason
    from occasions
    union all
    select
        instance,
        'order_frequency' as metric,
        month_start,
        outlet_id,
        client_id,
        manager_id,
        0 as numerator,
        months as denominator,
        null as missing_reason
    from exposure
    union all
    select
        sales.instance,
        'return_percent' as metric,
        sales.month_start,
        sales.outlet_id,
        outlets.client_id,
        sales.manager_id,
        sales.returned as numerator,
        sales.shipped as denominator,
        null as missing_reason
    from sales
    inner join outlets on sales.instance = outlets.instance and sales.outlet_id = outlets.outlet_id
    union all
    select
        sales.instance,
        'wholesale_percent' as metric,
        sales.month_start,
        sales.outlet_id,
        outlets.client_id,
        sales.manager_id,
        case
            when
                outlets.outlet_format = any({{ text_list('wholesale_formats') }})
                or outlets.channel = any({{ text_list('wholesale_channels') }})
                then sales.shipped - sales.returned
            else 0
        end as numerator,
        sales.shipped - sales.returned as denominator,
        null as missing_reason
    from sales
    inner join outlets on sales.instance = outlets.instance and sales.outlet_id = outlets.outlet_id
    union all
    select
        instance,
        metric,
        month_start,
        outlet_id,
        client_id,
        manager_id,
        numerator,
        denominator,
        missing_reason
    from {{ ref('int_kpi_client_part') }}
)

select
    parts.instance,
    parts.metric,
    parts.month_start,
    case when parts.client_id is not null then coalesce(outlets.channel, clients.channel, own_outlets.channel, 'unknown') end as channel,
    case when parts.client_id is not null then coalesce(outlets.territory_id, clients.territory_id, 'unknown') end as territory_id,
    case when parts.client_id is not null then coalesce(parts.manager_id, clients.manager_id, 'unknown') end as manager_id,
    case when parts.client_id is not null then coalesce(segments.abc_class, 'none') end as abc_class,
    sum(parts.numerator) as numerator,
    sum(parts.denominator) as denominator,
    min(parts.missing_reason) as missing_reason
from parts
inner join bounds on parts.month_start >= bounds.first_month
left join outlets on parts.instance = outlets.instance and parts.outlet_id = outlets.outlet_id
left join {{ ref('int_client') }} as clients on parts.instance = clients.instance and parts.client_id = clients.client_id
left join own_outlets on parts.instance = own_outlets.instance and parts.client_id = own_outlets.client_id
left join {{ ref('client_segment') }} as segments
    on
        parts.instance = segments.instance
        and parts.client_id = segments.client_id
        and parts.month_start = segments.month_start
group by
    parts.instance,
    parts.metric,
    parts.month_start,
    case when parts.client_id is not null then coalesce(outlets.channel, clients.channel, own_outlets.channel, 'unknown') end,
    case when parts.client_id is not null then coalesce(outlets.territory_id, clients.territory_id, 'unknown') end,
    case when parts.client_id is not null then coalesce(parts.manager_id, clients.manager_id, 'unknown') end,
    case when parts.client_id is not null then coalesce(segments.abc_class, 'none') end
