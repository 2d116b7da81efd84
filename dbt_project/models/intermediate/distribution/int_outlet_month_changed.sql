{{
    config(
        materialized='table',
        indexes=[{'columns': ['instance', 'outlet_id', 'month_start'], 'unique': true}],
        post_hook='{{ analyze_this() }}'
    )
}}

-- depends_on: {{ ref('int_document_changed') }}
-- depends_on: {{ ref('int_document_before') }}
-- depends_on: {{ ref('int_outlet_now') }}
-- depends_on: {{ ref('int_sku_now') }}
-- depends_on: {{ ref('fct_shipment_line') }}
-- depends_on: {{ ref('fct_return_line') }}
-- Months of outlets that are no longer those the marts were built from: documents changed, or the outlet, or a product that
-- was sold. A return tied to a shipment belongs to the month of that shipment, and to its own while the shipment is not known.
{% set built = built_keys('int_outlet_built') -%}
{% set built_skus = built_keys('int_sku_built') -%}
{% set months = built_relation('intermediate', 'int_outlet_month') -%}
{% set sales = built_relation('marts', 'sales_daily') -%}
{% set carried = carried_over('int_outlet_month_changed') -%}
{% if none in [built, built_skus, months, sales] -%}
with days as (
    select
        instance,
        outlet_id,
        shipped_on as day
    from {{ ref('fct_shipment_line') }}
    union
    select
        instance,
        outlet_id,
        returned_on as day
    from {{ ref('fct_return_line') }}
)

select distinct
    instance,
    coalesce(outlet_id, 'unknown') as outlet_id,
    cast(date_trunc('month', day) as date) as month_start
from days
{%- else -%}
with changed as (
    select * from {{ ref('int_document_changed') }}
    where document_kind in ('shipment', 'return')
),

-- Shipments that changed returns name, or named.
named as (
    select
        document_kind,
        instance,
        named_id as shipment_id
    from {{ ref('int_document_before') }}
    where document_kind = 'return'
    union
    select
        changed.document_kind,
        changed.instance,
        lines.shipment_id
    from changed
    inner join {{ ref('fct_return_line') }} as lines
        on changed.instance = lines.instance and changed.document_id = lines.return_id
    where changed.document_kind = 'return' and lines.shipment_id is not null
),

days as (
    select
        instance,
        outlet_id,
        document_on as day
    from changed
    union
    select
        instance,
        outlet_id_before as outlet_id,
        document_on_before as day
    from changed
    union
    select
        lines.instance,
        lines.outlet_id,
        lines.shipped_on as day
    from named
    inner join {{ ref('fct_shipment_line') }} as lines
        on named.instance = lines.instance and named.shipment_id = lines.shipment_id
    union
    -- Returns that name a changed shipment.
    select
        lines.instance,
        lines.outlet_id,
        lines.returned_on as day
    from changed
    inner join {{ ref('fct_return_line') }} as lines
        on changed.instance = lines.instance and changed.document_id = lines.shipment_id
    where changed.document_kind = 'shipment'
),

built as (
    select * from {{ built }}
),

changed_outlets as (
    select
        coalesce(outlets.instance, built.instance) as instance,
        coalesce(outlets.outlet_id, built.outlet_id) as outlet_id
    from {{ ref('int_outlet_now') }} as outlets
    full outer join built on outlets.instance = built.instance and outlets.outlet_id = built.outlet_id
    where coalesce(outlets.fingerprint, '') <> coalesce(built.fingerprint, '')
),

built_skus as (
    select * from {{ built_skus }}
),

changed_products as (
    select
        coalesce(skus.instance, built_skus.instance) as instance,
        coalesce(skus.product_id, built_skus.product_id) as product_id
    from {{ ref('int_sku_now') }} as skus
    full outer join built_skus on skus.instance = built_skus.instance and skus.product_id = built_skus.product_id
    where coalesce(skus.fingerprint, '') <> coalesce(built_skus.fingerprint, '')
)

select
    instance,
    coalesce(outlet_id, 'unknown') as outlet_id,
    cast(date_trunc('month', day) as date) as month_start
from days
where day is not null
union
select
    months.instance,
    months.outlet_id,
    months.month_start
from changed_outlets
inner join {{ months }} as months
    on changed_outlets.instance = months.instance and changed_outlets.outlet_id = months.outlet_id
union
select
    sales.instance,
    sales.outlet_id,
    sales.month_start
from changed_products
inner join {{ sales }} as sales
    on changed_products.instance = sales.instance and changed_products.product_id = sales.product_id
{% if carried is not none -%}
union
select
    instance,
    outlet_id,
    month_start
from {{ carried }}
{%- endif %}
{%- endif %}
