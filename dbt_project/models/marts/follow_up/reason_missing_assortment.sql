-- The last order came, but again without positions that were agreed on or are habitual. What our own warehouse did not have
-- is no question to the client: such positions are not told (the rule is in order_assortment_gap), nor are those that it
-- does not have today.
with expectations as (
    select * from {{ ref('order_expectation') }}
    where
        as_of = {{ as_of() }}
        and status = 'on_time'
        and last_ordered_on between {{ as_of() }} - {{ var('gap_fresh_days') }} and {{ as_of() }}
),

gaps as (
    select * from {{ ref('order_assortment_gap') }}
    where is_alert and ordered_on between {{ as_of() }} - {{ var('gap_fresh_days') }} and {{ as_of() }}
),

compliance as (
    select * from {{ ref('order_compliance') }}
),

occasions as (
    select * from {{ ref('fct_order_occasion') }}
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

positions as (
    select
        gaps.instance,
        gaps.outlet_id,
        gaps.ordered_on,
        count(*) as positions_total,
        sum(gaps.missing_amount) as missing_amount,
        max(gaps.absent_in_a_row) as absent_in_a_row,
        min(gaps.basis) as basis,
        jsonb_agg(
            jsonb_build_object(
                'product_id', gaps.product_id,
                'name', products.product_name,
                'usual_quantity', trim_scale(gaps.usual_quantity),
                'absent_in_a_row', gaps.absent_in_a_row,
                'last_ordered_on', gaps.last_ordered_on,
                'amount', gaps.missing_amount,
                'on_hand_quantity', trim_scale(on_hand.on_hand_quantity)
            )
            order by gaps.missing_amount desc, gaps.product_id
        ) as positions
    from gaps
    inner join expectations
        on
            gaps.instance = expectations.instance
            and gaps.outlet_id = expectations.outlet_id
            and gaps.ordered_on = expectations.last_ordered_on
    left join products on gaps.instance = products.instance and gaps.product_id = products.product_id
    left join newest_stock on gaps.instance = newest_stock.instance
    left join on_hand on gaps.instance = on_hand.instance and gaps.product_id = on_hand.sku_id
    where newest_stock.stock_on is null or on_hand.on_hand_quantity > 0
    group by gaps.instance, gaps.outlet_id, gaps.ordered_on
),

-- The orders that lack them, this one and those right before it.
orders_running as (
    select
        positions.instance,
        positions.outlet_id,
        array_agg(recent.ordered_on order by recent.ordered_on) as ordered_on
    from positions
    cross join
        lateral (
            select occasions.ordered_on
            from occasions
            where
                occasions.instance = positions.instance
                and occasions.outlet_id = positions.outlet_id
                and occasions.ordered_on <= positions.ordered_on
            order by occasions.ordered_on desc
            limit least(positions.absent_in_a_row, {{ var('habit_occasions') }})
        ) as recent
    group by positions.instance, positions.outlet_id
)

select
    {{ as_of() }} as as_of,
    positions.instance,
    expectations.client_id,
    positions.outlet_id,
    positions.outlet_id as subject_id,
    'missing_assortment' as reason,
    {{ var('follow_up_rule_versions')['missing_assortment'] }} as rule_version,
    positions.basis as baseline,
    expectations.branch_id,
    expectations.manager_id,
    positions.ordered_on as episode_on,
    positions.ordered_on as due_on,
    cast(
        round(
            positions.missing_amount * {{ orders_left('expectations.cadence_days') }} * {{ var('missing_repeat_probability') }}, 2
        ) as numeric(18, 2)
    ) as money_at_risk,
    cast(1 as numeric(4, 2)) as urgency,
    false as is_blocking,
    case when expectations.history_state = 'established' then 'ok' else 'little_history' end as confidence,
    jsonb_build_object(
        {{ outlet_words('outlets') }},
        'basis', positions.basis,
        'order_dates', to_jsonb(orders_running.ordered_on),
        'orders_running', positions.absent_in_a_row,
        'expected_positions',
        case when compliance.agreed_positions > 0 then compliance.agreed_positions else compliance.habitual_positions end,
        'taken_positions', case when compliance.agreed_positions > 0 then compliance.agreed_taken else compliance.habitual_taken end,
        'positions', positions.positions,
        'order_amount', positions.missing_amount,
        'orders_counted', trim_scale({{ orders_left('expectations.cadence_days') }} * {{ var('missing_repeat_probability') }})
    ) as evidence
from positions
inner join expectations on positions.instance = expectations.instance and positions.outlet_id = expectations.outlet_id
inner join outlets on positions.instance = outlets.instance and positions.outlet_id = outlets.outlet_id
left join orders_running on positions.instance = orders_running.instance and positions.outlet_id = orders_running.outlet_id
left join compliance
    on
        positions.instance = compliance.instance
        and positions.outlet_id = compliance.outlet_id
        and positions.ordered_on = compliance.ordered_on
