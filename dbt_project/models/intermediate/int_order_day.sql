-- Which posted orders an outlet placed on which day, and a fingerprint that changes whenever any of them does,
-- or whenever words change their meaning: a reason of cancellation takes sides, a product turns into a service.
with orders as (
    select * from {{ ref('int_order') }}
    where not is_draft and outlet_id is not null
),

meanings as (
    select
        instance,
        cancellation_reason_id as record_id,
        cancelled_by as meaning
    from {{ ref('int_cancellation_reason') }}
    union all
    select
        instance,
        product_id as record_id,
        product_kind as meaning
    from {{ ref('int_product') }}
    where product_kind <> 'goods'
),

vocabulary as (
    select md5(string_agg(instance || record_id || meaning, ',' order by instance, record_id, meaning)) as fingerprint
    from meanings
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
        || coalesce(min(vocabulary.fingerprint), '')
    ) as fingerprint
from orders
cross join vocabulary
group by orders.instance, orders.outlet_id, orders.ordered_on
