{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='fail',
        pre_hook='{{ delete_months_of_changed_years() }}',
        post_hook='{{ analyze_this() }}',
        indexes=[{'columns': ['instance', 'month_start', 'slice']}, {'columns': ['product_id', 'month_start']}]
    )
}}

{% set all_months = execute and not is_incremental() and (selected_resources or []) | length > 0 -%}
{% if all_months and 'model.polka.int_outlet_year' not in selected_resources -%}
    {{ exceptions.raise_compiler_error(
        "distribution_weighted is built from nothing only together with what it reads, which holds changed months alone: "
        ~ "--select int_outlet_year+ --full-refresh"
    ) }}
{%- endif -%}
-- Weighted distribution: which share of the outlets' weight holds the product. Nobody knows an outlet's whole turnover, so
-- its weight is what it bought of other goods from us in twelve months (of everything, where there is nothing else: such a
-- figure is circular and labelled so).
with years as (
    select * from {{ ref('int_outlet_year') }}
),

-- A day changes few months: only their placements are looked at.
months as (
    select distinct
        instance,
        month_start
    from {{ ref('int_outlet_year') }}
),

placements as (
    select
        placements.instance,
        placements.month_start,
        placements.outlet_id,
        placements.sku_id,
        skus.category_id,
        skus.brand_id
    from months
    inner join {{ ref('int_placement_month') }} as placements
        on months.instance = placements.instance and months.month_start = placements.month_start
    inner join {{ ref('int_sku') }} as skus
        on placements.instance = skus.instance and placements.sku_id = skus.product_id
),

handled as (
    select
        instance,
        month_start,
        outlet_id,
        'product' as goods_kind,
        sku_id as goods_id,
        'category' as group_kind,
        category_id as group_id
    from placements
    union all
    select distinct
        instance,
        month_start,
        outlet_id,
        'category' as goods_kind,
        category_id as goods_id,
        'category' as group_kind,
        category_id as group_id
    from placements
    union all
    select distinct
        instance,
        month_start,
        outlet_id,
        'brand' as goods_kind,
        brand_id as goods_id,
        'brand' as group_kind,
        brand_id as group_id
    from placements
),

held as (
    select
        handled.instance,
        handled.month_start,
        handled.goods_kind,
        handled.goods_id,
        handled.group_kind,
        handled.group_id,
        years.territory_id,
        count(*) as active_outlets,
        sum(years.outlet_weight) as own_weight,
        sum(years.outlet_weight - years.group_weight) as other_weight
    from handled
    inner join years
        on
            handled.instance = years.instance
            and handled.month_start = years.month_start
            and handled.outlet_id = years.outlet_id
            and handled.group_kind = years.group_kind
            and handled.group_id = years.group_id
    group by
        handled.instance, handled.month_start, handled.goods_kind, handled.goods_id, handled.group_kind, handled.group_id,
        grouping sets ((), (years.territory_id))
),

weighed as (
    select
        held.*,
        scopes.whole_weight as own_weight_total,
        scopes.whole_weight - scopes.group_weight as other_weight_total
    from held
    inner join {{ ref('int_outlet_year_scope') }} as scopes
        on
            held.instance = scopes.instance
            and held.month_start = scopes.month_start
            and held.group_kind = scopes.group_kind
            and held.group_id = scopes.group_id
            and coalesce(held.territory_id, '') = scopes.territory_id
)

select
    instance,
    month_start,
    cast(month_start + interval '1 month - 1 day' as date) as period_end,
    case when territory_id is not null then 'territory_' else '' end || goods_kind as slice,
    territory_id,
    case when goods_kind = 'brand' then goods_id end as brand_id,
    case when goods_kind = 'category' then goods_id end as category_id,
    case when goods_kind = 'product' then goods_id end as product_id,
    active_outlets,
    case when other_weight_total > 0 then 'other_goods' else 'own_sales' end as weight_basis,
    cast(
        round(
            100 * case
                when other_weight_total > 0 then other_weight / other_weight_total
                else own_weight / nullif(own_weight_total, 0)
            end,
            4
        ) as numeric(8, 4)
    ) as wd_percent,
    cast(round(100 * other_weight / nullif(other_weight_total, 0), 4) as numeric(8, 4)) as wd_other_goods_percent,
    cast(round(100 * own_weight / nullif(own_weight_total, 0), 4) as numeric(8, 4)) as wd_own_sales_percent
from weighed
