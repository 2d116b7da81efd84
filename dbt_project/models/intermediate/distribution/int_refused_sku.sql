-- Positions that an outlet ordered and we cancelled, by month: not its fault.
select distinct
    line.instance,
    line.outlet_id,
    cast(date_trunc('month', line.ordered_on) as date) as month_start,
    skus.sku_id
from {{ ref('fct_order_line') }} as line
inner join {{ ref('int_sku') }} as skus on line.instance = skus.instance and line.product_id = skus.product_id
where line.line_status = 'cancelled_by_us' and line.line_class = 'sale'
