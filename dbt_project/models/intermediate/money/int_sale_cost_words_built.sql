{{ config(materialized='table') }}

-- What the cost of sales followed from when it was written.
-- depends_on: {{ ref('int_sale_cost') }}
-- depends_on: {{ ref('int_pnl_words_built') }}
select * from {{ ref('int_sale_cost_words') }}
