{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='fail',
        pre_hook="{{ delete_changed_documents('return', 'return_id') }}",
        post_hook='{{ analyze_this() }}',
        indexes=[
            {'columns': ['instance', 'return_id', 'line_no'], 'unique': true},
            {'columns': ['instance', 'outlet_id', 'returned_on']},
            {'columns': ['instance', 'shipment_id']},
        ]
    )
}}

-- depends_on: {{ ref('int_document_before') }}
with lines as (
    select * from {{ ref('int_return_line') }}
    {% if is_incremental() %}
    where
        {{ of_changed_documents('return', ['return_id', 'line_return_id']) }}
    {% endif %}
)

select
    instance,
    return_id,
    line_no,
    return_number,
    returned_at,
    returned_on,
    outlet_id,
    client_id,
    branch_id,
    organisation_id,
    legal_entity_id,
    manager_id,
    return_reason,
    shipment_id,
    product_id,
    characteristic_id,
    product_kind,
    line_class,
    cast(quantity as numeric(24, 6)) as quantity,
    cast(price as numeric(24, 6)) as price,
    cast(amount as numeric(24, 6)) as amount,
    cast(vat_amount as numeric(24, 6)) as vat_amount,
    cast(amount_with_vat as numeric(24, 6)) as amount_with_vat,
    cast(signed_quantity as numeric(24, 6)) as signed_quantity,
    cast(signed_amount as numeric(24, 6)) as signed_amount,
    load_id,
    row_hash
from lines
