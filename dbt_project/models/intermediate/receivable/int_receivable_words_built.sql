{{ config(materialized='table', post_hook="{{ forget_changed(['int_receivable_day_changed']) }}") }}

-- What movements of receivables followed from when they were written.
-- depends_on: {{ ref('int_receivable_movement') }}
-- depends_on: {{ ref('receivable_rollforward') }}
select * from {{ ref('int_receivable_words') }}
