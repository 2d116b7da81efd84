-- What the cost of each month's sales follows from besides the documents, as fingerprints: 1C's register of revenue and cost
-- (under the month of the sale that a movement speaks of, or its own if that is earlier), cost prices, the business date.
with sales as (
    select
        instance,
        shipment_id as document_id,
        shipped_on as sold_on
    from {{ ref('int_shipment') }}
    union all
    select
        instance,
        return_id as document_id,
        returned_on as sold_on
    from {{ ref('int_return') }}
),

register as (
    select
        lines.*,
        coalesce(lines.document_id, lines.recorder_id) as sale_id,
        cast(lines.moved_at at time zone source_instances.time_zone as date) as moved_on
    from {{ ref('stg_onec__revenue_line') }} as lines
    inner join {{ ref('stg_ops__source_instance') }} as source_instances on lines.instance = source_instances.instance
)

select
    'register' as word_kind,
    register.instance,
    cast(date_trunc('month', least(register.moved_on, sales.sold_on)) as date) as month_start,
    cast(
        sum(
            hashtextextended(
                concat_ws(
                    ':', register.recorder_id, register.line_no, register.sale_id, register.product_id, register.moved_on,
                    register.quantity, coalesce(register.cost_without_vat, register.cost, register.cost_regulated),
                    coalesce(register.extra_cost_without_vat, register.extra_cost), register.active, register.is_deleted
                ),
                0
            )
        ) as text
    ) as fingerprint
from register
left join sales on register.instance = sales.instance and register.sale_id = sales.document_id
group by register.instance, cast(date_trunc('month', least(register.moved_on, sales.sold_on)) as date)
union all
select
    'price' as word_kind,
    prices.instance,
    cast(date_trunc('month', prices.priced_at) as date) as month_start,
    cast(
        sum(
            hashtextextended(
                concat_ws(':', prices.product_id, prices.price_type_id, prices.priced_at, prices.price, prices.is_deleted), 0
            )
        ) as text
    ) as fingerprint
from {{ ref('stg_onec__price') }} as prices
inner join {{ ref('stg_onec__price_type') }} as price_types
    on prices.instance = price_types.instance and prices.price_type_id = price_types.price_type_id
where price_types.name = any({{ text_list('cost_price_types') }})
group by prices.instance, cast(date_trunc('month', prices.priced_at) as date)
union all
select
    'as_of' as word_kind,
    instance,
    cast(date_trunc('month', {{ as_of() }}) as date) as month_start,
    cast({{ as_of() }} as text) as fingerprint
from {{ ref('stg_ops__source_instance') }}
