-- Which posted orders an outlet placed on which day, and a fingerprint that changes whenever any of them does.
with orders as (
    select * from {{ ref('int_order') }}
    where not is_draft and outlet_id is not null
)

select
    orders.instance,
    orders.outlet_id,
    orders.ordered_on,
    md5(
        string_agg(
            concat_ws(
                ':', orders.order_id, orders.load_id, orders.row_hash, orders.client_id, orders.branch_id, orders.is_open
            ),
            ',' order by orders.order_id
        )
    ) as fingerprint
from orders
group by orders.instance, orders.outlet_id, orders.ordered_on
