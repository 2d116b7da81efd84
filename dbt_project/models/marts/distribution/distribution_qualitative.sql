{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='fail',
        pre_hook="{{ delete_of_changed_words(delete_changed_months('int_standard_month_changed')) }}",
        post_hook='{{ analyze_this() }}',
        indexes=[{'columns': ['instance', 'month_start', 'standard_kind', 'slice']}]
    )
}}

-- depends_on: {{ ref('int_standard_month_changed') }}
-- In which share of the outlets each standard is met: of the active ones, and of all that ever bought and are open.
{% set sides = ['territory_id', 'manager_id', 'outlet_format', 'channel'] -%}
with judged as (
    select * from {{ ref('outlet_standard') }}
    where
        is_judged
        {%- if is_incremental() %}
        and (instance, month_start) in (
            select
                changed.instance,
                changed.month_start
            from {{ ref('int_standard_month_changed') }} as changed
        )
        {%- endif %}
),

counted as (
    select
        instance,
        month_start,
        bool_and(is_complete) as is_complete,
        standard_kind,
        standard,
        {{ sides | join(', ') }},
        count(*) as outlets_total,
        count(*) filter (where is_active) as active_outlets,
        count(*) filter (where is_active and is_met_gross) as met_gross,
        count(*) filter (where is_active and is_met_fair) as met_fair,
        avg(gross_percent) filter (where is_active) as gross_percent,
        avg(fair_percent) filter (where is_active) as fair_percent,
        sum(missing_positions) filter (where is_active) as missing_positions
    from judged
    group by
        instance, month_start, standard_kind, standard,
        grouping sets (() {%- for side in sides %}, ({{ side }}){% endfor %})
)

select
    instance,
    month_start,
    is_complete,
    standard_kind,
    standard,
    case
        when territory_id is not null then 'territory'
        when manager_id is not null then 'manager'
        when outlet_format is not null then 'format'
        when channel is not null then 'channel'
        else 'total'
    end as slice,
    {% for side in sides %}{{ side }},
    {% endfor -%}
    outlets_total as u_judged,
    active_outlets,
    met_gross as outlets_met_gross,
    met_fair as outlets_met_fair,
    cast(round(100.0 * met_gross / nullif(active_outlets, 0), 2) as numeric(5, 2)) as qd_active_percent,
    cast(round(100.0 * met_fair / nullif(active_outlets, 0), 2) as numeric(5, 2)) as qd_active_fair_percent,
    cast(round(100.0 * met_gross / nullif(outlets_total, 0), 2) as numeric(5, 2)) as qd_base_percent,
    cast(round(gross_percent, 2) as numeric(5, 2)) as average_gross_percent,
    cast(round(fair_percent, 2) as numeric(5, 2)) as average_fair_percent,
    coalesce(missing_positions, 0) as missing_positions
from counted
