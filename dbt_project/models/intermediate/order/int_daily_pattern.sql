-- Outlets that order almost daily (milk, bread): on which weekdays, and which of these days passed without an order.
with rhythm as (
    select rhythm.*
    from {{ ref('int_order_rhythm') }} as rhythm
    where
        rhythm.median_gap_days <= {{ var('daily_max_gap_days') }}
        and rhythm.occasions_in_window >= {{ var('min_occasions') }}
),

weekdays as (
    select
        rhythm.instance,
        rhythm.outlet_id,
        cast(extract(isodow from occasions.ordered_on) as integer) as iso_weekday
    from rhythm
    inner join {{ ref('fct_order_occasion') }} as occasions
        on
            rhythm.instance = occasions.instance
            and rhythm.outlet_id = occasions.outlet_id
            and rhythm.last_ordered_on >= occasions.ordered_on
            and occasions.ordered_on > rhythm.last_ordered_on - 7 * {{ var('daily_pattern_weeks') }}
    group by rhythm.instance, rhythm.outlet_id, iso_weekday, rhythm.last_ordered_on, rhythm.first_ordered_on
    -- Of the weeks that this outlet has been with us.
    having
        count(*) >= {{ var('daily_pattern_share') }}
        * least({{ var('daily_pattern_weeks') }}, floor((rhythm.last_ordered_on - rhythm.first_ordered_on) / 7.0) + 1)
),

-- A day off counts only when the weekend is their day anyway.
days_ahead as (
    select
        rhythm.instance,
        rhythm.outlet_id,
        rhythm.stocked_cycles,
        calendar.date_day,
        row_number() over (partition by rhythm.instance, rhythm.outlet_id order by calendar.date_day) as turn_no
    from rhythm
    inner join weekdays on rhythm.instance = weekdays.instance and rhythm.outlet_id = weekdays.outlet_id
    inner join {{ ref('int_calendar') }} as calendar
        on
            rhythm.last_ordered_on < calendar.date_day
            and calendar.date_day <= {{ as_of() }} + 30
            and extract(isodow from calendar.date_day) = weekdays.iso_weekday
            and (calendar.is_working_day or weekdays.iso_weekday >= 6)
    where
        not exists (
            select 1 from {{ ref('int_outlet_closure') }} as closure
            where
                closure.instance = rhythm.instance
                and closure.outlet_id = rhythm.outlet_id
                and calendar.date_day between closure.closed_from and closure.closed_to
        )
),

names as (
    select
        weekdays.instance,
        weekdays.outlet_id,
        string_agg(words.weekday, ',' order by weekdays.iso_weekday) as weekdays
    from weekdays
    inner join (
        values ('пн', 1), ('вт', 2), ('ср', 3), ('чт', 4), ('пт', 5), ('сб', 6), ('вс', 7)
    ) as words (weekday, iso_weekday) on weekdays.iso_weekday = words.iso_weekday
    group by weekdays.instance, weekdays.outlet_id
)

select
    days_ahead.instance,
    days_ahead.outlet_id,
    names.weekdays,
    min(days_ahead.date_day) as strict_due_on,
    min(days_ahead.date_day) filter (where days_ahead.turn_no >= days_ahead.stocked_cycles) as next_due_on,
    -- One of their own days more is no reason yet.
    min(days_ahead.date_day) filter (where days_ahead.turn_no >= days_ahead.stocked_cycles + 1) as late_after,
    count(*) filter (where days_ahead.turn_no >= days_ahead.stocked_cycles and days_ahead.date_day < {{ as_of() }}) as cycles_behind
from days_ahead
inner join names on days_ahead.instance = names.instance and days_ahead.outlet_id = names.outlet_id
group by days_ahead.instance, days_ahead.outlet_id, names.weekdays
