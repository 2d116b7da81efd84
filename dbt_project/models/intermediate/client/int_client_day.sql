{{ config(materialized='table', post_hook='{{ analyze_this() }}') }}

-- What each client bought and gave back, day by day. Goods only: no services, tare, free goods, fees.
with shipped as (
    select
        instance,
        client_id,
        shipped_on as day,
        sum(signed_amount) as shipped_amount,
        sum(coalesce(vat_amount, 0)) as shipped_vat,
        count(distinct shipment_id) as shipments
    from {{ ref('fct_shipment_line') }}
    where line_class = 'sale' and client_id is not null
    group by instance, client_id, shipped_on
),

returned as (
    select
        instance,
        client_id,
        returned_on as day,
        sum(signed_amount) as returned_amount,
        sum(coalesce(vat_amount, 0)) as returned_vat,
        count(distinct return_id) as returns
    from {{ ref('fct_return_line') }}
    where line_class = 'return' and client_id is not null
    group by instance, client_id, returned_on
)

select
    coalesce(shipped.instance, returned.instance) as instance,
    coalesce(shipped.client_id, returned.client_id) as client_id,
    coalesce(shipped.day, returned.day) as day,
    coalesce(shipped.shipped_amount, 0) as shipped_amount,
    -1 * coalesce(returned.returned_amount, 0) as returned_amount,
    coalesce(shipped.shipped_amount, 0) + coalesce(returned.returned_amount, 0) as net_amount,
    coalesce(shipped.shipped_amount, 0) + coalesce(returned.returned_amount, 0)
    - coalesce(shipped.shipped_vat, 0) + coalesce(returned.returned_vat, 0) as net_amount_without_vat,
    coalesce(shipped.shipments, 0) as shipments,
    coalesce(returned.returns, 0) as returns
from shipped
full outer join returned
    on
        shipped.instance = returned.instance
        and shipped.client_id = returned.client_id
        and shipped.day = returned.day
