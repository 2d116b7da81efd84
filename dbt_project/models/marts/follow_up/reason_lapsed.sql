-- Several orders running did not come: another conversation than one forgotten order, and not with the rep alone.
-- Who is silent for longer still is lost: that is a campaign, not a call of the day.
with expectations as (
    select * from {{ ref('order_expectation') }}
    where as_of = {{ as_of() }} and status = 'lapsed' and days_since_last < {{ var('lost_days') }}
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
    'lapsed' as reason,
    {{ var('follow_up_rule_versions')['lapsed'] }} as rule_version,
    expectations.basis as baseline,
    expectations.branch_id,
    expectations.manager_id,
    expectations.last_ordered_on as episode_on,
    expectations.next_due_on as due_on,
    expectations.money_at_risk,
    cast(1 as numeric(4, 2)) as urgency,
    false as is_blocking,
    case when expectations.history_state = 'established' then 'ok' else 'little_history' end as confidence,
    {{ silence_words('expectations', 'outlets') }}
    || jsonb_build_object('days_since_last', expectations.days_since_last) as evidence
from expectations
inner join outlets on expectations.instance = outlets.instance and expectations.outlet_id = outlets.outlet_id
