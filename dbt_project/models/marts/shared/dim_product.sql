{{ config(indexes=[{'columns': ['instance', 'product_id'], 'unique': true}]) }}

with products as (
    select * from {{ ref('int_product') }}
),

folders as (
    select * from {{ ref('stg_onec__product') }}
    where is_folder
),

brands as (
    select * from {{ ref('stg_onec__brand') }}
)

select
    products.instance,
    products.product_id,
    products.product_code,
    products.product_name,
    products.article,
    products.product_group_id,
    folders.name as product_group_name,
    products.brand_id,
    brands.name as brand_name,
    products.product_type,
    products.product_kind,
    products.unit_weight,
    products.is_withdrawn
from products
left join folders on products.instance = folders.instance and products.product_group_id = folders.product_id
left join brands on products.instance = brands.instance and products.brand_id = brands.brand_id
