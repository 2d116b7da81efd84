{{ config(materialized='table', post_hook='{{ analyze_this() }}') }}

-- Which products each outlet really kept in each period: calendar months, and the days rolling up to the business date.
with purchases as (
    select * from {{ ref('int_net_purchase') }}
),

months as (
    select
        instance,
        'month' as period_kind,
        cast(date_trunc('month', purchased_on) as date) as period_start,
        cast(date_trunc('month', purchased_on) + interval '1 month - 1 day' as date) as period_end,
        outlet_id,
        product_id,
        sum(net_quantity) as net_quantity
    from purchases
    group by 1, 2, 3, 4, 5, 6
),

rolling as (
    select
        instance,
        'rolling' as period_kind,
        {{ as_of() }} - {{ var('rolling_window_days') }} + 1 as period_start,
        {{ as_of() }} as period_end,
        outlet_id,
        product_id,
        sum(net_quantity) as net_quantity
    from purchases
    where purchased_on > {{ as_of() }} - {{ var('rolling_window_days') }} and purchased_on <= {{ as_of() }}
    group by 1, 2, 3, 4, 5, 6
)

select * from months
where net_quantity > 0
union all
select * from rolling
where net_quantity > 0
