{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='fail',
        full_refresh=false,
        pre_hook='{{ delete_changed_documents_built() }}',
        post_hook=['{{ analyze_this() }}', "{{ forget_changed(['int_document_changed', 'int_document_before']) }}"],
        indexes=[{'columns': ['document_kind', 'instance', 'document_id'], 'unique': true}]
    )
}}

-- What the marts have been built from. Comes after all of them: a build that died on the way keeps nothing. Never refreshed
-- alone: the changed documents are all that is known here.
-- depends_on: {{ ref('fct_order_line') }}
-- depends_on: {{ ref('fct_shipment_line') }}
-- depends_on: {{ ref('fct_return_line') }}
-- depends_on: {{ ref('fct_order_occasion') }}
-- depends_on: {{ ref('int_order_basket') }}
-- depends_on: {{ ref('order_assortment_gap') }}
-- depends_on: {{ ref('order_compliance') }}
-- depends_on: {{ ref('order_quantity_gap') }}
-- depends_on: {{ ref('order_fulfilment') }}
-- depends_on: {{ ref('order_size_monthly') }}
-- depends_on: {{ ref('int_outlet_month_changed') }}
-- depends_on: {{ ref('distribution_qualitative') }}
-- depends_on: {{ ref('int_outlet_silence') }}
select distinct
    document_kind,
    instance,
    document_id,
    outlet_id,
    document_on,
    fingerprint
from {{ ref('int_document_changed') }}
where fingerprint is not null
