with source as (
    select * from {{ source('onec', 'onec_return_line') }}
),

documents as (
    select * from {{ source('onec', 'onec_return') }}
),

packages as (
    select * from {{ source('onec', 'onec_package') }}
)

select
    source.instance,
    source.record_id as return_id,
    source.line_no,
    source.product_id,
    source.characteristic_id,
    source.package_id,
    source.package_quantity,
    {{ base_quantity('source', 'packages') }} as quantity,
    source.price,
    source.amount,
    source.vat_rate_id,
    source.vat_amount,
    {{ amount_with_vat('source', 'documents') }} as amount_with_vat,
    source.warehouse_id,
    source.line_code,
    -- The line's own shipment, otherwise the one the document is based on.
    coalesce(
        case when {{ is_shipment('source.shipment_type') }} then source.shipment_id end,
        case when {{ is_shipment('documents.shipment_type') }} then documents.shipment_id end
    ) as shipment_id,
    source.shipment_type,
    source.load_id
from source
left join documents on source.instance = documents.instance and source.record_id = documents.record_id
left join packages on source.instance = packages.instance and source.package_id = packages.record_id
