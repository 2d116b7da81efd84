-- What clients ordered and we did not bring: a list for logistics, not for reps, who would only hear of it from the client.
-- Late: the promised day has passed and goods are missing. Short: closed with less than was ordered. Refused: we cancelled
-- it, or closed it without a shipment. The last two are told of for a few days only.
with fulfilment as (
    select
        *,
        case
            when stage in ('waiting', 'partly_shipped') and promised_on < {{ as_of() }} then 'late'
            when stage = 'closed_short' and last_shipped_on >= {{ as_of() }} - {{ var('gap_fresh_days') }} then 'short'
            when
                stage in ('cancelled_by_us', 'closed_unshipped')
                and ordered_on >= {{ as_of() }} - {{ var('gap_fresh_days') }}
                then 'refused'
        end as fault
    from {{ ref('order_fulfilment') }}
    where ordered_on between {{ as_of() }} - {{ var('logistics_days') }} and {{ as_of() }}
),

faults as (
    select * from fulfilment
    where fault is not null and ordered_amount > shipped_amount
),

ordered as (
    select
        lines.instance,
        lines.order_id,
        lines.product_id,
        sum(lines.quantity) as quantity
    from {{ ref('fct_order_line') }} as lines
    inner join faults on lines.instance = faults.instance and lines.order_id = faults.order_id
    where lines.line_class = 'sale' and lines.line_status not in ('draft', 'cancelled_by_client') and lines.product_id is not null
    group by lines.instance, lines.order_id, lines.product_id
),

shipped as (
    select
        lines.instance,
        lines.order_id,
        lines.product_id,
        sum(lines.quantity) as quantity
    from {{ ref('fct_shipment_line') }} as lines
    inner join faults on lines.instance = faults.instance and lines.order_id = faults.order_id
    where lines.line_class = 'sale'
    group by lines.instance, lines.order_id, lines.product_id
),

missing as (
    select
        ordered.instance,
        ordered.order_id,
        jsonb_agg(
            jsonb_build_object(
                'product_id', ordered.product_id,
                'name', products.name,
                'ordered', ordered.quantity,
                'shipped', coalesce(shipped.quantity, 0)
            )
            order by products.name, ordered.product_id
        ) as positions
    from ordered
    left join shipped
        on
            ordered.instance = shipped.instance
            and ordered.order_id = shipped.order_id
            and ordered.product_id = shipped.product_id
    left join {{ ref('stg_onec__product') }} as products
        on ordered.instance = products.instance and ordered.product_id = products.product_id
    where ordered.quantity > coalesce(shipped.quantity, 0)
    group by ordered.instance, ordered.order_id
),

outlets as (
    select * from {{ ref('int_outlet') }}
),

clients as (
    select * from {{ ref('int_client') }}
),

organisations as (
    select * from {{ ref('stg_onec__organisation') }}
)

select
    {{ as_of() }} as as_of,
    faults.instance,
    faults.order_id,
    faults.order_number,
    faults.ordered_on,
    coalesce(faults.branch_id, 'all') as branch_id,
    organisations.name as branch_name,
    faults.client_id,
    clients.client_name,
    faults.outlet_id,
    outlets.outlet_name,
    outlets.address,
    faults.manager_id,
    faults.fault,
    faults.promised_on,
    cast(case when faults.fault = 'late' then {{ as_of() }} - faults.promised_on end as integer) as days_late,
    faults.ordered_amount,
    cast(faults.ordered_amount - faults.shipped_amount as numeric(18, 2)) as missing_amount,
    coalesce(missing.positions, '[]') as positions
from faults
left join missing on faults.instance = missing.instance and faults.order_id = missing.order_id
left join outlets on faults.instance = outlets.instance and faults.outlet_id = outlets.outlet_id
left join clients on faults.instance = clients.instance and faults.client_id = clients.client_id
left join organisations on faults.instance = organisations.instance and faults.branch_id = organisations.organisation_id
