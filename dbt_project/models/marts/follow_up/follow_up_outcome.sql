{{
    config(
        materialized='table',
        indexes=[
            {'columns': ['as_of', 'instance', 'client_id'], 'unique': true},
            {'columns': ['rule_id', 'is_complete']},
        ]
    )
}}

-- What became of each row of the past lists. Who was told and who was held out are measured alike: by what the client
-- ordered or paid within the same window after the row's day, never more than the row was worth.
with listed as (
    select * from {{ ref('follow_up') }}
    where as_of < {{ as_of() }} and as_of >= {{ as_of() }} - {{ var('effect_days') }}
),

-- Withdrawn before it was sent: meant to be told, as those who were told were, and yet nobody heard of it.
told as (
    select
        instance,
        client_id,
        as_of,
        bool_or(state = 'sent' or external_id is not null) as has_reached
    from {{ ref('stg_ops__delivery_ledger') }}
    where state in ('sent', 'withdrawn') and settled_at is not null
    group by instance, client_id, as_of
),

answers as (
    select distinct on (instance, client_id, followup_id)
        instance,
        client_id,
        followup_id,
        outcome,
        until_on,
        recorded_on
    from {{ ref('stg_ops__follow_up_outcome') }}
    where recorded_on <= {{ as_of() }}
    order by instance, client_id, followup_id, recorded_on desc, recorded_at desc, answer_id desc
),

calendar as (
    select * from {{ ref('int_calendar') }}
),

ranked as (
    select
        listed.*,
        told.as_of is not null as is_told,
        coalesce(told.has_reached, false) as has_reached,
        max(listed.list_rank) filter (where told.as_of is not null) over (
            partition by listed.as_of, listed.instance, listed.manager_id
        ) as last_rank_told
    from listed
    left join told
        on listed.instance = told.instance and listed.client_id = told.client_id and listed.as_of = told.as_of
),

-- A story counts from the day it was told, or would have been had it not been held out; the same one on the days after is
-- no second chance.
stories as (
    select
        *,
        row_number() over (
            partition by instance, followup_id
            order by is_told or (is_holdout and coalesce(list_rank <= last_rank_told, false)) desc, as_of asc
        ) = 1 as is_first_day
    from ranked
),

windows as (
    select
        stories.*,
        least(
            week_later.date_day,
            stories.as_of + cast(
                ceil(
                    (
                        select min(cast(facts.item ->> 'cadence_days' as numeric))
                        from jsonb_array_elements(
                            (stories.evidence -> 'outlets') || coalesce(stories.evidence -> 'findings', '[]')
                        ) as facts (item)
                    )
                ) as integer
            )
        ) as window_to
    from stories
    inner join calendar as first_day on stories.as_of = first_day.date_day
    inner join calendar as week_later
        on
            week_later.is_working_day
            and first_day.working_day_no + {{ var('attribution_working_days') }} = week_later.working_day_no
    where stories.is_first_day
),

ordered as (
    select
        windows.as_of,
        windows.instance,
        windows.client_id,
        min(occasions.ordered_on) as ordered_on,
        sum(occasions.amount_with_vat) as ordered_amount
    from windows
    inner join {{ ref('fct_order_occasion') }} as occasions
        on
            windows.instance = occasions.instance
            and occasions.outlet_id = any(windows.outlet_ids)
            and occasions.ordered_on between windows.as_of and least(windows.window_to, {{ as_of() }})
    where not occasions.all_cancelled_by_us
    group by windows.as_of, windows.instance, windows.client_id
),

-- For positions that were left out or offered: only these positions count.
positions as (
    select distinct
        windows.as_of,
        windows.instance,
        windows.client_id,
        windows.window_to,
        facts.item ->> 'outlet_id' as outlet_id,
        named.position ->> 'product_id' as product_id
    from windows
    cross join lateral jsonb_array_elements(coalesce(windows.evidence -> 'findings', '[]')) as facts (item)
    cross join
        lateral jsonb_array_elements(
            coalesce(facts.item -> 'candidates', facts.item -> 'positions')
        ) as named (position)
    where
        windows.rule_id in ('missing_assortment', 'no_new_positions')
        and facts.item ->> 'reason' = windows.rule_id
),

taken as (
    select
        positions.as_of,
        positions.instance,
        positions.client_id,
        sum(lines.amount_with_vat) as taken_amount
    from positions
    inner join {{ ref('fct_order_line') }} as lines
        on
            positions.instance = lines.instance
            and positions.outlet_id = lines.outlet_id
            and positions.product_id = lines.product_id
            and lines.ordered_on between positions.as_of and least(positions.window_to, {{ as_of() }})
    where lines.line_status not like 'cancelled%'
    group by positions.as_of, positions.instance, positions.client_id
),

paid as (
    select
        windows.as_of,
        windows.instance,
        windows.client_id,
        sum(payments.amount) as paid_amount
    from windows
    cross join lateral jsonb_array_elements(coalesce(windows.evidence -> 'findings', '[]')) as facts (item)
    inner join {{ ref('stg_onec__payment') }} as payments
        on
            windows.instance = payments.instance
            and facts.item ->> 'legal_entity_id' = payments.legal_entity_id
            and cast(payments.dated_at as date) between windows.as_of and least(windows.window_to, {{ as_of() }})
    where
        windows.rule_id = 'overdue_debt'
        and facts.item ->> 'reason' = 'overdue_debt'
        and payments.posted and not payments.deletion_mark and not payments.is_deleted
    group by windows.as_of, windows.instance, windows.client_id
),

measured as (
    select
        windows.*,
        ordered.ordered_on,
        answers.outcome,
        answers.recorded_on,
        case
            when windows.rule_id = 'overdue_debt' then coalesce(paid.paid_amount, 0)
            when windows.rule_id in ('missing_assortment', 'no_new_positions') then coalesce(taken.taken_amount, 0)
            when windows.rule_id = 'reduced_quantity'
                then greatest(
                    coalesce(ordered.ordered_amount, 0)
                    - coalesce(cast(windows.evidence #>> '{findings,0,ordered_amount}' as numeric), 0),
                    0
                )
            else coalesce(ordered.ordered_amount, 0)
        end as came_amount
    from windows
    left join ordered
        on
            windows.as_of = ordered.as_of
            and windows.instance = ordered.instance
            and windows.client_id = ordered.client_id
    left join taken
        on windows.as_of = taken.as_of and windows.instance = taken.instance and windows.client_id = taken.client_id
    left join paid
        on windows.as_of = paid.as_of and windows.instance = paid.instance and windows.client_id = paid.client_id
    left join answers
        on
            windows.instance = answers.instance
            and windows.client_id = answers.client_id
            and windows.followup_id = answers.followup_id
)

select
    as_of,
    instance,
    followup_id,
    client_id,
    branch_id,
    manager_id,
    rule_id,
    rule_version,
    money_at_risk,
    is_told,
    is_holdout,
    -- Compared are only rows that chance alone has parted: both could have been held out, both were high enough to be told.
    coalesce(may_be_held_out and (is_told or (is_holdout and list_rank <= last_rank_told)), false) as is_assigned,
    window_to,
    window_to < {{ as_of() }} as is_complete,
    outcome,
    recorded_on,
    ordered_on,
    cast(least(greatest(came_amount, 0), money_at_risk) as numeric(18, 2)) as came_amount,
    -- It came by itself: before anybody could have called, or without anybody having been told.
    came_amount > 0 and (not has_reached or coalesce(ordered_on < recorded_on or outcome = 'has_ordered', false)) as is_self_cured,
    coalesce(outcome in ('wrong_data', 'season_or_repairs', 'outlet_closed', 'our_fault', 'cadence_changed'), false) as is_false_alarm
from measured
