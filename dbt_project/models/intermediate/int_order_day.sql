-- Which posted orders an outlet placed on which day, and a fingerprint that changes whenever any of them does,
-- or whenever a reason of cancellation changes sides.
with orders as (
    select * from {{ ref('int_order') }}
    where not is_draft and outlet_id is not null
),

reasons as (
    select
        md5(string_agg(instance || cancellation_reason_id || cancelled_by, ',' order by instance, cancellation_reason_id))
            as fingerprint
    from {{ ref('int_cancellation_reason') }}
)

select
    orders.instance,
    orders.outlet_id,
    orders.ordered_on,
    md5(
        string_agg(
            orders.order_id || ':' || orders.load_id || ':' || coalesce(orders.client_id, ''), ',' order by orders.order_id
        )
        || coalesce(min(reasons.fingerprint), '')
    ) as fingerprint
from orders
cross join reasons
group by orders.instance, orders.outlet_id, orders.ordered_on
