-- The outlet orders, but took nothing new for long, and its peers buy what it never bought: the rule and the candidates are
-- in placement_opportunity. Only what we have in stock is offered.
with opportunities as (
    select * from {{ ref('placement_opportunity') }}
    where is_alert
),

expectations as (
    select * from {{ ref('order_expectation') }}
    where as_of = {{ as_of() }} and status = 'on_time' and history_state = 'established'
),

outlets as (
    select * from {{ ref('int_outlet') }}
),

products as (
    select * from {{ ref('dim_product') }}
),

newest_stock as (
    select
        instance,
        max(stock_on) as stock_on
    from {{ ref('fct_stock_daily') }}
    where stock_on <= {{ as_of() }}
    group by instance
),

on_hand as (
    select
        stock.instance,
        skus.sku_id,
        sum(stock.on_hand_quantity) as on_hand_quantity
    from {{ ref('fct_stock_daily') }} as stock
    inner join newest_stock on stock.instance = newest_stock.instance and stock.stock_on = newest_stock.stock_on
    inner join {{ ref('int_sku') }} as skus on stock.instance = skus.instance and stock.product_id = skus.product_id
    group by stock.instance, skus.sku_id
),

offered as (
    select
        opportunities.*,
        on_hand.on_hand_quantity,
        row_number() over (
            partition by opportunities.instance, opportunities.outlet_id
            order by opportunities.candidate_rank, opportunities.product_id
        ) as place
    from opportunities
    left join newest_stock on opportunities.instance = newest_stock.instance
    left join on_hand on opportunities.instance = on_hand.instance and opportunities.product_id = on_hand.sku_id
    where newest_stock.stock_on is null or on_hand.on_hand_quantity > 0
),

offers as (
    select
        offered.instance,
        offered.outlet_id,
        max(offered.positions) as positions,
        max(offered.positions_to_standard) as positions_to_standard,
        max(offered.last_new_on) as last_new_on,
        max(offered.days_without_new) as days_without_new,
        sum(offered.monthly_amount) as monthly_amount,
        jsonb_agg(
            jsonb_build_object(
                'product_id', offered.product_id,
                'name', products.product_name,
                'peers_holding', offered.peers_holding,
                'peers_total', offered.peers_total,
                'monthly_amount', offered.monthly_amount,
                'on_hand_quantity', trim_scale(offered.on_hand_quantity)
            )
            order by offered.place
        ) as candidates
    from offered
    left join products on offered.instance = products.instance and offered.product_id = products.product_id
    where offered.place <= {{ var('candidates_offered') }}
    group by offered.instance, offered.outlet_id
)

select
    {{ as_of() }} as as_of,
    offers.instance,
    expectations.client_id,
    offers.outlet_id,
    offers.outlet_id as subject_id,
    'no_new_positions' as reason,
    {{ var('follow_up_rule_versions')['no_new_positions'] }} as rule_version,
    'peers' as baseline,
    expectations.branch_id,
    expectations.manager_id,
    offers.last_new_on as episode_on,
    {{ as_of() }} - offers.days_without_new + {{ var('new_position_days') }} as due_on,
    cast(round(offers.monthly_amount * {{ var('new_position_acceptance') }}, 2) as numeric(18, 2)) as money_at_risk,
    cast(1 as numeric(4, 2)) as urgency,
    false as is_blocking,
    'ok' as confidence,
    jsonb_build_object(
        {{ outlet_words('outlets') }},
        'last_new_on', offers.last_new_on,
        'days_without_new', offers.days_without_new,
        'positions', offers.positions,
        'standard_positions',
        case when offers.positions_to_standard > 0 then offers.positions + offers.positions_to_standard end,
        'monthly_amount', offers.monthly_amount,
        'candidates', offers.candidates
    ) as evidence
from offers
inner join expectations on offers.instance = expectations.instance and offers.outlet_id = expectations.outlet_id
inner join outlets on offers.instance = outlets.instance and offers.outlet_id = outlets.outlet_id
