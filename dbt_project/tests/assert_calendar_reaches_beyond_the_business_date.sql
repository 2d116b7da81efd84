-- Rules count working days on both sides of the business date: without a calendar nothing would ever be late.
with calendar as (
    select
        min(date_day) as first_day,
        max(date_day) as last_day
    from {{ ref('dim_date') }}
),

occasions as (
    select min(ordered_on) as first_ordered_on
    from {{ ref('fct_order_occasion') }}
)

select
    calendar.first_day,
    calendar.last_day,
    occasions.first_ordered_on
from occasions
left join calendar on true
where
    occasions.first_ordered_on is not null
    and (
        calendar.last_day is null
        or calendar.last_day < {{ as_of() }} + 60
        or calendar.first_day > occasions.first_ordered_on
    )
