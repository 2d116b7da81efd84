{{ config(materialized='table', post_hook='{{ analyze_this() }}') }}

-- Parts of the KPI that speak of clients, not of outlets: margin, satisfaction, retention, cost of acquisition.
with bounds as (
    select
        cast(date_trunc('month', {{ as_of() }}) - interval '{{ var('kpi_months') }} months' + interval '1 month' as date) as first_month,
        {{ as_of() }} as last_day
),

bought as (
    select * from {{ ref('int_client_month_so_far') }}
    where purchase_days > 0
),

months as (
    select
        cast(month_start as date) as month_start,
        least(cast(month_start + interval '1 month - 1 day' as date), bounds.last_day) as month_end
    from bounds
    cross join lateral generate_series(bounds.first_month, bounds.last_day, interval '1 month') as month_start
),

clients as (
    select * from {{ ref('int_client_cohort') }}
),

first_purchases as (
    select
        instance,
        client_id,
        first_purchase_on as first_on,
        bool_or(bought_after_a_year) as is_kept
    from clients
    group by instance, client_id, first_purchase_on
),

-- Since when the warehouse knows anything: nobody can have been a client for longer than that.
history as (
    select
        instance,
        min(first_on) as history_start
    from first_purchases
    group by instance
),

-- The month of who changed cards in it is told of the card that bought last.
active as (
    select
        clients.instance,
        clients.client_id,
        clients.first_purchase_on as first_on,
        bought.month_start,
        (array_agg(bought.client_id order by bought.last_purchased_on desc, bought.client_id))[1] as buyer_id
    from bought
    inner join bounds on bought.month_start >= bounds.first_month
    inner join clients on bought.instance = clients.instance and bought.client_id = clients.card_id
    group by clients.instance, clients.client_id, clients.first_purchase_on, bought.month_start
),

-- The last answer of each client in the month; and who answered at all, of those who bought or answered in it.
answers as (
    select distinct on (surveys.instance, surveys.client_id, months.month_start)
        surveys.instance,
        surveys.client_id,
        months.month_start,
        surveys.score
    from {{ ref('int_survey_answer') }} as surveys
    inner join months on surveys.answered_on between months.month_start and months.month_end
    order by surveys.instance, surveys.client_id, months.month_start, surveys.answered_on desc
),

surveyed as (
    select
        instance,
        month_start
    from answers
    group by instance, month_start
),

asked as (
    select
        instance,
        client_id,
        month_start
    from answers
    union
    select
        active.instance,
        active.buyer_id as client_id,
        active.month_start
    from active
    inner join surveyed on active.instance = surveyed.instance and active.month_start = surveyed.month_start
),

-- Who bought in the first half year of the history may have been a client long before it: nobody's standing is known until
-- even those have been clients for a year.
tenure as (
    select
        active.instance,
        active.buyer_id,
        active.month_start,
        case when active.first_on <= months.month_end - 365 then 1 else 0 end as is_over_a_year,
        case
            when history.history_start + {{ var('warm_up_days') }} > months.month_end - 365 then 'too_little_history'
        end as missing_reason
    from active
    inner join months on active.month_start = months.month_start
    inner join history on active.instance = history.instance
),

-- Judged in the month in which the window of the client's own cohort closes for its last client.
cohorts as (
    select
        first_purchases.instance,
        first_purchases.client_id,
        months.month_start,
        case when first_purchases.is_kept then 1 else 0 end as is_kept
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
        instance,
        cast(date_trunc('month', first_on) as date) as month_start,
        count(*) as clients
    from first_purchases
    group by instance, cast(date_trunc('month', first_on) as date)
),

parts as (
    select
        instance,
        'margin_percent' as metric,
        month_start,
        null as outlet_id,
        client_id,
        manager_id,
        gross_margin as numerator,
        revenue as denominator,
        margin_missing_reason as missing_reason
    from {{ ref('int_margin_credit') }}
    union all
    select
        instance,
        'contribution_percent' as metric,
        month_start,
        null as outlet_id,
        client_id,
        manager_id,
        contribution_margin as numerator,
        revenue as denominator,
        contribution_missing_reason as missing_reason
    from {{ ref('int_margin_credit') }}
    union all
    select
        instance,
        'satisfaction_score' as metric,
        month_start,
        null as outlet_id,
        client_id,
        null as manager_id,
        score as numerator,
        1 as denominator,
        null as missing_reason
    from answers
    union all
    select
        asked.instance,
        'survey_response_percent' as metric,
        asked.month_start,
        null as outlet_id,
        asked.client_id,
        null as manager_id,
        case when answers.client_id is not null then 1 else 0 end as numerator,
        1 as denominator,
        null as missing_reason
    from asked
    left join answers
        on
            asked.instance = answers.instance
            and asked.client_id = answers.client_id
            and asked.month_start = answers.month_start
    union all
    select
        instance,
        'tenure_percent' as metric,
        month_start,
        null as outlet_id,
        buyer_id as client_id,
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
)

select
    instance,
    metric,
    month_start,
    outlet_id,
    client_id,
    manager_id,
    cast(numerator as numeric(38, 18)) as numerator,
    cast(denominator as numeric(38, 18)) as denominator,
    missing_reason
from parts
