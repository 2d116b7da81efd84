{{ config(indexes=[{'columns': ['instance', 'slice', 'category_id', 'calendar_month'], 'unique': true}]) }}

-- How much of an average month each calendar month sells, over whole years of history. Less than two years tell nothing.
with months as (
    select
        instance,
        goods_id as category_id,
        month_start,
        sum(revenue_with_unknown) as amount
    from {{ ref('int_goods_month') }}
    where goods_kind = 'category' and month_start < date_trunc('month', {{ as_of() }})
    group by instance, month_start, grouping sets ((goods_id), ())
),

-- The last whole years: as many twelve months as the history has, the first month being whole only by chance.
spans as (
    select
        instance,
        max(month_start) as last_month,
        (
            (extract(year from max(month_start)) - extract(year from min(month_start))) * 12
            + extract(month from max(month_start)) - extract(month from min(month_start))
        ) / 12 as years
    from months
    group by instance
),

in_span as (
    select
        months.*,
        floor(spans.years) as whole_years
    from months
    inner join spans on months.instance = spans.instance
    where months.month_start > spans.last_month - floor(spans.years) * interval '12 months'
),

calendar as (
    select
        instance,
        category_id,
        max(whole_years) as whole_years,
        extract(month from month_start) as calendar_month,
        sum(amount) as amount
    from in_span
    group by instance, category_id, extract(month from month_start)
),

indexed as (
    select
        *,
        amount / nullif(sum(amount) over (partition by instance, category_id) / 12, 0) as month_index
    from calendar
)

select
    instance,
    case when category_id is null then 'total' else 'category' end as slice,
    category_id,
    cast(calendar_month as integer) as calendar_month,
    cast(whole_years as integer) as whole_years,
    cast(round(amount / nullif(whole_years, 0), 2) as numeric(18, 2)) as average_amount,
    case when whole_years >= 2 then cast(round(month_index, 4) as numeric(8, 4)) end as seasonality_index,
    case when whole_years < 2 then 'not_enough_history' end as missing_reason
from indexed
