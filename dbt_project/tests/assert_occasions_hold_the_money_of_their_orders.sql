-- Lines the client cancelled are not demand, nor is an order that has nothing else.
with demanded_orders as (
    select
        instance,
        outlet_id,
        sum(amount_with_vat) filter (where line_status <> 'cancelled_by_client') as amount_with_vat
    from {{ ref('fct_order_line') }}
    where line_status <> 'draft' and outlet_id is not null
    group by instance, outlet_id, order_id
    having bool_or(line_status in ('valid', 'cancelled_by_us'))
),

orders as (
    select
        instance,
        outlet_id,
        round(coalesce(sum(amount_with_vat), 0), 2) as amount_with_vat
    from demanded_orders
    group by instance, outlet_id
),

occasions as (
    select
        instance,
        outlet_id,
        sum(amount_with_vat) as amount_with_vat
    from {{ ref('fct_order_occasion') }}
    group by instance, outlet_id
)

select
    orders.instance,
    orders.outlet_id,
    orders.amount_with_vat as order_money,
    occasions.amount_with_vat as occasion_money
from orders
full outer join occasions on orders.instance = occasions.instance and orders.outlet_id = occasions.outlet_id
where abs(coalesce(orders.amount_with_vat, 0) - coalesce(occasions.amount_with_vat, 0)) > 1
