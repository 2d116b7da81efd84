-- УТ keeps the differences, УНФ and БП the new value beside the old one: here it is always the difference.
with source as (
    select * from {{ source('onec', 'onec_shipment_correction_line') }}
),

corrections as (
    select * from {{ source('onec', 'onec_shipment_correction') }}
)

select
    source.instance,
    source.record_id as correction_id,
    source.line_no,
    source.product_id,
    source.characteristic_id,
    source.package_id,
    source.quantity - coalesce(source.quantity_before, 0) as quantity_change,
    source.price,
    source.price_before,
    source.amount - coalesce(source.amount_before, 0) as amount_change,
    source.vat_amount - coalesce(source.vat_amount_before, 0) as vat_change,
    {{ amount_with_vat('source', 'corrections') }} - coalesce(
        source.amount_before + case when corrections.price_includes_vat then 0 else coalesce(source.vat_amount_before, 0) end, 0
    ) as amount_with_vat_change,
    source.line_code,
    source.load_id
from source
left join corrections on source.instance = corrections.instance and source.record_id = corrections.record_id
