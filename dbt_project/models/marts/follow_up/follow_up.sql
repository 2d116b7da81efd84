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
with expectations as (
    select * from {{ ref('order_expectation') }}
    where as_of = {{ as_of() }} and status = 'missed_order'
),

outlets as (
    select * from {{ ref('int_outlet') }}
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

affected as (
    select
        expectations.*,
        row_number() over (
            partition by expectations.instance, expectations.client_id
            order by expectations.money_at_risk desc, expectations.next_due_on asc, expectations.outlet_id asc
        ) as outlet_rank,
        jsonb_build_object(
            'outlet_id', expectations.outlet_id,
            'name', outlets.outlet_name,
            'format', outlets.outlet_format_name,
            'address', outlets.address,
            'basis', expectations.basis,
            'cadence_days', trim_scale(expectations.cadence_days),
            'weekdays', expectations.weekdays,
            'every_weeks', expectations.every_weeks,
            'last_ordered_on', expectations.last_ordered_on,
            'last_order_number', expectations.last_order_number,
            'due_on', expectations.next_due_on,
            'missed_due_dates', to_jsonb(expectations.missed_due_dates),
            'missed_cycles', expectations.missed_cycles,
            'median_amount', expectations.median_amount,
            'usual_positions', expectations.usual_positions,
            'money_at_risk', expectations.money_at_risk
        ) as evidence
    from expectations
    inner join outlets on expectations.instance = outlets.instance and expectations.outlet_id = outlets.outlet_id
),

-- The branch and the rep of the row are those of its biggest outlet.
rows_by_client as (
    select
        instance,
        client_id,
        min(branch_id) filter (where outlet_rank = 1) as branch_id,
        min(manager_id) filter (where outlet_rank = 1) as manager_id,
        count(*) as outlets_affected,
        array_agg(outlet_id order by outlet_rank) as outlet_ids,
        sum(money_at_risk) as money_at_risk,
        min(next_due_on) as oldest_due_on,
        bool_or(history_state <> 'established') as has_little_history,
        jsonb_agg(evidence order by outlet_rank) as outlets_evidence,
        -- What makes this the same story tomorrow: the reason, and since which order each outlet is silent.
        string_agg(outlet_id || '@' || last_ordered_on, ',' order by outlet_id) as episode
    from affected
    group by instance, client_id
)

select
    left(
        encode(
            sha256(
                convert_to(
                    rows_by_client.instance || '|' || rows_by_client.client_id || '|missed_order|' || rows_by_client.episode,
                    'UTF8'
                )
            ),
            'hex'
        ),
        32
    ) as followup_id,
    {{ as_of() }} as as_of,
    rows_by_client.instance,
    rows_by_client.client_id,
    clients.client_name,
    rows_by_client.branch_id,
    organisations.name as branch_name,
    rows_by_client.manager_id,
    managers.name as manager_name,
    cast(array['missed_order'] as text[]) as reasons,
    'missed_order' as rule_id,
    {{ var('missed_order_rule_version') }} as rule_version,
    cast(greatest(clients.outlets_total, rows_by_client.outlets_affected) as integer) as outlets_total,
    cast(rows_by_client.outlets_affected as integer) as outlets_affected,
    rows_by_client.outlet_ids,
    cast(rows_by_client.money_at_risk as numeric(18, 2)) as money_at_risk,
    cast(
        row_number() over (
            partition by rows_by_client.instance, rows_by_client.manager_id
            order by rows_by_client.money_at_risk desc, rows_by_client.oldest_due_on asc, rows_by_client.client_id asc
        ) as integer
    ) as list_rank,
    case when rows_by_client.has_little_history then 'little_history' else 'ok' end as confidence,
    jsonb_build_object(
        'outlets', rows_by_client.outlets_evidence,
        'next_shipping_day', today.following_delivery_day,
        'data_as_of', to_char(coverage.data_as_of at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
    ) as evidence
from rows_by_client
left join clients on rows_by_client.instance = clients.instance and rows_by_client.client_id = clients.client_id
left join managers on rows_by_client.instance = managers.instance and rows_by_client.manager_id = managers.manager_id
left join organisations
    on rows_by_client.instance = organisations.instance and rows_by_client.branch_id = organisations.organisation_id
left join coverage on rows_by_client.instance = coverage.instance
left join today on true
