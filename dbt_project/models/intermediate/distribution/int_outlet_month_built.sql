{{ config(materialized='table') }}

-- What the marts by outlet and month have been built from. Comes after all of them: a build that died keeps nothing.
-- depends_on: {{ ref('sales_daily') }}
-- depends_on: {{ ref('int_outlet_day') }}
-- depends_on: {{ ref('distribution_numeric') }}
-- depends_on: {{ ref('int_placement_month') }}
-- depends_on: {{ ref('int_outlet_month') }}
-- depends_on: {{ ref('int_placement_episode') }}
-- depends_on: {{ ref('int_outlet_purchase') }}
-- depends_on: {{ ref('distribution_weighted') }}
-- depends_on: {{ ref('order_fulfilment') }}
select * from {{ ref('int_outlet_month_now') }}
