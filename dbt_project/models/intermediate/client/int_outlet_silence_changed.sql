{{ config(materialized='table', indexes=[{'columns': ['instance', 'outlet_id'], 'unique': true}], post_hook='{{ analyze_this() }}') }}

-- depends_on: {{ ref('int_outlet_words') }}
-- depends_on: {{ ref('int_outlet_words_changed') }}
-- depends_on: {{ ref('int_order_day_changed') }}
-- depends_on: {{ ref('int_outlet_month_changed') }}
-- Since which day the signs of life of an outlet are no longer those that its silences were told from, from which sign on
-- silences are told anew (that before it is followed by another one now), and from which they are read for it: since the last
-- purchase. The last silence is open, and another on each business date.
{% set built = built_keys('int_outlet_words_built') -%}
{% set carried = carried_over('int_outlet_silence_changed') -%}
with changed as (
    {% if built is none -%}
    select
        instance,
        outlet_id,
        cast('-infinity' as date) as changed_from
    from {{ ref('int_outlet_words') }}
    {%- else -%}
    select
        instance,
        outlet_id,
        least({{ as_of() }}, (select min(built.as_of) from {{ built }} as built)) + 1 as changed_from
    from {{ ref('int_outlet_words') }}
    union all
    select
        instance,
        outlet_id,
        cast('-infinity' as date) as changed_from
    from {{ ref('int_outlet_words_changed') }}
    union all
    select
        instance,
        outlet_id,
        changed_from
    from {{ ref('int_order_day_changed') }}
    union all
    select
        instance,
        outlet_id,
        month_start as changed_from
    from {{ ref('int_outlet_month_changed') }}
    {%- endif %}
    {%- if carried is not none %}
    union all
    select
        instance,
        outlet_id,
        changed_from
    from {{ carried }}
    {%- endif %}
),

first_changed as (
    select
        instance,
        outlet_id,
        min(changed_from) as changed_from
    from changed
    group by instance, outlet_id
),

written as (
    select
        first_changed.instance,
        first_changed.outlet_id,
        first_changed.changed_from,
        coalesce(
            greatest(
                (
                    select max(purchases.purchased_on)
                    from {{ ref('int_outlet_purchase') }} as purchases
                    where
                        purchases.instance = first_changed.instance
                        and purchases.outlet_id = first_changed.outlet_id
                        and purchases.purchased_on < first_changed.changed_from
                ),
                (
                    select max(orders.ordered_on)
                    from {{ ref('fct_order_occasion') }} as orders
                    where
                        orders.instance = first_changed.instance
                        and orders.outlet_id = first_changed.outlet_id
                        and orders.ordered_on < first_changed.changed_from
                )
            ),
            cast('-infinity' as date)
        ) as written_from
    from first_changed
)

select
    written.instance,
    written.outlet_id,
    written.changed_from,
    written.written_from,
    coalesce(
        (
            select max(purchases.purchased_on)
            from {{ ref('int_outlet_purchase') }} as purchases
            where
                purchases.instance = written.instance
                and purchases.outlet_id = written.outlet_id
                and purchases.purchased_on <= written.written_from
        ),
        written.written_from
    ) as read_from
from written
