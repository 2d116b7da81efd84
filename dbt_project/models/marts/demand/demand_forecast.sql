{{ config(indexes=[{'columns': ['instance', 'product_id', 'warehouse_id', 'week_start'], 'unique': true}]) }}

-- Demand of the coming weeks by the method that is believed for the segment, next to last year's week.
with coming as (
    select * from {{ ref('int_demand_prediction') }}
    where trial = 'coming'
),

working_days as (
    select
        cast(date_trunc('week', date_day) as date) as week_start,
        count(*) filter (where is_working_day) as working_days
    from {{ ref('int_calendar') }}
    group by cast(date_trunc('week', date_day) as date)
)

select
    coming.instance,
    coming.warehouse_id,
    coming.product_id,
    coming.week_start,
    coming.made_for_week as made_for_week_start,
    coming.segment,
    accuracy.method,
    accuracy.method = 'seasonal_naive' as is_baseline,
    cast(coming.predicted_quantity as numeric(24, 6)) as forecast_quantity,
    cast(baseline.predicted_quantity as numeric(24, 6)) as baseline_quantity,
    accuracy.wape_percent,
    accuracy.bias_percent,
    cast(working_days.working_days as integer) as working_days_total
from coming
inner join {{ ref('demand_forecast_accuracy') }} as accuracy
    on
        coming.instance = accuracy.instance
        and coming.segment = accuracy.segment
        and coming.method = accuracy.method
inner join coming as baseline
    on
        coming.instance = baseline.instance
        and coming.warehouse_id = baseline.warehouse_id
        and coming.product_id = baseline.product_id
        and coming.week_start = baseline.week_start
        and baseline.method = 'seasonal_naive'
left join working_days on coming.week_start = working_days.week_start
