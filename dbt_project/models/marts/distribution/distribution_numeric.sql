{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='append_new_columns',
        full_refresh=false,
        pre_hook='{{ delete_replaced_periods() }}',
        post_hook='{{ analyze_this() }}',
        indexes=[
            {'columns': ['instance', 'period_kind', 'period_end', 'slice']},
            {'columns': ['product_id', 'period_end']},
            {'columns': ['territory_id', 'period_end']},
        ]
    )
}}

-- depends_on: {{ ref('int_distribution_month_changed') }}
-- Numeric purchase distribution. Outlets are counted once per slice, so nothing here may be added up. A refresh writes all
-- months anew; windows of earlier business dates stay, as nothing but a build for such a date could write them again.
{% set period = ['instance', 'period_kind', 'window_days', 'period_start', 'period_end'] -%}
{% set sides = ['territory_id', 'manager_id', 'branch_id', 'outlet_format', 'channel'] -%}
with universe as (
    select outlets.* from {{ ref('int_distribution_universe') }} as outlets
    {% if is_incremental() and not flags.FULL_REFRESH %}
    where
        outlets.period_kind = 'rolling'
        or (outlets.instance, outlets.period_start) in (
            select
                changed.instance,
                changed.month_start
            from {{ ref('int_distribution_month_changed') }} as changed
        )
    {% endif %}
),

skus as (
    select * from {{ ref('int_sku') }}
),

-- Without a census of the territory there is no such denominator.
census as (
    select
        periods.instance,
        periods.period_kind,
        periods.window_days,
        periods.period_end,
        census.territory_id,
        coalesce(
            sum(census.outlets_total) filter (where census.outlet_format is null), sum(census.outlets_total)
        ) as outlets_total
    from (select distinct
        instance,
        period_kind,
        window_days,
        period_end
    from universe) as periods
    inner join {{ ref('int_territory_census') }} as census
        on
            periods.instance = census.instance
            and periods.period_end between census.valid_from and census.valid_to
    group by periods.instance, periods.period_kind, periods.window_days, periods.period_end, census.territory_id
),

scopes as (
    select
        {{ period | join(', ') }},
        {{ sides | join(', ') }},
        count(*) filter (where is_active) as active_outlets,
        count(distinct client_id) filter (where is_active) as active_clients,
        sum(positions) as placements_total,
        {{ exact_median('positions', 'is_active') }} as sku_per_outlet_median,
        count(*) filter (where in_base) as u_base,
        count(*) filter (where is_assigned) as u_assigned,
        count(*) filter (where is_on_route or is_active) as route_outlets,
        bool_or(is_on_route) as has_route
    from universe
    group by
        {{ period | join(', ') }},
        grouping sets (() {%- for side in sides %}, ({{ side }}){% endfor %})
),

placed as (
    select
        placements.instance,
        placements.period_kind,
        placements.window_days,
        placements.period_start,
        placements.period_end,
        placements.outlet_id,
        placements.product_id,
        skus.brand_id,
        skus.category_id,
        universe.{{ sides | join(', universe.') }}  -- noqa: LT05,LT09
    from {{ ref('int_active_placement') }} as placements
    inner join universe
        on
            placements.instance = universe.instance
            and placements.period_kind = universe.period_kind
            and coalesce(placements.window_days, 0) = coalesce(universe.window_days, 0)
            and placements.period_end = universe.period_end
            and placements.outlet_id = universe.outlet_id
    inner join skus on placements.instance = skus.instance and placements.product_id = skus.product_id
    {% if is_incremental() and not flags.FULL_REFRESH %}
    where
        placements.period_kind = 'rolling'
        or placements.period_start = any(
            array(select changed.month_start from {{ ref('int_distribution_month_changed') }} as changed)
        )
    {% endif %}
),

-- An outlet holds a product at most once per period, so products need no distinct count.
by_product as (
    select
        {{ period | join(', ') }},
        territory_id,
        manager_id,
        product_id,
        count(*) as active_outlets
    from placed
    group by {{ period | join(', ') }}, product_id, grouping sets ((), (territory_id), (manager_id))
),

{% for group in ['brand', 'category'] -%}
placed_{{ group }} as (
    select
        {{ period | join(', ') }},
        {{ sides | join(', ') }},
        {{ group }}_id,
        outlet_id,
        count(*) as positions
    from placed
    group by {{ period | join(', ') }}, {{ sides | join(', ') }}, {{ group }}_id, outlet_id
),

by_{{ group }} as (
    select
        {{ period | join(', ') }},
        {{ sides | join(', ') }},
        {{ group }}_id,
        count(*) as active_outlets,
        sum(positions) as placements_total
    from placed_{{ group }}
    group by
        {{ period | join(', ') }}, {{ group }}_id,
        grouping sets (() {%- for side in sides %}, ({{ side }}){% endfor %})
),

{% endfor -%}
goods as (
    select
        {{ period | join(', ') }},
        territory_id,
        manager_id,
        cast(null as text) as branch_id,
        cast(null as text) as outlet_format,
        cast(null as text) as channel,
        cast(null as text) as brand_id,
        cast(null as text) as category_id,
        product_id,
        active_outlets,
        active_outlets as placements_total
    from by_product
    {%- for group in ['brand', 'category'] %}
    union all
    select
        {{ period | join(', ') }},
        {{ sides | join(', ') }},
        {% if group == 'brand' %}brand_id{% else %}cast(null as text) as brand_id{% endif %},
        {% if group == 'category' %}category_id{% else %}cast(null as text) as category_id{% endif %},
        cast(null as text) as product_id,
        active_outlets,
        placements_total
    from by_{{ group }}
    {%- endfor %}
),

slices as (
    select
        scopes.*,
        cast(null as text) as brand_id,
        cast(null as text) as category_id,
        cast(null as text) as product_id,
        scopes.active_outlets as slice_outlets,
        scopes.placements_total as slice_placements
    from scopes
    union all
    select
        scopes.*,
        goods.brand_id,
        goods.category_id,
        goods.product_id,
        goods.active_outlets as slice_outlets,
        goods.placements_total as slice_placements
    from goods
    inner join scopes
        on
            {% for column in ['instance', 'period_kind', 'period_end'] %}goods.{{ column }} = scopes.{{ column }}
            and {% endfor %}coalesce(goods.window_days, 0) = coalesce(scopes.window_days, 0)
            {%- for side in sides %}
            and coalesce(goods.{{ side }}, '') = coalesce(scopes.{{ side }}, '')
            {%- endfor %}
),

-- A whole without its parts: only territories have a census, and their sum.
counted as (
    select
        slices.*,
        slices.brand_id is null and slices.category_id is null and slices.product_id is null as is_all_goods,
        case when slices.has_route then slices.route_outlets end as u_route,
        case
            when slices.territory_id is not null then of_territory.outlets_total
            when
                coalesce(slices.manager_id, slices.branch_id, slices.outlet_format, slices.channel) is null
                then of_all.outlets_total
        end as u_census
    from slices
    left join census as of_territory
        on
            slices.instance = of_territory.instance
            and slices.period_kind = of_territory.period_kind
            and coalesce(slices.window_days, 0) = coalesce(of_territory.window_days, 0)
            and slices.period_end = of_territory.period_end
            and slices.territory_id = of_territory.territory_id
    left join (
        select
            instance,
            period_kind,
            window_days,
            period_end,
            sum(outlets_total) as outlets_total
        from census
        group by instance, period_kind, window_days, period_end
    ) as of_all
        on
            slices.instance = of_all.instance
            and slices.period_kind = of_all.period_kind
            and coalesce(slices.window_days, 0) = coalesce(of_all.window_days, 0)
            and slices.period_end = of_all.period_end
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
        case when branch_id is not null then 'branch' end,
        case when outlet_format is not null then 'format' end,
        case when channel is not null then 'channel' end,
        case when brand_id is not null then 'brand' end,
        case when category_id is not null then 'category' end,
        case when product_id is not null then 'product' end,
        case
            when is_all_goods and coalesce(territory_id, manager_id, branch_id, outlet_format, channel) is null then 'total'
        end
    ) as slice,
    territory_id,
    manager_id,
    outlet_format,
    brand_id,
    product_id,
    slice_outlets as active_outlets,
    u_base,
    u_assigned,
    cast(round(100.0 * slice_outlets / nullif(u_base, 0), 2) as numeric(6, 2)) as nd_base_percent,
    cast(round(100.0 * slice_outlets / nullif(u_assigned, 0), 2) as numeric(6, 2)) as nd_assigned_percent,
    window_days,
    branch_id,
    channel,
    category_id,
    case when is_all_goods then active_clients end as active_clients,
    u_route,
    cast(u_census as bigint) as u_census,
    cast(round(100.0 * slice_outlets / nullif(u_route, 0), 2) as numeric(6, 2)) as nd_route_percent,
    -- A census that counts fewer outlets than we serve is wrong, and says nothing.
    case
        when u_census >= slice_outlets then cast(round(100.0 * slice_outlets / nullif(u_census, 0), 2) as numeric(6, 2))
    end as nd_census_percent,
    cast(slice_placements as bigint) as placements_total,
    cast(round(100.0 * slice_placements / nullif(u_base, 0), 2) as numeric(12, 2)) as tdp_base,
    cast(round(100.0 * slice_placements / nullif(u_assigned, 0), 2) as numeric(12, 2)) as tdp_assigned,
    cast(round(1.0 * slice_placements / nullif(slice_outlets, 0), 4) as numeric(12, 4)) as sku_per_outlet_mean,
    case when is_all_goods then cast(sku_per_outlet_median as numeric(12, 1)) end as sku_per_outlet_median
from counted
