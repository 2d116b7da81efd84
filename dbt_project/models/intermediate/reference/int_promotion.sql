{{ config(materialized='table', indexes=[{'columns': ['instance', 'sku_id']}], post_hook='{{ analyze_this() }}') }}

-- Promotions by position and, when meant for one client only, by client.
with promotions as (
    select * from {{ ref('stg_reference__promotion') }}
),

products as (
    select * from {{ ref('int_product') }}
),

clients as (
    select * from {{ ref('int_client') }}
)

select
    skus.instance,
    skus.sku_id,
    clients.client_id,
    promotions.valid_from,
    promotions.valid_to
from promotions
inner join products
    on
        promotions.product_code = products.product_code
        and coalesce(promotions.instance, products.instance) = products.instance
inner join {{ ref('int_sku') }} as skus on products.instance = skus.instance and products.product_id = skus.product_id
left join clients on products.instance = clients.instance and promotions.client_code = clients.client_code
where promotions.client_code is null or clients.client_id is not null
