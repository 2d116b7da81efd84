{{ config(materialized='table') }}

-- What was known of each product when the marts by outlet and month were built.
-- depends_on: {{ ref('int_outlet_built') }}
select * from {{ ref('int_sku_now') }}
