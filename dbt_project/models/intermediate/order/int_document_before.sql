{{ config(materialized='table', post_hook='{{ analyze_this() }}') }}

-- depends_on: {{ ref('int_document_changed') }}
-- What changed documents named before: orders of shipments, shipments of returns. Their lines are written anew after this,
-- and who they spoke of until now would be forgotten.
{% set carried = carried_over('int_document_before') -%}
{% set shipment_lines = built_relation('marts', 'fct_shipment_line') -%}
{% set return_lines = built_relation('marts', 'fct_return_line') -%}
{% for kind, lines, document, named in [
    ('shipment', shipment_lines, 'shipment_id', 'order_id'), ('return', return_lines, 'return_id', 'shipment_id')
] if lines is not none -%}
select
    '{{ kind }}' as document_kind,
    lines.instance,
    lines.{{ document }} as document_id,
    lines.{{ named }} as named_id
from {{ ref('int_document_changed') }} as changed
inner join {{ lines }} as lines on changed.instance = lines.instance and changed.document_id = lines.{{ document }}
where changed.document_kind = '{{ kind }}' and lines.{{ named }} is not null
union
{% endfor -%}
{% if carried is not none -%}
select
    document_kind,
    instance,
    document_id,
    named_id
from {{ carried }}
union
{% endif -%}
select
    cast(null as text) as document_kind,
    cast(null as text) as instance,
    cast(null as text) as document_id,
    cast(null as text) as named_id
where false
