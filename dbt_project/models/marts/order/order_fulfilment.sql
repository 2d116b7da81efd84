{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='fail',
        pre_hook='{{ delete_changed_orders() }}',
        post_hook='{{ analyze_this() }}',
        indexes=[
            {'columns': ['instance', 'order_id'], 'unique': true},
            {'columns': ['instance', 'outlet_id', 'ordered_on']},
            {'columns': ['ordered_on']},
            {'columns': ['stage']},
        ]
    )
}}

-- depends_on: {{ ref('int_order_changed') }}
-- What became of each posted order: when it was shipped, how much of it, and whether as promised. What we cancelled was
-- demanded and not shipped; what the client cancelled is nobody's debt.
with lines as (
    select line.*
    from {{ ref('fct_order_line') }} as line
    {% if is_incremental() %}
    inner join {{ ref('int_order_changed') }} as changed
        on line.instance = changed.instance and line.order_id = changed.order_id
    {% endif %}
),

orders as (
    select
        instance,
        order_id,
        min(order_number) as order_number,
        min(ordered_at) as ordered_at,
        min(ordered_on) as ordered_on,
        min(outlet_id) as outlet_id,
        min(client_id) as client_id,
        min(branch_id) as branch_id,
        min(manager_id) as manager_id,
        min(requested_on) filter (where line_status in ('valid', 'cancelled_by_us')) as promised_on,
        bool_or(is_open) as is_open,
        bool_and(line_status = 'cancelled_by_client') as is_cancelled_by_client,
        bool_and(line_status like 'cancelled%') as is_cancelled
    from lines
    where line_status <> 'draft'
    group by instance, order_id
),

demanded as (
    select
        instance,
        order_id,
        coalesce(product_id, 'unknown') as product_id,
        sum(quantity) as quantity,
        sum(amount_with_vat) as amount,
        sum(quantity) filter (where line_status <> 'valid') as cancelled_quantity
    from lines
    where line_class = 'sale' and line_status not in ('draft', 'cancelled_by_client')
    group by instance, order_id, coalesce(product_id, 'unknown')
),

shipped as (
    select
        line.instance,
        line.order_id,
        coalesce(line.product_id, 'unknown') as product_id,
        sum(line.quantity) filter (where line.line_class = 'sale') as quantity,
        min(line.shipped_at) as first_shipped_at,
        min(line.shipped_on) as first_shipped_on,
        max(line.shipped_on) as last_shipped_on
    from {{ ref('fct_shipment_line') }} as line
    {% if is_incremental() %}
    inner join {{ ref('int_order_changed') }} as changed
        on line.instance = changed.instance and line.order_id = changed.order_id
    {% endif %}
    where line.order_id is not null
    group by line.instance, line.order_id, coalesce(line.product_id, 'unknown')
),

filled as (
    select
        demanded.instance,
        demanded.order_id,
        count(*) as positions_ordered,
        count(*) filter (where coalesce(shipped.quantity, 0) >= demanded.quantity) as positions_complete,
        sum(demanded.quantity) as units_ordered,
        sum(least(coalesce(shipped.quantity, 0), demanded.quantity)) as units_shipped,
        sum(demanded.cancelled_quantity) as units_cancelled_by_us,
        sum(demanded.amount) as amount,
        sum(demanded.amount * least(coalesce(shipped.quantity, 0), demanded.quantity) / nullif(demanded.quantity, 0)) as shipped_amount
    from demanded
    left join shipped
        on
            demanded.instance = shipped.instance
            and demanded.order_id = shipped.order_id
            and demanded.product_id = shipped.product_id
    group by demanded.instance, demanded.order_id
),

shipped_orders as (
    select
        instance,
        order_id,
        min(first_shipped_at) as first_shipped_at,
        min(first_shipped_on) as first_shipped_on,
        max(last_shipped_on) as last_shipped_on
    from shipped
    group by instance, order_id
),

joined as (
    select
        orders.*,
        filled.positions_ordered,
        filled.positions_complete,
        filled.units_ordered,
        filled.units_shipped,
        filled.units_cancelled_by_us,
        filled.amount,
        filled.shipped_amount,
        shipped_orders.first_shipped_at,
        shipped_orders.first_shipped_on,
        shipped_orders.last_shipped_on,
        coalesce(filled.positions_complete = filled.positions_ordered, false) as is_complete,
        {{ working_hours("(shipped_orders.first_shipped_at at time zone source_instances.time_zone)", 'shipped_day') }}
        - ({{ working_hours("(orders.ordered_at at time zone source_instances.time_zone)", 'ordered_day') }}) as processing_hours
    from orders
    inner join {{ ref('stg_ops__source_instance') }} as source_instances on orders.instance = source_instances.instance
    left join filled on orders.instance = filled.instance and orders.order_id = filled.order_id
    left join shipped_orders
        on orders.instance = shipped_orders.instance and orders.order_id = shipped_orders.order_id
    left join {{ ref('int_calendar') }} as ordered_day on orders.ordered_on = ordered_day.date_day
    left join {{ ref('int_calendar') }} as shipped_day on shipped_orders.first_shipped_on = shipped_day.date_day
),

staged as (
    select
        *,
        case
            when is_cancelled_by_client then 'cancelled_by_client'
            when is_cancelled and first_shipped_on is null then 'cancelled_by_us'
            when is_complete then 'shipped'
            when first_shipped_on is null and is_open then 'waiting'
            when is_open then 'partly_shipped'
            when first_shipped_on is null then 'closed_unshipped'
            else 'closed_short'
        end as stage,
        -- A verdict needs a promise that has come due, or a delivery.
        coalesce(is_complete or promised_on < {{ as_of() }}, false) as is_due
    from joined
)

select
    instance,
    order_id,
    order_number,
    ordered_at,
    ordered_on,
    outlet_id,
    client_id,
    branch_id,
    manager_id,
    stage,
    promised_on,
    first_shipped_on,
    last_shipped_on,
    case when stage in ('waiting', 'partly_shipped') then cast({{ as_of() }} - ordered_on as integer) end as age_days,
    cast(first_shipped_on - ordered_on as integer) as days_to_ship,
    cast(
        case when first_shipped_on is not null then round(cast(greatest(processing_hours, 0) as numeric), 2) end as numeric(12, 2)
    ) as processing_hours,
    cast(positions_ordered as integer) as positions_ordered,
    cast(positions_complete as integer) as positions_complete,
    cast(units_ordered as numeric(24, 6)) as units_ordered,
    cast(units_shipped as numeric(24, 6)) as units_shipped,
    cast(coalesce(units_cancelled_by_us, 0) as numeric(24, 6)) as units_cancelled_by_us,
    cast(round(amount, 2) as numeric(18, 2)) as ordered_amount,
    cast(round(shipped_amount, 2) as numeric(18, 2)) as shipped_amount,
    cast(
        case when stage <> 'waiting' then round(100.0 * units_shipped / nullif(units_ordered, 0), 2) end as numeric(5, 2)
    ) as unit_fill_percent,
    cast(
        case when stage <> 'waiting' then round(100.0 * positions_complete / nullif(positions_ordered, 0), 2) end
        as numeric(5, 2)
    ) as line_fill_percent,
    case when stage <> 'waiting' and positions_ordered > 0 then is_complete end as is_filled,
    case
        when promised_on is not null and is_due and positions_ordered > 0
            then is_complete and last_shipped_on <= promised_on
    end as is_otif,
    case
        when positions_ordered is null then 'nothing_demanded'
        when promised_on is null then 'no_promise'
        when not is_due then 'not_due'
    end as otif_missing_reason,
    case
        -- What was closed without a shipment is not late any more: it never comes.
        when promised_on is not null and is_due and stage not in ('cancelled_by_us', 'closed_unshipped')
            then cast(greatest(coalesce(last_shipped_on, {{ as_of() }}) - promised_on, 0) as integer)
    end as delay_days,
    -- When it arrived and in which state only a feed of deliveries can tell.
    cast(null as date) as delivered_on,
    cast(cast(null as numeric) as numeric(5, 2)) as damaged_percent,
    'no_delivery_feed' as delivery_missing_reason
from staged
