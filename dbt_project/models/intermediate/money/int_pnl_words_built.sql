{{ config(materialized='table', post_hook="{{ forget_changed(['int_pnl_month_changed']) }}") }}

-- What the profit of clients followed from when it was written.
-- depends_on: {{ ref('client_pnl') }}
select * from {{ ref('int_pnl_words') }}
