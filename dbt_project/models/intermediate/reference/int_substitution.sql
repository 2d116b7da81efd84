{{ config(materialized='table', post_hook='{{ analyze_this() }}') }}

-- Positions that stand in for each other, as the must-lists say.
with must_list as (
    select * from {{ ref('stg_reference__must_list') }}
    where substitution_group is not null
),

products as (
    select * from {{ ref('int_product') }}
)

select distinct
    skus.instance,
    skus.sku_id,
    must_list.substitution_group
from must_list
inner join products
    on
        must_list.product_code = products.product_code
        and coalesce(must_list.instance, products.instance) = products.instance
inner join {{ ref('int_sku') }} as skus on products.instance = skus.instance and products.product_id = skus.product_id
