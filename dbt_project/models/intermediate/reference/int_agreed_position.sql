{{ config(materialized='table', indexes=[{'columns': ['instance', 'outlet_id']}], post_hook='{{ analyze_this() }}') }}

-- Which positions were agreed with which outlet and when: the outlet's own list, else its client's.
with outlets as (
    select * from {{ ref('int_outlet') }}
),

clients as (
    select * from {{ ref('int_client') }}
),

skus as (
    select
        int_sku.*,
        products.product_code
    from {{ ref('int_sku') }} as int_sku
    inner join {{ ref('int_product') }} as products
        on int_sku.instance = products.instance and int_sku.product_id = products.product_id
),

agreed as (
    select * from {{ ref('stg_reference__agreed_assortment') }}
),

by_outlet as (
    select
        outlets.instance,
        outlets.outlet_id,
        agreed.outlet_code is not null as is_own,
        agreed.product_code,
        agreed.min_quantity,
        agreed.valid_from,
        agreed.valid_to
    from agreed
    inner join outlets on coalesce(agreed.instance, outlets.instance) = outlets.instance
    left join clients on outlets.instance = clients.instance and outlets.client_id = clients.client_id
    where
        agreed.outlet_code = outlets.outlet_code
        or (agreed.outlet_code is null and agreed.client_code = clients.client_code)
),

-- An outlet with a list of its own does not inherit its client's.
chosen as (
    select
        *,
        bool_or(is_own) over (partition by instance, outlet_id) as has_own
    from by_outlet
)

select
    chosen.instance,
    chosen.outlet_id,
    skus.sku_id,
    max(chosen.min_quantity * skus.units_per_unit) as min_quantity,
    chosen.valid_from,
    coalesce(chosen.valid_to, date '9999-12-31') as valid_to
from chosen
inner join skus on chosen.instance = skus.instance and chosen.product_code = skus.product_code
where chosen.is_own = chosen.has_own
group by chosen.instance, chosen.outlet_id, skus.sku_id, chosen.valid_from, chosen.valid_to
