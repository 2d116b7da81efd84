-- An order was due, by agreement or by habit, and did not come. The rule itself lives in order_expectation.
with expectations as (
    select * from {{ ref('order_expectation') }}
    where as_of = {{ as_of() }} and status = 'missed_order'
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
    'missed_order' as reason,
    {{ var('missed_order_rule_version') }} as rule_version,
    expectations.basis as baseline,
    expectations.branch_id,
    expectations.manager_id,
    expectations.last_ordered_on as episode_on,
    expectations.next_due_on as due_on,
    expectations.money_at_risk,
    cast(1 as numeric(4, 2)) as urgency,
    false as is_blocking,
    case when expectations.history_state = 'established' then 'ok' else 'little_history' end as confidence,
    {{ silence_words('expectations', 'outlets') }} as evidence
from expectations
inner join outlets on expectations.instance = outlets.instance and expectations.outlet_id = outlets.outlet_id
