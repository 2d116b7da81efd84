{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='fail',
        pre_hook='{{ delete_changed_outlet_months() }}',
        post_hook='{{ analyze_this() }}',
        indexes=[
            {'columns': ['instance', 'outlet_id', 'sold_on', 'product_id'], 'unique': true},
            {'columns': ['instance', 'outlet_id', 'month_start']},
            {'columns': ['instance', 'product_id', 'sold_on']},
            {'columns': ['sold_on']},
        ]
    )
}}

-- depends_on: {{ ref('int_outlet_month_changed') }}
-- Sales of each outlet by day and product, in two views: what was shipped and what came back that day, and what the outlet
-- kept of that day's shipments (less the returns tied to them; a return that names no shipment counts on its own day).
-- Lines without an outlet apart, so that each half finds its own by the index.
with shipment_lines as (
    {% if is_incremental() -%}
    select line.*
    from {{ ref('int_outlet_month_changed') }} as changed
    inner join {{ ref('fct_shipment_line') }} as line
        on
            changed.instance = line.instance
            and changed.outlet_id = line.outlet_id
            and changed.month_start <= line.shipped_on
            and line.shipped_on < changed.month_start + interval '1 month'
    union all
    select line.*
    from {{ ref('int_outlet_month_changed') }} as changed
    inner join {{ ref('fct_shipment_line') }} as line
        on
            changed.instance = line.instance
            and line.outlet_id is null
            and changed.month_start <= line.shipped_on
            and line.shipped_on < changed.month_start + interval '1 month'
    where changed.outlet_id = 'unknown'
    {%- else -%}
    select * from {{ ref('fct_shipment_line') }}
    {%- endif %}
),

return_lines as (
    {% if is_incremental() -%}
    select line.*
    from {{ ref('int_outlet_month_changed') }} as changed
    inner join {{ ref('fct_return_line') }} as line
        on
            changed.instance = line.instance
            and changed.outlet_id = line.outlet_id
            and changed.month_start <= line.returned_on
            and line.returned_on < changed.month_start + interval '1 month'
    union all
    select line.*
    from {{ ref('int_outlet_month_changed') }} as changed
    inner join {{ ref('fct_return_line') }} as line
        on
            changed.instance = line.instance
            and line.outlet_id is null
            and changed.month_start <= line.returned_on
            and line.returned_on < changed.month_start + interval '1 month'
    where changed.outlet_id = 'unknown'
    {%- else -%}
    select * from {{ ref('fct_return_line') }}
    {%- endif %}
),

shipped as (
    select
        line.instance,
        coalesce(line.outlet_id, 'unknown') as outlet_id,
        coalesce(line.product_id, 'unknown') as product_id,
        line.shipment_id,
        line.shipped_on,
        max(line.branch_id) as branch_id,
        max(line.manager_id) as manager_id,
        coalesce(sum(line.quantity) filter (where line.line_class = 'sale'), 0) as quantity,
        coalesce(sum(line.quantity) filter (where line.line_class = 'free_goods'), 0) as free_quantity,
        coalesce(sum(line.amount_with_vat), 0) as amount,
        coalesce(sum(line.vat_amount), 0) as vat_amount,
        coalesce(sum(line.discount_amount), 0) as discount_amount
    from shipment_lines as line
    group by
        line.instance, coalesce(line.outlet_id, 'unknown'), coalesce(line.product_id, 'unknown'), line.shipment_id, line.shipped_on
),

returned_of_shipment as (
    select
        line.instance,
        line.shipment_id,
        coalesce(line.product_id, 'unknown') as product_id,
        coalesce(sum(line.quantity) filter (where line.line_class = 'return'), 0) as quantity,
        coalesce(sum(line.amount_with_vat), 0) as amount
    from {{ ref('fct_return_line') }} as line
    where line.shipment_id is not null
    group by line.instance, line.shipment_id, coalesce(line.product_id, 'unknown')
),

returned as (
    select
        line.instance,
        coalesce(line.outlet_id, 'unknown') as outlet_id,
        coalesce(line.product_id, 'unknown') as product_id,
        line.shipment_id,
        line.returned_on,
        max(line.branch_id) as branch_id,
        max(line.manager_id) as manager_id,
        coalesce(sum(line.quantity) filter (where line.line_class = 'return'), 0) as quantity,
        coalesce(sum(line.amount_with_vat), 0) as amount,
        coalesce(sum(line.vat_amount), 0) as vat_amount
    from return_lines as line
    group by
        line.instance, coalesce(line.outlet_id, 'unknown'), coalesce(line.product_id, 'unknown'), line.shipment_id, line.returned_on
),

moves as (
    select
        shipped.instance,
        shipped.outlet_id,
        shipped.product_id,
        shipped.shipped_on as sold_on,
        shipped.branch_id,
        shipped.manager_id,
        shipped.shipment_id,
        shipped.quantity as shipped_quantity,
        shipped.free_quantity,
        shipped.amount as shipped_amount,
        shipped.vat_amount as shipped_vat_amount,
        shipped.discount_amount,
        0 as returned_quantity,
        0 as returned_amount,
        0 as returned_vat_amount,
        shipped.quantity - coalesce(returned_of_shipment.quantity, 0) as kept_quantity,
        shipped.amount - coalesce(returned_of_shipment.amount, 0) as kept_amount
    from shipped
    left join returned_of_shipment
        on
            shipped.instance = returned_of_shipment.instance
            and shipped.shipment_id = returned_of_shipment.shipment_id
            and shipped.product_id = returned_of_shipment.product_id
    union all
    select
        returned.instance,
        returned.outlet_id,
        returned.product_id,
        returned.returned_on as sold_on,
        returned.branch_id,
        returned.manager_id,
        null as shipment_id,
        0 as shipped_quantity,
        0 as free_quantity,
        0 as shipped_amount,
        0 as shipped_vat_amount,
        0 as discount_amount,
        returned.quantity as returned_quantity,
        returned.amount as returned_amount,
        returned.vat_amount as returned_vat_amount,
        case when known.shipment_id is null then -1 * returned.quantity else 0 end as kept_quantity,
        case when known.shipment_id is null then -1 * returned.amount else 0 end as kept_amount
    from returned
    left join lateral (
        select line.shipment_id
        from {{ ref('fct_shipment_line') }} as line
        where
            line.instance = returned.instance
            and line.shipment_id = returned.shipment_id
            and coalesce(line.product_id, 'unknown') = returned.product_id
        limit 1  -- noqa: AM09
    ) as known on true
)

select
    moves.instance,
    moves.sold_on,
    cast(date_trunc('month', moves.sold_on) as date) as month_start,
    moves.outlet_id,
    moves.product_id,
    coalesce(max(skus.sku_id), moves.product_id) as sku_id,
    coalesce(max(skus.product_kind), 'goods') as product_kind,
    max(moves.branch_id) as branch_id,
    max(moves.manager_id) as manager_id,
    cast(count(distinct moves.shipment_id) as integer) as shipments_total,
    cast(sum(moves.shipped_quantity) as numeric(24, 6)) as shipped_quantity,
    cast(sum(moves.free_quantity) as numeric(24, 6)) as free_quantity,
    cast(sum(moves.shipped_amount) as numeric(24, 6)) as shipped_amount,
    cast(sum(moves.shipped_vat_amount) as numeric(24, 6)) as shipped_vat_amount,
    cast(sum(moves.discount_amount) as numeric(24, 6)) as discount_amount,
    cast(sum(moves.returned_quantity) as numeric(24, 6)) as returned_quantity,
    cast(sum(moves.returned_amount) as numeric(24, 6)) as returned_amount,
    cast(sum(moves.returned_vat_amount) as numeric(24, 6)) as returned_vat_amount,
    cast(sum(moves.kept_quantity) as numeric(24, 6)) as kept_quantity,
    cast(sum(moves.kept_quantity) * coalesce(max(skus.units_per_unit), 1) as numeric(24, 6)) as kept_units,
    cast(sum(moves.kept_amount) as numeric(24, 6)) as kept_amount
from moves
left join {{ ref('int_sku') }} as skus on moves.instance = skus.instance and moves.product_id = skus.product_id
group by moves.instance, moves.sold_on, moves.outlet_id, moves.product_id
