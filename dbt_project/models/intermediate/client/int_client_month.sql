{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='fail',
        pre_hook="{{ delete_changed_client_months('month_start') }}",
        post_hook='{{ analyze_this() }}',
        indexes=[{'columns': ['instance', 'client_id', 'month_start'], 'unique': true}]
    )
}}

-- depends_on: {{ ref('int_client_month_changed') }}
-- Whole months of clients, whatever the business date: days of purchases, the first and the last of them, money.
with days as (
    select
        days.instance,
        days.client_id,
        days.day,
        days.net_amount,
        false as is_purchase
    from {{ ref('int_client_day') }} as days
    {% if is_incremental() %}
    inner join {{ ref('int_client_month_changed') }} as changed
        on
            days.instance = changed.instance
            and days.client_id = changed.client_id
            and days.day >= changed.month_start
            and days.day < changed.month_start + interval '1 month'
    {% endif %}
    union all
    select
        days.instance,
        days.client_id,
        days.purchased_on as day,
        0 as net_amount,
        true as is_purchase
    from {{ ref('int_client_purchase_day') }} as days
    {% if is_incremental() %}
    inner join {{ ref('int_client_month_changed') }} as changed
        on
            days.instance = changed.instance
            and days.client_id = changed.client_id
            and days.purchased_on >= changed.month_start
            and days.purchased_on < changed.month_start + interval '1 month'
    {% endif %}
)

select
    instance,
    client_id,
    cast(date_trunc('month', day) as date) as month_start,
    cast(count(*) filter (where is_purchase) as integer) as purchase_days,
    min(day) filter (where is_purchase) as first_purchased_on,
    max(day) filter (where is_purchase) as last_purchased_on,
    sum(net_amount) as net_amount
from days
group by instance, client_id, cast(date_trunc('month', day) as date)
