{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='fail',
        pre_hook="{{ delete_of_changed_words(delete_changed_outlet_months('int_standard_month_changed')) }}",
        post_hook='{{ analyze_this() }}',
        indexes=[{'columns': ['instance', 'outlet_id', 'month_start', 'sku_id'], 'unique': true}]
    )
}}

-- depends_on: {{ ref('int_standard_month_changed') }}
-- Positions that an outlet ordered and we cancelled, by month: not its fault.
with {% if is_incremental() -%}
changed as (
    select * from {{ ref('int_standard_month_changed') }}
),

-- Each month of an outlet by the index: few of many.
lines as (
    select own.*
    from changed
    cross join lateral (
        select
            line.instance,
            line.outlet_id,
            line.ordered_on,
            line.product_id
        from {{ ref('fct_order_line') }} as line
        where
            line.instance = changed.instance
            and line.outlet_id = changed.outlet_id
            and line.ordered_on >= changed.month_start
            and line.ordered_on < changed.month_start + interval '1 month'
            and line.line_status = 'cancelled_by_us'
            and line.line_class = 'sale'
        order by line.ordered_on
        offset 0
    ) as own
)

{% else -%}
lines as (
    select * from {{ ref('fct_order_line') }}
    where outlet_id is not null and line_status = 'cancelled_by_us' and line_class = 'sale'
)

{% endif -%}
select distinct
    lines.instance,
    lines.outlet_id,
    cast(date_trunc('month', lines.ordered_on) as date) as month_start,
    skus.sku_id
from lines
inner join {{ ref('int_sku') }} as skus on lines.instance = skus.instance and lines.product_id = skus.product_id
