-- Counted from staging, past all joins: a document of an unknown source or outlet may not vanish on the way.
with landed as (
    select
        'order' as document,
        count(*) as lines
    from {{ ref('stg_onec__order') }} as header
    inner join {{ ref('stg_onec__order_line') }} as line
        on header.instance = line.instance and header.order_id = line.order_id
    where not header.is_deleted and not header.deletion_mark
    union all
    select
        'shipment' as document,
        count(*) as lines
    from {{ ref('stg_onec__shipment') }} as header
    inner join {{ ref('stg_onec__shipment_line') }} as line
        on header.instance = line.instance and header.shipment_id = line.shipment_id
    where not header.is_deleted and not header.deletion_mark and header.posted
    union all
    select
        'return' as document,
        count(*) as lines
    from {{ ref('stg_onec__return') }} as header
    inner join {{ ref('stg_onec__return_line') }} as line
        on header.instance = line.instance and header.return_id = line.return_id
    where not header.is_deleted and not header.deletion_mark and header.posted
    union all
    select
        'write_off' as document,
        count(*) as lines
    from {{ ref('stg_onec__stock_write_off') }} as header
    inner join {{ ref('stg_onec__stock_write_off_line') }} as line
        on header.instance = line.instance and header.write_off_id = line.write_off_id
    where not header.is_deleted and not header.deletion_mark and header.posted
    union all
    select
        'debt_adjustment' as document,
        count(*) as lines
    from {{ ref('stg_onec__debt_adjustment') }} as header
    inner join {{ ref('stg_onec__debt_adjustment_line') }} as line
        on header.instance = line.instance and header.debt_adjustment_id = line.debt_adjustment_id
    where not header.is_deleted and not header.deletion_mark and header.posted
),

kept as (
    select
        'order' as document,
        count(*) as lines
    from {{ ref('fct_order_line') }}
    union all
    select
        'shipment' as document,
        count(*) as lines
    from {{ ref('fct_shipment_line') }}
    union all
    select
        'return' as document,
        count(*) as lines
    from {{ ref('fct_return_line') }}
    union all
    select
        'write_off' as document,
        count(*) as lines
    from {{ ref('fct_adjustment_line') }}
    where line_class = 'write_off'
    union all
    select
        'debt_adjustment' as document,
        count(*) as lines
    from {{ ref('fct_adjustment_line') }}
    where line_class = 'debt_adjustment'
)

select
    landed.document,
    landed.lines as landed_lines,
    kept.lines as kept_lines
from landed
inner join kept on landed.document = kept.document
where landed.lines <> kept.lines
