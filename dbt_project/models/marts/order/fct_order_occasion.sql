{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='fail',
        pre_hook='{{ delete_stale_order_days() }}',
        post_hook='{{ analyze_this() }}',
        indexes=[
            {'columns': ['instance', 'outlet_id', 'ordered_on'], 'unique': true},
            {'columns': ['ordered_on'], 'type': 'brin'},
        ]
    )
}}

-- All valid orders of an outlet on one calendar day are one occasion. An order that we cancelled counts (the client did
-- order), one that the client cancelled does not.
with order_days as (
    select * from {{ ref('int_order_day') }} as order_day
    {% if is_incremental() %}
    where
        not exists (
            select 1 from {{ this }} as kept
            where
                kept.instance = order_day.instance
                and kept.outlet_id = order_day.outlet_id
                and kept.ordered_on = order_day.ordered_on
        )
    {% endif %}
),

lines as (
    select
        lines.*,
        order_days.fingerprint,
        lines.line_status in ('valid', 'cancelled_by_us') as is_demand
    from order_days
    inner join {{ ref('fct_order_line') }} as lines
        on
            order_days.instance = lines.instance
            and order_days.outlet_id = lines.outlet_id
            and order_days.ordered_on = lines.ordered_on
    where lines.line_status <> 'draft'
),

orders as (
    select
        instance,
        outlet_id,
        ordered_on,
        order_id,
        client_id,
        branch_id,
        manager_id,
        order_number,
        ordered_at,
        fingerprint,
        bool_or(line_status = 'valid') as is_alive,
        is_open and bool_or(line_status = 'valid') as is_awaited,
        max(requested_on) filter (where line_status = 'valid') as requested_on,
        sum(amount_with_vat) filter (where line_status <> 'cancelled_by_client') as amount_with_vat
    from lines
    group by
        instance, outlet_id, ordered_on, order_id, client_id, branch_id, manager_id, order_number, ordered_at, fingerprint, is_open
    having bool_or(is_demand)
),

positions as (
    select
        lines.instance,
        lines.outlet_id,
        lines.ordered_on,
        count(distinct lines.product_id || ':' || coalesce(lines.characteristic_id, '')) as positions
    from lines
    where lines.line_status <> 'cancelled_by_client' and lines.line_class = 'sale'
    group by lines.instance, lines.outlet_id, lines.ordered_on
)

select
    orders.instance,
    orders.outlet_id,
    orders.ordered_on,
    min(orders.client_id) as client_id,
    (array_agg(orders.branch_id order by orders.ordered_at desc, orders.order_id desc))[1] as branch_id,
    (array_agg(orders.manager_id order by orders.ordered_at desc, orders.order_id desc))[1] as manager_id,
    (array_agg(orders.order_number order by orders.ordered_at desc, orders.order_id desc))[1] as last_order_number,
    count(*) as orders_total,
    coalesce(min(positions.positions), 0) as positions_total,
    cast(coalesce(sum(orders.amount_with_vat), 0) as numeric(18, 2)) as amount_with_vat,
    not bool_or(orders.is_alive) as all_cancelled_by_us,
    coalesce(array_agg(orders.order_id order by orders.order_id) filter (where orders.is_awaited), cast(array[] as text[]))
        as open_order_ids,
    max(orders.requested_on) filter (where orders.is_awaited) as open_requested_on,
    min(orders.fingerprint) as fingerprint
from orders
left join positions
    on
        orders.instance = positions.instance
        and orders.outlet_id = positions.outlet_id
        and orders.ordered_on = positions.ordered_on
group by orders.instance, orders.outlet_id, orders.ordered_on
