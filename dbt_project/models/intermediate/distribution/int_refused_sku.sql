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
select distinct
    line.instance,
    line.outlet_id,
    cast(date_trunc('month', line.ordered_on) as date) as month_start,
    skus.sku_id
from {{ ref('fct_order_line') }} as line
{% if is_incremental() -%}
inner join {{ ref('int_standard_month_changed') }} as changed
    on
        line.instance = changed.instance
        and line.outlet_id = changed.outlet_id
        and line.ordered_on >= changed.month_start
        and line.ordered_on < changed.month_start + interval '1 month'
{% endif -%}
inner join {{ ref('int_sku') }} as skus on line.instance = skus.instance and line.product_id = skus.product_id
where line.line_status = 'cancelled_by_us' and line.line_class = 'sale' and line.outlet_id is not null
