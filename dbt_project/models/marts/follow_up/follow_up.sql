{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='append_new_columns',
        full_refresh=false,
        pre_hook='{{ delete_as_of() }}',
        post_hook='{{ analyze_this() }}',
        grants={'select': ['bi_reader', 'polka_sender']},
        indexes=[
            {'columns': ['as_of', 'instance', 'client_id'], 'unique': true},
            {'columns': ['as_of', 'instance', 'manager_id', 'list_rank']},
            {'columns': ['followup_id']},
        ]
    )
}}

-- Whom to call on the business date: one row per client, all its outlets and reasons merged.
with reasons as (
    select * from {{ ref('int_follow_up_reason') }}
),

clients as (
    select * from {{ ref('int_client') }}
),

managers as (
    select * from {{ ref('stg_onec__manager') }}
),

organisations as (
    select * from {{ ref('stg_onec__organisation') }}
),

standing as (
    select * from {{ ref('int_follow_up_standing') }}
),

teams as (
    select * from {{ ref('int_rep_team') }}
),

coverage as (
    select
        instance,
        min(covered_until) as data_as_of
    from {{ ref('stg_ops__coverage') }}
    where entity = 'order'
    group by instance
),

today as (
    select * from {{ ref('int_calendar') }}
    where date_day = {{ as_of() }}
),

-- Roubles are counted once: what an order that did not come would have held is not missed in it a second time.
counted as (
    select
        *,
        case
            when
                money_group = 'basket'
                and max(money_at_risk) filter (where money_group = 'order') over (partition by instance, client_id, outlet_id) > 0
                then 0
            when
                money_group = 'order' and outlet_id is not null
                and row_number() over (
                    partition by instance, client_id, outlet_id, money_group
                    order by money_at_risk desc, reason
                ) > 1
                then 0
            else money_at_risk
        end as counted_money
    from reasons
),

-- What stops the shipping is talked about first; then what costs most.
ranked as (
    select
        *,
        row_number() over (
            partition by instance, client_id
            order by is_blocking desc, counted_money * urgency desc, due_on asc, subject_id asc, reason asc
        ) as place,
        row_number() over (
            partition by instance, client_id, reason
            order by is_blocking desc, counted_money * urgency desc, due_on asc, subject_id asc
        ) as place_in_reason,
        row_number() over (
            partition by instance, client_id, outlet_id
            order by is_blocking desc, counted_money * urgency desc, due_on asc, subject_id asc, reason asc
        ) as place_in_outlet
    from counted
),

-- The branch and the rep of the row are those of its first reason.
rows_by_client as (
    select
        instance,
        client_id,
        min(branch_id) filter (where place = 1) as branch_id,
        min(manager_id) filter (where place = 1) as own_manager_id,
        min(reason) filter (where place = 1) as rule_id,
        min(rule_version) filter (where place = 1) as rule_version,
        array_agg(reason order by place) filter (where place_in_reason = 1) as reasons,
        count(*) filter (where outlet_id is not null and place_in_outlet = 1) as outlets_affected,
        coalesce(
            array_agg(outlet_id order by place) filter (where outlet_id is not null and place_in_outlet = 1),
            cast(array[] as text[])
        ) as outlet_ids,
        sum(counted_money) as money_at_risk,
        sum(counted_money * urgency) as priority,
        min(due_on) as oldest_due_on,
        min(episode_on) as oldest_episode_on,
        bool_or(is_blocking) as has_blocking,
        bool_or(confidence <> 'ok') as has_little_history,
        bool_or(reason = 'overdue_debt') as has_debt,
        coalesce(jsonb_agg(evidence order by place) filter (where reason = 'missed_order'), '[]') as outlets_evidence,
        jsonb_agg(
            jsonb_build_object(
                'reason', reason,
                'subject_id', subject_id,
                'rule_version', rule_version,
                'baseline', baseline,
                'confidence', confidence,
                'is_blocking', is_blocking,
                'money_at_risk', counted_money
            ) || evidence
            order by place
        ) filter (where reason <> 'missed_order') as findings,
        -- What makes this the same story tomorrow: the reasons, and since when each of them has been so.
        string_agg(
            case when reason = 'missed_order' then '' else reason || ':' end
            || subject_id || '@' || coalesce(cast(episode_on as text), ''),
            ',' order by reason, subject_id
        ) as episode,
        jsonb_agg(
            jsonb_build_object('reason', reason, 'subject_id', subject_id, 'since', episode_on) order by reason, subject_id
        ) filter (where reason <> 'missed_order') as signs
    from ranked
    group by instance, client_id
),

-- Unanswered for too long: the supervisor, if there is one. Away: the deputy.
placed as (
    select
        rows_by_client.*,
        coalesce(standing.is_unanswered, false) and teams.supervisor_id is not null as is_escalated,
        case
            when coalesce(standing.is_unanswered, false) then coalesce(teams.supervisor_id, teams.deputy_id, rows_by_client.own_manager_id)
            else coalesce(teams.deputy_id, rows_by_client.own_manager_id)
        end as manager_id,
        standing.unanswered_since,
        -- What was said since this story began, and the day of an answer after which one calls again.
        case when standing.last_contact_on >= rows_by_client.oldest_episode_on then standing.last_outcome end as last_outcome,
        case when standing.last_contact_on >= rows_by_client.oldest_episode_on then standing.last_until_on end as last_until_on,
        case when standing.last_contact_on >= rows_by_client.oldest_episode_on then standing.last_contact_on end as last_contact_on,
        case
            when standing.is_to_be_asked_again and standing.last_contact_on >= rows_by_client.oldest_episode_on
                then standing.last_contact_on
        end as asked_again_on,
        -- By the client and the month, so that it stays what it is all month; never who owes, never the dearest.
        not rows_by_client.has_debt and not coalesce(standing.is_vip, false) as may_be_held_out,
        coalesce(
            not rows_by_client.has_debt
            and not coalesce(standing.is_vip, false)
            and mod(
                cast(cast('x' || left(
                    md5(rows_by_client.instance || '|' || rows_by_client.client_id || '|' || to_char({{ as_of() }}, 'YYYY-MM')), 8
                ) as bit(32)) as bigint),
                100
            ) < {{ var('holdout_percent') }},
            false
        ) as is_holdout
    from rows_by_client
    left join standing on rows_by_client.instance = standing.instance and rows_by_client.client_id = standing.client_id
    left join teams on rows_by_client.instance = teams.instance and rows_by_client.own_manager_id = teams.manager_id
)

select
    left(
        encode(
            sha256(
                convert_to(
                    placed.instance || '|' || placed.client_id || '|'
                    || case when placed.findings is null then 'missed_order' else 'reasons' end
                    || '|' || placed.episode || case when placed.is_escalated then '|escalated' else '' end
                    || coalesce('|again@' || cast(placed.asked_again_on as text), ''),
                    'UTF8'
                )
            ),
            'hex'
        ),
        32
    ) as followup_id,
    {{ as_of() }} as as_of,
    placed.instance,
    placed.client_id,
    clients.client_name,
    -- A row without a branch must not be lost between the branches.
    coalesce(placed.branch_id, 'all') as branch_id,
    organisations.name as branch_name,
    placed.manager_id,
    managers.name as manager_name,
    placed.reasons,
    placed.rule_id,
    cast(placed.rule_version as integer) as rule_version,
    cast(greatest(clients.outlets_total, placed.outlets_affected) as integer) as outlets_total,
    cast(placed.outlets_affected as integer) as outlets_affected,
    placed.outlet_ids,
    cast(placed.money_at_risk as numeric(18, 2)) as money_at_risk,
    cast(
        row_number() over (
            partition by placed.instance, placed.manager_id
            order by placed.priority desc, placed.oldest_due_on asc, placed.client_id asc
        ) as integer
    ) as list_rank,
    -- Kept when the day is full: debts first, those that stop the shipping before the others.
    cast(
        row_number() over (
            partition by placed.instance, placed.manager_id
            order by placed.has_blocking desc, placed.has_debt desc, placed.priority desc, placed.oldest_due_on asc, placed.client_id asc
        ) as integer
    ) as keep_rank,
    case when placed.has_little_history then 'little_history' else 'ok' end as confidence,
    case when placed.findings is null then '{}' else jsonb_build_object('findings', placed.findings) end
    || case
        when placed.is_escalated
            then jsonb_build_object(
                'signs',
                coalesce(placed.signs, '[]')
                || jsonb_build_array(jsonb_build_object('reason', 'escalated', 'subject_id', placed.manager_id)),
                'escalated_from', own_managers.name,
                'unanswered_since', placed.unanswered_since
            )
        when placed.signs is not null then jsonb_build_object('signs', placed.signs)
        else '{}'
    end
    || case
        when not placed.is_escalated and placed.manager_id <> placed.own_manager_id
            then jsonb_build_object('stands_in_for', own_managers.name)
        else '{}'
    end
    || case
        when placed.last_contact_on is not null
            then jsonb_build_object(
                'last_outcome', placed.last_outcome,
                'last_until_on', placed.last_until_on,
                'last_contact_on', placed.last_contact_on,
                'asked_again_on', placed.asked_again_on
            )
        else '{}'
    end
    || jsonb_build_object(
        'outlets', placed.outlets_evidence,
        'next_shipping_day', today.following_delivery_day,
        'data_as_of', to_char(coverage.data_as_of at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
    ) as evidence,
    placed.is_escalated,
    placed.is_holdout,
    placed.may_be_held_out,
    capacity.calls_per_day as daily_calls
from placed
left join clients on placed.instance = clients.instance and placed.client_id = clients.client_id
left join managers on placed.instance = managers.instance and placed.manager_id = managers.manager_id
left join managers as own_managers
    on placed.instance = own_managers.instance and placed.own_manager_id = own_managers.manager_id
left join teams as capacity on placed.instance = capacity.instance and placed.manager_id = capacity.manager_id
left join organisations
    on placed.instance = organisations.instance and placed.branch_id = organisations.organisation_id
left join coverage on placed.instance = coverage.instance
left join today on true
