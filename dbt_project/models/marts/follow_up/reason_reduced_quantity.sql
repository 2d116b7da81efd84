-- The last order came and is clearly smaller than usual, at one price list: the rule is in order_compliance.
with expectations as (
    select * from {{ ref('order_expectation') }}
    where
        as_of = {{ as_of() }}
        and status = 'on_time'
        and last_ordered_on between {{ as_of() }} - {{ var('gap_fresh_days') }} and {{ as_of() }}
),

compliance as (
    select * from {{ ref('order_compliance') }}
    where is_quantity_alert and ordered_on between {{ as_of() }} - {{ var('gap_fresh_days') }} and {{ as_of() }}
),

gaps as (
    select * from {{ ref('order_quantity_gap') }}
    where is_alert and ordered_on between {{ as_of() }} - {{ var('gap_fresh_days') }} and {{ as_of() }}
),

outlets as (
    select * from {{ ref('int_outlet') }}
),

products as (
    select * from {{ ref('dim_product') }}
),

positions as (
    select
        gaps.instance,
        gaps.outlet_id,
        gaps.ordered_on,
        min(gaps.basis) as basis,
        jsonb_agg(
            jsonb_build_object(
                'product_id', gaps.product_id,
                'name', products.product_name,
                'ordered_quantity', trim_scale(gaps.ordered_quantity),
                'usual_quantity', trim_scale(gaps.usual_quantity),
                'amount', gaps.shortfall_amount
            )
            order by gaps.shortfall_amount desc, gaps.product_id
        ) as positions
    from gaps
    left join products on gaps.instance = products.instance and gaps.product_id = products.product_id
    group by gaps.instance, gaps.outlet_id, gaps.ordered_on
)

select
    {{ as_of() }} as as_of,
    compliance.instance,
    expectations.client_id,
    compliance.outlet_id,
    compliance.outlet_id as subject_id,
    'reduced_quantity' as reason,
    {{ var('follow_up_rule_versions')['reduced_quantity'] }} as rule_version,
    coalesce(positions.basis, 'habitual') as baseline,
    expectations.branch_id,
    expectations.manager_id,
    compliance.ordered_on as episode_on,
    compliance.ordered_on as due_on,
    cast(
        round(
            compliance.shortfall_amount
            * {{ orders_left('expectations.cadence_days') }} * {{ var('reduced_repeat_probability') }},
            2
        ) as numeric(18, 2)
    ) as money_at_risk,
    cast(1 as numeric(4, 2)) as urgency,
    false as is_blocking,
    case when expectations.history_state = 'established' then 'ok' else 'little_history' end as confidence,
    jsonb_build_object(
        {{ outlet_words('outlets') }},
        'basis', coalesce(positions.basis, 'habitual'),
        'ordered_on', compliance.ordered_on,
        'order_number', expectations.last_order_number,
        'ordered_amount', compliance.ordered_amount,
        'expected_amount', compliance.expected_amount,
        'shortfall_amount', compliance.shortfall_amount,
        'orders_counted', trim_scale({{ orders_left('expectations.cadence_days') }} * {{ var('reduced_repeat_probability') }}),
        'positions', coalesce(positions.positions, '[]')
    ) as evidence
from compliance
inner join expectations
    on
        compliance.instance = expectations.instance
        and compliance.outlet_id = expectations.outlet_id
        and compliance.ordered_on = expectations.last_ordered_on
inner join outlets on compliance.instance = outlets.instance and compliance.outlet_id = outlets.outlet_id
left join positions
    on
        compliance.instance = positions.instance
        and compliance.outlet_id = positions.outlet_id
        and compliance.ordered_on = positions.ordered_on
