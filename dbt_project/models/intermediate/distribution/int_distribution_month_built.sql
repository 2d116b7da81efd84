{{ config(materialized='table', post_hook="{{ forget_changed(['int_distribution_month_changed']) }}") }}

-- What numeric distribution of each month was divided by when it was written.
-- depends_on: {{ ref('distribution_numeric') }}
select * from {{ ref('int_distribution_month_now') }}
