-- A new client has ordered once, and outlets of its format have usually ordered again by now.
with expectations as (
    select * from {{ ref('order_expectation') }}
    where as_of = {{ as_of() }} and is_second_order_late and days_since_last < {{ var('lost_days') }}
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
    'second_order' as reason,
    {{ var('follow_up_rule_versions')['second_order'] }} as rule_version,
    'segment' as baseline,
    expectations.branch_id,
    expectations.manager_id,
    expectations.last_ordered_on as episode_on,
    expectations.second_order_due_on as due_on,
    cast(coalesce(expectations.last_amount, 0) as numeric(18, 2)) as money_at_risk,
    cast(1 as numeric(4, 2)) as urgency,
    false as is_blocking,
    'little_history' as confidence,
    jsonb_build_object(
        {{ outlet_words('outlets') }},
        'last_ordered_on', expectations.last_ordered_on,
        'last_order_number', expectations.last_order_number,
        'last_amount', expectations.last_amount,
        'days_since_last', expectations.days_since_last,
        'usual_days', expectations.second_order_due_on - expectations.last_ordered_on,
        'due_on', expectations.second_order_due_on
    ) as evidence
from expectations
inner join outlets on expectations.instance = outlets.instance and expectations.outlet_id = outlets.outlet_id
