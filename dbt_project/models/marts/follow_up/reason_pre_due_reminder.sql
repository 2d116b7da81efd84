-- An agreed order is due today or on the next working day and is not there yet. A friendly word, no reproach: no money is
-- at risk so far.
with expectations as (
    select * from {{ ref('order_expectation') }}
    where
        as_of = {{ as_of() }}
        and status = 'on_time'
        and basis = 'agreed'
        and awaited_on is null
        and draft_on is null
),

tomorrow as (
    select min(date_day) as date_day
    from {{ ref('int_calendar') }}
    where is_working_day and date_day > {{ as_of() }}
),

outlets as (
    select * from {{ ref('int_outlet') }}
)

select
    {{ as_of() }} as as_of,
    expectations.instance,
    expectations.client_id,
    expectations.outlet_id,
    expectations.outlet_id as subject_id,
    'pre_due_reminder' as reason,
    {{ var('follow_up_rule_versions')['pre_due_reminder'] }} as rule_version,
    expectations.basis as baseline,
    expectations.branch_id,
    expectations.manager_id,
    expectations.last_ordered_on as episode_on,
    expectations.next_due_on as due_on,
    cast(0 as numeric(18, 2)) as money_at_risk,
    cast(1 as numeric(4, 2)) as urgency,
    false as is_blocking,
    case when expectations.history_state = 'established' then 'ok' else 'little_history' end as confidence,
    {{ silence_words('expectations', 'outlets') }}
    || jsonb_build_object('cut_off_time', to_char(expectations.cut_off_time, 'HH24:MI')) as evidence
from expectations
inner join tomorrow on expectations.next_due_on between {{ as_of() }} and tomorrow.date_day
inner join outlets on expectations.instance = outlets.instance and expectations.outlet_id = outlets.outlet_id
