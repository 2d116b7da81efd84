-- Where each client stands with us: since when we have been telling a rep about it without an answer, what the last answer
-- was, and is it one of the dearest.
with told as (
    select distinct
        instance,
        client_id,
        as_of
    from {{ ref('stg_ops__delivery_ledger') }}
    where state = 'sent' and as_of < {{ as_of() }} and as_of >= {{ as_of() }} - {{ var('min_occasions_window_days') }}
),

-- A call that nobody took is no answer.
answered as (
    select
        instance,
        client_id,
        max(recorded_on) as answered_on
    from {{ ref('stg_ops__follow_up_outcome') }}
    where recorded_on <= {{ as_of() }} and outcome <> 'no_answer'
    group by instance, client_id
),

last_contacts as (
    select distinct on (instance, client_id)
        instance,
        client_id,
        outcome,
        until_on,
        recorded_on
    from {{ ref('stg_ops__follow_up_outcome') }}
    where recorded_on < {{ as_of() }}
    order by instance, client_id, recorded_on desc, recorded_at desc, answer_id desc
),

-- An order that came is an answer, too.
ordered as (
    select
        instance,
        client_id,
        max(ordered_on) as ordered_on
    from {{ ref('fct_order_occasion') }}
    where ordered_on <= {{ as_of() }}
    group by instance, client_id
),

unanswered as (
    select
        told.instance,
        told.client_id,
        min(told.as_of) as unanswered_since
    from told
    left join answered on told.instance = answered.instance and told.client_id = answered.client_id
    left join ordered on told.instance = ordered.instance and told.client_id = ordered.client_id
    where
        told.as_of > coalesce(answered.answered_on, date '-infinity')
        and told.as_of >= coalesce(ordered.ordered_on, date '-infinity')
    group by told.instance, told.client_id
),

calendar as (
    select * from {{ ref('int_calendar') }}
),

classes as (
    select distinct on (instance, client_id)
        instance,
        client_id,
        abc_class
    from {{ ref('client_segment') }}
    where month_start <= {{ as_of() }}
    order by instance, client_id, month_start desc
),

clients as (
    select * from {{ ref('int_client') }}
)

select
    clients.instance,
    clients.client_id,
    unanswered.unanswered_since,
    last_contacts.outcome as last_outcome,
    last_contacts.until_on as last_until_on,
    last_contacts.recorded_on as last_contact_on,
    -- Such an answer agrees on another call; after the others the same story is not told again.
    coalesce(
        last_contacts.outcome in (
            'call_back', 'will_order', 'has_ordered', 'no_answer', 'season_or_repairs', 'cadence_changed'
        ),
        false
    )
        as is_to_be_asked_again,
    coalesce(now_day.working_day_no - told_day.working_day_no >= {{ var('unanswered_rows_to_escalate') }}, false) as is_unanswered,
    coalesce(classes.abc_class = 'A', false) as is_vip
from clients
left join unanswered on clients.instance = unanswered.instance and clients.client_id = unanswered.client_id
left join last_contacts on clients.instance = last_contacts.instance and clients.client_id = last_contacts.client_id
left join calendar as told_day on unanswered.unanswered_since = told_day.date_day
left join calendar as now_day on now_day.date_day = {{ as_of() }}
left join classes on clients.instance = classes.instance and clients.client_id = classes.client_id
