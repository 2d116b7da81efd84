-- What an outlet kept: shipped goods less the returns tied to that very shipment, on the day of the shipment.
-- A return that names no shipment counts against the day it came back. Goods only: no fees, tare, free goods.
with shipped as (
    select
        instance,
        shipment_id,
        outlet_id,
        product_id,
        shipped_on,
        sum(quantity) as quantity
    from {{ ref('fct_shipment_line') }}
    where line_class = 'sale' and outlet_id is not null and product_id is not null
    group by instance, shipment_id, outlet_id, product_id, shipped_on
),

returned as (
    select
        instance,
        shipment_id,
        outlet_id,
        product_id,
        returned_on,
        sum(quantity) as quantity
    from {{ ref('fct_return_line') }}
    where line_class = 'return' and outlet_id is not null and product_id is not null
    group by instance, shipment_id, outlet_id, product_id, returned_on
),

returned_of_shipment as (
    select
        instance,
        shipment_id,
        product_id,
        sum(quantity) as quantity
    from returned
    where shipment_id is not null
    group by instance, shipment_id, product_id
)

select
    shipped.instance,
    shipped.outlet_id,
    shipped.product_id,
    shipped.shipped_on as purchased_on,
    shipped.quantity - coalesce(returned_of_shipment.quantity, 0) as net_quantity
from shipped
left join returned_of_shipment
    on
        shipped.instance = returned_of_shipment.instance
        and shipped.shipment_id = returned_of_shipment.shipment_id
        and shipped.product_id = returned_of_shipment.product_id

union all

select
    returned.instance,
    returned.outlet_id,
    returned.product_id,
    returned.returned_on as purchased_on,
    -1 * returned.quantity as net_quantity
from returned
left join shipped
    on
        returned.instance = shipped.instance
        and returned.shipment_id = shipped.shipment_id
        and returned.product_id = shipped.product_id
where shipped.shipment_id is null
