{{ config(materialized='table', post_hook='{{ analyze_this() }}') }}

-- Days on which a client really bought: a shipment that came back whole is no purchase.
select
    purchases.instance,
    outlets.client_id,
    purchases.purchased_on
from {{ ref('int_net_purchase') }} as purchases
inner join {{ ref('int_outlet') }} as outlets
    on purchases.instance = outlets.instance and purchases.outlet_id = outlets.outlet_id
where purchases.net_quantity > 0
group by purchases.instance, outlets.client_id, purchases.purchased_on
