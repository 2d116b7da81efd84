with source as (
    select * from {{ source('onec', 'onec_return_line') }}
)

select
    source.instance,
    source.record_id as return_id,
    source.line_no,
    source.product_id,
    source.characteristic_id,
    source.package_id,
    source.package_quantity,
    {{ base_quantity('source') }} as quantity,
    source.price,
    source.amount,
    source.vat_rate_id,
    source.vat_amount,
    {{ amount_with_vat('source', 'onec_return') }} as amount_with_vat,
    source.warehouse_id,
    source.line_code,
    -- The line's own shipment, otherwise the one the document is based on.
    coalesce(
        case when {{ is_shipment('source.shipment_type') }} then source.shipment_id end,
        (
            select case when {{ is_shipment('documents.shipment_type') }} then documents.shipment_id end
            from {{ source('onec', 'onec_return') }} as documents
            where documents.instance = source.instance and documents.record_id = source.record_id
        )
    ) as shipment_id,
    source.shipment_type,
    source.load_id
from source
