{{ config(materialized='table', indexes=[{'columns': ['instance', 'product_id'], 'unique': true}], post_hook='{{ analyze_this() }}') }}

-- What counts as one position: a product, or the product that took over its code or packaging.
with recursive products as (
    select * from {{ ref('int_product') }}
),

successors as (
    select
        products.instance,
        products.product_id,
        min(next_product.product_id) as next_id,
        min(coalesce(nullif(rows_filled.units_per_unit, 0), 1)) as units_per_unit
    from {{ ref('stg_reference__product_successor') }} as rows_filled
    inner join products
        on
            rows_filled.product_code = products.product_code
            and coalesce(rows_filled.instance, products.instance) = products.instance
    inner join products as next_product
        on
            rows_filled.successor_code = next_product.product_code
            and products.instance = next_product.instance
            and products.product_id <> next_product.product_id
    group by products.instance, products.product_id
),

-- A ring of successors is cut after ten steps.
chain as (
    select
        instance,
        product_id,
        product_id as sku_id,
        cast(1 as numeric) as units_per_unit,
        0 as depth
    from products
    union all
    select
        chain.instance,
        chain.product_id,
        successors.next_id as sku_id,
        chain.units_per_unit * successors.units_per_unit as units_per_unit,
        chain.depth + 1 as depth
    from chain
    inner join successors on chain.instance = successors.instance and chain.sku_id = successors.product_id
    where chain.depth < 10
),

last_links as (
    select distinct on (instance, product_id)
        instance,
        product_id,
        sku_id,
        units_per_unit
    from chain
    order by instance, product_id, depth desc
)

select
    last_links.instance,
    last_links.product_id,
    last_links.sku_id,
    last_links.units_per_unit,
    products.product_kind,
    coalesce(sku.brand_id, 'unknown') as brand_id,
    coalesce(sku.product_group_id, 'unknown') as category_id,
    coalesce(sku.is_withdrawn, false) as is_withdrawn
from last_links
inner join products on last_links.instance = products.instance and last_links.product_id = products.product_id
left join products as sku on last_links.instance = sku.instance and last_links.sku_id = sku.product_id
