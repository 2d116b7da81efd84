{{ config(materialized='table') }}

-- What the marts by order day have been built from. Comes after all of them: a build that died on the way keeps nothing.
-- depends_on: {{ ref('int_order_basket') }}
-- depends_on: {{ ref('order_assortment_gap') }}
-- depends_on: {{ ref('order_compliance') }}
-- depends_on: {{ ref('order_quantity_gap') }}
-- depends_on: {{ ref('order_fulfilment') }}
select * from {{ ref('int_order_day_now') }}
