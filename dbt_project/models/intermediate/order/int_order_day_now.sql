{{ config(materialized='table', post_hook='{{ analyze_this() }}') }}

-- Which posted orders each outlet has on which day, as the documents and the words about them are now.
with order_days as (
    select * from {{ ref('int_order_day') }}
),

words as (
    select * from {{ ref('int_order_basket_words') }}
)

select
    order_days.instance,
    order_days.outlet_id,
    order_days.ordered_on,
    order_days.fingerprint,
    words.fingerprint as words_fingerprint
from order_days
cross join words
