{{ config(materialized='table', post_hook='{{ analyze_this() }}') }}

-- What is still unpaid of each shipment on the business date. What 1C says goes first: a return, a correction or a payment
-- that names the shipment, then a payment that names its order. Money that names neither pays the oldest shipments of the
-- contract (FIFO); what is left when nothing is owed any more is an advance: row without a shipment, below zero.
-- Shipments settled by then owe nothing and leave nothing over: they are not looked at.
with movements as (
    select * from {{ ref('int_receivable_movement') }}
    where moved_on <= {{ as_of() }} and (settled_on is null or settled_on > {{ as_of() }})
),

shipments as (
    select
        instance,
        legal_entity_id,
        contract_id,
        shipment_id,
        document_number,
        order_id,
        moved_on as shipped_on,
        amount
    from movements
    where movement_kind = 'shipped'
),

credits as (
    select
        movements.instance,
        movements.legal_entity_id,
        movements.contract_id,
        shipments.shipment_id,
        case when shipments.shipment_id is null then movements.order_id end as order_id,
        -1 * movements.amount as amount
    from movements
    left join shipments
        on
            movements.instance = shipments.instance
            and movements.shipment_id = shipments.shipment_id
            and movements.legal_entity_id = shipments.legal_entity_id
            and movements.contract_id = shipments.contract_id
    where movements.movement_kind <> 'shipped'
),

named as (
    select
        instance,
        shipment_id,
        sum(amount) as amount
    from credits
    where shipment_id is not null
    group by instance, shipment_id
),

after_named as (
    select
        shipments.*,
        greatest(shipments.amount - coalesce(named.amount, 0), 0) as residual,
        greatest(coalesce(named.amount, 0) - shipments.amount, 0) as surplus
    from shipments
    left join named on shipments.instance = named.instance and shipments.shipment_id = named.shipment_id
),

by_order as (
    select
        instance,
        legal_entity_id,
        contract_id,
        order_id,
        sum(amount) as amount
    from credits
    where shipment_id is null and order_id is not null
    group by instance, legal_entity_id, contract_id, order_id
),

after_order as (
    select
        after_named.*,
        greatest(
            least(
                after_named.residual,
                sum(after_named.residual) over (
                    partition by after_named.instance, after_named.legal_entity_id, after_named.contract_id, after_named.order_id
                    order by after_named.shipped_on, after_named.shipment_id
                    rows between unbounded preceding and current row
                ) - coalesce(by_order.amount, 0)
            ),
            0
        ) as residual_after_order
    from after_named
    left join by_order
        on
            after_named.instance = by_order.instance
            and after_named.legal_entity_id = by_order.legal_entity_id
            and after_named.contract_id = by_order.contract_id
            and after_named.order_id = by_order.order_id
),

-- All that did not find its document: what names nothing, what names an unknown or foreign one, what was paid too much.
pools as (
    select
        instance,
        legal_entity_id,
        contract_id,
        sum(amount) as amount
    from (
        select
            instance,
            legal_entity_id,
            contract_id,
            amount
        from credits
        where shipment_id is null
        union all
        select
            instance,
            legal_entity_id,
            contract_id,
            surplus - (residual - residual_after_order) as amount
        from after_order
    ) as parts
    group by instance, legal_entity_id, contract_id
),

after_fifo as (
    select
        after_order.*,
        greatest(
            least(
                after_order.residual_after_order,
                sum(after_order.residual_after_order) over (
                    partition by after_order.instance, after_order.legal_entity_id, after_order.contract_id
                    order by after_order.shipped_on, after_order.shipment_id
                    rows between unbounded preceding and current row
                ) - coalesce(pools.amount, 0)
            ),
            0
        ) as open_amount
    from after_order
    left join pools
        on
            after_order.instance = pools.instance
            and after_order.legal_entity_id = pools.legal_entity_id
            and after_order.contract_id = pools.contract_id
),

owed as (
    select
        instance,
        legal_entity_id,
        contract_id,
        sum(residual_after_order) as amount
    from after_order
    group by instance, legal_entity_id, contract_id
)

select
    instance,
    legal_entity_id,
    contract_id,
    shipment_id,
    document_number,
    shipped_on,
    amount,
    open_amount,
    residual_after_order - open_amount as paid_by_fifo
from after_fifo
where open_amount <> 0 or residual_after_order <> open_amount
union all
select
    pools.instance,
    pools.legal_entity_id,
    pools.contract_id,
    null as shipment_id,
    null as document_number,
    null as shipped_on,
    0 as amount,
    case when pools.amount < 0 then -1 * pools.amount else coalesce(owed.amount, 0) - pools.amount end as open_amount,
    0 as paid_by_fifo
from pools
left join owed
    on
        pools.instance = owed.instance
        and pools.legal_entity_id = owed.legal_entity_id
        and pools.contract_id = owed.contract_id
where pools.amount > coalesce(owed.amount, 0) or pools.amount < 0
