-- Must-lists by position. Positions of one substitution group are one requirement: any of them will do.
with must_list as (
    select * from {{ ref('stg_reference__must_list') }}
),

products as (
    select * from {{ ref('int_product') }}
),

territories as (
    select * from {{ ref('stg_onec__business_region') }}
    where not is_deleted
)

select distinct
    skus.instance,
    must_list.standard,
    must_list.outlet_format,
    must_list.channel,
    territories.territory_id,
    coalesce('group ' || must_list.substitution_group, skus.sku_id) as requirement,
    skus.sku_id,
    must_list.valid_from,
    coalesce(must_list.valid_to, date '9999-12-31') as valid_to
from must_list
inner join products
    on
        must_list.product_code = products.product_code
        and coalesce(must_list.instance, products.instance) = products.instance
inner join {{ ref('int_sku') }} as skus on products.instance = skus.instance and products.product_id = skus.product_id
left join territories on products.instance = territories.instance and must_list.territory = territories.name
where must_list.territory is null or territories.territory_id is not null
