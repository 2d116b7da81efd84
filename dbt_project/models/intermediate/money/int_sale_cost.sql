{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='fail',
        pre_hook="{{ delete_changed_months('int_sale_month_changed') }}",
        post_hook='{{ analyze_this() }}',
        indexes=[{'columns': ['month_start'], 'type': 'brin'}]
    )
}}

-- depends_on: {{ ref('int_sale_month_changed') }}
-- Revenue and cost of what each client bought, by product and month, without VAT. Cost comes from 1C's register of revenue
-- and cost; a product whose movements carry none takes its cost per unit of that month, or of the last month before it; where the
-- register is not landed at all, the last price of the cost price types. A product without any of them has no cost.
with register as (
    select
        lines.instance,
        cast(date_trunc('month', lines.moved_at at time zone source_instances.time_zone) as date) as month_start,
        coalesce(lines.document_id, lines.recorder_id) as document_id,
        lines.product_id,
        lines.quantity,
        nullif(
            coalesce(lines.cost_without_vat, lines.cost, lines.cost_regulated)
            + coalesce(lines.extra_cost_without_vat, lines.extra_cost, 0), 0
        ) as cost
    from {{ ref('stg_onec__revenue_line') }} as lines
    inner join {{ ref('stg_ops__source_instance') }} as source_instances on lines.instance = source_instances.instance
    where
        lines.active and not lines.is_deleted
        and cast(lines.moved_at at time zone source_instances.time_zone as date) <= {{ as_of() }}
),

costed as (
    select
        instance,
        document_id,
        product_id,
        sum(cost) as cost
    from register
    group by instance, document_id, product_id
),

-- Cost of a unit by month: recalculation of the month's close included.
units as (
    select
        instance,
        product_id,
        month_start,
        sum(cost) / nullif(sum(quantity), 0) as unit_cost
    from register
    where cost is not null
    group by instance, product_id, month_start
),

prices as (
    select distinct on (prices.instance, prices.product_id, cast(date_trunc('month', prices.priced_at) as date))
        prices.instance,
        prices.product_id,
        cast(date_trunc('month', prices.priced_at) as date) as month_start,
        prices.price as unit_cost
    from {{ ref('stg_onec__price') }} as prices
    inner join {{ ref('stg_onec__price_type') }} as price_types
        on prices.instance = price_types.instance and prices.price_type_id = price_types.price_type_id
    where not prices.is_deleted and price_types.name = any({{ text_list('cost_price_types') }})
    order by prices.instance, prices.product_id, cast(date_trunc('month', prices.priced_at) as date), prices.priced_at desc
),

sold as (
    select
        lines.instance,
        lines.shipment_id as document_id,
        lines.client_id,
        cast(date_trunc('month', lines.shipped_on) as date) as month_start,
        lines.organisation_id,
        lines.product_id,
        sum(lines.signed_quantity) as quantity,
        sum(lines.signed_amount - coalesce(lines.vat_amount, 0)) filter (where lines.line_class = 'sale') as revenue
    from {{ ref('fct_shipment_line') }} as lines
    where
        lines.line_class in ('sale', 'free_goods')
        and lines.client_id is not null
        and lines.shipped_on <= {{ as_of() }}
        {%- if is_incremental() %}
        and lines.shipped_on >= (select min(changed.month_start) from {{ ref('int_sale_month_changed') }} as changed)
        and (lines.instance, cast(date_trunc('month', lines.shipped_on) as date)) in (
            select
                changed.instance,
                changed.month_start
            from {{ ref('int_sale_month_changed') }} as changed
        )
        {%- endif %}
    group by
        lines.instance, lines.shipment_id, lines.client_id, cast(date_trunc('month', lines.shipped_on) as date),
        lines.organisation_id, lines.product_id
    union all
    select
        lines.instance,
        lines.return_id as document_id,
        lines.client_id,
        cast(date_trunc('month', lines.returned_on) as date) as month_start,
        lines.organisation_id,
        lines.product_id,
        sum(lines.signed_quantity) as quantity,
        sum(lines.signed_amount + coalesce(lines.vat_amount, 0)) filter (where lines.line_class = 'return') as revenue
    from {{ ref('fct_return_line') }} as lines
    where
        lines.line_class in ('return', 'free_goods')
        and lines.client_id is not null
        and lines.returned_on <= {{ as_of() }}
        {%- if is_incremental() %}
        and lines.returned_on >= (select min(changed.month_start) from {{ ref('int_sale_month_changed') }} as changed)
        and (lines.instance, cast(date_trunc('month', lines.returned_on) as date)) in (
            select
                changed.instance,
                changed.month_start
            from {{ ref('int_sale_month_changed') }} as changed
        )
        {%- endif %}
    group by
        lines.instance, lines.return_id, lines.client_id, cast(date_trunc('month', lines.returned_on) as date),
        lines.organisation_id, lines.product_id
),

by_month as (
    select
        sold.instance,
        sold.client_id,
        sold.month_start,
        sold.organisation_id,
        sold.product_id,
        coalesce(sum(sold.revenue), 0) as revenue,
        sum(costed.cost) as register_cost,
        sum(sold.quantity) filter (where costed.cost is null) as uncosted_quantity,
        coalesce(sum(sold.revenue) filter (where costed.cost is null), 0) as uncosted_revenue
    from sold
    left join costed
        on
            sold.instance = costed.instance
            and sold.document_id = costed.document_id
            and sold.product_id = costed.product_id
    group by sold.instance, sold.client_id, sold.month_start, sold.organisation_id, sold.product_id
),

-- Only what the register leaves open asks for a cost per unit.
open_products as (
    select distinct
        instance,
        product_id,
        month_start
    from by_month
    where uncosted_quantity is not null
),

unit_costs as (
    select distinct on (open_products.instance, open_products.product_id, open_products.month_start)
        open_products.instance,
        open_products.product_id,
        open_products.month_start,
        known.unit_cost,
        known.cost_source
    from open_products
    inner join (
        select
            instance,
            product_id,
            month_start,
            unit_cost,
            'unit_of_register' as cost_source,
            1 as preference
        from units
        union all
        select
            instance,
            product_id,
            month_start,
            unit_cost,
            'price' as cost_source,
            2 as preference
        from prices
    ) as known
        on
            open_products.instance = known.instance
            and open_products.product_id = known.product_id
            and open_products.month_start >= known.month_start
    where known.unit_cost is not null
    order by open_products.instance, open_products.product_id, open_products.month_start, known.preference, known.month_start desc
)

select
    by_month.instance,
    by_month.client_id,
    by_month.month_start,
    by_month.organisation_id,
    by_month.product_id,
    cast(by_month.revenue as numeric(24, 6)) as revenue,
    cast(by_month.register_cost as numeric(24, 6)) as register_cost,
    cast(by_month.uncosted_quantity * unit_costs.unit_cost as numeric(24, 6)) as estimated_cost,
    case when by_month.uncosted_quantity is not null then unit_costs.cost_source end as cost_source,
    cast(case when unit_costs.unit_cost is null then by_month.uncosted_revenue else 0 end as numeric(24, 6)) as revenue_without_cost,
    by_month.uncosted_quantity is not null and unit_costs.unit_cost is null as is_cost_missing
from by_month
left join unit_costs
    on
        by_month.instance = unit_costs.instance
        and by_month.product_id = unit_costs.product_id
        and by_month.month_start = unit_costs.month_start
