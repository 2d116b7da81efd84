{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='fail',
        pre_hook="{{ delete_changed_documents('order', 'order_id') }}",
        post_hook='{{ analyze_this() }}',
        indexes=[
            {'columns': ['instance', 'order_id', 'line_no'], 'unique': true},
            {'columns': ['instance', 'outlet_id', 'ordered_on']},
            {'columns': ['instance', 'product_id', 'ordered_on']},
            {'columns': ['ordered_on'], 'type': 'brin'},
        ]
    )
}}

with lines as (
    select * from {{ ref('int_order_line_status') }}
    {% if is_incremental() %}
    where
        {{ of_changed_documents('order', ['order_id', 'line_order_id']) }}
    {% endif %}
)

select
    instance,
    order_id,
    line_no,
    order_number,
    ordered_at,
    ordered_on,
    outlet_id,
    client_id,
    branch_id,
    organisation_id,
    legal_entity_id,
    agreement_id,
    manager_id,
    product_id,
    characteristic_id,
    line_requested_on as requested_on,
    is_open,
    product_kind,
    line_class,
    line_status,
    cancellation_reason_id,
    cancellation_reason,
    cast(quantity as numeric(24, 6)) as quantity,
    cast(price as numeric(24, 6)) as price,
    cast(amount as numeric(24, 6)) as amount,
    cast(vat_amount as numeric(24, 6)) as vat_amount,
    cast(amount_with_vat as numeric(24, 6)) as amount_with_vat,
    cast(discount_amount as numeric(24, 6)) as discount_amount,
    load_id,
    row_hash
from lines
