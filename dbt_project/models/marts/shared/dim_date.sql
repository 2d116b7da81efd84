{{ config(indexes=[{'columns': ['date_day'], 'unique': true}]) }}

with calendar as (
    select * from {{ ref('int_calendar') }}
)

select
    date_day,
    cast(extract(isoyear from date_day) as integer) as iso_year,
    cast(extract(week from date_day) as integer) as iso_week,
    cast(extract(isodow from date_day) as integer) as iso_weekday,
    cast(extract(year from date_day) as integer) as calendar_year,
    cast(extract(quarter from date_day) as integer) as calendar_quarter,
    cast(extract(month from date_day) as integer) as calendar_month,
    cast(date_trunc('month', date_day) as date) as month_start,
    cast(date_trunc('week', date_day) as date) as week_start,
    is_working_day,
    is_delivery_day,
    holiday_name,
    working_day_no,
    next_working_day,
    following_delivery_day,
    count(*) filter (where is_working_day)
        over (partition by date_trunc('month', date_day) order by date_day)
        as working_day_of_month,
    count(*) filter (where is_working_day) over (partition by date_trunc('month', date_day)) as working_days_in_month
from calendar
