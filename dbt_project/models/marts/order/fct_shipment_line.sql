{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='fail',
        pre_hook="{{ delete_changed_documents('shipment', 'shipment_id') }}",
        post_hook='{{ analyze_this() }}',
        indexes=[
            {'columns': ['instance', 'shipment_id', 'line_no'], 'unique': true},
            {'columns': ['instance', 'outlet_id', 'shipped_on']},
            {'columns': ['instance', 'product_id', 'shipped_on']},
            {'columns': ['instance', 'order_id']},
            {'columns': ['shipped_on'], 'type': 'brin'},
        ]
    )
}}

-- depends_on: {{ ref('int_document_before') }}
with lines as (
    select * from {{ ref('int_shipment_line') }}
    {% if is_incremental() %}
    where
        {{ of_changed_documents('shipment', ['shipment_id', 'line_shipment_id']) }}
    {% endif %}
)

select
    instance,
    shipment_id,
    line_no,
    shipment_number,
    shipped_at,
    shipped_on,
    outlet_id,
    client_id,
    branch_id,
    organisation_id,
    legal_entity_id,
    agreement_id,
    manager_id,
    order_id,
    product_id,
    characteristic_id,
    product_kind,
    line_class,
    cast(quantity as numeric(24, 6)) as quantity,
    cast(price as numeric(24, 6)) as price,
    cast(amount as numeric(24, 6)) as amount,
    cast(vat_amount as numeric(24, 6)) as vat_amount,
    cast(amount_with_vat as numeric(24, 6)) as amount_with_vat,
    cast(discount_amount as numeric(24, 6)) as discount_amount,
    cast(quantity as numeric(24, 6)) as signed_quantity,
    cast(amount_with_vat as numeric(24, 6)) as signed_amount,
    load_id,
    row_hash
from lines
