{{
    config(
        materialized='table',
        indexes=[{'columns': ['instance', 'outlet_id', 'month_start'], 'unique': true}],
        post_hook='{{ analyze_this() }}'
    )
}}

-- Months of outlets that are no longer those the marts were built from: documents changed, or a product that was sold did.
{% set built = built_keys('int_outlet_month_built') -%}
{% set built_skus = built_keys('int_sku_built') -%}
{% set sales = built_relation('marts', 'sales_daily') -%}
with months as (
    select * from {{ ref('int_outlet_month_now') }}
),

skus as (  -- noqa: ST03
    select * from {{ ref('int_sku_now') }}
)

{% if built is none or built_skus is none or sales is none -%}
select
    months.instance,
    months.outlet_id,
    months.month_start
from months
{%- else -%}
, built as (
    select * from {{ built }}
),

built_skus as (
    select * from {{ built_skus }}
),

changed_products as (
    select
        coalesce(skus.instance, built_skus.instance) as instance,
        coalesce(skus.product_id, built_skus.product_id) as product_id
    from skus
    full outer join built_skus on skus.instance = built_skus.instance and skus.product_id = built_skus.product_id
    where coalesce(skus.fingerprint, '') <> coalesce(built_skus.fingerprint, '')
)

select
    coalesce(months.instance, built.instance) as instance,
    coalesce(months.outlet_id, built.outlet_id) as outlet_id,
    coalesce(months.month_start, built.month_start) as month_start
from months
full outer join built
    on
        months.instance = built.instance
        and months.outlet_id = built.outlet_id
        and months.month_start = built.month_start
where coalesce(months.fingerprint, '') <> coalesce(built.fingerprint, '')
union
select distinct
    sales.instance,
    sales.outlet_id,
    sales.month_start
from changed_products
inner join {{ sales }} as sales
    on changed_products.instance = sales.instance and changed_products.product_id = sales.product_id
{%- endif %}
