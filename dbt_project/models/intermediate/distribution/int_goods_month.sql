{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='fail',
        pre_hook='{{ delete_changed_months() }}',
        post_hook='{{ analyze_this() }}',
        indexes=[{'columns': ['goods_kind', 'month_start']}]
    )
}}

-- depends_on: {{ ref('int_outlet_month_changed') }}
-- What the outlets kept of each product, brand and category in each month: outlets that are not known apart.
with placements as (
    select
        placements.instance,
        placements.month_start,
        placements.outlet_id,
        placements.sku_id,
        skus.brand_id,
        skus.category_id,
        placements.kept_units,
        placements.kept_amount,
        placements.outlet_id <> 'unknown' as is_known
    from {{ ref('int_placement_month') }} as placements
    left join {{ ref('int_sku') }} as skus
        on placements.instance = skus.instance and placements.sku_id = skus.product_id
    {% if is_incremental() %}
    where
        placements.month_start = any(array(select distinct changed.month_start from {{ ref('int_outlet_month_changed') }} as changed))
        and (placements.instance, placements.month_start) in (
            select
                changed.instance,
                changed.month_start
            from {{ ref('int_outlet_month_changed') }} as changed
        )
    {% endif %}
)

{% for kind in ['sku', 'brand', 'category'] -%}
select
    instance,
    month_start,
    '{{ kind }}' as goods_kind,
    {{ kind }}_id as goods_id,
    count({{ '' if kind == 'sku' else 'distinct ' }}outlet_id) filter (where is_known) as outlets_total,
    count(*) filter (where is_known) as placements_total,
    sum(kept_units) filter (where is_known) as units,
    sum(kept_amount) filter (where is_known) as revenue,
    sum(kept_amount) as revenue_with_unknown
from placements
where {{ kind }}_id is not null
group by instance, month_start, {{ kind }}_id
{% if not loop.last %}union all
{% endif -%}
{%- endfor %}
