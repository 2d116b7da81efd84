-- Clients and outlets nobody should ask about again yet, because a rep has spoken with them: the latest outcome decides. A
-- date that was agreed on is kept to; what has no date rests for the usual few days. Nobody answered: no rest. Closed or
-- out of season are, of a client with several outlets, only those that the row was about. A debt is talked about even then.
with outcomes as (
    select
        instance,
        client_id,
        followup_id,
        outcome,
        until_on,
        recorded_on,
        recorded_at,
        answer_id
    from {{ ref('stg_ops__follow_up_outcome') }}
    where recorded_on < {{ as_of() }} or (recorded_on = {{ as_of() }} and outcome <> 'no_answer')
),

told as (
    select distinct on (instance, followup_id)
        instance,
        followup_id,
        outlet_ids
    from {{ ref('stg_ops__delivery_ledger') }}
    where jsonb_array_length(outlet_ids) > 0
    order by instance, followup_id, as_of desc, channel
),

clients as (
    select * from {{ ref('int_client') }}
),

answers as (
    select
        outcomes.*,
        told.outlet_ids,
        coalesce(
            outcomes.outcome in ('season_or_repairs', 'outlet_closed')
            and jsonb_array_length(told.outlet_ids) < clients.outlets_total,
            false
        ) as is_about_outlets
    from outcomes
    left join told on outcomes.instance = told.instance and outcomes.followup_id = told.followup_id
    left join clients on outcomes.instance = clients.instance and outcomes.client_id = clients.client_id
),

of_clients as (
    select distinct on (instance, client_id)
        instance,
        client_id,
        cast(null as text) as outlet_id,
        outcome,
        until_on,
        recorded_on
    from answers
    where not is_about_outlets
    order by instance, client_id, recorded_on desc, recorded_at desc, answer_id desc
),

-- What was said later of a row with the same outlet in it counts.
of_outlets as (
    select distinct on (answers.instance, answers.client_id, outlets.outlet_id)
        answers.instance,
        answers.client_id,
        outlets.outlet_id,
        answers.outcome,
        answers.until_on,
        answers.recorded_on,
        answers.is_about_outlets
    from answers
    cross join lateral jsonb_array_elements_text(answers.outlet_ids) as outlets (outlet_id)
    order by
        answers.instance, answers.client_id, outlets.outlet_id,
        answers.recorded_on desc, answers.recorded_at desc, answers.answer_id desc
),

latest as (
    select * from of_clients
    union all
    select
        instance,
        client_id,
        outlet_id,
        outcome,
        until_on,
        recorded_on
    from of_outlets
    where is_about_outlets
),

calendar as (
    select * from {{ ref('int_calendar') }}
),

-- Whoever orders after all is not closed.
reopened as (
    select distinct
        latest.instance,
        latest.client_id,
        latest.outlet_id
    from latest
    inner join {{ ref('fct_order_occasion') }} as occasions
        on
            latest.instance = occasions.instance
            and latest.client_id = occasions.client_id
            and coalesce(latest.outlet_id = occasions.outlet_id, true)
            and latest.recorded_on < occasions.ordered_on
            and occasions.ordered_on <= {{ as_of() }}
    where latest.outcome = 'outlet_closed'
),

dated as (
    select
        latest.instance,
        latest.client_id,
        latest.outlet_id,
        latest.outcome,
        latest.recorded_on,
        case
            when latest.outcome = 'no_answer' then null
            when latest.outcome = 'outlet_closed' then case when reopened.client_id is null then date '9999-12-31' end
            -- The day of the call itself is for calling.
            when latest.outcome = 'call_back' and latest.until_on is not null then latest.until_on - 1
            when latest.outcome = 'will_order' and latest.until_on is not null then promised.date_day
            when latest.until_on is not null then latest.until_on
            else cooled.date_day - 1
        end as rests_to
    from latest
    left join calendar as recorded on latest.recorded_on = recorded.date_day
    left join calendar as cooled
        on
            cooled.is_working_day
            and recorded.working_day_no + {{ var('cool_down_working_days') }} = cooled.working_day_no
    left join calendar as until_day on latest.until_on = until_day.date_day
    left join calendar as promised
        on
            promised.is_working_day
            and until_day.working_day_no + {{ var('promise_grace_working_days') }} = promised.working_day_no
    left join reopened
        on
            latest.instance = reopened.instance
            and latest.client_id = reopened.client_id
            and latest.outlet_id is not distinct from reopened.outlet_id
)

select
    instance,
    client_id,
    outlet_id,
    outcome,
    recorded_on,
    rests_to,
    outcome in ('season_or_repairs', 'outlet_closed') as is_debt_still_asked
from dated
where rests_to >= {{ as_of() }}
