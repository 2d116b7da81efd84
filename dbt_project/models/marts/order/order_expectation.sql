{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='append_new_columns',
        full_refresh=false,
        pre_hook='{{ delete_as_of() }}',
        post_hook='{{ analyze_this() }}',
        indexes=[
            {'columns': ['as_of', 'instance', 'outlet_id'], 'unique': true},
            {'columns': ['as_of', 'status']},
            {'columns': ['instance', 'client_id', 'as_of']},
        ]
    )
}}

-- The rule of the missed order. Was an order due from this outlet, by agreement or by its own habit, and did it come?
-- All numbers of the rule are vars of dbt_project.yml.
with outlets as (
    select * from {{ ref('int_outlet') }}
),

source_instances as (
    select * from {{ ref('stg_ops__source_instance') }}
),

rhythm as (
    select * from {{ ref('int_order_rhythm') }}
),

terms as (
    select * from {{ ref('int_outlet_terms') }}
),

-- What the client has said of his rhythm since goes before the agreement.
cadence as (
    select agreements.*
    from {{ ref('int_agreement_cadence') }} as agreements
    left join terms on agreements.instance = terms.instance and agreements.outlet_id = terms.outlet_id
    where terms.told_on is null or coalesce(agreements.valid_from > terms.told_on, false)
),

schedule as (
    select * from {{ ref('int_schedule') }}
),

pending as (
    select * from {{ ref('int_order_pending') }}
),

calendar as (
    select * from {{ ref('int_calendar') }}
),

daily as (
    select * from {{ ref('int_daily_pattern') }}
),

-- Agreed: the last order covers the agreed day nearest to it, the later one of two equally near.
covered as (
    select distinct on (schedule.instance, schedule.outlet_id)
        schedule.instance,
        schedule.outlet_id,
        schedule.scheduled_on as covered_on
    from schedule
    inner join rhythm on schedule.instance = rhythm.instance and schedule.outlet_id = rhythm.outlet_id
    order by
        schedule.instance, schedule.outlet_id,
        abs(schedule.scheduled_on - rhythm.last_ordered_on), schedule.scheduled_on desc
),

owed_days as (
    select
        schedule.instance,
        schedule.outlet_id,
        schedule.scheduled_on,
        row_number() over (partition by schedule.instance, schedule.outlet_id order by schedule.scheduled_on) as turn_no
    from schedule
    inner join rhythm on schedule.instance = rhythm.instance and schedule.outlet_id = rhythm.outlet_id
    inner join covered on schedule.instance = covered.instance and schedule.outlet_id = covered.outlet_id
    where
        schedule.is_owed
        and schedule.scheduled_on > covered.covered_on
        and schedule.scheduled_on > rhythm.last_ordered_on
),

-- A bigger order than usual lasts longer: the cycles it lasts for are skipped.
agreed_due as (
    select
        owed_days.instance,
        owed_days.outlet_id,
        min(owed_days.scheduled_on) as strict_due_on,
        min(owed_days.scheduled_on) filter (where owed_days.turn_no >= rhythm.stocked_cycles) as next_due_on,
        array_agg(owed_days.scheduled_on order by owed_days.scheduled_on) filter (
            where owed_days.turn_no >= rhythm.stocked_cycles and owed_days.scheduled_on < {{ as_of() }}
        ) as missed_due_dates
    from owed_days
    inner join rhythm on owed_days.instance = rhythm.instance and owed_days.outlet_id = rhythm.outlet_id
    group by owed_days.instance, owed_days.outlet_id
),

agreed as (
    select
        cadence.instance,
        cadence.outlet_id,
        'agreed' as basis,
        cadence.cadence_days,
        agreed_due.strict_due_on,
        agreed_due.next_due_on,
        late_day.date_day as late_after,
        coalesce(agreed_due.missed_due_dates, cast(array[] as date[])) as missed_due_dates,
        coalesce(cardinality(agreed_due.missed_due_dates), 0) as missed_cycles
    from cadence
    left join agreed_due on cadence.instance = agreed_due.instance and cadence.outlet_id = agreed_due.outlet_id
    left join calendar as due_day on agreed_due.next_due_on = due_day.date_day
    left join calendar as late_day
        on
            late_day.is_working_day
            and due_day.working_day_no + {{ var('agreed_grace_working_days') }} = late_day.working_day_no
),

-- Learned: the outlet's own median gap; late only when also later than its own late gaps. After a pause or out of season
-- the clock starts anew.
learned_from as (
    select
        rhythm.*,
        greatest(rhythm.last_ordered_on, terms.reopened_on) as counted_from,
        terms.told_on is not null as is_told,
        coalesce(terms.told_cadence_days, rhythm.median_gap_days) as gap_days,
        case when terms.told_on is null then rhythm.late_gap_days end as own_late_gap_days
    from rhythm
    left join cadence on rhythm.instance = cadence.instance and rhythm.outlet_id = cadence.outlet_id
    left join terms on rhythm.instance = terms.instance and rhythm.outlet_id = terms.outlet_id
    where
        cadence.outlet_id is null
        and (rhythm.occasions_in_window >= {{ var('min_occasions') }} or terms.told_on is not null)
),

learned_days as (
    select
        instance,
        outlet_id,
        is_told,
        gap_days,
        counted_from + cast(ceil(gap_days) as integer) as strict_due_on,
        counted_from + cast(ceil(gap_days * stocked_cycles) as integer) as expected_on,
        counted_from + cast(
            ceil(greatest(gap_days * stocked_cycles + {{ var('learned_grace_days') }}, own_late_gap_days)) as integer
        ) as late_on,
        greatest(
            cast(floor(({{ as_of() }} - counted_from) / gap_days) as integer) - stocked_cycles + 1, 1
        ) as cycles_behind
    from learned_from
),

learned as (
    select
        learned_days.instance,
        learned_days.outlet_id,
        'learned' as basis,
        round(learned_days.gap_days, 2) as cadence_days,
        coalesce(daily.strict_due_on, learned_days.strict_due_on) as strict_due_on,
        coalesce(daily.next_due_on, learned_days.expected_on) as next_due_on,
        coalesce(daily.late_after, late_day.next_working_day) as late_after,
        -- Nobody promised a day: there are missed cycles, but no missed dates to reproach with.
        cast(array[] as date[]) as missed_due_dates,
        cast(greatest(coalesce(daily.cycles_behind, learned_days.cycles_behind), 1) as integer) as missed_cycles
    from learned_days
    left join calendar as late_day on learned_days.late_on = late_day.date_day
    left join daily
        on learned_days.instance = daily.instance and learned_days.outlet_id = daily.outlet_id and not learned_days.is_told
),

expected as (
    select * from agreed
    union all
    select * from learned
),

judged as (
    select
        outlets.instance,
        outlets.outlet_id,
        outlets.client_id,
        coalesce(
            rhythm.last_branch_id,
            case when source_instances.branches = 'by_organization' then cadence.organisation_id else 'all' end
        ) as branch_id,
        coalesce(outlets.manager_id, rhythm.last_manager_id) as manager_id,
        expected.basis,
        cadence.agreement_id,
        expected.cadence_days,
        cadence.every_weeks,
        coalesce(cadence.weekdays, case when terms.told_on is null then daily.weekdays end) as weekdays,
        coalesce(rhythm.occasions_total, 0) as occasions_total,
        coalesce(rhythm.occasions_in_window, 0) as occasions_in_window,
        rhythm.last_ordered_on,
        rhythm.last_order_number,
        {{ as_of() }} - rhythm.last_ordered_on as days_since_last,
        rhythm.last_amount,
        rhythm.last_all_cancelled_by_us,
        rhythm.median_amount,
        rhythm.usual_positions,
        coalesce(rhythm.stocked_cycles, 1) as stocked_cycles,
        expected.strict_due_on,
        expected.next_due_on,
        expected.late_after,
        expected.missed_due_dates,
        expected.missed_cycles,
        case when pending.draft_on > rhythm.last_ordered_on then pending.draft_on end as draft_on,
        pending.awaited_on,
        coalesce({{ as_of() }} > expected.late_after, false) as is_late,
        outlets.is_withdrawn or coalesce(outlets.closed_on <= {{ as_of() }}, false) as is_closed,
        terms.closed_by,
        terms.closed_until,
        terms.delivery_weekdays,
        terms.cut_off_time,
        terms.lead_days,
        case
            when rhythm.occasions_total = 1
                then greatest(rhythm.last_ordered_on, terms.reopened_on) + cast(terms.median_first_gap_days as integer)
        end as second_order_due_on
    from outlets
    inner join source_instances on outlets.instance = source_instances.instance
    left join rhythm on outlets.instance = rhythm.instance and outlets.outlet_id = rhythm.outlet_id
    left join cadence on outlets.instance = cadence.instance and outlets.outlet_id = cadence.outlet_id
    left join expected on outlets.instance = expected.instance and outlets.outlet_id = expected.outlet_id
    left join pending on outlets.instance = pending.instance and outlets.outlet_id = pending.outlet_id
    left join terms on outlets.instance = terms.instance and outlets.outlet_id = terms.outlet_id
    left join daily on outlets.instance = daily.instance and outlets.outlet_id = daily.outlet_id
),

decided as (
    select
        *,
        case
            when is_closed then 'closed'
            when closed_by = 'pause' then 'paused'
            when closed_by = 'season' then 'off_season'
            when awaited_on is not null then 'on_time'
            when occasions_total = 0 then 'no_orders'
            when draft_on is not null then 'draft'
            when occasions_total = 1 then 'first_order'
            when basis is null then 'little_history'
            when not is_late then 'on_time'
            when
                missed_cycles >= {{ var('lapsed_min_cycles') }} and days_since_last >= {{ var('lapsed_min_days') }}
                then 'lapsed'
            else 'missed_order'
        end as status
    from judged
)

select
    {{ as_of() }} as as_of,
    instance,
    outlet_id,
    client_id,
    branch_id,
    manager_id,
    status,
    basis,
    agreement_id,
    cast(cadence_days as numeric(8, 2)) as cadence_days,
    cast(every_weeks as integer) as every_weeks,
    weekdays,
    case
        when occasions_total = 0 then 'none'
        when occasions_total = 1 then 'first'
        when occasions_in_window < {{ var('min_occasions') }} then 'little'
        else 'established'
    end as history_state,
    cast(occasions_total as integer) as occasions_total,
    cast(occasions_in_window as integer) as occasions_in_window,
    last_ordered_on,
    last_order_number,
    days_since_last,
    cast(last_amount as numeric(18, 2)) as last_amount,
    last_all_cancelled_by_us,
    median_amount,
    usual_positions,
    stocked_cycles,
    next_due_on,
    late_after,
    draft_on,
    awaited_on,
    case when status in ('missed_order', 'lapsed') then missed_due_dates else cast(array[] as date[]) end as missed_due_dates,
    case when status in ('missed_order', 'lapsed') then missed_cycles else 0 end as missed_cycles,
    cast(
        case
            when status in ('missed_order', 'lapsed')
                then median_amount * least(missed_cycles, {{ var('money_at_risk_max_cycles') }})
            else 0
        end as numeric(18, 2)
    ) as money_at_risk,
    strict_due_on,
    coalesce(not is_closed and {{ as_of() }} > strict_due_on, false) as is_strictly_late,
    status = 'missed_order' as is_missed,
    closed_until,
    delivery_weekdays,
    cut_off_time,
    lead_days,
    second_order_due_on,
    status = 'first_order' and coalesce({{ as_of() }} > second_order_due_on + {{ var('learned_grace_days') }}, false)
        as is_second_order_late
from decided
