{{ config(materialized='table', post_hook='{{ analyze_this() }}') }}

-- Parts of the KPI that speak of clients, not of outlets: margin, retention, cost of acquisition.
with bounds as (
    select
        cast(date_trunc('month', {{ as_of() }}) - interval '{{ var('kpi_months') }} months' + interval '1 month' as date) as first_month,
        {{ as_of() }} as last_day
),

purchases as (
    select * from {{ ref('int_client_purchase_day') }}
    where purchased_on <= {{ as_of() }}
),

-- Days on which an outlet could have ordered: from its first order until it closed, without pauses and months off season.
months as (
    select
        cast(month_start as date) as month_start,
        least(cast(month_start + interval '1 month - 1 day' as date), bounds.last_day) as month_end
    from bounds
    cross join lateral generate_series(bounds.first_month, bounds.last_day, interval '1 month') as month_start
),

first_purchases as (
    select
        instance,
        client_id,
        min(purchased_on) as first_on
    from purchases
    group by instance, client_id
),

-- Since when the warehouse knows anything: nobody can have been a client for longer than that.
history as (
    select
        instance,
        min(first_on) as history_start
    from first_purchases
    group by instance
),

active as (
    select distinct
        purchases.instance,
        purchases.client_id,
        cast(date_trunc('month', purchases.purchased_on) as date) as month_start
    from purchases
    inner join bounds on purchases.purchased_on >= bounds.first_month
),

tenure as (
    select
        active.instance,
        active.client_id,
        active.month_start,
        case when first_purchases.first_on <= months.month_end - 365 then 1 else 0 end as is_over_a_year,
        case when history.history_start > months.month_end - 365 then 'too_little_history' end as missing_reason
    from active
    inner join months on active.month_start = months.month_start
    inner join first_purchases
        on active.instance = first_purchases.instance and active.client_id = first_purchases.client_id
    inner join history on active.instance = history.instance
),

-- Judged in the month in which the window of the client's own cohort closes for its last client.
cohorts as (
    select
        first_purchases.instance,
        first_purchases.client_id,
        months.month_start,
        case
            when exists (
                select 1 from purchases
                where
                    purchases.instance = first_purchases.instance
                    and purchases.client_id = first_purchases.client_id
                    and purchases.purchased_on between first_purchases.first_on + 366
                    and first_purchases.first_on + 366 + {{ var('retention_window_days') }}
            ) then 1
            else 0
        end as is_kept
    from first_purchases
    inner join history
        on
            first_purchases.instance = history.instance
            and first_purchases.first_on >= history.history_start + {{ var('warm_up_days') }}
    inner join months
        on
            cast(date_trunc('month', first_purchases.first_on) + interval '1 month - 1 day' as date)
            + 366 + {{ var('retention_window_days') }} between months.month_start and months.month_end
),

spent as (
    select
        expenses.instance,
        expenses.month_start,
        sum(expenses.amount_without_vat) as amount
    from {{ ref('int_expense') }} as expenses
    where expenses.expense_kind in ('marketing', 'acquisition') and expenses.spent_on <= {{ as_of() }}
    group by expenses.instance, expenses.month_start
),

arrivals as (
    select
        first_purchases.instance,
        cast(date_trunc('month', first_purchases.first_on) as date) as month_start,
        count(*) as clients
    from first_purchases
    left join {{ ref('int_client_successor') }} as successors
        on
            first_purchases.instance = successors.instance
            and first_purchases.client_id = successors.successor_id
    where successors.successor_id is null
    group by first_purchases.instance, cast(date_trunc('month', first_purchases.first_on) as date)
)

select
    instance,
    'margin_percent' as metric,
    month_start,
    null as outlet_id,
    client_id,
    null as manager_id,
    gross_margin_amount as numerator,
    net_revenue_amount as denominator,
    margin_missing_reason as missing_reason
from {{ ref('client_pnl') }}
union all
select
    instance,
    'contribution_percent' as metric,
    month_start,
    null as outlet_id,
    client_id,
    null as manager_id,
    contribution_margin_amount as numerator,
    net_revenue_amount as denominator,
    contribution_missing_reason as missing_reason
from {{ ref('client_pnl') }}
union all
select
    instance,
    'tenure_percent' as metric,
    month_start,
    null as outlet_id,
    client_id,
    null as manager_id,
    is_over_a_year as numerator,
    1 as denominator,
    missing_reason
from tenure
union all
select
    instance,
    'first_year_retention_percent' as metric,
    month_start,
    null as outlet_id,
    client_id,
    null as manager_id,
    is_kept as numerator,
    1 as denominator,
    null as missing_reason
from cohorts
union all
select
    instances.instance,
    'acquisition_cost' as metric,
    months.month_start,
    null as outlet_id,
    null as client_id,
    null as manager_id,
    spent.amount as numerator,
    arrivals.clients as denominator,
    case
        when spent.amount is null then 'no_expenses_in_the_month'
        when months.month_start < history.history_start + {{ var('warm_up_days') }} then 'too_little_history'
    end as missing_reason
from {{ ref('stg_ops__source_instance') }} as instances
inner join history on instances.instance = history.instance
inner join months on history.history_start <= months.month_end
left join spent on instances.instance = spent.instance and months.month_start = spent.month_start
left join arrivals on instances.instance = arrivals.instance and months.month_start = arrivals.month_start
