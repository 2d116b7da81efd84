{{ config(materialized='table', indexes=[{'columns': ['date_day'], 'unique': true}], post_hook='{{ analyze_this() }}') }}

with days as (
    select
        day,
        is_working_day,
        holiday_name,
        is_working_day or cast(extract(isodow from day) as text) = any({{ text_list('extra_delivery_weekdays') }})
            as is_delivery_day
    from {{ ref('stg_ops__production_calendar') }}
)

select
    day as date_day,
    is_working_day,
    holiday_name,
    is_delivery_day,
    count(*) filter (where is_working_day) over (order by day) as working_day_no,
    -- Backwards, so that each frame grows by one day: the other way round costs a scan per day.
    min(day) filter (where is_working_day)
        over (order by day desc rows between unbounded preceding and current row)
        as next_working_day,
    min(day) filter (where is_delivery_day)
        over (order by day desc rows between unbounded preceding and 1 preceding)
        as following_delivery_day
from days
