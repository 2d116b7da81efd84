{{ config(indexes=[{'columns': ['instance', 'cohort_month', 'month_start'], 'unique': true}]) }}

-- The triangle of cohorts: clients by the month of their first purchase, and what became of them month by month.
with months as (
    select * from {{ ref('int_client_month_so_far') }}
),

clients as (
    select * from {{ ref('int_client_cohort') }}
),

-- Since when anything is known: who bought soon after that may have been a client long before.
history as (
    select
        instance,
        min(first_purchase_on) as history_start
    from clients
    group by instance
),

cohorts as (
    select
        instance,
        cohort_month,
        count(distinct client_id) as clients_total,
        count(distinct client_id) filter (where bought_after_a_year) as clients_bought_after_a_year,
        bool_and(
            first_purchase_on + 366 + {{ var('retention_window_days') }} < {{ as_of() }}
        ) as year_window_is_complete
    from clients
    group by instance, cohort_month
),

cohort_months as (
    select
        cohorts.instance,
        cohorts.cohort_month,
        cohorts.clients_total,
        cohorts.clients_bought_after_a_year,
        cohorts.year_window_is_complete,
        cast(months.month_start as date) as month_start,
        cast(months.month_start + interval '1 month - 1 day' as date) as month_end
    from cohorts
    cross join lateral generate_series(cohorts.cohort_month, {{ as_of() }}, interval '1 month') as months (month_start)
),

active as (
    select distinct
        months.instance,
        clients.cohort_month,
        months.month_start,
        clients.client_id,
        clients.first_purchase_on
    from months
    inner join clients on months.instance = clients.instance and months.client_id = clients.card_id
    where months.purchase_days > 0
),

counted as (
    select
        instance,
        cohort_month,
        month_start,
        count(*) as clients_active,
        count(*) filter (
            where
            first_purchase_on
            <= least(cast(month_start + interval '1 month - 1 day' as date), {{ as_of() }}) - 365
        ) as clients_active_over_a_year
    from active
    group by instance, cohort_month, month_start
),

money as (
    select
        clients.instance,
        clients.cohort_month,
        months.month_start,
        sum(months.net_amount) as net_amount
    from months
    inner join clients on months.instance = clients.instance and months.client_id = clients.card_id
    group by clients.instance, clients.cohort_month, months.month_start
),

joined as (
    select
        cohort_months.instance,
        cohort_months.cohort_month,
        cohort_months.month_start,
        cohort_months.month_end,
        cohort_months.clients_total,
        cohort_months.year_window_is_complete,
        history.history_start,
        cast(
            12 * (extract(year from cohort_months.month_start) - extract(year from cohort_months.cohort_month))
            + extract(month from cohort_months.month_start) - extract(month from cohort_months.cohort_month) as integer
        ) as month_number,
        coalesce(counted.clients_active, 0) as clients_active,
        coalesce(counted.clients_active_over_a_year, 0) as clients_active_over_a_year,
        coalesce(money.net_amount, 0) as net_amount,
        cohort_months.clients_bought_after_a_year
    from cohort_months
    inner join history on cohort_months.instance = history.instance
    left join counted
        on
            cohort_months.instance = counted.instance
            and cohort_months.cohort_month = counted.cohort_month
            and cohort_months.month_start = counted.month_start
    left join money
        on
            cohort_months.instance = money.instance
            and cohort_months.cohort_month = money.cohort_month
            and cohort_months.month_start = money.month_start
)

select
    instance,
    cohort_month,
    month_start,
    month_number,
    month_end < {{ as_of() }} as is_complete,
    cohort_month < history_start + {{ var('warm_up_days') }} as is_undetermined,
    cast(clients_total as integer) as clients_total,
    cast(clients_active as integer) as clients_active,
    cast(round(100.0 * clients_active / clients_total, 2) as numeric(6, 2)) as active_percent,
    cast(clients_active_over_a_year as integer) as clients_active_over_a_year,
    cast(net_amount as numeric(24, 6)) as net_amount,
    cast(
        round(
            100.0 * net_amount / nullif(first_value(net_amount) over (
                partition by instance, cohort_month order by month_number
            ), 0), 2
        ) as numeric(12, 2)
    ) as revenue_kept_percent,
    -- Said once per cohort, in the row of its month twelve, so that it can be added up over cohorts.
    case
        when month_number = 12 and year_window_is_complete then cast(clients_bought_after_a_year as integer)
    end as clients_kept_after_a_year,
    case
        when month_number = 12 and year_window_is_complete
            then cast(round(100.0 * clients_bought_after_a_year / clients_total, 2) as numeric(6, 2))
    end as kept_after_a_year_percent
from joined
