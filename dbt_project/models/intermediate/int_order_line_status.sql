-- One row per order line: whose demand it is (status) and what it is (class).
with orders as (
    select * from {{ ref('int_order') }}
),

lines as (
    select * from {{ ref('stg_onec__order_line') }}
),

products as (
    select * from {{ ref('int_product') }}
),

reasons as (
    select * from {{ ref('int_cancellation_reason') }}
)

select
    orders.*,
    lines.order_id as line_order_id,
    lines.line_no,
    lines.product_id,
    lines.characteristic_id,
    lines.warehouse_id,
    coalesce(lines.requested_on, orders.requested_on) as line_requested_on,
    lines.cancellation_reason_id,
    reasons.reason_name as cancellation_reason,
    case
        when orders.is_draft then 'draft'
        when not lines.cancelled then 'valid'
        else 'cancelled_by_' || coalesce(reasons.cancelled_by, 'unknown')
    end as line_status,
    coalesce(products.product_kind, 'goods') as product_kind,
    {{ line_class('lines', 'products.product_kind', 'sale') }} as line_class,
    lines.quantity,
    lines.price,
    lines.amount,
    lines.vat_amount,
    coalesce(lines.amount_with_vat, lines.amount) as amount_with_vat,
    coalesce(lines.manual_discount_amount, 0) + coalesce(lines.auto_discount_amount, 0) as discount_amount
from orders
inner join lines on orders.instance = lines.instance and orders.order_id = lines.order_id
left join products on lines.instance = products.instance and lines.product_id = products.product_id
left join reasons
    on lines.instance = reasons.instance and lines.cancellation_reason_id = reasons.cancellation_reason_id
