-- What clients wanted of each position in each full week: ordered, not shipped, or a stock-out would teach the forecast to
-- expect less. What they cancelled themselves they did not want. A view: only the weekly forecast reads it.
select
    lines.instance,
    coalesce(documents.warehouse_id, orders.warehouse_id, 'unknown') as warehouse_id,
    skus.sku_id as product_id,
    cast(date_trunc('week', lines.ordered_on) as date) as week_start,
    sum(lines.quantity * skus.units_per_unit) as ordered_quantity,
    sum(lines.amount_with_vat) as ordered_amount
from {{ ref('fct_order_line') }} as lines
inner join {{ ref('int_sku') }} as skus on lines.instance = skus.instance and lines.product_id = skus.product_id
left join {{ ref('stg_onec__order_line') }} as documents
    on
        lines.instance = documents.instance
        and lines.order_id = documents.order_id
        and lines.line_no = documents.line_no
left join {{ ref('stg_onec__order') }} as orders on lines.instance = orders.instance and lines.order_id = orders.order_id
where
    lines.product_kind = 'goods'
    and lines.line_class = 'sale'
    and lines.line_status in ('valid', 'cancelled_by_us', 'cancelled_by_unknown')
    and lines.ordered_on < date_trunc('week', {{ as_of() }})
group by
    lines.instance,
    coalesce(documents.warehouse_id, orders.warehouse_id, 'unknown'),
    skus.sku_id,
    cast(date_trunc('week', lines.ordered_on) as date)
having sum(lines.quantity * skus.units_per_unit) > 0
