with shipments as (
    select * from {{ ref('int_shipment') }}
),

lines as (
    select * from {{ ref('stg_onec__shipment_line') }}
),

products as (
    select * from {{ ref('int_product') }}
)

select
    shipments.instance,
    shipments.shipment_id,
    lines.shipment_id as line_shipment_id,
    lines.line_no,
    shipments.shipment_number,
    shipments.shipped_at,
    shipments.shipped_on,
    shipments.outlet_id,
    shipments.client_id,
    shipments.branch_id,
    shipments.organisation_id,
    shipments.legal_entity_id,
    shipments.agreement_id,
    shipments.manager_id,
    coalesce(lines.order_id, shipments.order_id) as order_id,
    lines.product_id,
    lines.characteristic_id,
    coalesce(products.product_kind, 'goods') as product_kind,
    {{ line_class('lines', 'products.product_kind', 'sale') }} as line_class,
    lines.quantity,
    lines.price,
    lines.amount,
    lines.vat_amount,
    coalesce(lines.amount_with_vat, lines.amount) as amount_with_vat,
    coalesce(lines.manual_discount_amount, 0) + coalesce(lines.auto_discount_amount, 0) as discount_amount,
    shipments.load_id,
    shipments.row_hash
from shipments
inner join lines on shipments.instance = lines.instance and shipments.shipment_id = lines.shipment_id
left join products on lines.instance = products.instance and lines.product_id = products.product_id
