{{ config(materialized='table') }}

-- What the cost of sales followed from when it was written.
-- depends_on: {{ ref('int_sale_cost') }}
select * from {{ ref('int_sale_cost_words') }}
