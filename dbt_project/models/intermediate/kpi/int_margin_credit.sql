{{ config(materialized='table', post_hook='{{ analyze_this() }}') }}

-- Profit of a client's month by the reps who sold in it.
with bounds as (
    select
        cast(date_trunc('month', {{ as_of() }}) - interval '{{ var('kpi_months') }} months' + interval '1 month' as date) as first_month,
        {{ as_of() }} as last_day
),

-- Margin of a client's month is credited to the reps of its days, in proportion to what each sold. The largest share takes
-- what rounding leaves: the shares of a month make one.
sold as (
    select
        days.instance,
        outlets.client_id,
        days.month_start,
        reps.manager_id,
        greatest(
            sum(days.shipped_amount - days.shipped_vat + days.returned_amount + days.returned_vat), 0
        ) as revenue
    from {{ ref('int_outlet_day') }} as days
    inner join bounds on days.day between bounds.first_month and bounds.last_day
    inner join {{ ref('int_outlet') }} as outlets
        on days.instance = outlets.instance and days.outlet_id = outlets.outlet_id
    left join {{ ref('int_outlet_manager') }} as reps
        on
            days.instance = reps.instance
            and days.outlet_id = reps.outlet_id
            and days.day between reps.valid_from and reps.valid_to
    where outlets.client_id is not null
    group by days.instance, outlets.client_id, days.month_start, reps.manager_id
),

portions as (
    select
        *,
        coalesce(round(revenue / nullif(sum(revenue) over client_month, 0), 12), 0) as portion,
        row_number() over (
            partition by instance, client_id, month_start order by revenue desc, manager_id
        ) as place
    from sold
    window client_month as (partition by instance, client_id, month_start)
),

credits as (
    select
        instance,
        client_id,
        month_start,
        manager_id,
        case
            when place = 1 then 1 - sum(portion) over (partition by instance, client_id, month_start) + portion
            else portion
        end as portion
    from portions
)

select
    pnl.instance,
    pnl.client_id,
    pnl.month_start,
    credits.manager_id,
    cast(pnl.gross_margin_amount * coalesce(credits.portion, 1) as numeric(38, 18)) as gross_margin,
    cast(pnl.contribution_margin_amount * coalesce(credits.portion, 1) as numeric(38, 18)) as contribution_margin,
    cast(pnl.net_revenue_amount * coalesce(credits.portion, 1) as numeric(38, 18)) as revenue,
    pnl.margin_missing_reason,
    pnl.contribution_missing_reason
from {{ ref('client_pnl') }} as pnl
left join credits
    on
        pnl.instance = credits.instance
        and pnl.client_id = credits.client_id
        and pnl.month_start = credits.month_start
-- Who sold nothing of the month has no part in it, not even in what is missing.
where coalesce(credits.portion, 1) > 0
