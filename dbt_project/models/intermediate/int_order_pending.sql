-- What already answers a missing order: a draft that nobody posted, or an order that is waiting for its day.
with orders as (
    select * from {{ ref('int_order') }}
),

occasions as (
    select * from {{ ref('fct_order_occasion') }}
),

drafts as (
    select
        instance,
        outlet_id,
        max(ordered_on) as draft_on
    from orders
    where is_draft and outlet_id is not null
    group by instance, outlet_id
),

-- Dated after the business date. One that has been shipped since was not yet known then: the build is for a past date.
future_orders as (
    select
        occasions.instance,
        occasions.outlet_id,
        occasions.ordered_on as awaited_on
    from occasions
    cross join lateral unnest(occasions.open_order_ids) as open_order (order_id)
    left join lateral (
        select lines.order_id
        from {{ ref('fct_shipment_line') }} as lines
        where lines.instance = occasions.instance and lines.order_id = open_order.order_id
        limit 1  -- noqa: AM09
    ) as shipped on true
    where occasions.ordered_on > {{ as_of() }} and shipped.order_id is null
),

standing_orders as (
    select
        instance,
        outlet_id,
        open_requested_on as awaited_on
    from occasions
    where ordered_on <= {{ as_of() }} and open_requested_on >= {{ as_of() }}
),

awaited as (
    select
        instance,
        outlet_id,
        min(awaited_on) as awaited_on
    from (
        select * from future_orders
        union all
        select * from standing_orders
    ) as orders_ahead
    group by instance, outlet_id
)

select
    coalesce(drafts.instance, awaited.instance) as instance,
    coalesce(drafts.outlet_id, awaited.outlet_id) as outlet_id,
    drafts.draft_on,
    awaited.awaited_on
from drafts
full outer join awaited on drafts.instance = awaited.instance and drafts.outlet_id = awaited.outlet_id
