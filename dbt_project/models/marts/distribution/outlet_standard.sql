{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='fail',
        pre_hook=[
            "{{ delete_of_changed_words(delete_changed_outlet_months('int_standard_month_changed')) }}",
            'set local enable_nestloop = off',
        ],
        post_hook='{{ analyze_this() }}',
        indexes=[
            {'columns': ['instance', 'outlet_id', 'month_start', 'standard_kind', 'standard'], 'unique': true},
            {'columns': ['month_start', 'standard_kind']},
        ]
    )
}}

-- depends_on: {{ ref('int_standard_month_changed') }}
-- Three meanings of "qualitative distribution", each under its own name: the must-list, at least so many positions, and the
-- standard of the outlet's format. Gross as it is; fair without what we did not deliver.
-- Nobody can tell the planner how many positions the must-lists ask of all outlets: it thinks of one, and would loop over them.
with outlets as (
    select outlets.*
    from {{ ref('int_standard_outlet') }} as outlets
    {% if is_incremental() %}
    inner join {{ ref('int_standard_month_changed') }} as changed
        on
            outlets.instance = changed.instance
            and outlets.outlet_id = changed.outlet_id
            and outlets.month_start = changed.month_start
    {% endif %}
),

refused as (
    select refused.*
    from {{ ref('int_refused_sku') }} as refused
    {% if is_incremental() %}
    inner join {{ ref('int_standard_month_changed') }} as changed
        on
            refused.instance = changed.instance
            and refused.outlet_id = changed.outlet_id
            and refused.month_start = changed.month_start
    {% endif %}
),

-- By the version that was valid on the day of judgement: a new version leaves the months before it alone.
required as (
    select
        outlets.instance,
        outlets.outlet_id,
        outlets.month_start,
        outlets.judged_on,
        lists.standard,
        lists.requirement,
        lists.sku_id
    from outlets
    inner join {{ ref('int_must_list') }} as lists
        on
            outlets.instance = lists.instance
            and coalesce(lists.outlet_format, outlets.outlet_format) = outlets.outlet_format
            and coalesce(lists.channel, outlets.channel) = outlets.channel
            and coalesce(lists.territory_id, outlets.territory_id) = outlets.territory_id
            and outlets.judged_on between lists.valid_from and lists.valid_to
),

bought as (
    select
        required.instance,
        required.outlet_id,
        required.month_start,
        required.judged_on,
        required.sku_id,
        sales.sold_on,
        sum(sales.kept_units) as kept_units,
        -- From purchase to purchase: a day on which something only came back is none.
        sales.sold_on - lag(sales.sold_on) over (
            partition by
                required.instance, required.outlet_id, required.month_start, required.sku_id, sum(sales.kept_units) > 0
            order by sales.sold_on
        ) as gap_days
    from (select distinct
        instance,
        outlet_id,
        month_start,
        judged_on,
        sku_id
    from required) as required
    inner join {{ ref('sales_daily') }} as sales
        on
            required.instance = sales.instance
            and required.outlet_id = sales.outlet_id
            and required.sku_id = sales.sku_id
            and required.judged_on >= sales.sold_on
            and sales.sold_on > required.judged_on - 365
            and sales.sold_on > (select min(outlets.judged_on) from outlets) - 365
    group by
        required.instance, required.outlet_id, required.month_start, required.judged_on, required.sku_id, sales.sold_on
),

-- A slow mover is there for two of its own cycles, any other for a month.
windows as (
    select
        instance,
        outlet_id,
        month_start,
        sku_id,
        greatest({{ var('must_list_window_days') }}, 2 * coalesce(percentile_disc(0.5) within group (order by gap_days), 0))
            as window_days
    from bought
    where kept_units > 0
    group by instance, outlet_id, month_start, sku_id
),

present as (
    select
        bought.instance,
        bought.outlet_id,
        bought.month_start,
        bought.sku_id
    from bought
    inner join windows
        on
            bought.instance = windows.instance
            and bought.outlet_id = windows.outlet_id
            and bought.month_start = windows.month_start
            and bought.sku_id = windows.sku_id
            and bought.sold_on > bought.judged_on - windows.window_days
    group by bought.instance, bought.outlet_id, bought.month_start, bought.sku_id
    having sum(bought.kept_units) > 0
),

requirements as (
    select
        required.instance,
        required.outlet_id,
        required.month_start,
        required.standard,
        required.requirement,
        bool_or(present.sku_id is not null) as is_met,
        bool_or(refused.sku_id is not null) as is_refused
    from required
    left join present
        on
            required.instance = present.instance
            and required.outlet_id = present.outlet_id
            and required.month_start = present.month_start
            and required.sku_id = present.sku_id
    left join refused
        on
            required.instance = refused.instance
            and required.outlet_id = refused.outlet_id
            and required.month_start = refused.month_start
            and required.sku_id = refused.sku_id
    group by required.instance, required.outlet_id, required.month_start, required.standard, required.requirement
),

must_lists as (
    select
        instance,
        outlet_id,
        month_start,
        'must_list' as standard_kind,
        standard,
        count(*) as required_positions,
        count(*) filter (where is_met) as present_positions,
        count(*) filter (where not is_met and is_refused) as excused_positions
    from requirements
    group by instance, outlet_id, month_start, standard
),

-- Ordered, not delivered, and not there by another delivery of the month.
excused as (
    select
        refused.instance,
        refused.outlet_id,
        refused.month_start,
        count(*) as positions
    from refused
    left join {{ ref('int_placement_month') }} as kept
        on
            refused.instance = kept.instance
            and refused.outlet_id = kept.outlet_id
            and refused.month_start = kept.month_start
            and refused.sku_id = kept.sku_id
    where kept.sku_id is null
    group by refused.instance, refused.outlet_id, refused.month_start
),

breadths as (
    select
        outlets.instance,
        outlets.outlet_id,
        outlets.month_start,
        standards.standard_kind,
        standards.standard,
        standards.positions as required_positions,
        outlets.positions as present_positions,
        least(coalesce(excused.positions, 0), greatest(standards.positions - outlets.positions, 0)) as excused_positions
    from outlets
    inner join (
        select
            'breadth' as standard_kind,
            cast(null as text) as outlet_format,
            'at least {{ var("breadth_positions") }}' as standard,
            {{ var('breadth_positions') }} as positions,
            date '0001-01-01' as valid_from,
            date '9999-12-31' as valid_to
        union all
        select
            'format_breadth' as standard_kind,
            outlet_format,
            'by format' as standard,
            positions,
            valid_from,
            valid_to
        from {{ ref('int_breadth_standard') }}
    ) as standards
        on
            coalesce(standards.outlet_format, outlets.outlet_format) = outlets.outlet_format
            and outlets.judged_on between standards.valid_from and standards.valid_to
    left join excused
        on
            outlets.instance = excused.instance
            and outlets.outlet_id = excused.outlet_id
            and outlets.month_start = excused.month_start
),

standards as (
    select * from must_lists
    union all
    select * from breadths
)

select
    standards.instance,
    standards.month_start,
    outlets.judged_on,
    coalesce(standards.month_start + interval '1 month' <= {{ as_of() }}, false) as is_complete,
    standards.outlet_id,
    outlets.client_id,
    outlets.territory_id,
    outlets.manager_id,
    outlets.channel,
    outlets.outlet_format,
    standards.standard_kind,
    standards.standard,
    cast(standards.required_positions as integer) as required_positions,
    cast(standards.present_positions as integer) as present_positions,
    cast(standards.excused_positions as integer) as excused_positions,
    cast(greatest(standards.required_positions - standards.present_positions, 0) as integer) as missing_positions,
    cast(
        round(100.0 * least(standards.present_positions, standards.required_positions) / nullif(standards.required_positions, 0), 2)
        as numeric(5, 2)
    ) as gross_percent,
    cast(
        round(
            100.0 * least(standards.present_positions, standards.required_positions)
            / nullif(standards.required_positions - standards.excused_positions, 0),
            2
        ) as numeric(5, 2)
    ) as fair_percent,
    standards.present_positions >= standards.required_positions as is_met_gross,
    standards.present_positions >= standards.required_positions - standards.excused_positions as is_met_fair,
    outlets.positions > 0 as is_active,
    outlets.is_in_grace,
    outlets.is_off_season,
    not outlets.is_in_grace and not outlets.is_off_season as is_judged
from standards
inner join outlets
    on
        standards.instance = outlets.instance
        and standards.outlet_id = outlets.outlet_id
        and standards.month_start = outlets.month_start
