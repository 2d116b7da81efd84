{{ config(materialized='table', indexes=[{'columns': ['instance', 'outlet_id'], 'unique': true}], post_hook='{{ analyze_this() }}') }}

-- Since which day the orders of an outlet are no longer those that the marts were built from.
{% set built = built_keys('int_order_day_built') -%}
with order_days as (
    select * from {{ ref('int_order_day_now') }}
)

{% if built is none -%}
select
    instance,
    outlet_id,
    min(ordered_on) as changed_from
from order_days
group by instance, outlet_id
{%- else -%}
, built as (
    select * from {{ built }}
)

select
    coalesce(order_days.instance, built.instance) as instance,
    coalesce(order_days.outlet_id, built.outlet_id) as outlet_id,
    min(coalesce(order_days.ordered_on, built.ordered_on)) as changed_from
from order_days
full outer join built
    on
        order_days.instance = built.instance
        and order_days.outlet_id = built.outlet_id
        and order_days.ordered_on = built.ordered_on
where
    coalesce(order_days.fingerprint, '') <> coalesce(built.fingerprint, '')
    or coalesce(order_days.words_fingerprint, '') <> coalesce(built.words_fingerprint, '')
group by 1, 2
{%- endif %}
