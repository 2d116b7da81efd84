{{ config(materialized='table', post_hook='{{ analyze_this() }}') }}

-- Days on which a client really bought: a shipment that came back whole is no purchase.
select
    days.instance,
    outlets.client_id,
    days.day as purchased_on
from {{ ref('int_outlet_day') }} as days
inner join {{ ref('int_outlet') }} as outlets
    on days.instance = outlets.instance and days.outlet_id = outlets.outlet_id
where days.is_purchase
group by days.instance, outlets.client_id, days.day
