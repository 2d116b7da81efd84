{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='fail',
        pre_hook="{{ delete_changed_months('int_order_month_changed') }}",
        post_hook='{{ analyze_this() }}',
        indexes=[{'columns': ['instance', 'month_start', 'slice']}]
    )
}}

-- depends_on: {{ ref('int_order_month_changed') }}
-- The size of an order and of a delivery by month: average and median, lines per order, money and units per drop.
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

orders as (
    select
        occasions.instance,
        cast(date_trunc('month', occasions.ordered_on) as date) as month_start,
        {% for side in sides %}outlets.{{ side }},
        {% endfor -%}
        count(*) as occasions_total,
        sum(occasions.orders_total) as orders_total,
        count(distinct occasions.outlet_id) as ordering_outlets,
        sum(occasions.amount_with_vat) as ordered_amount,
        {{ exact_median('occasions.amount_with_vat') }} as median_amount,
        sum(occasions.positions_total) as positions_total
    from {{ ref('fct_order_occasion') }} as occasions
    inner join outlets on occasions.instance = outlets.instance and occasions.outlet_id = outlets.outlet_id
    where
        occasions.ordered_on <= {{ as_of() }} and not occasions.all_cancelled_by_us
        {%- if is_incremental() %}
        and occasions.ordered_on >= (select min(changed.month_start) from {{ ref('int_order_month_changed') }} as changed)
        and (occasions.instance, cast(date_trunc('month', occasions.ordered_on) as date)) in (
            select
                changed.instance,
                changed.month_start
            from {{ ref('int_order_month_changed') }} as changed
        )
        {%- endif %}
    group by
        occasions.instance, date_trunc('month', occasions.ordered_on),
        grouping sets (() {%- for side in sides %}, (outlets.{{ side }}){% endfor %})  -- noqa: LT05
),

drops as (
    select
        months.instance,
        months.month_start,
        {% for side in sides %}outlets.{{ side }},
        {% endfor -%}
        sum(months.delivery_days) as drops_total,
        sum(months.shipped_amount) as shipped_amount,
        sum(months.shipped_units) as shipped_units
    from {{ ref('int_outlet_month') }} as months
    inner join outlets on months.instance = outlets.instance and months.outlet_id = outlets.outlet_id
    where
        months.month_start <= {{ as_of() }}
        {%- if is_incremental() %}
        and (months.instance, months.month_start) in (
            select
                changed.instance,
                changed.month_start
            from {{ ref('int_order_month_changed') }} as changed
        )
        {%- endif %}
    group by months.instance, months.month_start, grouping sets (() {%- for side in sides %}, (outlets.{{ side }}){% endfor %})  -- noqa: LT05
),

keyed_orders as (
    select
        *,
        concat_ws('|', instance, month_start {%- for side in sides %}, '{{ side }}=' || {{ side }}{% endfor %}) as slice_key  -- noqa: LT05
    from orders
),

keyed_drops as (
    select
        *,
        concat_ws('|', instance, month_start {%- for side in sides %}, '{{ side }}=' || {{ side }}{% endfor %}) as slice_key  -- noqa: LT05
    from drops
)

select
    coalesce(keyed_orders.instance, keyed_drops.instance) as instance,
    coalesce(keyed_orders.month_start, keyed_drops.month_start) as month_start,
    case
        when coalesce(keyed_orders.territory_id, keyed_drops.territory_id) is not null then 'territory'
        when coalesce(keyed_orders.manager_id, keyed_drops.manager_id) is not null then 'manager'
        when coalesce(keyed_orders.outlet_format, keyed_drops.outlet_format) is not null then 'format'
        when coalesce(keyed_orders.channel, keyed_drops.channel) is not null then 'channel'
        else 'total'
    end as slice,
    {% for side in sides %}coalesce(keyed_orders.{{ side }}, keyed_drops.{{ side }}) as {{ side }},
    {% endfor -%}
    coalesce(keyed_orders.occasions_total, 0) as occasions_total,
    cast(coalesce(keyed_orders.orders_total, 0) as bigint) as orders_total,
    coalesce(keyed_orders.ordering_outlets, 0) as ordering_outlets,
    cast(round(keyed_orders.ordered_amount / nullif(keyed_orders.occasions_total, 0), 2) as numeric(18, 2)) as average_order_amount,
    cast(round(keyed_orders.median_amount, 2) as numeric(18, 2)) as median_order_amount,
    cast(round(1.0 * keyed_orders.positions_total / nullif(keyed_orders.occasions_total, 0), 4) as numeric(12, 4)) as lines_per_call,
    cast(coalesce(keyed_drops.drops_total, 0) as bigint) as drops_total,
    cast(round(keyed_drops.shipped_amount / nullif(keyed_drops.drops_total, 0), 2) as numeric(18, 2)) as drop_amount,
    cast(round(keyed_drops.shipped_units / nullif(keyed_drops.drops_total, 0), 4) as numeric(24, 4)) as drop_units,
    cast(null as numeric(5, 2)) as strike_rate_percent,
    'no_visit_feed' as strike_missing_reason
from keyed_orders
full outer join keyed_drops on keyed_orders.slice_key = keyed_drops.slice_key
