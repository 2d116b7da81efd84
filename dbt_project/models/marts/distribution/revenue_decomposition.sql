{{ config(indexes=[{'columns': ['instance', 'month_start', 'slice']}]) }}

-- Why revenue changed: more or fewer outlets, positions per outlet, units per position, or another price. The four parts
-- add up to the change exactly (logarithmic mean weights; the last kopecks of rounding go to the price).
{% set sides = ['territory_id', 'manager_id', 'outlet_format', 'channel'] -%}
with outlets as (
    select
        instance,
        outlet_id,
        coalesce(territory_id, 'unknown') as territory_id,
        coalesce(manager_id, 'unknown') as manager_id,
        outlet_format,
        coalesce(channel, 'unknown') as channel
    from {{ ref('int_outlet') }}
),

by_outlet as (
    select
        months.instance,
        months.month_start,
        {% for side in sides %}outlets.{{ side }},
        {% endfor -%}
        cast(null as text) as brand_id,
        cast(null as text) as category_id,
        count(*) filter (where months.positions > 0) as outlets_total,
        sum(months.positions) as placements_total,
        sum(months.kept_units) as units,
        sum(months.kept_amount) as revenue
    from {{ ref('int_outlet_month') }} as months
    inner join outlets on months.instance = outlets.instance and months.outlet_id = outlets.outlet_id
    where months.month_start <= {{ as_of() }}
    group by months.instance, months.month_start, grouping sets (() {%- for side in sides %}, (outlets.{{ side }}){% endfor %})  -- noqa: LT05
    having count(*) > 0
),

by_goods as (
    select
        instance,
        month_start,
        {% for side in sides %}cast(null as text) as {{ side }},
        {% endfor -%}
        case when goods_kind = 'brand' then goods_id end as brand_id,
        case when goods_kind = 'category' then goods_id end as category_id,
        outlets_total,
        placements_total,
        units,
        revenue
    from {{ ref('int_goods_month') }}
    where
        goods_kind in ('brand', 'category')
        and placements_total > 0
        and month_start <= {{ as_of() }}
),

months as (
    select * from by_outlet
    union all
    select * from by_goods
),

-- Every slice in every month of the history: one that was not there yet, or is not there any more, stands at nothing.
grid as (
    select
        slices.*,
        cast(calendar.month_start as date) as month_start
    from (
        select
            instance,
            {% for side in sides %}{{ side }},
            {% endfor -%}
            brand_id,
            category_id,
            min(min(month_start)) over (partition by instance) as history_from
        from months
        group by instance, {% for side in sides %}{{ side }}, {% endfor %}brand_id, category_id
    ) as slices
    cross join lateral generate_series(
        slices.history_from, date_trunc('month', {{ as_of() }}), interval '1 month'
    ) as calendar (month_start)
),

filled as (
    select
        grid.*,
        concat_ws(
            '|', grid.instance, {% for side in sides + ['brand_id', 'category_id'] %}coalesce('{{ side }}=' || grid.{{ side }}, ''){% if not loop.last %}, {% endif %}{% endfor %}  -- noqa: LT05
        ) as slice_key,
        {% for figure in ['outlets_total', 'placements_total', 'units', 'revenue'] -%}
        coalesce(months.{{ figure }}, 0) as {{ figure }}{% if not loop.last %},{% endif %}
        {% endfor %}
    from grid
    left join months
        on
            grid.instance = months.instance
            and grid.month_start = months.month_start
            {%- for side in sides + ['brand_id', 'category_id'] %}
            and coalesce(grid.{{ side }}, '') = coalesce(months.{{ side }}, '')
            {%- endfor %}
),

pairs as (
    select
        now.*,
        comparisons.compared_with,
        round(now.revenue, 2) as amount,
        round(before.revenue, 2) as amount_before,
        before.outlets_total as outlets_before,
        before.placements_total as placements_before,
        before.units as units_before,
        now.revenue > 0 and before.revenue > 0 and now.units > 0 and before.units > 0 as is_comparable
    from filled as now
    cross join (values ('previous_month', 1), ('previous_year', 12)) as comparisons (compared_with, months_back)
    inner join filled as before
        on
            now.slice_key = before.slice_key
            and now.month_start = cast(before.month_start + comparisons.months_back * interval '1 month' as date)
),

weighed as (
    select
        *,
        case
            when not is_comparable then null
            when amount = amount_before then amount
            when amount > 0 and amount_before > 0 then (amount - amount_before) / nullif(ln(amount / amount_before), 0)
        end as mean_amount
    from pairs
),

explained as (
    select
        *,
        case
            when mean_amount is null then amount - amount_before
            else round(mean_amount * ln(1.0 * outlets_total / outlets_before), 2)
        end as outlets_effect,
        case
            when mean_amount is null then 0
            else round(mean_amount * ln((1.0 * placements_total / outlets_total) / (1.0 * placements_before / outlets_before)), 2)
        end as positions_effect,
        case
            when mean_amount is null then 0
            else round(mean_amount * ln((units / placements_total) / (units_before / placements_before)), 2)
        end as units_effect
    from weighed
)

select
    instance,
    month_start,
    coalesce(month_start + interval '1 month' <= {{ as_of() }}, false) as is_complete,
    compared_with,
    case
        when territory_id is not null then 'territory'
        when manager_id is not null then 'manager'
        when outlet_format is not null then 'format'
        when channel is not null then 'channel'
        when brand_id is not null then 'brand'
        when category_id is not null then 'category'
        else 'total'
    end as slice,
    {% for side in sides %}{{ side }},
    {% endfor -%}
    brand_id,
    category_id,
    outlets_total,
    cast(placements_total as bigint) as placements_total,
    cast(units as numeric(24, 6)) as units_total,
    cast(amount as numeric(18, 2)) as amount,
    cast(amount_before as numeric(18, 2)) as amount_before,
    cast(amount - amount_before as numeric(18, 2)) as change_amount,
    cast(outlets_effect as numeric(18, 2)) as outlets_effect_amount,
    cast(positions_effect as numeric(18, 2)) as positions_effect_amount,
    cast(units_effect as numeric(18, 2)) as units_effect_amount,
    cast(amount - amount_before - outlets_effect - positions_effect - units_effect as numeric(18, 2)) as price_effect_amount
from explained
