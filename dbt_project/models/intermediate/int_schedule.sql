{{
    config(
        materialized='table',
        indexes=[{'columns': ['instance', 'outlet_id', 'scheduled_on'], 'unique': true}],
        post_hook='{{ analyze_this() }}'
    )
}}

-- Agreed order days around the last order and the business date. A day off moves to the next working day.
-- Days before the agreement began, in a pause or out of season are kept to find what the last order covered, but nobody
-- owes an order on them.
with cadence as (
    select * from {{ ref('int_agreement_cadence') }}
),

rhythm as (
    select * from {{ ref('int_order_rhythm') }}
),

calendar as (
    select * from {{ ref('int_calendar') }}
),

spans as (
    select
        cadence.*,
        floor((rhythm.last_ordered_on - cadence.first_monday) / (7.0 * cadence.every_weeks)) - 2 as first_turn,
        ceil(({{ as_of() }} - cadence.first_monday) / (7.0 * cadence.every_weeks)) + 1 + {{ var('stock_up_max_cycles') }} as last_turn
    from cadence
    inner join rhythm on cadence.instance = rhythm.instance and cadence.outlet_id = rhythm.outlet_id
),

days as (
    select
        spans.instance,
        spans.outlet_id,
        spans.valid_from,
        spans.valid_to,
        spans.first_monday + cast(turn.turn_no as integer) * 7 * cast(spans.every_weeks as integer) + weekday.iso_weekday - 1
            as agreed_day
    from spans
    cross join lateral generate_series(spans.first_turn, spans.last_turn) as turn (turn_no)
    cross join lateral unnest(spans.iso_weekdays) as weekday (iso_weekday)
)

select
    days.instance,
    days.outlet_id,
    calendar.next_working_day as scheduled_on,
    bool_or(days.agreed_day >= coalesce(days.valid_from, days.agreed_day) and closure.outlet_id is null) as is_owed
from days
inner join calendar on days.agreed_day = calendar.date_day
left join {{ ref('int_outlet_closure') }} as closure
    on
        days.instance = closure.instance
        and days.outlet_id = closure.outlet_id
        and calendar.next_working_day between closure.closed_from and closure.closed_to
where days.agreed_day <= coalesce(days.valid_to, days.agreed_day) and calendar.next_working_day is not null
group by days.instance, days.outlet_id, calendar.next_working_day
