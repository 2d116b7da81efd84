with products as (
    select * from {{ ref('stg_onec__product') }}
    where not is_folder
),

kinds as (
    select * from {{ ref('product_type_map') }}
)

select
    products.instance,
    products.product_id,
    products.code as product_code,
    products.name as product_name,
    products.article,
    products.parent_id as product_group_id,
    products.brand_id,
    products.product_type,
    coalesce(kinds.product_kind, 'goods') as product_kind,
    products.weight_numerator / nullif(products.weight_denominator, 0) as unit_weight,
    products.deletion_mark or products.is_deleted as is_withdrawn
from products
left join kinds on products.product_type = kinds.product_type
