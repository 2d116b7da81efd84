with returns as (
    select * from {{ ref('int_return') }}
),

lines as (
    select * from {{ ref('stg_onec__return_line') }}
),

products as (
    select * from {{ ref('int_product') }}
)

select
    returns.instance,
    returns.return_id,
    lines.return_id as line_return_id,
    lines.line_no,
    returns.return_number,
    returns.returned_at,
    returns.returned_on,
    returns.outlet_id,
    returns.client_id,
    returns.branch_id,
    returns.organisation_id,
    returns.legal_entity_id,
    returns.manager_id,
    returns.return_reason,
    lines.shipment_id,
    lines.product_id,
    lines.characteristic_id,
    coalesce(products.product_kind, 'goods') as product_kind,
    {{ line_class('lines', 'products.product_kind', 'return') }} as line_class,
    lines.quantity,
    lines.price,
    lines.amount,
    lines.vat_amount,
    coalesce(lines.amount_with_vat, lines.amount) as amount_with_vat,
    -1 * lines.quantity as signed_quantity,
    -1 * coalesce(lines.amount_with_vat, lines.amount) as signed_amount,
    returns.load_id,
    returns.row_hash
from returns
inner join lines on returns.instance = lines.instance and returns.return_id = lines.return_id
left join products on lines.instance = products.instance and lines.product_id = products.product_id
