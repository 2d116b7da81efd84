{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='fail',
        pre_hook='{{ delete_changed_outlet_months() }}',
        post_hook='{{ analyze_this() }}',
        indexes=[{'columns': ['instance', 'outlet_id', 'day'], 'unique': true}, {'columns': ['instance', 'outlet_id', 'month_start']}]
    )
}}

-- depends_on: {{ ref('int_outlet_month_changed') }}
-- What each outlet bought and gave back, day by day, and whether it kept any of it. Goods only: no services, tare, free goods,
-- fees. A shipment that came back whole is no purchase.
with shipped as (
    select
        line.instance,
        line.outlet_id,
        line.shipped_on as day,
        sum(line.signed_amount) as shipped_amount,
        sum(coalesce(line.vat_amount, 0)) as shipped_vat,
        count(distinct line.shipment_id) as shipments,
        0 as returned_amount,
        0 as returned_vat,
        0 as returns,
        false as is_purchase
    from {{ ref('fct_shipment_line') }} as line
    {% if is_incremental() %}
    inner join {{ ref('int_outlet_month_changed') }} as changed
        on
            line.instance = changed.instance
            and line.outlet_id = changed.outlet_id
            and line.shipped_on >= changed.month_start
            and line.shipped_on < changed.month_start + interval '1 month'
    {% endif %}
    where line.line_class = 'sale' and line.outlet_id is not null
    group by line.instance, line.outlet_id, line.shipped_on
),

returned as (
    select
        line.instance,
        line.outlet_id,
        line.returned_on as day,
        0 as shipped_amount,
        0 as shipped_vat,
        0 as shipments,
        sum(line.signed_amount) as returned_amount,
        sum(coalesce(line.vat_amount, 0)) as returned_vat,
        count(distinct line.return_id) as returns,
        false as is_purchase
    from {{ ref('fct_return_line') }} as line
    {% if is_incremental() %}
    inner join {{ ref('int_outlet_month_changed') }} as changed
        on
            line.instance = changed.instance
            and line.outlet_id = changed.outlet_id
            and line.returned_on >= changed.month_start
            and line.returned_on < changed.month_start + interval '1 month'
    {% endif %}
    where line.line_class = 'return' and line.outlet_id is not null
    group by line.instance, line.outlet_id, line.returned_on
),

kept as (
    select
        sales.instance,
        sales.outlet_id,
        sales.sold_on as day,
        0 as shipped_amount,
        0 as shipped_vat,
        0 as shipments,
        0 as returned_amount,
        0 as returned_vat,
        0 as returns,
        bool_or(sales.kept_quantity > 0) as is_purchase
    from {{ ref('sales_daily') }} as sales
    {% if is_incremental() %}
    inner join {{ ref('int_outlet_month_changed') }} as changed
        on
            sales.instance = changed.instance
            and sales.outlet_id = changed.outlet_id
            and sales.month_start = changed.month_start
    {% endif %}
    where sales.outlet_id <> 'unknown' and sales.product_id <> 'unknown'
    group by sales.instance, sales.outlet_id, sales.sold_on
),

parts as (
    select * from shipped
    union all
    select * from returned
    union all
    select * from kept
)

select
    instance,
    outlet_id,
    day,
    cast(date_trunc('month', day) as date) as month_start,
    sum(shipped_amount) as shipped_amount,
    sum(shipped_vat) as shipped_vat,
    sum(shipments) as shipments,
    sum(returned_amount) as returned_amount,
    sum(returned_vat) as returned_vat,
    sum(returns) as returns,
    bool_or(is_purchase) as is_purchase
from parts
group by instance, outlet_id, day
having sum(shipments) > 0 or sum(returns) > 0 or bool_or(is_purchase)
