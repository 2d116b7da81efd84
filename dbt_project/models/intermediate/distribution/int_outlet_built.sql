{{ config(materialized='table', post_hook="{{ forget_changed(['int_outlet_month_changed']) }}") }}

-- What was known of each outlet when the marts by outlet and month were built. Comes after all of them: a build that died
-- keeps nothing, and leaves its months to the next one.
-- depends_on: {{ ref('sales_daily') }}
-- depends_on: {{ ref('int_outlet_day') }}
-- depends_on: {{ ref('distribution_numeric') }}
-- depends_on: {{ ref('int_placement_month') }}
-- depends_on: {{ ref('int_outlet_month') }}
-- depends_on: {{ ref('int_goods_month') }}
-- depends_on: {{ ref('int_order_month_changed') }}
-- depends_on: {{ ref('int_client_day') }}
-- depends_on: {{ ref('int_client_purchase_day') }}
-- depends_on: {{ ref('int_sale_cost') }}
-- depends_on: {{ ref('client_pnl') }}
-- depends_on: {{ ref('client_segment') }}
-- depends_on: {{ ref('int_client_month') }}
-- depends_on: {{ ref('active_base_bridge') }}
-- depends_on: {{ ref('int_placement_episode') }}
-- depends_on: {{ ref('int_outlet_purchase') }}
-- depends_on: {{ ref('distribution_weighted') }}
-- depends_on: {{ ref('int_distribution_month_changed') }}
-- depends_on: {{ ref('int_distribution_universe') }}
-- depends_on: {{ ref('distribution_qualitative') }}
-- depends_on: {{ ref('int_outlet_silence') }}
select * from {{ ref('int_outlet_now') }}
