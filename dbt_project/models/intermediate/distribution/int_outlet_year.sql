{{ config(materialized='table', post_hook='{{ analyze_this() }}') }}

-- depends_on: {{ ref('int_outlet_month_changed') }}
-- What each outlet bought in the twelve months that end with each changed month: in all, by category and by brand.
{% set weighted = built_relation('marts', 'distribution_weighted') -%}
{% set incremental = weighted is not none and not flags.FULL_REFRESH -%}
with months as (
    select distinct
        placements.instance,
        placements.month_start
    from {{ ref('int_placement_month') }} as placements
    {% if incremental -%}
    inner join (select distinct
        instance,
        month_start
    from {{ ref('int_outlet_month_changed') }}) as changed
        on
            placements.instance = changed.instance
            and placements.month_start >= changed.month_start
            and placements.month_start < changed.month_start + interval '12 months'
    {%- endif %}
),

spent as (
    select
        months.instance,
        months.month_start,
        placements.outlet_id,
        skus.category_id,
        skus.brand_id,
        sum(placements.kept_amount) as amount
    from months
    inner join {{ ref('int_placement_month') }} as placements
        on
            months.instance = placements.instance
            and months.month_start >= placements.month_start
            and placements.month_start > months.month_start - interval '12 months'
    inner join {{ ref('int_sku') }} as skus
        on placements.instance = skus.instance and placements.sku_id = skus.product_id
    where placements.outlet_id <> 'unknown'
    group by
        months.instance, months.month_start, placements.outlet_id,
        grouping sets ((), (skus.category_id), (skus.brand_id))
),

whole as (
    select
        *,
        max(amount) filter (where category_id is null and brand_id is null)
            over (partition by instance, month_start, outlet_id) as outlet_amount
    from spent
)

select
    whole.instance,
    whole.month_start,
    whole.outlet_id,
    coalesce(outlets.territory_id, 'unknown') as territory_id,
    case
        when whole.category_id is not null then 'category'
        when whole.brand_id is not null then 'brand'
        else 'all'
    end as group_kind,
    coalesce(whole.category_id, whole.brand_id, 'all') as group_id,
    -- Who returned more than was bought weighs nothing; less than nothing would make shares of others exceed the whole.
    greatest(whole.outlet_amount, 0) as outlet_weight,
    greatest(whole.outlet_amount, 0) - greatest(whole.outlet_amount - whole.amount, 0) as group_weight
from whole
inner join {{ ref('int_outlet') }} as outlets
    on whole.instance = outlets.instance and whole.outlet_id = outlets.outlet_id
