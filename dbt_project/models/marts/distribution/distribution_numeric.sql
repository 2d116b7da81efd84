{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='append_new_columns',
        pre_hook='{{ delete_replaced_periods() }}',
        post_hook='{{ analyze_this() }}',
        indexes=[
            {'columns': ['instance', 'period_kind', 'period_end', 'slice']},
            {'columns': ['product_id', 'period_end']},
            {'columns': ['territory_id', 'period_end']},
        ]
    )
}}

-- Numeric purchase distribution. Outlets are counted once per slice, so nothing here may be added up.
with placements as (
    select * from {{ ref('int_active_placement') }}
),

outlets as (
    select
        *,
        coalesce(territory_id, 'unknown') as slice_territory_id,
        coalesce(manager_id, 'unknown') as slice_manager_id
    from {{ ref('int_outlet') }}
),

products as (
    select * from {{ ref('int_product') }}
),

instances as (
    select * from {{ ref('stg_ops__source_instance') }}
),

first_purchases as (
    select
        instance,
        outlet_id,
        min(period_start) as first_month
    from placements
    where period_kind = 'month'
    group by instance, outlet_id
),

periods as (
    select distinct
        instance,
        period_kind,
        period_start,
        period_end
    from placements
    union
    select
        instance,
        'rolling' as period_kind,
        {{ as_of() }} - {{ var('rolling_window_days') }} + 1 as period_start,
        {{ as_of() }} as period_end
    from instances
),

universe as (
    select
        periods.instance,
        periods.period_kind,
        periods.period_start,
        periods.period_end,
        outlets.outlet_id,
        outlets.slice_territory_id,
        outlets.slice_manager_id,
        outlets.outlet_format,
        active.outlet_id is not null as is_active,
        active.outlet_id is not null or coalesce(first_purchases.first_month <= periods.period_end, false) as in_base,
        active.outlet_id is not null
        or (
            not outlets.is_withdrawn
            and not outlets.is_inferred
            and coalesce(outlets.closed_on >= periods.period_start, true)
            and coalesce(outlets.registered_on <= periods.period_end, true)
        ) as is_assigned
    from periods
    inner join outlets on periods.instance = outlets.instance
    left join first_purchases
        on outlets.instance = first_purchases.instance and outlets.outlet_id = first_purchases.outlet_id
    left join (
        select distinct
            instance,
            period_kind,
            period_end,
            outlet_id
        from placements
    ) as active
        on
            periods.instance = active.instance
            and periods.period_kind = active.period_kind
            and periods.period_end = active.period_end
            and outlets.outlet_id = active.outlet_id
),

scopes as (
    select
        instance,
        period_kind,
        period_start,
        period_end,
        slice_territory_id as territory_id,
        slice_manager_id as manager_id,
        outlet_format,
        count(*) filter (where is_active) as active_outlets,
        count(*) filter (where in_base) as u_base,
        count(*) filter (where is_assigned) as u_assigned
    from universe
    group by
        instance, period_kind, period_start, period_end,
        grouping sets ((), (slice_territory_id), (slice_manager_id), (outlet_format))
),

placed as (
    select
        placements.instance,
        placements.period_kind,
        placements.period_start,
        placements.period_end,
        placements.outlet_id,
        placements.product_id,
        coalesce(products.brand_id, 'unknown') as brand_id,
        outlets.slice_territory_id,
        outlets.slice_manager_id
    from placements
    inner join outlets on placements.instance = outlets.instance and placements.outlet_id = outlets.outlet_id
    left join products on placements.instance = products.instance and placements.product_id = products.product_id
),

-- An outlet holds a product at most once per period, so products need no distinct count.
by_product as (
    select
        instance,
        period_kind,
        period_start,
        period_end,
        slice_territory_id as territory_id,
        slice_manager_id as manager_id,
        cast(null as text) as brand_id,
        product_id,
        count(*) as active_outlets
    from placed
    group by
        instance, period_kind, period_start, period_end, product_id,
        grouping sets ((), (slice_territory_id), (slice_manager_id))
),

placed_brands as (
    select distinct
        instance,
        period_kind,
        period_start,
        period_end,
        outlet_id,
        brand_id,
        slice_territory_id,
        slice_manager_id
    from placed
),

by_brand as (
    select
        instance,
        period_kind,
        period_start,
        period_end,
        slice_territory_id as territory_id,
        slice_manager_id as manager_id,
        brand_id,
        cast(null as text) as product_id,
        count(*) as active_outlets
    from placed_brands
    group by
        instance, period_kind, period_start, period_end, brand_id,
        grouping sets ((), (slice_territory_id), (slice_manager_id))
),

goods as (
    select * from by_product
    union all
    select * from by_brand
),

slices as (
    select
        instance,
        period_kind,
        period_start,
        period_end,
        territory_id,
        manager_id,
        outlet_format,
        cast(null as text) as brand_id,
        cast(null as text) as product_id,
        active_outlets,
        u_base,
        u_assigned
    from scopes
    union all
    select
        goods.instance,
        goods.period_kind,
        goods.period_start,
        goods.period_end,
        goods.territory_id,
        goods.manager_id,
        cast(null as text) as outlet_format,
        goods.brand_id,
        goods.product_id,
        goods.active_outlets,
        scopes.u_base,
        scopes.u_assigned
    from goods
    inner join scopes
        on
            goods.instance = scopes.instance
            and goods.period_kind = scopes.period_kind
            and goods.period_end = scopes.period_end
            and coalesce(goods.territory_id, '') = coalesce(scopes.territory_id, '')
            and coalesce(goods.manager_id, '') = coalesce(scopes.manager_id, '')
            and scopes.outlet_format is null
)

select
    instance,
    period_kind,
    period_start,
    period_end,
    period_end < {{ as_of() }} as is_complete,
    concat_ws(
        '_',
        case when territory_id is not null then 'territory' end,
        case when manager_id is not null then 'manager' end,
        case when outlet_format is not null then 'format' end,
        case when brand_id is not null then 'brand' end,
        case when product_id is not null then 'product' end,
        case when coalesce(territory_id, manager_id, outlet_format, brand_id, product_id) is null then 'total' end
    ) as slice,
    territory_id,
    manager_id,
    outlet_format,
    brand_id,
    product_id,
    active_outlets,
    u_base,
    u_assigned,
    cast(round(100.0 * active_outlets / nullif(u_base, 0), 2) as numeric(6, 2)) as nd_base_percent,
    cast(round(100.0 * active_outlets / nullif(u_assigned, 0), 2) as numeric(6, 2)) as nd_assigned_percent
from slices
