-- Clients nobody should ask again yet, because a rep has spoken with them: the latest outcome decides. A date that was
-- agreed on is kept to; what has no date rests for the usual few days. Nobody answered: no rest. A debt is talked about
-- even out of season and after the outlet closed.
with outcomes as (
    select distinct on (instance, client_id)
        instance,
        client_id,
        outcome,
        until_on,
        recorded_on
    from {{ ref('stg_ops__follow_up_outcome') }}
    where recorded_on < {{ as_of() }} or (recorded_on = {{ as_of() }} and outcome <> 'no_answer')
    order by instance, client_id, recorded_on desc, recorded_at desc, answer_id desc
),

calendar as (
    select * from {{ ref('int_calendar') }}
),

last_orders as (
    select
        instance,
        client_id,
        max(ordered_on) as ordered_on
    from {{ ref('fct_order_occasion') }}
    where ordered_on <= {{ as_of() }}
    group by instance, client_id
),

dated as (
    select
        outcomes.instance,
        outcomes.client_id,
        outcomes.outcome,
        outcomes.recorded_on,
        case
            when outcomes.outcome = 'no_answer' then null
            when outcomes.outcome = 'outlet_closed'
                then case when last_orders.ordered_on > outcomes.recorded_on then null else date '9999-12-31' end
            -- The day of the call itself is for calling.
            when outcomes.outcome = 'call_back' and outcomes.until_on is not null then outcomes.until_on - 1
            when outcomes.outcome = 'will_order' and outcomes.until_on is not null then promised.date_day
            when outcomes.until_on is not null then outcomes.until_on
            else cooled.date_day - 1
        end as rests_to
    from outcomes
    left join calendar as recorded on outcomes.recorded_on = recorded.date_day
    left join calendar as cooled
        on
            cooled.is_working_day
            and recorded.working_day_no + {{ var('cool_down_working_days') }} = cooled.working_day_no
    left join calendar as until_day on outcomes.until_on = until_day.date_day
    left join calendar as promised
        on
            promised.is_working_day
            and until_day.working_day_no + {{ var('promise_grace_working_days') }} = promised.working_day_no
    left join last_orders on outcomes.instance = last_orders.instance and outcomes.client_id = last_orders.client_id
)

select
    instance,
    client_id,
    outcome,
    recorded_on,
    rests_to,
    outcome in ('season_or_repairs', 'outlet_closed') as is_debt_still_asked
from dated
where rests_to >= {{ as_of() }}
