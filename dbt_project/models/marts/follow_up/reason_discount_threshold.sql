-- A little more this quarter and the client gets a better discount: a reason for a good word, with no money at risk.
with tiers as (
    select * from {{ ref('discount_tier') }}
    where
        not is_complete
        and {{ as_of() }} between quarter_start and quarter_end
        and to_next_amount > 0
        and next_percent > entitled_percent
),

clients as (
    select * from {{ ref('int_client') }}
    where not is_withdrawn and outlets_total > 0
),

-- Where the client orders, so that the row stands in the list of that branch.
branches as (
    select distinct on (instance, client_id)
        instance,
        client_id,
        branch_id
    from {{ ref('order_expectation') }}
    where as_of = {{ as_of() }} and status in ('on_time', 'missed_order')
    order by instance, client_id, median_amount desc nulls last, outlet_id
)

select
    {{ as_of() }} as as_of,
    tiers.instance,
    tiers.client_id,
    cast(null as text) as outlet_id,
    tiers.client_id as subject_id,
    'discount_threshold' as reason,
    {{ var('follow_up_rule_versions')['discount_threshold'] }} as rule_version,
    'terms' as baseline,
    branches.branch_id,
    clients.manager_id,
    tiers.quarter_start as episode_on,
    tiers.quarter_end as due_on,
    cast(0 as numeric(18, 2)) as money_at_risk,
    cast(1 as numeric(4, 2)) as urgency,
    false as is_blocking,
    'ok' as confidence,
    jsonb_build_object(
        'quarter_amount', trim_scale(round(tiers.quarter_amount, 2)),
        'to_next_amount', trim_scale(round(tiers.to_next_amount, 2)),
        'next_percent', trim_scale(tiers.next_percent),
        'quarter_end', tiers.quarter_end,
        'days_left', tiers.quarter_end - {{ as_of() }}
    ) as evidence
from tiers
inner join clients on tiers.instance = clients.instance and tiers.client_id = clients.client_id
inner join branches on tiers.instance = branches.instance and tiers.client_id = branches.client_id
where
    tiers.to_next_amount <= {{ var('threshold_near_share') }} * (tiers.quarter_amount + tiers.to_next_amount)
    and tiers.quarter_end - {{ as_of() }} <= {{ var('threshold_near_days') }}
